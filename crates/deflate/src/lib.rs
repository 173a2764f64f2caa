//! permessage-deflate (RFC 7692) without context takeover: what a handshake agrees on, the payload
//! of compressed frames, and frames of clients inflated for a WebSocket library that knows no
//! extension.
//!
//! Pure: no sockets, no clocks. Neither side keeps anything from one message to the next, so a
//! message to many clients is compressed once, and an idle connection holds no window.

mod compress;
mod frame;
mod inbound;
mod inflate;
mod offer;

pub use compress::{FrameCompressor, Packing};
pub use inbound::{InboundInflate, UnfinishedMessage};
pub use inflate::{InflateRefusal, InflaterPool};
pub use offer::DeflateAnswer;
