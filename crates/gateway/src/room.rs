//! A room on one worker: its mirror of the node's log, its local members, and the joins that wait.

mod followed;
mod join;
mod local_people;
mod members;
mod pass;
mod round;
mod run;
mod slab;
mod slow;
mod view;
mod write;

pub(crate) use join::{
    AfterJoin, JoinLookup, JoinReply, MemberWord, PendingJoin, PositionCheck, ReplacedJoin,
    StartPoint, start_point, start_point_in_state,
};
pub(crate) use local_people::{JoinPresence, LocalPeople, ShownSelf, ShownSource};
pub(crate) use members::{MemberReader, Members, RoomMember};
use pass::PassState;
pub(crate) use pass::{CHUNK, write_chunk};
pub(crate) use round::WaitingItems;
pub(crate) use run::{MAX_TURN_BYTES, Run, Settled};
pub(crate) use slab::RoomSlab;
pub(crate) use slow::{Laggard, LaggardVerdict};
pub(crate) use view::{Attachment, PendingPlace, Room, RoomState};
use write::write_run;
pub(crate) use write::{WroteTurn, write_turn};
