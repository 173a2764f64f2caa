//! The hub: owns the log of every room that has members on this node, fed by the bus, and passes
//! what is appended on to the workers that attached. One thread, no locks.

mod backfill;
mod backfill_page;
mod commands;
mod driver;
mod ledger;
mod opening;
#[cfg(test)]
mod peek;
mod shares;
mod upkeep;
mod worker_queue;

pub(crate) use backfill_page::BackfillPage;
#[cfg(test)]
pub(crate) use backfill_page::BackfillRange;
pub(crate) use commands::{BackfillAnswer, Floor, HubCommand, HubHandle, WorkerEvent};
pub(crate) use driver::{Hub, now_ms};
pub(crate) use worker_queue::{QueuedBytes, worker_queue};
