//! Tokens for tests, by a shared secret.

use std::time::{SystemTime, UNIX_EPOCH};

use roomcast_access::token::sign;
use roomcast_protocol::Encoding;

use super::{TestClient, TestNode};

/// The secret that [`token`] signs with.
pub const SECRET: &str = "a-secret-of-thirty-two-bytes-or-more";
/// Settings of a node that takes such tokens, also in the query.
pub const GUARDED: [&str; 2] =
    ["auth.hs_secret=a-secret-of-thirty-two-bytes-or-more", "auth.query_token=true"];

/// The machine's clock, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the ends of tokens are points in time")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token of a user that is good for an hour, with further claims: `,"jti":"x"`.
pub fn token(user: &str, more: &str) -> String {
    token_until(now() + 3_600, user, more)
}

/// The same with another end, in seconds since 1970.
pub fn token_until(exp: u64, user: &str, more: &str) -> String {
    let claims = format!(r#"{{"sub":"{user}","exp":{exp}{more}}}"#);
    sign(SECRET.as_bytes(), &claims).unwrap()
}

impl TestNode {
    /// A client that presents a token.
    pub async fn with_token(&self, encoding: Encoding, token: &str) -> TestClient {
        TestClient::connect(self.address(), encoding, &format!("token={token}")).await
    }
}
