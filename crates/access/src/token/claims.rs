//! The claims of a token, read from JSON. A claim of another shape is refused, never ignored;
//! claims that this version does not know are ignored.

use roomcast_protocol::{Data, RoomKind, RoomName, UserName};
use serde::Deserialize;
use serde_json::Number;

use super::{TokenError, TokenRules};
use crate::capability::Capabilities;
use crate::identity::TokenId;
use crate::json::UniqueObject;
use crate::pattern::{PatternText, RoomGrant, RoomGrants};

/// How many patterns one identity may have: each is compared at every join.
pub const MAX_ROOM_PATTERNS: usize = 1_000;
/// Longest pattern in bytes: twice that of a room's name, for variables.
const MAX_PATTERN_BYTES: usize = 256;
/// The latest date of a claim, in seconds since 1970: the end of the year 9999.
const MAX_DATE_SECONDS: u64 = 253_402_300_799;

/// What a token says. Times are milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(crate) user: UserName,
    pub(crate) expires: u64,
    pub(crate) not_before: u64,
    pub(crate) token_id: Option<TokenId>,
    pub(crate) info: Option<Data>,
    pub(crate) rooms: Option<RoomPatterns>,
    pub(crate) room: Option<RoomName>,
    pub(crate) can: Capabilities,
    issuer: Option<String>,
    audience: Option<ClaimedAudience>,
}

/// `aud`: one text or several (RFC 7519, section 4.1.3).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ClaimedAudience {
    One(String),
    Several(Vec<String>),
}

/// The claim `rooms`: patterns as written.
#[derive(Debug)]
pub(crate) struct RoomPatterns(Vec<(String, Capabilities)>);

impl RoomPatterns {
    /// What they grant to this user.
    pub(crate) fn of_user(&self, user: &str) -> RoomGrants {
        let grant = |(pattern, can): &(String, Capabilities)| RoomGrant {
            rooms: PatternText::parse(pattern).of_user(user),
            can: *can,
        };
        self.0.iter().map(grant).collect()
    }
}

impl Claims {
    pub(crate) fn read(claims: &UniqueObject) -> Result<Self, TokenError> {
        let user = text(claims, "sub")?.ok_or(TokenError::MissingClaim("sub"))?;
        let user = UserName::parse(&user).map_err(|_| TokenError::Claim("sub"))?;
        let expires = date(claims, "exp")?.ok_or(TokenError::MissingClaim("exp"))?;
        let token_id = text(claims, "jti")?
            .map(|id| TokenId::parse(&id).ok_or(TokenError::Claim("jti")))
            .transpose()?;
        // Rooms of the node's own need no token.
        let application = |room: String| {
            let room = RoomName::parse(&room).ok();
            let room = room.filter(|room| room.kind() == RoomKind::Application);
            room.ok_or(TokenError::Claim("room"))
        };
        let room = text(claims, "room")?.map(application).transpose()?;
        Ok(Self {
            user,
            expires,
            not_before: date(claims, "nbf")?.unwrap_or(0),
            token_id,
            info: read_info(claims)?,
            rooms: read_rooms(claims)?,
            room,
            can: claims.raw("can").map_or(Ok(Capabilities::NONE), |can| words(can, "can"))?,
            issuer: text(claims, "iss")?,
            audience: claims.read("aud").map_err(|_| TokenError::Claim("aud"))?,
        })
    }

    /// Checks for whom the token was made, and by whom.
    pub(super) fn check(&self, rules: &TokenRules) -> Result<(), TokenError> {
        if rules.issuer.is_some() && self.issuer != rules.issuer {
            return Err(TokenError::Issuer);
        }
        match (&rules.audience, &self.audience) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(TokenError::UnexpectedAudience),
            (Some(own), Some(ClaimedAudience::One(one))) if one == own => Ok(()),
            (Some(own), Some(ClaimedAudience::Several(all))) if all.contains(own) => Ok(()),
            (Some(_), _) => Err(TokenError::Audience),
        }
    }
}

/// The member `info`: any value that a payload may be.
pub(crate) fn read_info(object: &UniqueObject) -> Result<Option<Data>, TokenError> {
    let info = object.raw("info").map(|text| Data::json(text.as_bytes().to_vec()));
    info.transpose().map_err(|_| TokenError::Claim("info"))
}

/// The member `rooms`: an object of patterns, each with a list of words.
pub(crate) fn read_rooms(object: &UniqueObject) -> Result<Option<RoomPatterns>, TokenError> {
    let wrong = TokenError::Claim("rooms");
    let Some(rooms) = object.read::<UniqueObject>("rooms").map_err(|_| wrong.clone())? else {
        return Ok(None);
    };
    let mut patterns = Vec::new();
    for (pattern, can) in rooms.members() {
        if pattern.len() > MAX_PATTERN_BYTES || patterns.len() == MAX_ROOM_PATTERNS {
            return Err(wrong);
        }
        patterns.push((pattern.to_owned(), words(can, "rooms")?));
    }
    Ok(Some(RoomPatterns(patterns)))
}

fn words(list: &str, claim: &'static str) -> Result<Capabilities, TokenError> {
    let words: Vec<String> = serde_json::from_str(list).map_err(|_| TokenError::Claim(claim))?;
    Ok(Capabilities::from_words(words.iter().map(String::as_str)))
}

fn text(claims: &UniqueObject, claim: &'static str) -> Result<Option<String>, TokenError> {
    claims.read(claim).map_err(|_| TokenError::Claim(claim))
}

/// A NumericDate (RFC 7519, section 2), in milliseconds: seconds since 1970, with or without a
/// fraction. What lies before 1970 is 1970.
fn date(claims: &UniqueObject, claim: &'static str) -> Result<Option<u64>, TokenError> {
    let wrong = || TokenError::Claim(claim);
    let Some(number) = claims.read::<Number>(claim).map_err(|_| wrong())? else {
        return Ok(None);
    };
    if let Some(seconds) = number.as_u64() {
        return if seconds <= MAX_DATE_SECONDS { Ok(Some(seconds * 1_000)) } else { Err(wrong()) };
    }
    let seconds = number.as_f64().filter(|seconds| *seconds <= MAX_DATE_SECONDS as f64);
    // The cast takes what is below 0 as 0, and the bound above keeps it in range.
    seconds.map(|seconds| Some((seconds * 1_000.0).round() as u64)).ok_or_else(wrong)
}
