//! The identity of a connection: its user, by its own word or by a token, and the client's name for
//! itself. Nothing here knows how the client said it or what a connection does with it.

use std::fmt;
use std::sync::Arc;

use roomcast_access::identity::AccessIdentity;
use roomcast_metrics::ConnectionKind;
use roomcast_protocol::UserName;

/// What a client says of itself. The user is proved if there is a `verified` identity.
#[derive(Debug, Default)]
pub(crate) struct Hello {
    pub(crate) user: Option<UserName>,
    pub(crate) tag: Option<Box<Tag>>,
    /// Attempts that it needed since its last connection, by its own word.
    pub(crate) tries: Option<u32>,
    /// The identity that a token gave, and the way in which the token came.
    pub(crate) verified: Option<Box<VerifiedIdentity>>,
}

/// An identity that a token or a ticket gave.
#[derive(Debug)]
pub(crate) struct VerifiedIdentity {
    pub(crate) identity: AccessIdentity,
    pub(crate) way: CredentialWay,
}

/// How a credential came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialWay {
    /// The page or program put it there itself, and can send `refresh`.
    Presented,
    /// By the cookie alone: only another handshake brings a new one.
    Cookie,
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
        self.verified.is_some()
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
