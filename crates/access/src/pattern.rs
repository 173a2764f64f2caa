//! Patterns of room names as tokens carry them, and the grants of an identity: which patterns
//! give it which capabilities.

use serde::{Deserialize, Serialize};

use crate::capability::{Capabilities, Capability};

/// The variable for the user's name in a pattern.
const USER: &str = "{sub}";
/// Names that begin with one of these belong to the nodes. No pattern reaches them.
const RESERVED_STARTS: [char; 2] = ['$', '@'];

/// A pattern as written: a literal name, or a prefix with `*` at its end. A `*` elsewhere is an
/// ordinary character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternText<'a> {
    text: &'a str,
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reach {
    /// The name is the text.
    Name,
    /// The name begins with the text.
    Prefix,
}

impl<'a> PatternText<'a> {
    /// Reads a pattern. Every text is one; it may match no valid name.
    pub fn parse(text: &'a str) -> Self {
        match text.strip_suffix('*') {
            Some(text) => Self { text, reach: Reach::Prefix },
            None => Self { text, reach: Reach::Name },
        }
    }

    /// The pattern of this user: `{sub}` is replaced by the name as it is. It is replaced after
    /// parsing, so a user named `*` gets no prefix, and only once, so a user named `{sub}` stays
    /// that text.
    pub fn of_user(&self, user: &str) -> RoomPattern {
        RoomPattern { text: self.text.replace(USER, user), reach: self.reach }
    }
}

/// A pattern without variables: what an identity holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomPattern {
    text: String,
    reach: Reach,
}

impl RoomPattern {
    /// Whether it covers this room.
    pub fn matches(&self, room: &str) -> bool {
        if room.starts_with(RESERVED_STARTS) {
            return false;
        }
        match self.reach {
            Reach::Name => room == self.text,
            Reach::Prefix => room.starts_with(&self.text),
        }
    }
}

/// Patterns with the capabilities that each gives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoomGrants(Vec<RoomGrant>);

/// One pattern with what it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomGrant {
    /// The rooms.
    pub rooms: RoomPattern,
    /// What may be done there.
    #[serde(with = "words")]
    pub can: Capabilities,
}

impl RoomGrants {
    /// What may be done in this room: all that the matching patterns give together.
    pub fn in_room(&self, room: &str) -> Capabilities {
        let matching = self.0.iter().filter(|grant| grant.rooms.matches(room));
        matching.fold(Capabilities::NONE, |all, grant| all.union(grant.can))
    }
}

impl FromIterator<RoomGrant> for RoomGrants {
    /// Grants that give nothing are left out.
    fn from_iter<I: IntoIterator<Item = RoomGrant>>(grants: I) -> Self {
        Self(grants.into_iter().filter(|grant| !grant.can.is_empty()).collect())
    }
}

/// Capabilities as a list of their words.
mod words {
    use super::{Capabilities, Capability};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(can: &Capabilities, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(can.iter().map(Capability::word))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Capabilities, D::Error> {
        let words = Vec::<String>::deserialize(input)?;
        Ok(Capabilities::from_words(words.iter().map(String::as_str)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, user: &str, room: &str, expected: bool) {
        let matches = PatternText::parse(pattern).of_user(user).matches(room);
        assert_eq!(matches, expected, "{pattern:?} of {user:?} and {room:?}");
    }

    #[test]
    fn a_literal_matches_itself_only() {
        check("chat:1", "u", "chat:1", true);
        check("chat:1", "u", "chat:12", false);
        check("chat:1", "u", "Chat:1", false);
        check("a*b", "u", "a*b", true);
        check("a*b", "u", "axb", false);
        check("", "u", "a", false);
    }

    #[test]
    fn a_prefix_matches_what_begins_with_it() {
        check("chat:*", "u", "chat:1", true);
        check("chat:*", "u", "chat:", true);
        check("chat:*", "u", "chat", false);
        check("*", "u", "anything", true);
        check("a**", "u", "a*", true);
        check("a**", "u", "ab", false);
    }

    #[test]
    fn the_users_name_is_replaced_literally_after_parsing() {
        check("dm:{sub}", "alice", "dm:alice", true);
        check("dm:{sub}", "alice", "dm:alice2", false);
        check("dm:{sub}:*", "alice", "dm:alice:1", true);
        check("{sub}", "*", "*", true);
        check("{sub}", "*", "chat", false);
        check("dm:{sub}", "a*", "dm:ab", false);
        check("dm:{sub}", "{sub}", "dm:{sub}", true);
        check("{sub}-{sub}", "a", "a-a", true);
        check("{su{sub}b}", "a", "{suab}", true);
    }

    #[test]
    fn no_pattern_reaches_names_of_the_nodes() {
        check("*", "u", "$control", false);
        check("*", "u", "@all", false);
        check("@all", "u", "@all", false);
        check("$*", "u", "$user:u", false);
        check("{sub}*", "$user:b", "$user:bob", false);
    }

    #[test]
    fn grants_add_up_over_matching_patterns() {
        let grant = |pattern: &str, words: &[&str]| RoomGrant {
            rooms: PatternText::parse(pattern).of_user("u"),
            can: Capabilities::from_words(words.iter().copied()),
        };
        let grants: RoomGrants = [
            grant("chat:*", &["join"]),
            grant("chat:1", &["publish"]),
            grant("other", &["history"]),
            grant("chat:1", &[]),
        ]
        .into_iter()
        .collect();
        assert_eq!(grants.in_room("chat:1"), Capabilities::from_words(["join", "publish"]));
        assert_eq!(grants.in_room("chat:2"), Capabilities::from_words(["join"]));
        assert_eq!(grants.in_room("lobby"), Capabilities::NONE);
        assert_eq!(grants.0.len(), 3);
    }

    proptest! {
        /// Any user's name reaches the room that it spells and no other.
        #[test]
        fn a_users_literal_pattern_matches_one_room(
            user in "[a*{}subx]{1,8}", room in "[a*{}subx:d]{1,12}",
        ) {
            let pattern = PatternText::parse("d:{sub}").of_user(&user);
            prop_assert_eq!(pattern.matches(&room), room == format!("d:{user}"));
        }

        #[test]
        fn grants_survive_their_encoding(text in "\\PC{0,20}", bits in 0_usize..32) {
            let can = Capability::ALL.into_iter().enumerate()
                .filter(|(i, _)| bits >> i & 1 == 1).map(|(_, c)| c).collect();
            let rooms = PatternText::parse(&text).of_user("u");
            let grants: RoomGrants = [RoomGrant { rooms, can }].into_iter().collect();
            let encoded = serde_json::to_string(&grants).unwrap();
            prop_assert_eq!(serde_json::from_str::<RoomGrants>(&encoded).unwrap(), grants);
        }
    }
}
