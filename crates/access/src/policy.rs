//! The one decision: may this caller do this in this room? A pure function of the caller, the
//! namespace's policy, the action, and the caller's place in the room.

use crate::api_key::{ApiScope, ApiScopes};
use crate::capability::{Capabilities, Capability};
use crate::identity::AccessIdentity;

/// How far back a `since` reaches for a reader without `history`: long enough to come back after
/// a lost link or a deployment, too short to read the past. In milliseconds.
pub const RETURN_WINDOW_MS: u64 = 120_000;

/// Whether any source of keys for tokens is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// At least one.
    Configured,
    /// None: clients name themselves.
    NotConfigured,
}

/// Which connections a policy admits to an action without a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessRule {
    /// Every connection.
    Public,
    /// Connections with a user.
    User,
    /// Members of the room.
    Member,
    /// No connection: it needs the capability.
    Capability,
    /// API keys only; a capability does not help.
    Server,
}

impl AccessRule {
    /// Every rule, for tables and tests.
    pub const ALL: [Self; 5] =
        [Self::Public, Self::User, Self::Member, Self::Capability, Self::Server];

    /// The word for it in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::User => "user",
            Self::Member => "member",
            Self::Capability => "capability",
            Self::Server => "server",
        }
    }

    /// The rule that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.word() == word)
    }

    /// What counts where the configuration leaves the rule empty: with authentication nothing is
    /// allowed by default, without it nothing could give a capability.
    pub fn default_for(authentication: Authentication) -> Self {
        match authentication {
            Authentication::Configured => Self::Capability,
            Authentication::NotConfigured => Self::Public,
        }
    }
}

/// The rules of a namespace, one for each action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessPolicy {
    rules: [AccessRule; Capability::ALL.len()],
}

impl AccessPolicy {
    /// The policy that the configuration's rules make; `configured` gives the rule of each action,
    /// `None` where it is empty.
    pub fn new(
        authentication: Authentication,
        configured: impl Fn(Capability) -> Option<AccessRule>,
    ) -> Self {
        let default = AccessRule::default_for(authentication);
        Self { rules: Capability::ALL.map(|action| configured(action).unwrap_or(default)) }
    }

    /// Whether a decision about this action looks at the connection's place in the room: by the
    /// rule, whatever a room's token gives.
    pub fn asks_membership(&self, action: Capability) -> bool {
        self.rule(action) == AccessRule::Member
    }

    /// The rule for an action.
    pub fn rule(&self, action: Capability) -> AccessRule {
        self.rules[action as usize]
    }
}

/// The side that asks for an action.
#[derive(Debug, Clone, Copy)]
pub enum Caller<'a> {
    /// A connection.
    Connection(&'a AccessIdentity),
    /// A backend with an API key of these scopes.
    ApiKey(ApiScopes),
}

/// A connection's place in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomStanding {
    /// It is no member.
    Outside,
    /// It asks to join with a room token that gives these capabilities.
    Entering(Capabilities),
    /// It is a member; its room token, if it has one, gives these capabilities.
    Inside(Capabilities),
}

/// What allows an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowedBy {
    /// The namespace's policy.
    Policy(AccessRule),
    /// A capability of the connection's own token.
    Token,
    /// A capability of the room's token.
    RoomToken,
    /// The scope of the API key.
    ApiKey,
}

/// Why an action is refused: `forbidden`, with this text as its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessDenied {
    /// Come with a token that gives the capability for this room.
    #[error("the capability \"{0}\" is missing for this room")]
    Capability(Capability),
    /// Let a backend do it: the policy of the namespace admits API keys only.
    #[error("\"{0}\" is for API keys only in this room")]
    ServerOnly(Capability),
    /// Use an API key with this scope.
    #[error("the API key lacks the scope \"{}\"", .0.word())]
    Scope(ApiScope),
}

/// Decides whether the caller may take the action in the room.
///
/// A policy of `member` admits no connection to `join`: a membership would be its own reason, and a
/// capability that was taken away would not end it.
pub fn decide(
    caller: Caller<'_>,
    policy: &AccessPolicy,
    action: Capability,
    room: &str,
    standing: RoomStanding,
) -> Result<AllowedBy, AccessDenied> {
    let identity = match caller {
        Caller::Connection(identity) => identity,
        Caller::ApiKey(scopes) => {
            let scope = ApiScope::for_action(action);
            return match scopes.has(scope) {
                true => Ok(AllowedBy::ApiKey),
                false => Err(AccessDenied::Scope(scope)),
            };
        }
    };
    let rule = policy.rule(action);
    let is_admitted = match rule {
        AccessRule::Server => return Err(AccessDenied::ServerOnly(action)),
        AccessRule::Public => true,
        AccessRule::User => identity.user().is_some(),
        AccessRule::Member => {
            action != Capability::Join && matches!(standing, RoomStanding::Inside(_))
        }
        AccessRule::Capability => false,
    };
    if is_admitted {
        return Ok(AllowedBy::Policy(rule));
    }
    if identity.capabilities_in(room).has(action) {
        return Ok(AllowedBy::Token);
    }
    let of_room = match standing {
        RoomStanding::Outside => Capabilities::NONE,
        RoomStanding::Entering(can) | RoomStanding::Inside(can) => can,
    };
    if of_room.has(action) {
        return Ok(AllowedBy::RoomToken);
    }
    Err(AccessDenied::Capability(action))
}

#[cfg(test)]
mod tests;
