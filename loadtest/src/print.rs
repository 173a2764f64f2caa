//! What people read: tables on stdout, progress on stderr. A reader that ends early (`| head`) is
//! no fault: the run goes on without it and still writes its files. No other file prints.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};

/// One line, or several, on stdout.
///
/// Fails if they cannot be written for another reason than a reader that has gone: a full disk.
pub(crate) fn out(text: Arguments<'_>) -> Result<()> {
    write_line(&mut io::stdout().lock(), text).context("writing to stdout")
}

/// One line of progress on stderr. It is no result: where it cannot be written it is left out.
pub(crate) fn note(text: Arguments<'_>) {
    let _ = write_line(&mut io::stderr().lock(), text);
}

fn write_line(to: &mut impl Write, text: Arguments<'_>) -> io::Result<()> {
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails in this way.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn only_a_reader_that_has_gone_is_forgiven() {
        let mut kept = Vec::new();
        write_line(&mut kept, format_args!("a {}", 1)).unwrap();
        assert_eq!(kept, b"a 1\n");
        write_line(&mut Broken(ErrorKind::BrokenPipe), format_args!("b")).unwrap();
        assert!(write_line(&mut Broken(ErrorKind::StorageFull), format_args!("c")).is_err());
    }
}
