//! Whose keys a publication's `key` is one of. Each owner has a window of its own in a room; a user
//! and a client of one name are two owners.

use std::sync::Arc;

use roomcast_protocol::UserName;

use crate::api::Publication;

/// The owner of keys, within a room.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum KeyOwner {
    /// A user, by whatever connection.
    User(UserName),
    /// A client without a user, by the name that it gives itself.
    Client(Arc<str>),
    /// All those who have neither.
    Nameless,
}

impl KeyOwner {
    /// The owner of a publication's key.
    pub(crate) fn of(publication: &Publication) -> Self {
        match (&publication.user, &publication.client) {
            (Some(user), _) => Self::User(user.clone()),
            (None, Some(client)) => Self::Client(client.clone()),
            (None, None) => Self::Nameless,
        }
    }

    /// As Redis knows it: the kind in one byte, then the name, which is printable. The byte `#` is
    /// taken by what the script counts.
    pub(crate) fn tagged(&self) -> String {
        match self {
            Self::User(user) => format!("+{user}"),
            Self::Client(client) => format!("~{client}"),
            Self::Nameless => "-".to_owned(),
        }
    }
}
