//! Bodies as JSON: their members as the node's own types, or what is wrong with the first bad one.

use roomcast_protocol::NameError;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ApiError;

/// Reads a body. A member that comes twice is refused, one that is not known is ignored.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    let is_object = body.trim_ascii_start().first() == Some(&b'{');
    if !is_object {
        return Err(ApiError::bad_body("the body is no JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| told(&error))
}

/// Reads one of several values of a body.
pub(super) fn parse_value<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Result<T, ApiError> {
    if !value.get().starts_with('{') {
        return Err(ApiError::bad_body("an item is no JSON object"));
    }
    serde_json::from_str(value.get()).map_err(|error| told(&error))
}

/// What separates what came from what was expected in the library's message.
const EXPECTED: &str = ", expected ";

/// The library's message: names of members, line and column, and values, of which a text may be a
/// secret in the wrong place. It is left out. Its words for JSON's kinds are Rust's: they are
/// replaced.
pub(super) fn told(error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let Some((came, expected)) = text.rsplit_once(EXPECTED) else {
        return ApiError::bad_body(text);
    };
    let (expected, place) = match expected.rfind(" at line ") {
        Some(at) => expected.split_at(at),
        None => (expected, ""),
    };
    let came = match came.split_once(": ") {
        Some((wrong, "map")) => format!("{wrong}: an object"),
        Some((wrong, "sequence")) => format!("{wrong}: a list"),
        Some((wrong, value)) if value.starts_with("string ") => format!("{wrong}: a string"),
        _ => came.to_owned(),
    };
    ApiError::bad_body(format!("{came}{EXPECTED}{}{place}", json_kind(expected)))
}

/// What a Rust type is in JSON.
fn json_kind(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" => "a whole number from 0 on",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        _ if expected.ends_with("string") => "a string",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

/// A name that may be missing.
pub(super) fn name<T>(
    text: Option<&str>,
    parse: impl Fn(&str) -> Result<T, NameError>,
) -> Result<Option<T>, ApiError> {
    text.map(|text| parse(text).map_err(|error| ApiError::bad_body(error.to_string()))).transpose()
}

/// An id that may be missing, of 16 lower-case hex digits.
pub(super) fn id<T>(
    member: &str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let wrong = || ApiError::bad_body(format!("{member}: 16 lower-case hex digits"));
    text.map(|text| parse(text).ok_or_else(wrong)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Number {
        #[allow(dead_code, reason = "it is only read")]
        n: u64,
    }

    #[test]
    fn a_text_in_the_wrong_place_is_not_shown() {
        let number = "expected a whole number from 0 on at line 1 column";
        for (body, expected) in [
            (r#"{"n":"secret"}"#, format!("invalid type: a string, {number} 13")),
            (r#"{"n":"a \", expected b"}"#, format!("invalid type: a string, {number} 23")),
            (r#"{"n":"a: b"}"#, format!("invalid type: a string, {number} 11")),
            (r#"{"n":-1}"#, format!("invalid value: integer `-1`, {number} 7")),
            (r#"{"n":[]}"#, format!("invalid type: a list, {number} 5")),
            (r#"{"n":{}}"#, format!("invalid type: an object, {number} 5")),
            (r#"{}"#, "missing field `n` at line 1 column 2".to_owned()),
        ] {
            let error = parse::<Number>(body.as_bytes()).unwrap_err();
            assert_eq!(error.detail, expected, "{body}");
        }
    }
}
