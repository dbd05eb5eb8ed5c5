//! Writing to standard output and standard error.
//!
//! A reader that has seen enough (`plan | head`) closes the pipe: that is no error. Text from files and clusters is
//! written without control characters, so that none of it can steer a terminal.

use std::borrow::Cow;
use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::Context as _;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// For people: it may change.
    Table,
    /// Everything. For programs: fields are added, never renamed or removed.
    Json,
}

/// Writes a text to standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_with(|out| out.write_all(text.as_bytes()))
}

/// Writes to standard output, buffered.
pub(crate) fn print_with(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        // What is still in the buffer has nowhere to go.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            drop(out.into_parts());
            Ok(())
        }
        other => other.context("cannot write to standard output"),
    }
}

/// Writes an error to standard error, with its causes.
pub fn complain(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let lines: Vec<_> = text.lines().map(printable).collect();
    // Nobody is left to be told if this fails.
    drop(writeln!(io::stderr().lock(), "error: {}", lines.join("\n")));
}

/// A text of one line, with every control character replaced.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        return Cow::Owned(text.replace(char::is_control, "\u{fffd}"));
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_printed_steers_a_terminal() {
        assert_eq!(printable("plain ü"), "plain ü");
        assert_eq!(printable("\u{1b}[2Jred\r\n\u{9b}1m"), "\u{fffd}[2Jred\u{fffd}\u{fffd}\u{fffd}1m");
    }
}
