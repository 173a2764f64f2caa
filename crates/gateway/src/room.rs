//! A room on one worker: its mirror of the node's log, its local members, and who waits to join.

mod join;
mod members;
mod pass;
mod run;
mod view;

pub(crate) use join::{Known, Pending, Plan, plan};
pub(crate) use members::{Member, Members, Reader};
use pass::PassState;
pub(crate) use pass::{CHUNK, write_chunk};
pub(crate) use run::{MAX_TURN_BYTES, Run, Settled};
pub(crate) use view::{Attachment, Laggard, Room, RoomState, Verdict, Watch};
