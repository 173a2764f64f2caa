//! Labels: closed enums whose words are the only values a label takes, so that the number of time
//! series is known when the program is compiled.

/// One label of a family and all its values.
pub trait Label: Copy + 'static {
    /// The label's name in the text form.
    const NAME: &'static str;
    /// Every value, in the order of declaration: `ALL[value as usize]` is `value`.
    const ALL: &'static [Self];

    /// Where the value stands in `ALL`.
    fn index(self) -> usize;

    /// The value as it stands in the text form: one word.
    fn as_str(self) -> &'static str;

    /// Reads what `as_str` writes.
    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == word)
    }
}
