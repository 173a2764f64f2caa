//! JSON to MessagePack, streaming: a scanner over text that is known to be valid JSON. It is our
//! own because serde_json refuses what it lets through as raw text: lone surrogates (here
//! U+FFFD) and numbers beyond f64 (here infinity, as JavaScript reads them).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rmp::encode;

use super::msgpack::nested;
use crate::data::{DataError, MAX_DATA_DEPTH};

/// States that a write into a `Vec` always succeeds.
pub(crate) const VEC: &str = "a Vec takes every write";

/// Appends the MessagePack form of one JSON text.
pub(crate) fn write(json: &str, out: &mut Vec<u8>) -> Result<(), DataError> {
    let mut scanner = Scanner { rest: json };
    scanner.value(out, MAX_DATA_DEPTH)?;
    scanner.space();
    if scanner.rest.is_empty() { Ok(()) } else { Err(DataError::Trailing) }
}

#[derive(Clone, Copy)]
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn value(&mut self, out: &mut Vec<u8>, levels: usize) -> Result<(), DataError> {
        self.space();
        match self.rest.as_bytes().first().copied() {
            Some(b'{') => self.object(out, nested(levels, 1)?),
            Some(b'[') => self.array(out, nested(levels, 1)?),
            Some(b'"') => {
                encode::write_str(out, &self.string()?).expect(VEC);
                Ok(())
            }
            Some(_) => self.scalar(out),
            None => Err(DataError::Truncated),
        }
    }

    fn array(&mut self, out: &mut Vec<u8>, levels: usize) -> Result<(), DataError> {
        let start = out.len();
        out.push(0);
        self.expect(b'[')?;
        let mut len = 0u32;
        while !self.eat(b']') {
            if len > 0 {
                self.expect(b',')?;
            }
            self.value(out, levels)?;
            len += 1;
        }
        let mut head = Vec::with_capacity(5);
        encode::write_array_len(&mut head, len).expect(VEC);
        // A byte was kept free for the head; only from 16 elements on does anything move.
        out.splice(start..=start, head);
        Ok(())
    }

    fn object(&mut self, out: &mut Vec<u8>, levels: usize) -> Result<(), DataError> {
        if let Some(after) = self.special(out) {
            *self = after;
            return Ok(());
        }
        let start = out.len();
        out.push(0);
        self.expect(b'{')?;
        let mut len = 0u32;
        while !self.eat(b'}') {
            if len > 0 {
                self.expect(b',')?;
                self.space();
            }
            encode::write_str(out, &self.string()?).expect(VEC);
            self.expect(b':')?;
            self.value(out, levels)?;
            len += 1;
        }
        let mut head = Vec::with_capacity(5);
        encode::write_map_len(&mut head, len).expect(VEC);
        out.splice(start..=start, head);
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
        if escaped { unescape(&text[..at]).map(Cow::Owned) } else { Ok(Cow::Borrowed(&text[..at])) }
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

/// Resolves the escapes of a JSON string's inner text; what is no character becomes U+FFFD.
pub(crate) fn unescape(mut text: &str) -> Result<String, DataError> {
    let mut out = String::with_capacity(text.len());
    while let Some(at) = text.find('\\') {
        out.push_str(&text[..at]);
        let mut rest = text[at + 1..].chars();
        match rest.next().ok_or(DataError::Truncated)? {
            'u' => {
                let (unit, after) = unit(rest.as_str())?;
                let (character, after) = character(unit, after);
                out.push(character);
                text = after;
                continue;
            }
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            other => out.push(other),
        }
        text = rest.as_str();
    }
    out.push_str(text);
    Ok(out)
}

/// A UTF-16 unit from its four hex digits, and the text behind them.
fn unit(text: &str) -> Result<(u32, &str), DataError> {
    let (digits, rest) = text.split_at_checked(4).ok_or(DataError::NotJson)?;
    Ok((u32::from_str_radix(digits, 16).map_err(|_| DataError::NotJson)?, rest))
}

/// The character that begins with this unit, joined with a low surrogate that follows it.
fn character(high: u32, after: &str) -> (char, &str) {
    if let Some(character) = char::from_u32(high) {
        return (character, after);
    }
    let low = after.strip_prefix("\\u").and_then(|text| unit(text).ok());
    match low {
        Some((low @ 0xdc00..=0xdfff, rest)) if high < 0xdc00 => {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), rest)
        }
        _ => (char::REPLACEMENT_CHARACTER, after),
    }
}
