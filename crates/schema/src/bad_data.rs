//! Why a payload is refused. The text is bounded, and of the payload it repeats object keys only,
//! as parts of a path.

use std::fmt::{self, Write};

/// The longest path, in bytes; a longer one ends in `/…`.
const MAX_PATH_BYTES: usize = 256;
/// The longest part of a path, in bytes; a longer one is written as `…`.
const MAX_TOKEN_BYTES: usize = 64;
/// The longest reason, in bytes.
const MAX_REASON_BYTES: usize = 160;
/// What stands for what was left out.
const ELLIPSIS: char = '…';

/// A payload that its namespace does not accept: answer `bad_data` with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct BadData {
    /// What is wrong, as a JSON Pointer (RFC 6901) into the frame or body: `/event`, or `/data`
    /// with the way to the value. At most 256 bytes.
    pub path: String,
    /// Which rule it breaks. At most 160 bytes.
    pub reason: String,
}

impl BadData {
    pub(crate) fn event(reason: &str) -> Self {
        Self { path: "/event".to_owned(), reason: reason.to_owned() }
    }

    pub(crate) fn new(path: DataPath, reason: impl fmt::Display) -> Self {
        Self { path: path.text, reason: bounded(reason) }
    }
}

/// A reason, cut where it is too long.
pub(crate) fn bounded(reason: impl fmt::Display) -> String {
    let mut text = BoundedText(String::new());
    // It fails where the text is full, and what fits was written.
    let _cut = write!(text, "{reason}");
    text.0
}

/// A JSON Pointer to a value in `data`, within its bounds.
#[derive(Debug, Clone)]
pub(crate) struct DataPath {
    text: String,
    is_cut: bool,
}

impl DataPath {
    /// All of `data`.
    pub(crate) fn data() -> Self {
        Self { text: "/data".to_owned(), is_cut: false }
    }

    /// The path that a pointer into `data` names.
    pub(crate) fn of_pointer(pointer: &str) -> Self {
        let mut path = Self::data();
        pointer.split('/').skip(1).for_each(|token| path.push_escaped(token));
        path
    }

    /// Goes on to the value of a key.
    pub(crate) fn push_key(&mut self, key: &str) {
        if key.contains(['~', '/']) {
            self.push_escaped(&key.replace('~', "~0").replace('/', "~1"));
        } else {
            self.push_escaped(key);
        }
    }

    /// Goes on to an element of an array.
    pub(crate) fn push_index(&mut self, index: usize) {
        self.push_escaped(&index.to_string());
    }

    fn push_escaped(&mut self, token: &str) {
        if self.is_cut {
            return;
        }
        let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        let token: String = if token.len() > MAX_TOKEN_BYTES {
            ELLIPSIS.into()
        } else {
            token.chars().map(shown).collect()
        };
        self.text.push('/');
        // Room for `/…` is kept until the last part.
        if self.text.len() + token.len() + 1 + ELLIPSIS.len_utf8() > MAX_PATH_BYTES {
            self.is_cut = true;
            self.text.push(ELLIPSIS);
        } else {
            self.text.push_str(&token);
        }
    }
}

/// Text that takes no more than fits.
struct BoundedText(String);

impl Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_REASON_BYTES - ELLIPSIS.len_utf8() - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        self.0.push(ELLIPSIS);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests;
