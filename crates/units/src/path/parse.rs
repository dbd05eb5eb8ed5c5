//! How a field path is read.
//!
//! One pass from left to right; a step is a name, a quoted name, an index or a filter. What is refused is refused with
//! the place and with what to write instead.

use std::fmt;

use super::{FieldPath, Segment};
use crate::limits::{FIELD_PATH_BYTES_MAX, FIELD_PATH_STEPS_MAX};

/// The text is not a path to a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a field path: {fault}")]
pub struct InvalidFieldPath {
    /// What was written, cut to a readable length.
    pub given: String,
    /// What is wrong with it.
    pub fault: PathFault,
}

/// What is wrong with a path. Places are bytes of the text, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// There is no text.
    Empty,
    /// More than [`FIELD_PATH_BYTES_MAX`] bytes, as written or as we would write it.
    TooLong,
    /// More than [`FIELD_PATH_STEPS_MAX`] steps.
    TooManySteps,
    /// It starts with an index or a filter, but an object is a map.
    StartsInList,
    /// It is written in the way of another language: `$.a`, `{.a}`, `[?(@.a=="b")]`.
    OtherNotation,
    /// A `*` stands for many values; a path leads to one.
    Wildcard,
    /// A name is missing.
    NameMissing {
        /// Where it should be.
        at: usize,
    },
    /// A character that cannot stand here unless it is quoted.
    NeedsQuotes {
        /// The character.
        character: char,
        /// Where it stands.
        at: usize,
    },
    /// A control character; no key of Kubernetes has one.
    ControlCharacter {
        /// Where it stands.
        at: usize,
    },
    /// A backslash before something that it does not escape.
    UselessEscape {
        /// Where the backslash stands.
        at: usize,
    },
    /// A bracket or a quote that is not closed.
    NotClosed {
        /// Where it opens.
        at: usize,
    },
    /// A bracket that holds neither an index nor a quoted name nor a filter.
    Bracket {
        /// Where it opens.
        at: usize,
    },
    /// A filter that is not `[?key=value]`.
    Filter {
        /// Where its bracket opens.
        at: usize,
    },
    /// A filter that looks deeper than the fields of an element.
    DeepFilter {
        /// Where its bracket opens.
        at: usize,
    },
    /// Text directly after a closing bracket.
    DotMissing {
        /// Where the dot should be.
        at: usize,
    },
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty; write one such as `status.phase`"),
            Self::TooLong => write!(f, "it has more than {FIELD_PATH_BYTES_MAX} bytes"),
            Self::TooManySteps => write!(f, "it has more than {FIELD_PATH_STEPS_MAX} steps"),
            Self::StartsInList => f.write_str(
                "an object is not a list; start with a field's name, such as `status.conditions[0].type`",
            ),
            Self::OtherNotation => f.write_str(
                "write it without `$`, `@`, braces and parentheses, such as \
                 `status.conditions[?type=Complete].lastTransitionTime`",
            ),
            Self::Wildcard => f.write_str(
                "`*` stands for many values, and a path leads to one; write an index such as `[0]`, or a filter \
                 such as `[?type=Complete]`",
            ),
            Self::NameMissing { at } => {
                write!(f, "a name is missing at byte {at}; write one between dots, such as `spec.replicas`")
            }
            Self::NeedsQuotes { character, at } => write!(
                f,
                "`{character}` at byte {at} has to be quoted; write the name as `['a name']`, a filter as \
                 `[?key='a value']`"
            ),
            Self::ControlCharacter { at } => {
                write!(f, "there is a control character at byte {at}; leave it out")
            }
            Self::UselessEscape { at } => write!(
                f,
                "the backslash at byte {at} escapes nothing; write it before a dot, a bracket, a quote, `=` or \
                 another backslash only"
            ),
            Self::NotClosed { at } => write!(f, "what opens at byte {at} is not closed; write its counterpart"),
            Self::Bracket { at } => write!(
                f,
                "the bracket at byte {at} holds something unknown; write `[0]` for an element, `['name']` for a \
                 name with dots, or `[?key=value]` for the first element with that value"
            ),
            Self::Filter { at } => write!(
                f,
                "the filter at byte {at} is not a comparison; write `[?key=value]` with one `=`, such as \
                 `[?type=Complete]`"
            ),
            Self::DeepFilter { at } => write!(
                f,
                "the filter at byte {at} looks into an element's field; name one of its own fields, and write a dot \
                 that belongs to its name as `\\.`"
            ),
            Self::DotMissing { at } => write!(f, "a dot is missing at byte {at}; write it after the bracket"),
        }
    }
}

