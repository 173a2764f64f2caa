//! The longest string of a JSON text, found without building a tree: bytes of UTF-8 after
//! unescaping, keys of objects included.

use std::ops::Range;

use crate::bad_data::{BadData, DataPath};

/// Fails if a string of the valid JSON text has more than `most` bytes.
pub(crate) fn judge_strings(json: &[u8], most: usize) -> Result<(), BadData> {
    // Unescaping never makes a string longer, and two bytes are its quotes.
    if json.len() <= most.saturating_add(2) {
        return Ok(());
    }
    let mut levels: Vec<Level> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let string = measure(json, at);
                let inner = at..string.end;
                at = string.end + 1;
                let is_key = matches!(levels.last(), Some(Level::Object(None)));
                if string.bytes > most {
                    return Err(refusal(json, &levels, is_key, most));
                }
                if let Some(Level::Object(key @ None)) = levels.last_mut() {
                    *key = Some(inner);
                }
            }
            b'[' => levels.push(Level::Array(0)),
            b'{' => levels.push(Level::Object(None)),
            b']' | b'}' => drop(levels.pop()),
            b',' => match levels.last_mut() {
                Some(Level::Array(index)) => *index += 1,
                Some(Level::Object(key)) => *key = None,
                None => {}
            },
            _ => {}
        }
    }
    Ok(())
}

/// Where in a container the scan is.
#[derive(Debug)]
enum Level {
    /// At this element.
    Array(usize),
    /// At the value of the key that lies there, without its quotes; None before a key.
    Object(Option<Range<usize>>),
}

/// A string of the text.
struct MeasuredString {
    /// Where its closing quote is.
    end: usize,
    /// Its length after unescaping, in bytes.
    bytes: usize,
}

/// Measures the string whose first character is at `start`. One half of a surrogate pair counts as
/// the replacement character, which is what MessagePack readers get for it.
fn measure(json: &[u8], start: usize) -> MeasuredString {
    let (mut at, mut bytes) = (start, 0);
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => break,
            b'\\' if json.get(at + 1) == Some(&b'u') => {
                let unit = unit(json, at);
                let low = unit.filter(|unit| (0xd800..0xdc00).contains(unit));
                let low = low.and_then(|_| self::unit(json, at + 6));
                if low.is_some_and(|unit| (0xdc00..0xe000).contains(&unit)) {
                    bytes += 4;
                    at += 12;
                } else {
                    let character = unit.and_then(char::from_u32);
                    bytes += character.unwrap_or(char::REPLACEMENT_CHARACTER).len_utf8();
                    at += 6;
                }
            }
            b'\\' => {
                bytes += 1;
                at += 2;
            }
            _ => {
                bytes += 1;
                at += 1;
            }
        }
    }
    MeasuredString { end: at, bytes }
}

/// The UTF-16 unit of the escape `\uXXXX` at `at`, if there is one.
fn unit(json: &[u8], at: usize) -> Option<u32> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn refusal(json: &[u8], levels: &[Level], is_key: bool, most: usize) -> BadData {
    let mut path = DataPath::data();
    // A key that is too long is named by its object.
    let levels = if is_key { &levels[..levels.len() - 1] } else { levels };
    for level in levels {
        match level {
            Level::Array(index) => path.push_index(*index),
            Level::Object(Some(key)) => {
                let quoted = json.get(key.start - 1..key.end + 1);
                let key = quoted.and_then(|text| serde_json::from_slice::<String>(text).ok());
                path.push_key(key.as_deref().unwrap_or("…"));
            }
            Level::Object(None) => {}
        }
    }
    let what = if is_key { "a key" } else { "the string" };
    BadData::new(path, format_args!("{what} has more than {most} bytes"))
}

#[cfg(test)]
mod tests;
