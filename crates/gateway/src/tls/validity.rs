//! When a certificate ends (RFC 5280, section 4.1.2.5): the only field of it that the node itself
//! reads. Pure.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
/// The version, `[0] EXPLICIT`.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate in DER, in seconds since 1970; `None` if it is none.
pub(super) fn ends(certificate: &[u8]) -> Option<i64> {
    let (certificate, _) = tagged(certificate, SEQUENCE)?;
    let (fields, _) = tagged(certificate, SEQUENCE)?;
    let fields = match tagged(fields, VERSION) {
        Some((_, rest)) => rest,
        None => fields,
    };
    let (_serial, fields) = tagged(fields, INTEGER)?;
    let (_signature, fields) = tagged(fields, SEQUENCE)?;
    let (_issuer, fields) = tagged(fields, SEQUENCE)?;
    let (validity, _) = tagged(fields, SEQUENCE)?;
    let (_, _begins, rest) = element(validity)?;
    let (tag, end, _) = element(rest)?;
    let text = std::str::from_utf8(end).ok()?;
    match tag {
        // Two digits of the year: 1950 to 2049.
        UTC_TIME if text.len() == 13 => {
            let short: i64 = digits(text, 0, 2)?;
            let century = if short < 50 { 2000 } else { 1900 };
            seconds(century + short, &text[2..])
        }
        GENERALIZED_TIME if text.len() == 15 => seconds(digits(text, 0, 4)?, &text[4..]),
        _ => None,
    }
}

/// `MMDDhhmmssZ` in this year.
fn seconds(year: i64, rest: &str) -> Option<i64> {
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| digits(rest, at, at + 2));
    if !rest.ends_with('Z') {
        return None;
    }
    let days = days_since_1970(year, month?, day?);
    Some(((days * 24 + hour?) * 60 + minute?) * 60 + second?)
}

/// Days of the Gregorian calendar; the year is counted from March, so that a leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

fn digits(text: &str, from: usize, to: usize) -> Option<i64> {
    let digits = text.get(from..to)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The content of an element of this kind, and what follows it.
fn tagged(bytes: &[u8], expected: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == expected).then_some((content, rest))
}

/// The tag and the content of the first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], mut rest) = bytes.split_first_chunk()?;
    let length = match first {
        short @ 0..=0x7f => usize::from(short),
        0x81..=0x84 => {
            let (length, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = behind;
            length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte))
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (date, expected) in [
            ((1970, 1, 1), 0),
            ((1999, 12, 31), 10_956),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2024, 2, 29), 19_782),
            ((2100, 3, 1), 47_541),
        ] {
            assert_eq!(days_since_1970(date.0, date.1, date.2), expected, "{date:?}");
        }
    }

    /// The head of a certificate with this end, down to its validity.
    fn certificate(version: &[u8], tag: u8, end: &str) -> Vec<u8> {
        let put = |tag: u8, content: &[u8]| {
            let length = content.len() as u16;
            [&[tag, 0x82], &length.to_be_bytes()[..], content].concat()
        };
        let validity = [put(UTC_TIME, b"200101000000Z"), put(tag, end.as_bytes())].concat();
        let fields = [
            version.to_vec(),
            put(INTEGER, &[7]),
            put(SEQUENCE, b"alg"),
            put(SEQUENCE, b"issuer"),
            put(SEQUENCE, &validity),
        ];
        put(SEQUENCE, &put(SEQUENCE, &fields.concat()))
    }

    #[test]
    fn both_forms_of_an_end_are_read() {
        let version = [VERSION, 3, INTEGER, 1, 2];
        for (version, tag, end, expected) in [
            (&version[..], UTC_TIME, "270101000000Z", Some(1_798_761_600)),
            (&[], UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (&version, GENERALIZED_TIME, "20500101000001Z", Some(2_524_608_001)),
            (&version, UTC_TIME, "2701010000+1Z", None),
            (&version, GENERALIZED_TIME, "20500101000001", None),
            (&version, INTEGER, "270101000000Z", None),
        ] {
            assert_eq!(ends(&certificate(version, tag, end)), expected, "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0_usize..90) {
            let _any = ends(&bytes);
            let whole = certificate(&[], UTC_TIME, "270101000000Z");
            prop_assert_eq!(ends(&whole[..cut.min(whole.len() - 1)]), None);
        }
    }
}
