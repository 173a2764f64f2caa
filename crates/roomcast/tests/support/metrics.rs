//! Reads the Prometheus text format far enough for assertions.

/// One answer of `/metrics`.
#[derive(Debug)]
pub struct Scrape {
    samples: Vec<(String, String, f64)>,
    text: String,
}

impl Scrape {
    /// Reads every line; one that is neither comment nor sample fails the test.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let samples = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            assert!(labels.ends_with('}'), "{line:?}");
            let value = value.parse().unwrap_or_else(|_| panic!("no number in {line:?}"));
            (name.to_owned(), labels.trim_end_matches('}').to_owned(), value)
        });
        Self { samples: samples.collect(), text: text.to_owned() }
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A family's values, summed over its labels; fails if there is no such family.
    pub fn sum(&self, name: &str) -> f64 {
        let mut values = self.samples.iter().filter(|(known, ..)| known == name).peekable();
        assert!(values.peek().is_some(), "there is no family {name}");
        values.map(|(.., value)| value).sum()
    }

    /// The value with one label, written as `label="value"`, summed over the others.
    pub fn with(&self, name: &str, label: &str) -> f64 {
        let of = |(known, labels, _): &&(String, String, f64)| {
            known == name && labels.split(',').any(|one| one == label)
        };
        self.samples.iter().filter(of).map(|(.., value)| value).sum()
    }
}
