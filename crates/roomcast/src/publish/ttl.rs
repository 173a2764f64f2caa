//! How long a value of a room's state lasts, as people write it.

use roomcast_protocol::{MAX_TTL_MS, MIN_TTL_MS};

/// A time in ms.
pub(super) fn parse_ttl(text: &str) -> Result<u64, String> {
    let shape = "a number and one of ms, s, m, h, d";
    let digits = text.find(|char: char| !char.is_ascii_digit()).ok_or(shape)?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(shape.into()),
    };
    let ms = text[..digits].parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let ms = ms.filter(|ms| (MIN_TTL_MS..=MAX_TTL_MS).contains(ms));
    ms.ok_or_else(|| "from 100ms to 30d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_number_and_a_unit() {
        for (text, ms) in [("100ms", 100), ("5s", 5_000), ("2m", 120_000), ("30d", 2_592_000_000)] {
            assert_eq!(parse_ttl(text), Ok(ms));
        }
        for bad in ["", "5", "s", "99ms", "31d", "-1s", "1.5s", "99999999999999999999h", "5 s"] {
            assert!(parse_ttl(bad).is_err(), "{bad}");
        }
    }
}
