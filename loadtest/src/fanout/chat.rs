//! Messages like a chat's: JSON with names, a link and words, all different, so that they compress as
//! such messages do. Also reads a compressed one back.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use flate2::{Decompress, FlushDecompress};
use roomcast_protocol::Data;

use crate::dialect::WireEncoding;
use crate::engine::LinkId;

/// Different messages, published in turn.
const MESSAGES: usize = 64;
/// The largest message that is read back.
const LARGEST: usize = 1 << 20;

const WORDS: [&str; 64] = [
    "about", "after", "again", "all", "and", "any", "are", "back", "because", "been", "but",
    "came", "can", "could", "day", "did", "first", "for", "from", "get", "good", "had", "have",
    "here", "how", "into", "just", "know", "last", "like", "long", "look", "made", "many", "maybe",
    "more", "never", "new", "not", "now", "only", "other", "over", "please", "right", "see",
    "should", "some", "still", "take", "thanks", "that", "the", "there", "think", "this", "time",
    "tomorrow", "way", "well", "what", "when", "with", "your",
];

/// Messages whose data has about so many bytes.
pub(super) fn messages(encoding: WireEncoding, bytes: usize) -> Result<Vec<Data>> {
    if encoding != WireEncoding::Json {
        bail!("--chat needs --encoding json");
    }
    let mut words = Words { state: 1 };
    Ok((0..MESSAGES)
        .map(|number| Data::Json(Bytes::from(message(number, bytes, &mut words))))
        .collect())
}

fn message(number: usize, bytes: usize, words: &mut Words) -> String {
    let [first, second] = [words.next(), words.next()];
    let head = format!(
        "{{\"id\":\"msg_{:08x}\",\"user\":{{\"name\":\"{first} {second}\",\"avatar\":\
         \"https://cdn.example.com/avatars/{first}.png\"}},\"text\":\"",
        number * 2_654_435_761 % (1 << 32),
    );
    let tail = "\",\"edited\":false}";
    let mut text = String::new();
    while head.len() + text.len() + tail.len() < bytes {
        text.push_str(words.next());
        text.push(' ');
    }
    format!("{head}{}{tail}", text.trim_end())
}

/// Words in an order that is the same in each run.
struct Words {
    state: u64,
}

impl Words {
    fn next(&mut self) -> &'static str {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        WORDS[(self.state >> 58) as usize]
    }
}

/// What reads compressed frames of links that are read whole: for each its window, which servers may
/// keep between messages.
#[derive(Default)]
pub(super) struct Inflaters {
    by_link: BTreeMap<LinkId, Decompress>,
}

impl Inflaters {
    /// The payload of a compressed frame; `None` if it is JSON already.
    pub(super) fn read(&mut self, link: LinkId, payload: &[u8]) -> Result<Option<Vec<u8>>> {
        if payload.first() == Some(&b'{') {
            return Ok(None);
        }
        let inflater = self.by_link.entry(link).or_insert_with(|| Decompress::new(false));
        let mut out = Vec::with_capacity(LARGEST);
        for part in [payload, &[0, 0, 0xff, 0xff]] {
            inflater
                .decompress_vec(part, &mut out, FlushDecompress::Sync)
                .context("a bad stream")?;
        }
        Ok(Some(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_differ_and_have_about_the_size_that_was_asked_for() {
        let messages = messages(WireEncoding::Json, 400).unwrap();
        for (at, message) in messages.iter().enumerate() {
            assert!(message.len().abs_diff(400) < 20, "{}", message.len());
            assert!(!messages[..at].contains(message));
            let mut json = Vec::new();
            message.write_json(&mut json);
            serde_json::from_slice::<serde_json::Value>(&json).unwrap();
        }
    }
}
