//! The claims of a new token, for the command that makes tokens and for load.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::capability::Capability;

/// The claims of a token of a connection.
#[derive(Debug, Clone, Serialize)]
pub struct TokenDraft {
    /// The user.
    pub sub: String,
    /// The end, in seconds since 1970.
    pub exp: u64,
    /// What may be done where.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_object")]
    pub rooms: Vec<RoomWords>,
    /// What other members see of the user: a JSON value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<Box<RawValue>>,
    /// The id by which the token may be banned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

impl TokenDraft {
    /// The claims as a JSON object.
    pub fn claims(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// One pattern with its capabilities, as typed: `PATTERN=join,publish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomWords {
    pattern: String,
    words: Vec<Capability>,
}

/// The text is no pattern with capabilities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomWordsError {
    /// Give a pattern, `=`, and words.
    #[error("give PATTERN=WORDS, such as chat:*=join,publish")]
    Form,
    /// Give words of the documents.
    #[error("{0:?} is no capability; there are join, publish, signal, history, presence")]
    Word(String),
}

impl std::str::FromStr for RoomWords {
    type Err = RoomWordsError;

    /// The last `=` parts pattern and words: a room's name may hold one. Words that a node would
    /// ignore are refused here, as they are surely typing errors.
    fn from_str(text: &str) -> Result<Self, RoomWordsError> {
        let (pattern, words) = text.rsplit_once('=').ok_or(RoomWordsError::Form)?;
        if pattern.is_empty() || words.is_empty() {
            return Err(RoomWordsError::Form);
        }
        let word = |word: &str| {
            Capability::parse(word).ok_or_else(|| RoomWordsError::Word(word.to_owned()))
        };
        let words = words.split(',').map(word).collect::<Result<_, _>>()?;
        Ok(Self { pattern: pattern.to_owned(), words })
    }
}

/// Patterns as an object. A pattern that was given twice has the words of both: nodes refuse an
/// object with equal keys.
fn as_object<S: serde::Serializer>(rooms: &[RoomWords], out: S) -> Result<S::Ok, S::Error> {
    let mut merged: Vec<(&str, Vec<&str>)> = Vec::new();
    for room in rooms {
        let words = room.words.iter().map(|capability| capability.word());
        match merged.iter_mut().find(|(pattern, _)| *pattern == room.pattern) {
            Some((_, all)) => all.extend(words),
            None => merged.push((&room.pattern, words.collect())),
        }
    }
    out.collect_map(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::AccessIdentity;
    use crate::keys::{KeySet, RemoteKeys, read_secrets};
    use crate::token::{TokenRules, sign, verify_connection};

    fn made(draft: &TokenDraft) -> AccessIdentity {
        let secret = [b's'; 32];
        let keys = KeySet::new(read_secrets(&secret).unwrap(), RemoteKeys::None);
        let rules = TokenRules::default();
        let token = sign(&secret, &draft.claims().unwrap()).unwrap();
        verify_connection(&token, &keys, &TokenRules { info_bytes: 64, ..rules }, 0).unwrap()
    }

    #[test]
    fn a_token_that_is_made_is_taken() {
        let rooms = ["chat:*=join,publish", "a=b=history", "chat:*=signal"];
        let draft = TokenDraft {
            sub: "alice".to_owned(),
            exp: 60,
            rooms: rooms.into_iter().map(|text| text.parse().unwrap()).collect(),
            info: Some(RawValue::from_string("[1]".to_owned()).unwrap()),
            jti: Some("t".to_owned()),
        };
        let identity = made(&draft);
        assert_eq!(identity.life().unwrap().expires, 60_000);
        let can = |room: &str| {
            identity.capabilities_in(room).iter().map(Capability::word).collect::<Vec<_>>()
        };
        assert_eq!(can("chat:1"), ["join", "publish", "signal"]);
        assert_eq!(can("a=b"), ["history"]);
        assert!(identity.info().is_some() && identity.token_id().is_some());
        let bare = TokenDraft { rooms: Vec::new(), info: None, jti: None, ..draft };
        assert_eq!(bare.claims().unwrap(), r#"{"sub":"alice","exp":60}"#);
    }

    #[test]
    fn typing_errors_are_refused() {
        for bad in ["", "chat", "=join", "chat=", "="] {
            assert_eq!(bad.parse::<RoomWords>(), Err(RoomWordsError::Form), "{bad:?}");
        }
        for (bad, word) in [("a=jion", "jion"), ("a=join,", ""), ("a=join, publish", " publish")] {
            assert_eq!(bad.parse::<RoomWords>(), Err(RoomWordsError::Word(word.to_owned())));
        }
    }
}
