//! JSON to MessagePack, streaming: a scanner over text that is known to be valid JSON. It is our
//! own because serde_json refuses what it lets through as raw text: lone surrogates (here
//! U+FFFD) and numbers beyond f64 (here infinity, as JavaScript reads them).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rmp::encode;

use super::escapes::unescape;
use super::heads::{Container, Sink};
use super::msgpack::nested;
use crate::data::{DataError, MAX_DATA_DEPTH};

/// States that a write into a `Vec` always succeeds.
pub(crate) const VEC: &str = "a Vec takes every write";

/// Appends the MessagePack form of one JSON text.
pub(crate) fn write(json: &str, out: &mut Vec<u8>) -> Result<(), DataError> {
    let mut scanner = Scanner { rest: json };
    let mut sink = Sink::new(out);
    scanner.value(&mut sink, MAX_DATA_DEPTH)?;
    scanner.space();
    if !scanner.rest.is_empty() {
        return Err(DataError::Trailing);
    }
    sink.finish();
    Ok(())
}

#[derive(Clone, Copy)]
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn value(&mut self, sink: &mut Sink<'_>, levels: usize) -> Result<(), DataError> {
        self.space();
        match self.rest.as_bytes().first().copied() {
            Some(b'{') => self.object(sink, nested(levels, 1)?),
            Some(b'[') => self.array(sink, nested(levels, 1)?),
            Some(b'"') => {
                encode::write_str(sink.out, &self.string()?).expect(VEC);
                Ok(())
            }
            Some(_) => self.scalar(sink.out),
            None => Err(DataError::Truncated),
        }
    }

    fn array(&mut self, sink: &mut Sink<'_>, levels: usize) -> Result<(), DataError> {
        let start = sink.begin();
        self.expect(b'[')?;
        let mut len = 0u32;
        while !self.eat(b']') {
            if len > 0 {
                self.expect(b',')?;
            }
            self.value(sink, levels)?;
            len += 1;
        }
        sink.end(start, Container::Array, len);
        Ok(())
    }

    fn object(&mut self, sink: &mut Sink<'_>, levels: usize) -> Result<(), DataError> {
        if let Some(after) = self.special(sink.out) {
            *self = after;
            return Ok(());
        }
        let start = sink.begin();
        self.expect(b'{')?;
        let mut len = 0u32;
        while !self.eat(b'}') {
            if len > 0 {
                self.expect(b',')?;
                self.space();
            }
            encode::write_str(sink.out, &self.string()?).expect(VEC);
            self.expect(b':')?;
            self.value(sink, levels)?;
            len += 1;
        }
        sink.end(start, Container::Map, len);
        Ok(())
    }

    /// Writes `{"$bin": …}` and `{"$ext": …}` as what they stand for and returns the scanner
    /// behind them; `None`, with nothing written, for every other object.
    fn special(mut self, out: &mut Vec<u8>) -> Option<Self> {
        self.expect(b'{').ok()?;
        self.space();
        // Looked at before the key is read: a long first key shall not be read twice.
        if !self.rest.starts_with("\"$") {
            return None;
        }
        match &*self.string().ok()? {
            "$bin" => {
                self.expect(b':').ok()?;
                let bytes = self.base64()?;
                self.expect(b'}').ok()?;
                encode::write_bin(out, &bytes).expect(VEC);
            }
            "$ext" => {
                self.expect(b':').ok()?;
                self.expect(b'[').ok()?;
                self.space();
                let kind = self.token().parse::<i8>().ok()?;
                self.expect(b',').ok()?;
                let bytes = self.base64()?;
                self.expect(b']').ok()?;
                self.expect(b'}').ok()?;
                let len = u32::try_from(bytes.len()).ok()?;
                encode::write_ext_meta(out, len, kind).expect(VEC);
                out.extend_from_slice(&bytes);
            }
            _ => return None,
        }
        Some(self)
    }

    fn base64(&mut self) -> Option<Vec<u8>> {
        self.space();
        STANDARD.decode(&*self.string().ok()?).ok()
    }

    fn scalar(&mut self, out: &mut Vec<u8>) -> Result<(), DataError> {
        match self.token() {
            "null" => encode::write_nil(out).expect(VEC),
            "true" => encode::write_bool(out, true).expect(VEC),
            "false" => encode::write_bool(out, false).expect(VEC),
            // The sign of -0 exists in floating point only.
            "-0" => encode::write_f64(out, -0.0).expect(VEC),
            number => {
                if let Ok(value) = number.parse::<u64>() {
                    encode::write_uint(out, value).expect(VEC);
                } else if let Ok(value) = number.parse::<i64>() {
                    encode::write_sint(out, value).expect(VEC);
                } else {
                    let value = number.parse::<f64>().map_err(|_| DataError::NotJson)?;
                    encode::write_f64(out, value).expect(VEC);
                }
            }
        }
        Ok(())
    }

    /// The text up to the next delimiter: a number or a literal.
    fn token(&mut self) -> &'a str {
        let end = self.rest.find([',', ']', '}', ' ', '\t', '\n', '\r']);
        let (token, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        token
    }

    fn string(&mut self) -> Result<Cow<'a, str>, DataError> {
        let text = self.rest.strip_prefix('"').ok_or(DataError::NotJson)?;
        let bytes = text.as_bytes();
        let mut at = 0;
        let mut escaped = false;
        loop {
            match bytes.get(at).ok_or(DataError::Truncated)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        self.rest = &text[at + 1..];
        if !escaped {
            return Ok(Cow::Borrowed(&text[..at]));
        }
        unescape(&text[..at], Some(char::REPLACEMENT_CHARACTER)).map(Cow::Owned)
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.rest.as_bytes().first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), DataError> {
        if self.eat(byte) { Ok(()) } else { Err(DataError::NotJson) }
    }
}
