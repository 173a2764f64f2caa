//! What others wrote, made safe for a terminal and for files that people open in one: characters
//! that steer a terminal, end a line or turn the direction of reading are written as the escapes
//! that JSON has for them, so that JSON stays JSON and says the same.

use std::borrow::Cow;
use std::fmt::Write;
use std::io;

use serde::Serialize;

/// One JSON value and a line end. Outside of its strings JSON has none of the characters.
pub(crate) fn print(out: &mut impl io::Write, line: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string(line)?;
    out.write_all(plain(&json).as_bytes())?;
    out.write_all(b"\n")
}

/// A text on one line.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, steers)
}

/// A text with the characters escaped that `hides` names, all below U+10000.
pub(crate) fn escaped(text: &str, hides: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hides) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if hides(char) {
            write!(shown, "\\u{:04x}", u32::from(char)).expect("a string takes everything");
        } else {
            shown.push(char);
        }
    }
    shown.into()
}

/// A text of several lines: each on a line of its own.
pub(crate) fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// Writes to stderr why the program ends, or a warning.
pub(crate) fn complain(message: &str) {
    eprintln!("roomcast: {}", plain_lines(message));
}

/// Controls (C0, DEL, C1), the separators of lines and paragraphs, and what turns the direction of
/// reading (Unicode's `Bidi_Control`).
pub(crate) fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(char, '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn what_steers_is_escaped_and_nothing_else() {
        for (text, shown) in [
            ("plain ä 😀 \\ \"", "plain ä 😀 \\ \""),
            ("\u{1b}[31m\u{7f}", "\\u001b[31m\\u007f"),
            ("\u{9b}31m\u{85}", "\\u009b31m\\u0085"),
            ("a\r\n\tb\0", "a\\u000d\\u000a\\u0009b\\u0000"),
            ("\u{2028}\u{2029}", "\\u2028\\u2029"),
            ("\u{202e}\u{2066}\u{200f}\u{61c}", "\\u202e\\u2066\\u200f\\u061c"),
            // Joins emoji; steers nothing.
            ("\u{200d}", "\u{200d}"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(plain_lines("a\u{9b}\nb\r\nc"), "a\\u009b\nb\nc");
    }

    proptest! {
        /// Whatever is in a JSON value, it reads back the same, and nothing in it steers.
        #[test]
        fn json_says_the_same(text in any::<String>(), odd in "[\u{0}-\u{20}\u{7f}-\u{9f}\u{200e}\u{2028}-\u{202e}\u{2066}-\u{2069}]{0,8}") {
            let value = Value::from(format!("{text}{odd}{text}"));
            let raw = RawValue::from_string(value.to_string()).expect("JSON");
            let mut out = Vec::new();
            print(&mut out, &raw).expect("a vector takes everything");
            let line = String::from_utf8(out).expect("UTF-8");
            prop_assert!(!line.trim_end_matches('\n').chars().any(steers), "{line:?}");
            let read: Value = serde_json::from_str(&line).expect("JSON");
            prop_assert_eq!(read, value);
        }
    }
}
