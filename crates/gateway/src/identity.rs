//! Who a connection is, by its own word: a user's name, and the client's name for itself. Nothing
//! here knows how the client said it (a query, a token) or what a connection does with it.

use std::fmt;
use std::sync::Arc;

use roomcast_metrics::ConnectionKind;
use roomcast_protocol::UserName;

/// What a client says of itself. Nothing of it is proved.
#[derive(Debug, Default)]
pub(crate) struct Hello {
    pub(crate) user: Option<UserName>,
    pub(crate) tag: Option<Box<Tag>>,
}

/// The client's own name for itself over its connections, and how often it has tried: for logs,
/// and for the scope of its keys.
#[derive(Debug)]
pub(crate) struct Tag {
    pub(crate) client: Arc<str>,
    pub(crate) attempt: u32,
}

impl Hello {
    /// Whether the user was proved. A name that the client gives itself proves nothing.
    pub(crate) fn is_authenticated(&self) -> bool {
        false
    }

    /// Whether this client was here before, by what it says; a first attempt has the number 0 or 1.
    pub(crate) fn kind(&self) -> ConnectionKind {
        match &self.tag {
            Some(tag) if tag.attempt > 1 => ConnectionKind::Returning,
            _ => ConnectionKind::First,
        }
    }
}

/// As log lines show it.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client={} attempt={}", self.client, self.attempt)
    }
}
