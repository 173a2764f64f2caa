//! What the configuration asks of tokens and of the ways in which they come.

use roomcast_access::credential::QueryTokens;
use roomcast_access::policy::Authentication;
use roomcast_access::token::TokenRules;

use crate::config::AuthConfig;

/// The section `auth`, but for the keys.
#[derive(Debug)]
pub(crate) struct AuthSettings {
    pub(crate) authentication: Authentication,
    pub(crate) rules: TokenRules,
    /// The cookie that may hold a token; empty: none.
    pub(crate) cookie: String,
    pub(crate) query_tokens: QueryTokens,
    pub(crate) without_token: WithoutToken,
}

/// What becomes of a connection that presents nothing where authentication is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithoutToken {
    /// It is let in without a user.
    Anonymous,
    /// It is refused.
    Refused,
}

impl AuthSettings {
    pub(super) fn new(config: &AuthConfig, info_bytes: usize) -> Self {
        let query_tokens =
            if config.query_token { QueryTokens::Allowed } else { QueryTokens::Refused };
        let without_token =
            if config.anonymous { WithoutToken::Anonymous } else { WithoutToken::Refused };
        Self {
            authentication: config.authentication(),
            rules: config.token_rules(info_bytes),
            cookie: config.cookie.clone(),
            query_tokens,
            without_token,
        }
    }
}
