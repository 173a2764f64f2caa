//! The TOML file. All of its mistakes are found at once, and no message holds a part of a value,
//! which may be a password.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Map, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;
use super::layer::{self, Layer};

/// The values of a file's text, and what is wrong with its form. A line with a mistake gives no
/// value.
pub(super) fn read(path: &Path, text: &str) -> (Layer, Vec<Problem>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let file = format!("file {}", path.display());
    let mut reading = Reading { text, file, mistakes: BTreeMap::new(), problems: Vec::new() };
    let mut errors: Vec<_> = errors
        .iter()
        .map(|error| (error.span().map_or(0, |span| span.start), error.message()))
        .collect();
    errors.sort_by_key(|(at, _)| *at);
    for (at, message) in errors {
        let line = reading.line_of(at);
        reading
            .mistakes
            .entry(line)
            .or_insert_with(|| Mistake { message: message.into(), key: None });
    }
    let mut values = Vec::new();
    reading.leaves(table.get_ref(), "", &mut values);
    let problems = reading.finish();
    values.sort_by(|(one, _): &(String, Value), (other, _)| one.cmp(other));
    (Layer::new(values), problems)
}

/// What is wrong with the form of one line.
struct Mistake {
    message: String,
    /// The key in full whose value the line has.
    key: Option<String>,
}

struct Reading<'a> {
    text: &'a str,
    /// The origin of its values.
    file: String,
    /// By the number of the line.
    mistakes: BTreeMap<usize, Mistake>,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    /// The number of the line, from 1, that this byte is in.
    fn line_of(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The leaves below a table. An empty table counts as one: `[namespaces.chat]` without keys
    /// names a namespace all the same.
    fn leaves(&mut self, table: &DeTable<'_>, path: &str, leaves: &mut Vec<(String, Value)>) {
        for (key, value) in table {
            let name = match path {
                "" => key.get_ref().to_string(),
                path => format!("{path}.{}", key.get_ref()),
            };
            if let DeValue::Table(table) = value.get_ref()
                && !table.is_empty()
            {
                self.leaves(table, &name, leaves);
                continue;
            }
            let kind = match kind_of(value.get_ref()) {
                Ok(kind) => kind,
                Err(message) => {
                    self.problems.push(Problem {
                        key: layer::shown_key(&name),
                        origin: self.file.clone(),
                        message: message.into(),
                    });
                    continue;
                }
            };
            match self.mistake_at(key.span().start, value) {
                Some(mistake) => {
                    mistake.key.get_or_insert_with(|| layer::shown_key(&name));
                    let unknown = layer::unknown(&name, &kind);
                    self.problems.extend(unknown.map(|message| Problem {
                        key: layer::shown_key(&name),
                        origin: self.file.clone(),
                        message,
                    }));
                }
                None => leaves.push((name, Value::new(Some(&self.file), kind))),
            }
        }
    }

    /// The first mistake in the lines of a key and its value.
    fn mistake_at<T>(&mut self, from: usize, value: &Spanned<T>) -> Option<&mut Mistake> {
        // A table that a mistake left open ends before it begins.
        let first = self.line_of(from);
        let lines = first..=self.line_of(value.span().end).max(first);
        self.mistakes.range_mut(lines).next().map(|(_, mistake)| mistake)
    }

    fn finish(self) -> Vec<Problem> {
        let Self { text, file, mistakes, mut problems } = self;
        for (number, mistake) in mistakes {
            let line = text.lines().nth(number - 1).unwrap_or_default();
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            let bare = value
                .trim_start()
                .starts_with(|c: char| !matches!(c, '"' | '\'' | '[' | '{' | '#'));
            let origin = format!("{file}, line {number}");
            problems.push(match mistake.key {
                Some(key) if bare => {
                    let name = layer::shown_key(name.trim());
                    let message = format!("the value needs quotes: {name} = \"…\"");
                    Problem { key, origin, message }
                }
                Some(key) => Problem { key, origin, message: invalid(&mistake.message) },
                None => Problem {
                    key: format!("line {number}"),
                    origin: file.clone(),
                    message: invalid(&mistake.message),
                },
            });
        }
        problems
    }
}

fn invalid(message: &str) -> String {
    format!("this is not valid TOML: {message}")
}

fn kind_of(value: &DeValue<'_>) -> Result<ValueKind, &'static str> {
    let out_of_range = "a number is out of range";
    Ok(match value {
        DeValue::String(text) => ValueKind::String(text.to_string()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            ValueKind::I64(number.map_err(|_| out_of_range)?)
        }
        DeValue::Float(number) => ValueKind::Float(number.as_str().parse().unwrap_or_default()),
        DeValue::Boolean(flag) => ValueKind::Boolean(*flag),
        DeValue::Datetime(time) => ValueKind::String(time.to_string()),
        DeValue::Array(_) => ValueKind::Array(Vec::new()),
        DeValue::Table(_) => ValueKind::Table(Map::new()),
    })
}
