//! Roomcast's wire: every frame, name, position and code, in JSON and MessagePack.
//!
//! Pure: no sockets, no clocks, no tokio. Names and numbers are parsed once, here, and are always
//! valid afterwards. `docs/protocol.md` says the same for readers of other languages.

mod close;
mod data;
mod error_code;
mod message;
mod name;
mod position;
mod request;
mod response;

pub use close::CloseCode;
pub use data::Data;
pub use error_code::ErrorCode;
pub use message::Message;
pub use name::{
    ConnectionId, EventName, MAX_EVENT_BYTES, MAX_KEY_BYTES, MAX_NODE_BYTES, MAX_ROOM_BYTES,
    MAX_USER_BYTES, NameError, NodeId, PublishKey, RoomName, UserName,
};
pub use position::{Epoch, Lineage, Position, Seq};
pub use request::{ClientFrame, HistoryQuery, JoinRoom, Publish, RequestId};
pub use response::{Heartbeat, Limits, ServerFrame};
