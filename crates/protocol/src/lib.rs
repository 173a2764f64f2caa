//! Roomcast's wire: every frame, name, position and code, in JSON and MessagePack.
//!
//! Pure: no sockets, no clocks, no tokio. Names and numbers are parsed once, here, and are always
//! valid afterwards. `docs/protocol.md` says the same for readers of other languages.

mod close;
mod codec;
mod data;
mod decode_error;
mod encoding;
mod error_code;
mod frame_type;
mod message;
mod name;
mod own_rooms;
mod position;
mod request;
mod response;
mod transcode;

pub use close::CloseCode;
pub use codec::{KeyVisibility, encode_message};
pub use data::{Data, DataError, MAX_DATA_DEPTH};
pub use decode_error::DecodeError;
pub use encoding::{Encoding, Subprotocol, UnknownSubprotocol};
pub use error_code::ErrorCode;
pub use frame_type::FrameType;
pub use message::Message;
pub use name::{
    ConnectionId, EventKind, EventName, KeyKind, MAX_EVENT_BYTES, MAX_KEY_BYTES, MAX_NODE_BYTES,
    MAX_ROOM_BYTES, MAX_STATE_KEY_BYTES, MAX_USER_BYTES, Name, NameError, NameKind, NodeId,
    NodeKind, PublishKey, RoomKind, RoomName, StateKey, StateKind, UserKind, UserName,
};
pub use position::{Epoch, Lineage, Position, Seq};
pub use request::{
    ClientFrame, DEFAULT_HISTORY_LIMIT, HistoryQuery, JoinRoom, MAX_HISTORY_LIMIT, MAX_JOIN_ROOMS,
    MAX_LISTED_USERS, MAX_PAGE_BYTES, MAX_ROOM_QUERIES, MAX_TRACEPARENT_BYTES, MAX_TTL_MS,
    MIN_TTL_MS, Publish, RequestId, Since,
};
pub use response::{
    Heartbeat, Limits, MAX_PAGE_ENTRIES, MAX_PAGE_MEMBERS, MAX_STATE_POINTS, Member, OnlineUser,
    PresenceCounts, PresenceStatus, ReadMarks, ServerFrame, StateEntry, StatePoint, UserEvent,
};
