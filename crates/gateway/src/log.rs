//! The heart: a room's recent messages on this node, already encoded, and where readers stand in
//! them. Pure: knows no socket, no clock and no task. Batches are immutable and shared between the
//! hub, which owns each log, and the workers, which mirror it.

mod batch;
mod budget;
mod room_log;

pub(crate) use batch::{Batch, Encoded, LogEntry, Special};
pub(crate) use budget::Budget;
pub(crate) use room_log::{Cursor, Floor, RoomLog};
