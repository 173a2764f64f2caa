//! Capabilities: what an identity may do in a room. The words are those of claims, of policies
//! and of `forbidden` errors.

use std::fmt;

/// One thing that can be done in a room. Also the name of the action that needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// Become a member and receive what is published.
    Join,
    /// Publish messages.
    Publish,
    /// Send signals, typing included.
    Signal,
    /// Read messages of the past.
    History,
    /// See who is in the room.
    Presence,
}

impl Capability {
    /// Every capability, in the order of the documents.
    pub const ALL: [Self; 5] =
        [Self::Join, Self::Publish, Self::Signal, Self::History, Self::Presence];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Publish => "publish",
            Self::Signal => "signal",
            Self::History => "history",
            Self::Presence => "presence",
        }
    }

    /// The capability that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.word() == word)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(u8);

impl Capabilities {
    /// No capability.
    pub const NONE: Self = Self(0);

    /// The set that a list of words names. Unknown words are ignored: a token may carry words of
    /// a later version.
    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        words.into_iter().filter_map(Capability::parse).collect()
    }

    /// Whether it holds this capability.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & bit(capability) != 0
    }

    /// All that either set holds.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it holds none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its capabilities, in the order of the documents.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.has(*capability))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |bits, capability| bits | bit(capability)))
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

fn bit(capability: Capability) -> u8 {
    1 << capability as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_its_capability() {
        for capability in Capability::ALL {
            assert_eq!(Capability::parse(capability.word()), Some(capability));
            assert_eq!(capability.to_string(), capability.word());
        }
        for word in ["", "Join", "join ", "admin"] {
            assert_eq!(Capability::parse(word), None, "{word:?}");
        }
    }

    #[test]
    fn a_set_holds_what_its_words_name_and_ignores_others() {
        let set = Capabilities::from_words(["publish", "fly", "join", "join"]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Capability::Join, Capability::Publish]);
        assert!(!set.has(Capability::History));
        assert!(Capabilities::from_words(["fly"]).is_empty());
    }

    #[test]
    fn a_union_holds_both() {
        let left = Capabilities::from_words(["join"]);
        let right = Capabilities::from_words(["history", "presence"]);
        let both = Capabilities::from_words(["join", "history", "presence"]);
        assert_eq!(left.union(right), both);
        assert_eq!(left.union(Capabilities::NONE), left);
        assert_eq!(Capability::ALL.into_iter().collect::<Capabilities>().iter().count(), 5);
    }
}
