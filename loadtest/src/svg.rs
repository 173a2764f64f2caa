//! What the plots share: words in SVG, and short numbers. Pure text.

use std::fmt::Write;

/// Appends words at a place, anchored at their `start`, `middle` or `end`.
pub(crate) fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, more: &str, words: &str) {
    let words = escape(words);
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{words}</text>"
    );
}

/// Words as they may stand in SVG.
pub(crate) fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// 1,000 as `1k`, 2,500,000 as `2.5M`.
pub(crate) fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        big if big >= 1e6 => (value / 1e6, "M"),
        middle if middle >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    format!("{}{unit}", (scaled * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [1.0, 100.0, 1e3, 12_345.0, 2.5e6].map(short);
        assert_eq!(shown, ["1", "100", "1k", "12.35k", "2.5M"]);
    }

    #[test]
    fn words_are_escaped() {
        assert_eq!(escape("a <b> & c"), "a &lt;b&gt; &amp; c");
    }
}
