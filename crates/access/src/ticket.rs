//! Tickets: a ticket is a random text that gives an identity, for a short time and to one
//! connection. Here: its text, and the record that is kept under it.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use roomcast_protocol::{Data, UserName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::identity::{AccessIdentity, IdentityLife, TokenId};
use crate::json::UniqueObject;
use crate::pattern::RoomGrants;
use crate::token::{TokenError, read_info, read_rooms};

/// How long a ticket is good, in milliseconds.
pub const TICKET_LIFE_MS: u64 = 30_000;
/// Random bytes of a ticket: 256 bits.
pub const TICKET_BYTES: usize = 32;
/// The least and the longest life of an identity that a backend gives, in seconds.
pub const TICKET_IDENTITY_SECONDS: std::ops::RangeInclusive<u64> = 60..=86_400;

/// Characters of a ticket.
const TICKET_CHARACTERS: usize = TICKET_BYTES.div_ceil(3) * 4 - 1;

/// The text of a ticket. It lets its bearer in: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TicketId(String);

impl TicketId {
    /// A new ticket from random bytes of the caller.
    pub fn new(random: [u8; TICKET_BYTES]) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(random))
    }

    /// Reads a ticket as it was presented; `None` for what cannot be one, which is answered as an
    /// unknown ticket.
    pub fn parse(text: &str) -> Option<Self> {
        let is_ticket = text.len() == TICKET_CHARACTERS
            && BASE64_URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == TICKET_BYTES);
        is_ticket.then(|| Self(text.to_owned()))
    }

    /// The text, for the answer and for the key under which the record is kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketId(…)")
    }
}

/// The identity that a backend asks a ticket for: the body {sub, rooms?, info?, seconds} of
/// `POST /v1/tickets`. It begins at `now`, in milliseconds since 1970.
pub fn read_ticket_request(body: &[u8], now: u64) -> Result<AccessIdentity, TicketRequestError> {
    let body = UniqueObject::parse(body).ok_or(TicketRequestError::NoObject)?;
    let wrong = TicketRequestError::Member;
    let user: String = body.read("sub").ok().flatten().ok_or(wrong("sub"))?;
    let user = UserName::parse(&user).map_err(|_| wrong("sub"))?;
    let seconds: u64 = body.read("seconds").ok().flatten().ok_or(wrong("seconds"))?;
    if !TICKET_IDENTITY_SECONDS.contains(&seconds) {
        return Err(wrong("seconds"));
    }
    let of_claim = |error| match error {
        TokenError::Claim(name) => wrong(name),
        _ => TicketRequestError::NoObject,
    };
    let rooms = read_rooms(&body).map_err(of_claim)?;
    let ends = now.saturating_add(seconds * 1_000);
    Ok(AccessIdentity {
        grants: rooms.map_or_else(RoomGrants::default, |rooms| rooms.of_user(user.as_str())),
        user: Some(user),
        info: read_info(&body).map_err(of_claim)?,
        life: Some(IdentityLife { expires: ends, ends }),
        ..AccessIdentity::default()
    })
}

/// `bad_body`: the text is its `detail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketRequestError {
    /// Send an object.
    #[error("the body is no JSON object, or a member comes twice")]
    NoObject,
    /// Give the member the shape of the documents.
    #[error(
        "the member `{0}` is missing or has another shape than this node takes (`seconds`: 60 to 86400)"
    )]
    Member(&'static str),
}

/// Writes an identity as the record of a ticket; `None` for one without an end: such
/// an identity has no ticket.
pub fn encode_ticket(identity: &AccessIdentity) -> Option<String> {
    let life = identity.life?;
    let info = match &identity.info {
        Some(info) => {
            let mut text = Vec::with_capacity(info.len());
            info.write_json(&mut text);
            Some(RawValue::from_string(String::from_utf8(text).ok()?).ok()?)
        }
        None => None,
    };
    let record = TicketRecord {
        user: identity.user.as_ref()?.to_string(),
        info,
        rooms: identity.grants.clone(),
        expires: life.expires,
        ends: life.ends,
        jti: identity.token_id.as_ref().map(|id| id.as_str().to_owned()),
        key: identity.key.as_deref().map(str::to_owned),
    };
    serde_json::to_string(&record).ok()
}

