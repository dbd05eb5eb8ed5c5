//! What is said on a terminal while something takes long; nothing where there is none.

use std::cell::Cell;
use std::io::{self, IsTerminal as _, Write as _};

use crate::output::printable;

/// Objects between two words about how many there are.
const EVERY: usize = 500;

/// A line on standard error that is written over and over, and is gone at the end.
#[derive(Debug)]
pub(crate) struct Progress {
    is_shown: bool,
    is_dirty: Cell<bool>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal(), is_dirty: Cell::new(false) }
    }

    /// Something begins.
    pub(crate) fn say(&self, what: &str) {
        if !self.is_shown {
            return;
        }
        self.is_dirty.set(true);
        let mut out = io::stderr().lock();
        // Nobody is left to be told if this fails.
        drop(write!(out, "\r\u{1b}[K{}", printable(what)).and_then(|()| out.flush()));
    }

    /// So many of something are done.
    pub(crate) fn count(&self, what: &str, done: usize) {
        if done.is_multiple_of(EVERY) {
            self.say(&format!("{what}: {done}"));
        }
    }

    /// The line is gone; what comes next may be written.
    pub(crate) fn clear(&self) {
        if self.is_dirty.replace(false) {
            let mut out = io::stderr().lock();
            drop(write!(out, "\r\u{1b}[K").and_then(|()| out.flush()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