pub(super) fn field_path(text: &str) -> Result<FieldPath, InvalidFieldPath> {
    let refuse = |fault| InvalidFieldPath { given: text.chars().take(80).collect(), fault };
    let mut reader = Reader { text, at: 0 };
    let path = reader.path().map_err(refuse)?;
    // Where quotes are needed, the path as we write it is a little longer; it has to be readable too.
    if path.to_string().len() > FIELD_PATH_BYTES_MAX {
        return Err(refuse(PathFault::TooLong));
    }
    Ok(path)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn path(&mut self) -> Result<FieldPath, PathFault> {
        if self.text.len() > FIELD_PATH_BYTES_MAX {
            return Err(PathFault::TooLong);
        }
        if matches!(self.peek(), Some('$' | '{')) {
            return Err(PathFault::OtherNotation);
        }
        self.skip('.');
        if self.peek().is_none() {
            return Err(PathFault::Empty);
        }
        let mut segments = vec![self.first()?];
        while self.peek().is_some() {
            if segments.len() == FIELD_PATH_STEPS_MAX {
                return Err(PathFault::TooManySteps);
            }
            segments.push(self.next_step()?);
        }
        Ok(FieldPath::new(segments))
    }

    fn first(&mut self) -> Result<Segment, PathFault> {
        if self.peek() != Some('[') {
            return self.name();
        }
        match self.bracket()? {
            Segment::Index(_) | Segment::Where { .. } => Err(PathFault::StartsInList),
            key @ Segment::Key(_) => Ok(key),
        }
    }

    fn next_step(&mut self) -> Result<Segment, PathFault> {
        if self.peek() == Some('[') {
            return self.bracket();
        }
        if !self.skip('.') {
            return Err(PathFault::DotMissing { at: self.at });
        }
        self.name()
    }

    fn name(&mut self) -> Result<Segment, PathFault> {
        let at = self.at;
        let name = self.bare(|c| matches!(c, '.' | '['))?;
        match &*name {
            "" => Err(PathFault::NameMissing { at }),
            "*" => Err(PathFault::Wildcard),
            _ => Ok(Segment::Key(name.into())),
        }
    }

    /// A step in brackets: `[0]`, `['name']`, `[?key=value]`.
    fn bracket(&mut self) -> Result<Segment, PathFault> {
        let opened = self.at;
        self.skip('[');
        let segment = match self.peek() {
            Some('\'' | '"') => self.quoted_name()?,
            Some('?') => self.filter(opened)?,
            Some('*') => return Err(PathFault::Wildcard),
            Some('0'..='9') => self.index(opened)?,
            Some(_) => return Err(PathFault::Bracket { at: opened }),
            None => return Err(PathFault::NotClosed { at: opened }),
        };
        match self.peek() {
            Some(']') => self.skip(']'),
            Some(_) => return Err(PathFault::Bracket { at: opened }),
            None => return Err(PathFault::NotClosed { at: opened }),
        };
        Ok(segment)
    }

    fn quoted_name(&mut self) -> Result<Segment, PathFault> {
        let at = self.at;
        let name = self.quoted()?;
        if name.is_empty() {
            return Err(PathFault::NameMissing { at });
        }
        Ok(Segment::Key(name.into()))
    }

    fn index(&mut self, opened: usize) -> Result<Segment, PathFault> {
        let mut index = 0_u32;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            let grown = index.checked_mul(10).and_then(|index| index.checked_add(digit));
            index = grown.ok_or(PathFault::Bracket { at: opened })?;
            self.at += 1;
        }
        Ok(Segment::Index(index))
    }

    fn filter(&mut self, opened: usize) -> Result<Segment, PathFault> {
        self.skip('?');
        if matches!(self.peek(), Some('(' | '@')) {
            return Err(PathFault::OtherNotation);
        }
        let key = self.filter_key(opened)?;
        self.skip_blanks();
        if !self.skip('=') || self.peek() == Some('=') {
            return Err(PathFault::Filter { at: opened });
        }
        let value = self.filter_value(opened)?;
        Ok(Segment::Where { key: key.into(), value: value.into() })
    }

    fn filter_key(&mut self, opened: usize) -> Result<String, PathFault> {
        self.skip_blanks();
        let key = match self.peek() {
            Some('\'' | '"') => self.quoted()?,
            _ => self.bare(|c| matches!(c, '.' | '=' | ']' | ' ' | '!' | '<' | '>'))?,
        };
        match self.peek() {
            None => Err(PathFault::NotClosed { at: opened }),
            Some('.') => Err(PathFault::DeepFilter { at: opened }),
            Some(_) if key.is_empty() => Err(PathFault::Filter { at: opened }),
            Some(_) => Ok(key),
        }
    }

    fn filter_value(&mut self, opened: usize) -> Result<String, PathFault> {
        self.skip_blanks();
        let value = match self.peek() {
            Some('\'' | '"') => self.quoted()?,
            Some(']') => return Err(PathFault::Filter { at: opened }),
            _ => self.bare(|c| c == ']')?,
        };
        self.skip_blanks();
        Ok(value)
    }

    /// Text up to one of these ends, or to the end of all. A backslash makes an ordinary character of the next.
    fn bare(&mut self, is_end: impl Fn(char) -> bool) -> Result<String, PathFault> {
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| !is_end(*c)) {
            let at = self.at;
            if c.is_control() {
                return Err(PathFault::ControlCharacter { at });
            }
            if c.is_whitespace() || matches!(c, '\'' | '"' | '[' | ']') {
                return Err(PathFault::NeedsQuotes { character: c, at });
            }
            word.push(self.unescaped(c)?);
        }
        Ok(word)
    }

    fn quoted(&mut self) -> Result<String, PathFault> {
        let opened = self.at;
        let quote = self.peek();
        self.at += 1;
        let mut word = String::new();
        while let Some(c) = self.peek() {
            if Some(c) == quote {
                self.at += 1;
                return Ok(word);
            }
            if c.is_control() {
                return Err(PathFault::ControlCharacter { at: self.at });
            }
            word.push(self.unescaped(c)?);
        }
        Err(PathFault::NotClosed { at: opened })
    }

    /// Steps over `c`, which stands here, or over what it escapes.
    fn unescaped(&mut self, c: char) -> Result<char, PathFault> {
        let at = self.at;
        self.at += c.len_utf8();
        if c != '\\' {
            return Ok(c);
        }
        let escaped = self.peek().filter(|c| matches!(c, '.' | '[' | ']' | '\'' | '"' | '=' | '\\'));
        let escaped = escaped.ok_or(PathFault::UselessEscape { at })?;
        self.at += 1;
        Ok(escaped)
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    /// Steps over this ASCII character if it is next.
    fn skip(&mut self, c: char) -> bool {
        let is_next = self.peek() == Some(c);
        self.at += usize::from(is_next);
        is_next
    }

    fn skip_blanks(&mut self) {
        while self.skip(' ') {}
    }
}
