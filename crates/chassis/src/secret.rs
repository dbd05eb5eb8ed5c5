//! What must never be printed.

use std::fmt::{self, Debug, Display, Formatter};

use serde::{Serialize, Serializer};

/// What is written in place of a secret.
const REDACTED: &str = "[redacted]";

/// A value that no log, event, status, trace or panic can show: every way to write it gives `[redacted]`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one who needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself, for the one who needs it.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Debug for Redacted<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> Display for Redacted<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> Serialize for Redacted<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_writing_shows_a_secret() {
        let secret = Redacted::new("hunter2".to_owned());
        let written = format!("{secret} {secret:?} {secret:#?} {}", serde_json::json!({"a": secret}));
        assert!(!written.contains("hunter2"), "{written}");
        assert_eq!(secret.expose(), "hunter2");
    }
}
