//! The node's log on standard error: a line for each event, in which nothing that others wrote can
//! steer a terminal or begin a line of its own.

use std::fmt::Debug;
use std::io::{self, IsTerminal, Write};

use roomcast_gateway::config::{LogConfig, LogFormat};
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::terminal::{escaped, plain, steers};

/// Changes the log's filter while the node runs.
pub(crate) struct Filter(reload::Handle<EnvFilter, Registry>);

/// Starts the log. Standard output is left to whatever reads it.
pub(crate) fn start(config: &LogConfig) -> Result<Filter, ParseError> {
    let (filter, handle) = reload::Layer::new(config.filter()?);
    let registry = tracing_subscriber::registry().with(filter);
    let colours = io::stderr().is_terminal() && config.format == LogFormat::Text;
    let writer = PlainLines { colours };
    match config.format {
        LogFormat::Text => {
            registry.with(text_layer(colours).with_writer(writer)).init();
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(writer)).init();
        }
    }
    Ok(Filter(handle))
}

/// Lines for people. The formatter escapes others' words in a coloured line's message only, so the
/// parts of an event are written here.
fn text_layer<S>(colours: bool) -> fmt::Layer<S, impl for<'w> FormatFields<'w> + 'static> {
    let fields =
        debug_fn(|to: &mut Writer<'_>, field: &Field, value: &dyn Debug| match field.name() {
            "message" => to.write_str(&plain(&format!("{value:?}"))),
            name => write!(to, "{name}={}", plain(&format!("{value:?}"))),
        });
    fmt::layer().with_ansi(colours).fmt_fields(fields.delimited(" "))
}

impl Filter {
    /// Takes over a new filter.
    pub(crate) fn change(&self, config: &LogConfig) -> anyhow::Result<()> {
        Ok(self.0.reload(config.filter()?)?)
    }
}

/// Standard error, written a line at a time.
#[derive(Debug, Clone, Copy)]
struct PlainLines {
    /// The formatter colours its lines; others' words are escaped already.
    colours: bool,
}

impl PlainLines {
    fn plain(self, line: &[u8]) -> String {
        let line = String::from_utf8_lossy(line);
        let text = line.strip_suffix('\n').unwrap_or(&line);
        let colours = |char| self.colours && char == '\u{1b}';
        format!("{}\n", escaped(text, |char| steers(char) && !colours(char)))
    }
}

impl<'a> MakeWriter<'a> for PlainLines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for PlainLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A log whose reader has gone loses its lines; the node goes on.
        let _lost = io::stderr().lock().write_all(self.plain(line).as_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what a log with this writer would write.
    #[derive(Clone)]
    struct Kept(PlainLines, Arc<Mutex<String>>);

    impl Write for Kept {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.1.lock().expect("one thread").push_str(&self.0.plain(line));
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The line of an event with a peer's words in its message and in both kinds of fields.
    fn logged(colours: bool, format: LogFormat, words: &str) -> String {
        let kept = Kept(PlainLines { colours }, Arc::default());
        let writer = kept.clone();
        let writer = move || writer.clone();
        let registry = tracing_subscriber::registry();
        let event = || tracing::error!(shown = %words, debug = ?words, "peer: {words}");
        match format {
            LogFormat::Text => {
                let layer = text_layer(colours).with_writer(writer);
                tracing::subscriber::with_default(registry.with(layer), event);
            }
            LogFormat::Json => {
                let layer = fmt::layer().json().flatten_event(true).with_writer(writer);
                tracing::subscriber::with_default(registry.with(layer), event);
            }
        }
        let lines = kept.1.lock().expect("one thread").clone();
        lines.strip_suffix('\n').expect("a whole line").to_owned()
    }

    #[test]
    fn no_words_steer_a_terminal_or_begin_a_line() {
        let words = "a\u{1b}[31mb\u{9b}31m\u{7f}\r\nINFO forged\u{2028}\u{202e}\0c";
        let text = logged(false, LogFormat::Text, words);
        assert!(!text.chars().any(steers), "{text:?}");
        let json = logged(false, LogFormat::Json, words);
        assert!(!json.chars().any(steers), "{json:?}");
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read["shown"], words);
        let whole = "peer: a\\u001b[31mb\\u009b31m\\u007f\\u000d\\u000aINFO forged\\u2028\\u202e\\u0000c shown=a";
        assert!(text.contains(whole), "{text}");
        let coloured = logged(true, LogFormat::Text, words);
        assert!(coloured.contains('\u{1b}'), "it has colours of its own: {coloured:?}");
        assert!(!coloured.contains("\u{1b}[31mb"), "{coloured:?}");
        assert!(!coloured.chars().any(|char| steers(char) && char != '\u{1b}'), "{coloured:?}");
    }
}
