//! Writing to standard output and standard error.
//!
//! A reader that has seen enough (`plan | head`) closes the pipe: that is no error. Text from files and clusters is
//! written without control characters, so that none of it can steer a terminal.

use std::borrow::Cow;
use std::io::{self, BufRead as _, BufWriter, ErrorKind, IsTerminal as _, Write};

use anyhow::{Context as _, ensure};

use crate::scene::Warning;

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

/// Writes an answer for programs to standard output.
pub(crate) fn print_json(answer: &impl serde::Serialize) -> anyhow::Result<()> {
    print_with(|mut out| {
        serde_json::to_writer_pretty(&mut out, answer)?;
        out.write_all(b"\n")
    })
}

/// Writes what is to be known of an answer to standard error: the one place where warnings are told to people.
pub(crate) fn warn(warnings: &[Warning]) {
    let mut err = io::stderr().lock();
    for warning in warnings {
        // Nobody is left to be told if this fails.
        drop(writeln!(err, "warning: {}", printable(&warning.to_string())));
    }
}

/// Asks a question on the terminal; without one nobody can answer.
pub(crate) fn confirm(question: &str, otherwise: &str) -> anyhow::Result<()> {
    ensure!(io::stdin().is_terminal(), "nobody is there to confirm: give --yes");
    let mut err = io::stderr().lock();
    write!(err, "{} [y/N] ", printable(question))?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read an answer")?;
    ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "{otherwise}");
    Ok(())
}

/// Writes an error to standard error, with its causes.
pub fn complain(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let lines: Vec<_> = text.lines().map(printable).collect();
    // Nobody is left to be told if this fails.
    drop(writeln!(io::stderr().lock(), "error: {}", lines.join("\n")));
}

/// Writes a text to standard error: what is to be known of an answer that stands on standard output.
pub(crate) fn tell(text: &str) {
    // Nobody is left to be told if this fails.
    drop(io::stderr().lock().write_all(text.as_bytes()));
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
