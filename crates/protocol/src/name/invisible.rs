//! Characters without a picture of their own: two names that differ only in one of them look the
//! same, so no name holds any.

/// `Default_Ignorable_Code_Point` of Unicode 16.0 (`DerivedCoreProperties.txt`), unchanged in 17.0:
/// the first and the last code point of each range, in ascending order. It holds the joiners, the
/// bidi controls, the Hangul fillers, the variation selectors, the tags, and what Unicode keeps free
/// for more of them.
const DEFAULT_IGNORABLE: [(char, char); 17] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fff8}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a character shows nothing: a default-ignorable one, or a mark of interlinear annotation
/// (U+FFF9 to U+FFFB), which most programs do not show either.
pub(super) fn is_invisible(c: char) -> bool {
    // Names are ASCII as a rule.
    if c.is_ascii() {
        return false;
    }
    let at = DEFAULT_IGNORABLE.partition_point(|&(_, last)| last < c);
    let is_ignorable = DEFAULT_IGNORABLE.get(at).is_some_and(|&(first, _)| first <= c);
    is_ignorable || matches!(c, '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The character so many code points further.
    fn beside(c: char, step: i32) -> char {
        (c as u32).checked_add_signed(step).and_then(char::from_u32).unwrap()
    }

    #[test]
    fn both_ends_of_each_range_are_invisible_and_what_lies_beside_is_not() {
        for (first, last) in DEFAULT_IGNORABLE {
            assert!(is_invisible(first) && is_invisible(last), "{first:?} to {last:?}");
            assert!(!is_invisible(beside(first, -1)), "before {first:?}");
            let after = beside(last, 1);
            assert!(!is_invisible(after) || after == '\u{fff9}', "after {last:?}");
        }
        assert!(is_invisible('\u{fff9}') && is_invisible('\u{fffb}') && !is_invisible('\u{fffc}'));
    }

    #[test]
    fn the_table_is_sorted_and_has_as_many_code_points_as_unicode_says() {
        assert!(DEFAULT_IGNORABLE.windows(2).all(|pair| pair[0].1 < pair[1].0));
        let count = |(first, last): (char, char)| last as u32 - first as u32 + 1;
        assert_eq!(DEFAULT_IGNORABLE.map(count).iter().sum::<u32>(), 4174);
        assert_eq!(('\0'..=char::MAX).filter(|&c| is_invisible(c)).count(), 4174 + 3);
    }
}
