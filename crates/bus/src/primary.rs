//! One Redis primary: its command connections and the task that keeps them up, what is checked
//! before a node uses it, what it says of itself and what its errors mean. It must not know where
//! rooms lie or what is sent to them.

pub(crate) mod fault;
pub(crate) mod health;
mod layout;
pub(crate) mod link;
mod link_supervisor;
mod named_host;
mod overhear;
mod replicas;
pub(crate) mod server;
pub(crate) mod start;
mod verdict;
pub(crate) mod version;
mod writable;
