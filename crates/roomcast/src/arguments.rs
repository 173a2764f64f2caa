//! Reads the command line. What may be a password, typed in a wrong place, is not printed.

use clap::Parser;
use clap::error::{ContextKind, ContextValue};

/// Reads the command line; a mistake in it, or a question about it, ends the program.
pub(crate) fn parse<P: Parser>() -> P {
    P::try_parse().unwrap_or_else(|error| without_secrets(error).exit())
}

fn without_secrets(mut error: clap::Error) -> clap::Error {
    let secret = |text: &str| text.contains("://") || text.contains('@');
    let kinds: Vec<_> = error
        .context()
        .filter(|(_, value)| match value {
            ContextValue::String(text) => secret(text),
            ContextValue::Strings(texts) => texts.iter().any(|text| secret(text)),
            ContextValue::StyledStr(text) => secret(&text.to_string()),
            ContextValue::StyledStrs(texts) => texts.iter().any(|text| secret(&text.to_string())),
            _ => false,
        })
        .map(|(kind, _)| kind)
        .collect();
    for kind in kinds {
        match kind {
            ContextKind::InvalidArg
            | ContextKind::InvalidValue
            | ContextKind::InvalidSubcommand => {
                error.insert(kind, ContextValue::String("***".into()));
            }
            ContextKind::Usage => {}
            _ => drop(error.remove(kind)),
        }
    }
    error
}
