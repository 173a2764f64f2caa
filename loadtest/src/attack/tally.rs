//! What the attackers were answered, counted by kind, and how much they did.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::wire::{self, Header};

/// Counts of one attack.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Tally {
    /// By what it was: a status, a close code, an error's code, an end.
    pub(super) answers: BTreeMap<String, u64>,
    /// Sockets that were connected.
    pub(super) sockets: u64,
    /// Bytes that the node's kernel took.
    pub(super) bytes: u64,
}

impl Tally {
    /// One more of this kind.
    pub(super) fn note(&mut self, what: impl Into<String>) {
        *self.answers.entry(what.into()).or_default() += 1;
    }

    /// Counts the frames at the beginning of what was read, and takes them away.
    pub(super) fn note_frames(&mut self, read: &mut Vec<u8>) {
        let mut at = 0;
        while let Some(header) = Header::parse(&read[at..]) {
            let Some(frame) = read.get(at..at.saturating_add(header.total())) else { break };
            self.note_frame(header.opcode, &frame[header.size..]);
            at += header.total();
        }
        read.drain(..at);
    }

    fn note_frame(&mut self, opcode: u8, payload: &[u8]) {
        match (opcode, payload) {
            (wire::CLOSE, [high, low, ..]) => {
                self.note(format!("close {}", u16::from_be_bytes([*high, *low])));
            }
            (wire::CLOSE, _) => self.note("close without a code"),
            (wire::PING, _) => self.note("ping"),
            (wire::PONG, _) => self.note("pong"),
            _ => {
                let text = String::from_utf8_lossy(payload);
                let word = |key: &str| {
                    let rest = text.split_once(&format!("\"{key}\":\""))?.1;
                    Some(rest.split_once('"')?.0.to_owned())
                };
                match (word("type").as_deref(), word("code")) {
                    (Some("error"), Some(code)) => self.note(code),
                    (Some(kind), _) => self.note(kind),
                    (None, _) => self.note("a frame without a type"),
                }
            }
        }
    }

    /// Adds another's counts.
    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.answers {
            *self.answers.entry(what.clone()).or_default() += count;
        }
        self.sockets += other.sockets;
        self.bytes += other.bytes;
    }

    /// The most frequent answers, in words.
    pub(super) fn text(&self) -> String {
        if self.answers.is_empty() {
            return "none within the time".to_owned();
        }
        let mut kinds: Vec<_> = self.answers.iter().collect();
        kinds.sort_by(|a, b| b.1.cmp(a.1));
        let texts = kinds.iter().take(4).map(|(what, count)| format!("{what} × {count}"));
        texts.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_by_kind_and_parts_wait() {
        let mut bytes = Vec::new();
        wire::push_server_frame(wire::TEXT, br#"{"type":"pong"}"#, &mut bytes);
        let error = br#"{"type":"error","id":1,"code":"rate_limited","message":"x"}"#;
        wire::push_server_frame(wire::TEXT, error, &mut bytes);
        wire::push_server_frame(wire::CLOSE, &[0x0f, 0xa3, b'x'], &mut bytes);
        let (mut tally, last) = (Tally::default(), bytes.pop().unwrap());
        tally.note_frames(&mut bytes);
        assert_eq!(tally.answers.len(), 2);
        bytes.push(last);
        tally.note_frames(&mut bytes);
        assert_eq!(tally.text(), "close 4003 × 1, pong × 1, rate_limited × 1");
        assert!(bytes.is_empty());
    }
}
