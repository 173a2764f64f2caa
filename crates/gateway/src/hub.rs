//! The hub: owns the log of every room that has members on this node, fed by the bus, and passes
//! what is appended on to the workers that attached. One thread, no locks.

mod catchup;
mod commands;
mod driver;
mod ledger;
mod opening;
mod outlet;
mod page;
#[cfg(test)]
mod peek;
mod shares;
mod upkeep;

pub(crate) use commands::{HubCommand, HubHandle, PageAnswer, WorkerEvent};
pub(crate) use driver::{Hub, now_ms};
pub(crate) use outlet::{InQueue, outlet_queue};
pub(crate) use page::Page;
#[cfg(test)]
pub(crate) use page::Part;
