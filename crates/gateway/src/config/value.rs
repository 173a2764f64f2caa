//! Reads and shows single values: counts, sizes, times, flags, and their bounds.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// The smallest and the largest value of a key, and what 0 means where it lies outside.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) zero: Option<&'static str>,
}

impl Bounds {
    pub(super) const fn new(min: u64, max: u64) -> Self {
        Self { min, max, zero: None }
    }

    /// Allows 0, with this meaning.
    pub(super) const fn or_zero(mut self, meaning: &'static str) -> Self {
        self.zero = Some(meaning);
        self
    }

    /// The number as text if it lies within.
    pub(super) fn hold(&self, number: u64, show: fn(u64) -> String) -> Result<String, String> {
        let within = (self.min..=self.max).contains(&number);
        if within || (number == 0 && self.zero.is_some()) {
            return Ok(number.to_string());
        }
        Err(format!("{} is out of bounds: give {}", show(number), self.describe(show)))
    }

    /// The bounds in words.
    pub(super) fn describe(&self, show: fn(u64) -> String) -> String {
        let range = format!("{} to {}", show(self.min), show(self.max));
        match self.zero {
            Some(meaning) => format!("{range}, or 0: {meaning}"),
            None => range,
        }
    }
}

/// A value as it is shown where it is not known to be harmless: what is like a URL or has an `@` may
/// hold a password, typed under the wrong key.
pub(super) fn shown(text: &str) -> &str {
    if text.contains("://") || text.contains('@') { "***" } else { text }
}

/// The same in quotes, for messages.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shown(text))
}

pub(super) fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{} is neither true nor false", quoted(text)))
}

pub(super) fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{} is no whole number from 0 up", quoted(text)))
}

/// Reads a part of a whole.
pub(super) fn fraction(text: &str) -> Result<f64, String> {
    let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| format!("{} is no number from 0 to 1", quoted(text)))
}

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads bytes: a number, or a number with B, KiB, MiB or GiB.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    with_unit(text, &SIZES, Some(1)).ok_or_else(|| {
        let shown = quoted(text);
        format!("{shown} is no size; give bytes, or a number with KiB, MiB or GiB (64KiB)")
    })
}

const TIMES: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a time into ms: a number with ms, s, m, h or d. A bare number is refused, as nobody
/// could tell its unit; 0 needs none.
pub(super) fn millis(text: &str) -> Result<u64, String> {
    with_unit(text, &TIMES, None).or_else(|| (text == "0").then_some(0)).ok_or_else(|| {
        format!("{} is no time; give a number with ms, s, m, h or d (25s)", quoted(text))
    })
}

fn with_unit(text: &str, units: &[(&str, u64)], bare: Option<u64>) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim_start() {
        "" => bare?,
        unit => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

pub(super) fn show_count(number: u64) -> String {
    number.to_string()
}

pub(super) fn show_bytes(bytes: u64) -> String {
    let fits = |(_, size): &&(&str, u64)| bytes >= *size && bytes.is_multiple_of(*size);
    match SIZES.iter().find(fits) {
        Some((unit, size)) => format!("{} {unit}", bytes / size),
        None => format!("{bytes} B"),
    }
}

pub(super) fn show_millis(millis: u64) -> String {
    let fits = |(_, size): &&(&str, u64)| millis >= *size && millis.is_multiple_of(*size);
    match TIMES.iter().rev().find(fits) {
        Some((unit, size)) => format!("{} {unit}", millis / size),
        None => format!("{millis} ms"),
    }
}

/// Fields of times are written in ms once their text was read.
pub(super) fn from_millis<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    u64::deserialize(input).map(Duration::from_millis)
}
