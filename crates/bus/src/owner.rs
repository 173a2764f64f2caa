//! The owner of a publication's `key`. Each owner has its own window of keys in a room; a user and
//! a client of one name are two owners.

use std::sync::Arc;

use roomcast_protocol::UserName;

use crate::api::Publication;

/// The owner of keys, within a room.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum KeyOwner {
    /// A backend, by the name of its API key.
    ApiKey(Arc<str>),
    /// A user, on any of its connections.
    User(UserName),
    /// A client without a user, by the name that it gives itself.
    Client(Arc<str>),
    /// All publications with neither.
    Nameless,
}

impl KeyOwner {
    /// The owner of a publication's key.
    pub(crate) fn of(publication: &Publication) -> Self {
        if let Some(name) = &publication.api_key {
            return Self::ApiKey(name.clone());
        }
        match (&publication.user, &publication.client) {
            (Some(user), _) => Self::User(user.clone()),
            (None, Some(client)) => Self::Client(client.clone()),
            (None, None) => Self::Nameless,
        }
    }

    /// Whether the number of its keys is bounded by that of the room alone.
    pub(crate) fn has_room_bound_only(&self) -> bool {
        matches!(self, Self::ApiKey(_))
    }

    /// The form in Redis: the kind in one byte, then the name, which is printable. The byte `#` is
    /// reserved for what the script counts.
    pub(crate) fn tagged(&self) -> String {
        match self {
            Self::ApiKey(name) => format!("={name}"),
            Self::User(user) => format!("+{user}"),
            Self::Client(client) => format!("~{client}"),
            Self::Nameless => "-".to_owned(),
        }
    }
}
