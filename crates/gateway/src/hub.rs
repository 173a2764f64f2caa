//! The hub: owns the log of every room that has members on this node, fed by the bus, and passes
//! what is appended on to the workers that attached. One thread, no locks.

pub(crate) mod catchup;
mod commands;
mod driver;
mod ledger;
mod outlet;
#[cfg(test)]
mod peek;
mod upkeep;

pub(crate) use commands::{Floor, HubCommand, HubHandle, Page, PageAnswer, WorkerEvent};
pub(crate) use driver::{Hub, now_ms};
pub(crate) use outlet::outlet_queue;
