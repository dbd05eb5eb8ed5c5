//! What the demo says, and how it looks.
//!
//! Plain text of at most [`WIDTH`] columns; colour and lines that replace each other only on a terminal. Knows nothing
//! of what it tells. A reader who has gone away (`cargo demo | head`) is no error: the demo then works in silence.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Columns that our own words keep to.
const WIDTH: usize = 92;

/// Columns of a command, besides what stands before and behind it.
const COMMAND_WIDTH: usize = 90;

/// Columns of what commands print.
const OUTPUT_WIDTH: usize = 100;

/// What stands between two columns of a table.
const GAP: &str = "   ";

const INDENT: &str = "  ";

#[derive(Clone, Debug)]
pub(super) struct Screen(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    terminal: bool,
    colour: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    step: u32,
    title: String,
    /// A line stands there that the next one replaces.
    fleeting: bool,
}

#[derive(Clone, Copy)]
enum Style {
    Bold,
    Dim,
    Green,
    Red,
    Cyan,
}

impl Screen {
    pub(super) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let unwanted = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = terminal && !unwanted("NO_COLOR") && !dumb;
        Self(Arc::new(Inner { terminal, colour, state: Mutex::default() }))
    }

    /// Whether somebody may be reading along.
    pub(super) fn is_terminal(&self) -> bool {
        self.0.terminal
    }

    pub(super) fn title(&self, text: &str) {
        self.line(&self.styled(Style::Bold, text));
    }

    /// Begins the next step.
    pub(super) fn step(&self, title: &str) {
        let number = {
            let mut state = self.state();
            state.step += 1;
            title.clone_into(&mut state.title);
            state.step
        };
        self.line("");
        self.line(&self.styled(Style::Bold, &format!("{number}. {title}")));
    }

    /// The step under way, for a failure's message.
    pub(super) fn current_step(&self) -> String {
        let state = self.state();
        if state.step == 0 {
            "the beginning".to_owned()
        } else {
            format!("step {}, {}", state.step, state.title)
        }
    }

    /// Our own words, wrapped.
    pub(super) fn say(&self, text: &str) {
        wrap(text, WIDTH - INDENT.len()).iter().for_each(|line| self.line(&format!("{INDENT}{line}")));
    }

    /// Something that has been checked, and holds.
    pub(super) fn holds(&self, text: &str) {
        let mark = self.styled(Style::Green, "✓");
        let wrapped = wrap(text, WIDTH - INDENT.len() - 2);
        for (number, line) in wrapped.iter().enumerate() {
            let mark = if number == 0 { mark.as_str() } else { " " };
            self.line(&format!("{INDENT}{mark} {line}"));
        }
    }

    /// A command, as one types it.
    pub(super) fn command(&self, line: &str) {
        self.line("");
        let parts = fill(pieces(line), COMMAND_WIDTH);
        for (number, part) in parts.iter().enumerate() {
            let start = if number == 0 { "$ " } else { "    " };
            let end = if number + 1 < parts.len() { " \\" } else { "" };
            self.line(&format!("{INDENT}{}", self.styled(Style::Cyan, &format!("{start}{part}{end}"))));
        }
    }

    /// What a command printed. A sentence that no screen holds is broken at spaces; a table's row never is.
    pub(super) fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            let is_long = line.chars().count() + INDENT.len() > OUTPUT_WIDTH && !line.contains(GAP);
            let parts = if is_long {
                fill(line.split(' '), OUTPUT_WIDTH - INDENT.len() - 4)
            } else {
                vec![line.to_owned()]
            };
            for (number, part) in parts.iter().enumerate() {
                let start = if number == 0 { "" } else { "    " };
                self.line(&format!("{INDENT}{start}{part}"));
            }
        }
    }

    /// A line that is never broken, so that it can be copied.
    pub(super) fn verbatim(&self, line: &str) {
        self.line(&format!("{INDENT}{line}"));
    }

    pub(super) fn aside(&self, text: &str) {
        wrap(text, WIDTH - INDENT.len())
            .iter()
            .for_each(|line| self.line(&format!("{INDENT}{}", self.styled(Style::Dim, line))));
    }

    /// How far something is: on a terminal the next line replaces it, elsewhere it is not written.
    pub(super) fn fleeting(&self, text: &str) {
        if !self.0.terminal {
            return;
        }
        let clipped: String = text.chars().take(WIDTH - INDENT.len()).collect();
        let mut state = self.state();
        let mut out = io::stdout().lock();
        let _ = write!(out, "\r\x1b[K{INDENT}{}", self.styled(Style::Dim, &clipped));
        let _ = out.flush();
        state.fleeting = true;
    }

    /// How far something is that takes minutes: a new line where lines cannot be replaced.
    pub(super) fn progress(&self, text: &str) {
        if self.0.terminal { self.fleeting(text) } else { self.say(text) }
    }

    /// What went wrong, to standard error.
    pub(super) fn failed(&self, text: &str) {
        self.clear();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(io::stderr(), "\n{} {first}", self.styled(Style::Red, "✗"));
        lines.for_each(|line| drop(writeln!(io::stderr(), "{INDENT}{line}")));
    }

    /// An empty line.
    pub(super) fn gap(&self) {
        self.line("");
    }

    /// A question, whose answer is typed behind it.
    pub(super) fn ask(&self, text: &str) {
        self.clear();
        let mut out = io::stdout().lock();
        let _ = write!(out, "\n{INDENT}{} ", self.styled(Style::Bold, text));
        let _ = out.flush();
    }

    pub(super) fn clear(&self) {
        let mut state = self.state();
        if std::mem::take(&mut state.fleeting) {
            let mut out = io::stdout().lock();
            let _ = write!(out, "\r\x1b[K");
            let _ = out.flush();
        }
    }

    fn line(&self, text: &str) {
        self.clear();
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{}", text.trim_end());
        let _ = out.flush();
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if !self.0.colour {
            return text.to_owned();
        }
        let code = match style {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Green => "32",
            Style::Cyan => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text in lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    fill(text.split(' '), width)
}

/// Lines of at most `width` characters, broken between pieces only; a longer piece has a line of its own.
fn fill<'a>(pieces: impl IntoIterator<Item = &'a str>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + piece.chars().count() <= width => {
                line.push(' ');
                line.push_str(piece);
            }
            _ => lines.push(piece.to_owned()),
        }
    }
    lines
}

/// The parts of a command that a line break may stand between: what is quoted stays whole, a flag keeps its value.
fn pieces(line: &str) -> Vec<&str> {
    let (mut found, mut start, mut is_quoted) = (Vec::new(), 0, false);
    for (at, c) in line.char_indices() {
        is_quoted ^= c == '\'';
        let (before, after) =
            (line.get(start..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default());
        let takes_value = before.starts_with('-') && !before.contains(['=', ' ']) && !after.starts_with('-');
        if c == ' ' && !is_quoted && !takes_value {
            found.push(before);
            start = at + 1;
        }
    }
    found.push(line.get(start..).unwrap_or_default());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible words", 5), ["incomprehensible", "words"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn a_command_is_broken_where_a_shell_allows_it() {
        assert_eq!(
            pieces("kubectl get a -o x='b  c d' | cut"),
            ["kubectl", "get", "a", "-o x='b  c d'", "|", "cut"]
        );
        assert_eq!(pieces("plan -f a -f b --all -o json"), ["plan", "-f a", "-f b", "--all", "-o json"]);
    }
}