/// Reads the record of a ticket; `None` if `encode_ticket` did not write it.
pub fn decode_ticket(text: &str) -> Option<AccessIdentity> {
    let record: TicketRecord = serde_json::from_str(text).ok()?;
    let info = record.info.map(|info| Data::json(info.get().to_owned().into_bytes()));
    Some(AccessIdentity {
        user: Some(UserName::parse(&record.user).ok()?),
        info: info.transpose().ok()?,
        grants: record.rooms,
        life: Some(IdentityLife { expires: record.expires, ends: record.ends }),
        token_id: match record.jti {
            Some(jti) => Some(TokenId::parse(&jti)?),
            None => None,
        },
        key: record.key.map(Into::into),
    })
}

#[derive(Serialize, Deserialize)]
struct TicketRecord {
    user: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    info: Option<Box<RawValue>>,
    rooms: RoomGrants,
    expires: u64,
    ends: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// A member that is there is a value, `null` included.
fn present<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(input).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Capability;
    use proptest::prelude::*;

    fn request(body: &str) -> Result<AccessIdentity, TicketRequestError> {
        read_ticket_request(body.as_bytes(), 1_000)
    }

    #[test]
    fn a_backend_asks_for_an_identity() {
        let body =
            r#"{"sub":"alice","rooms":{"dm:{sub}":["join","fly"]},"info":{"a":[1]},"seconds":60}"#;
        let identity = request(body).unwrap();
        assert_eq!(identity.user().unwrap().as_str(), "alice");
        assert_eq!(identity.life(), Some(IdentityLife { expires: 61_000, ends: 61_000 }));
        assert!(identity.capabilities_in("dm:alice").has(Capability::Join));
        assert!(identity.capabilities_in("dm:bob").is_empty());
        assert_eq!(decode_ticket(&encode_ticket(&identity).unwrap()), Some(identity));
    }

    #[test]
    fn a_request_of_another_shape_is_refused_by_its_member() {
        let member = |body: &str, name| {
            assert_eq!(request(body), Err(TicketRequestError::Member(name)), "{body}");
        };
        member(r#"{"seconds":60}"#, "sub");
        member(r#"{"sub":"a b","seconds":60}"#, "sub");
        member(r#"{"sub":7,"seconds":60}"#, "sub");
        member(r#"{"sub":"a"}"#, "seconds");
        for seconds in ["59", "86401", "60.5", "\"60\"", "-60", "null"] {
            member(&format!(r#"{{"sub":"a","seconds":{seconds}}}"#), "seconds");
        }
        for rooms in ["null", "[]", r#"{"a":"join"}"#, r#"{"a":["join"],"a":[]}"#, r#"{"a":[1]}"#] {
            member(&format!(r#"{{"sub":"a","seconds":60,"rooms":{rooms}}}"#), "rooms");
        }
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        member(&format!(r#"{{"sub":"a","seconds":60,"info":{deep}}}"#), "info");
        for body in ["", "[]", r#"{"sub":"a","sub":"b","seconds":60}"#] {
            assert_eq!(request(body), Err(TicketRequestError::NoObject), "{body}");
        }
        assert!(request(r#"{"sub":"a","seconds":60}"#).is_ok());
        assert!(request(r#"{"sub":"a","seconds":86400}"#).is_ok());
    }

    #[test]
    fn a_ticket_keeps_token_id_key_and_null() {
        let identity = AccessIdentity {
            token_id: TokenId::parse("t"),
            key: Some("main".into()),
            info: Some(Data::json(&b"null"[..]).unwrap()),
            ..request(r#"{"sub":"a","seconds":60}"#).unwrap()
        };
        assert_eq!(decode_ticket(&encode_ticket(&identity).unwrap()), Some(identity));
        assert_eq!(encode_ticket(&AccessIdentity::anonymous()), None);
    }

    #[test]
    fn a_ticket_is_43_characters_that_are_not_shown() {
        let ticket = TicketId::new([0xfb; TICKET_BYTES]);
        assert_eq!(ticket.as_str().len(), 43);
        assert_eq!(TicketId::parse(ticket.as_str()), Some(ticket.clone()));
        assert!(!format!("{ticket:?}").contains(ticket.as_str()));
        for bad in ["", "a", &"a".repeat(42), &"a".repeat(44), &"+".repeat(43), &"_".repeat(43)] {
            assert_eq!(TicketId::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_ticket_is_read_again(random: [u8; TICKET_BYTES]) {
            let ticket = TicketId::new(random);
            prop_assert_eq!(TicketId::parse(ticket.as_str()), Some(ticket));
        }

        #[test]
        fn no_record_and_no_request_is_too_odd(text in "\\PC{0,80}") {
            decode_ticket(&text);
            request(&text).ok();
        }
    }
}
