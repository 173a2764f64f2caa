//! Strings of JSON: their escapes resolved.

use crate::data::DataError;

/// Resolves the escapes of a JSON string's inner text. An escape of one half of a surrogate pair is
/// no character: it becomes `stand_in`, or fails without one.
pub(crate) fn unescape(mut text: &str, stand_in: Option<char>) -> Result<String, DataError> {
    let mut out = String::with_capacity(text.len());
    while let Some(at) = text.find('\\') {
        out.push_str(&text[..at]);
        let mut rest = text[at + 1..].chars();
        match rest.next().ok_or(DataError::Truncated)? {
            'u' => {
                let (unit, after) = unit(rest.as_str())?;
                let (character, after) = character(unit, after);
                out.push(character.or(stand_in).ok_or(DataError::BadUtf8)?);
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

/// The character that begins with this unit, joined with a low surrogate that follows it; `None`
/// for one half of a pair.
fn character(high: u32, after: &str) -> (Option<char>, &str) {
    if let Some(character) = char::from_u32(high) {
        return (Some(character), after);
    }
    let low = after.strip_prefix("\\u").and_then(|text| unit(text).ok());
    match low {
        Some((low @ 0xdc00..=0xdfff, rest)) if high < 0xdc00 => {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(code), rest)
        }
        _ => (None, after),
    }
}
