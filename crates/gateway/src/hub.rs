//! The hub: owns the log of every room that has members on this node. It appends what the bus
//! delivers, and sends each batch to the workers that are attached. One thread, no locks. It knows
//! no connection and no member.

mod attach;
mod backfill;
mod backfill_page;
mod backfill_reads;
mod commands;
mod driver;
mod ledger;
mod opening;
mod owed;
#[cfg(test)]
mod peek;
mod people;
mod room_state;
mod room_states;
mod shares;
mod telling;
mod typing;
mod upkeep;
mod worker_queue;

pub(crate) use backfill_page::BackfillPage;
#[cfg(test)]
pub(crate) use backfill_page::BackfillRange;
pub(crate) use commands::{BackfillAnswer, HubCommand, HubHandle, WorkerEvent};
pub(crate) use driver::{Hub, now_ms};
pub(crate) use worker_queue::{QueuedBytes, question_way, worker_queue};
