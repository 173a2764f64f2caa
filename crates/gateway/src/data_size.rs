//! How many bytes a payload has at most in a frame of either encoding. Pure.

use roomcast_protocol::Data;

/// Bytes of a number in MessagePack that is no integer there.
const FLOAT_BYTES: usize = 9;

/// Bytes of a payload in any frame: at least as many as it has in one.
pub(crate) fn data_bytes(data: &Data) -> usize {
    match data {
        Data::Json(text) => json_bytes(text),
        Data::MsgPack(bytes) => {
            let mut json = Vec::with_capacity(2 * bytes.len());
            data.write_json(&mut json);
            json.len().max(bytes.len())
        }
    }
}

/// Most of a valid JSON text is no longer in MessagePack. Some numbers are, and the heads of strings of
/// more than 255 bytes.
fn json_bytes(text: &[u8]) -> usize {
    let (mut more, mut rest) = (0, text);
    while let Some(&first) = rest.first() {
        let length = match first {
            b'"' => {
                let length = string_length(rest);
                more += match length - 2 {
                    0..=0xff => 0,
                    0x100..=0xffff => 1,
                    _ => 3,
                };
                length
            }
            b'-' | b'0'..=b'9' => {
                let is_of_it =
                    |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let number = &rest[..rest.iter().take_while(is_of_it).count()];
                if !is_plain_integer(number) {
                    more += FLOAT_BYTES.saturating_sub(number.len());
                }
                number.len()
            }
            _ => 1,
        };
        rest = &rest[length.min(rest.len())..];
    }
    text.len() + more
}

/// Bytes of the string that a text begins with, in its quotation marks.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn is_plain_integer(number: &[u8]) -> bool {
    number != b"-0" && number.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: usize) {
        let data = Data::json(json.to_owned()).unwrap();
        let mut packed = Vec::new();
        data.write_msgpack(&mut packed);
        assert!(packed.len().max(json.len()) <= expected, "{json}: {} bytes", packed.len());
        assert_eq!(data_bytes(&data), expected, "{json}");
    }

    #[test]
    fn a_bound_holds_in_both_encodings() {
        for (json, expected) in [
            ("0", 1),
            ("-7", 2),
            ("-0", 9),
            ("1e9", 9),
            ("0.5", 9),
            ("1E+2", 9),
            ("-1.2345678901e-300", 18),
            ("18446744073709551615", 20),
            ("36893488147419103232", 20),
            ("[-0,-0,0.5,7]", 33),
            (r#"{"a":"-0 \" 0.5","b":-0}"#, 31),
        ] {
            check(json, expected);
        }
        for (length, more) in [(255, 0), (256, 1), (65_535, 1), (65_536, 3)] {
            check(&format!("\"{}\"", "x".repeat(length)), length + 2 + more);
        }
        let binary = Data::msgpack(vec![0xc4, 3, 1, 2, 3]).unwrap();
        assert_eq!(data_bytes(&binary), 15, "an object with Base64");
        assert_eq!(data_bytes(&Data::msgpack(vec![0xc3]).unwrap()), 4);
    }
}
