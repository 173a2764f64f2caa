//! The mark at the head of each message's text: who published it, and as which of its messages.

use std::hash::{DefaultHasher, Hasher};

/// One message of one publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) publisher: usize,
    pub(super) n: usize,
}

impl Mark {
    /// As it stands at the head of the text: `p4n17|`.
    pub(super) fn text(self) -> String {
        format!("p{}n{}|", self.publisher, self.n)
    }

    /// Reads what `text` wrote, whatever follows it.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (publisher, n) = text.strip_prefix('p')?.split_once('|')?.0.split_once('n')?;
        Some(Self { publisher: publisher.parse().ok()?, n: n.parse().ok()? })
    }
}

/// Stands for a message's whole text, the same in both encodings.
pub(super) fn content(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_back() {
        let mark = Mark { publisher: 4, n: 17 };
        assert_eq!(Mark::of(format!("{}xxx|n", mark.text()).as_bytes()), Some(mark));
        assert_eq!(Mark::of(b"xxx"), None);
        assert_ne!(content(b"p1n1|x"), content(b"p1n1|y"));
    }
}
