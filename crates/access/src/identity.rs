//! The identity of a connection: its user, what others see of it, what its token lets it do, and
//! its end. It comes from a token, from a ticket, or from neither.

use std::sync::Arc;

use roomcast_protocol::{Data, RoomName, UserName};

use crate::capability::Capabilities;
use crate::pattern::RoomGrants;

/// How long before its end a connection by cookie is asked to come back, in milliseconds.
const RECONNECT_LEAD_MS: u64 = 60_000;
/// The least life that is worth a `reconnect`, in milliseconds: with less left the new connection
/// would come at the end anyway.
const RECONNECT_LEAST_MS: u64 = 10_000;

/// The identity of a connection. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccessIdentity {
    pub(crate) user: Option<UserName>,
    pub(crate) info: Option<Data>,
    pub(crate) grants: RoomGrants,
    pub(crate) life: Option<IdentityLife>,
    pub(crate) token_id: Option<TokenId>,
    pub(crate) key: Option<Arc<str>>,
}

/// When an identity ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityLife {
    /// The end that the token names (`exp`): what clients see.
    pub expires: u64,
    /// When the connection is closed: `expires` and the leeway.
    pub ends: u64,
}

/// A `refresh` would change the user. The connection goes on as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// Open another connection for another user.
    #[error("the token is another user's")]
    OtherUser,
    /// Open another connection with the token.
    #[error("the connection was opened without a token")]
    Anonymous,
}

impl AccessIdentity {
    /// A connection that names no user.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// A user by its own word, where no authentication is configured.
    pub fn named(user: UserName) -> Self {
        Self { user: Some(user), ..Self::default() }
    }

    /// The same identity with these grants instead of its own.
    pub fn with_grants(self, grants: RoomGrants) -> Self {
        Self { grants, ..self }
    }

    /// The user, if there is one.
    pub fn user(&self) -> Option<&UserName> {
        self.user.as_ref()
    }

    /// What other members see of the user.
    pub fn info(&self) -> Option<&Data> {
        self.info.as_ref()
    }

    /// When it ends; `None` if it does not.
    pub fn life(&self) -> Option<IdentityLife> {
        self.life
    }

    /// The token's `jti`, by which it may be banned.
    pub fn token_id(&self) -> Option<&TokenId> {
        self.token_id.as_ref()
    }

    /// The name of the key that signed its token, for logs.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whether it comes from a token or a ticket. Limits by user hold for such identities only.
    pub fn is_verified(&self) -> bool {
        self.life.is_some()
    }

    /// What it may do in this room.
    pub fn capabilities_in(&self, room: &str) -> Capabilities {
        self.grants.in_room(room)
    }

    /// Replaces the identity by that of a new token: info, capabilities and end as a whole. Refuses
    /// the token of another user, and any token for an identity that did not come from one.
    pub fn refresh(&mut self, new: Self) -> Result<(), RefreshError> {
        if !self.is_verified() {
            return Err(RefreshError::Anonymous);
        }
        if new.user != self.user {
            return Err(RefreshError::OtherUser);
        }
        *self = new;
        Ok(())
    }
}

/// When a connection by cookie that was opened at `begun` is asked to reconnect: a minute before
/// its end, or at half its life if that is shorter; `None` if less than 10 s are left then. The
/// caller sends none where the client's last connection on this node had the same end.
pub fn reconnect_at(begun: u64, ends: u64) -> Option<u64> {
    let lead = RECONNECT_LEAD_MS.min(ends.saturating_sub(begun) / 2);
    (lead >= RECONNECT_LEAST_MS).then(|| ends - lead)
}

/// What a room's own token gives to a membership. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomPass {
    /// The user it is for: that of the connection.
    pub user: UserName,
    /// The one room.
    pub room: RoomName,
    /// What may be done there, besides what the connection's own token gives.
    pub can: Capabilities,
    /// When the membership ends.
    pub life: IdentityLife,
    /// The token's `jti`: a ban of it ends the membership.
    pub token_id: Option<TokenId>,
    /// The name of the key that signed it, for logs.
    pub key: Option<Arc<str>>,
}

/// A token's `jti`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(Arc<str>);

/// Longest `jti` in bytes: several UUIDs; each ban holds one.
pub const MAX_TOKEN_ID_BYTES: usize = 256;

impl TokenId {
    /// Reads a `jti`: 1 to 256 bytes of any text without control characters.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= MAX_TOKEN_ID_BYTES;
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(user: &str, ends: u64) -> AccessIdentity {
        let life = Some(IdentityLife { expires: ends, ends });
        AccessIdentity { life, ..AccessIdentity::named(UserName::parse(user).unwrap()) }
    }

    #[test]
    fn a_refresh_replaces_all_but_the_user() {
        let mut identity = verified("alice", 1_000);
        let new = AccessIdentity {
            info: Some(Data::json(&b"{\"a\":1}"[..]).unwrap()),
            token_id: TokenId::parse("two"),
            ..verified("alice", 2_000)
        };
        assert_eq!(identity.refresh(new.clone()), Ok(()));
        assert_eq!(identity, new);
        assert_eq!(identity.refresh(verified("bob", 3_000)), Err(RefreshError::OtherUser));
        assert_eq!(identity, new);
    }

    #[test]
    fn an_identity_without_token_is_not_refreshed() {
        for mut own in
            [AccessIdentity::anonymous(), AccessIdentity::named(UserName::parse("alice").unwrap())]
        {
            let before = own.clone();
            assert_eq!(own.refresh(verified("alice", 1)), Err(RefreshError::Anonymous));
            assert_eq!(own, before);
        }
    }

    #[test]
    fn a_connection_by_cookie_reconnects_before_its_end() {
        assert_eq!(reconnect_at(0, 600_000), Some(540_000));
        assert_eq!(reconnect_at(0, 120_000), Some(60_000));
        assert_eq!(reconnect_at(0, 60_000), Some(30_000));
        assert_eq!(reconnect_at(0, 20_000), Some(10_000));
        assert_eq!(reconnect_at(0, 19_999), None);
        assert_eq!(reconnect_at(5, 3), None);
    }

    #[test]
    fn token_ids_are_bounded_text() {
        assert_eq!(TokenId::parse("a b").unwrap().as_str(), "a b");
        assert!(TokenId::parse(&"a".repeat(MAX_TOKEN_ID_BYTES)).is_some());
        for bad in ["", "a\nb", &"a".repeat(MAX_TOKEN_ID_BYTES + 1)] {
            assert!(TokenId::parse(bad).is_none(), "{bad:?}");
        }
    }
}
