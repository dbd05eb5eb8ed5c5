//! The documents of a file: YAML documents between `---` lines, and JSON values one after the other.
//!
//! Each document is parsed by itself, so that a mistake in one does not hide those in the next, and each has bounds of
//! its own. A `---` at the start of a line cannot be part of anything else in YAML (YAML 1.2.2, 9.1.2), nor in JSON.

use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use crate::limits::{YAML_DEPTH_MAX, YAML_NODES_MAX, YAML_REPLAYED_EVENTS_MAX};

/// One document of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Document<'a> {
    /// Counted from 1; documents without content do not count.
    pub(crate) number: usize,
    file: &'a str,
    text: &'a str,
    /// Where the text begins in the file, in bytes.
    start: usize,
    syntax: Syntax,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    Yaml,
    Json,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) document: usize,
    /// The line of the file, counted from 1, if it is known.
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

/// The documents of a file, in their order. After a JSON value that cannot be told from the next, the rest up to the
/// next `---` is skipped.
pub(crate) fn split(file: &str) -> impl Iterator<Item = Result<Document<'_>, Malformed>> {
    let mut number = 0;
    chunks(file).flat_map(move |(start, text)| {
        let found = documents(file, start, text, number);
        number += found.len();
        found
    })
}

/// The runs of text between `---` lines, with where they start.
fn chunks(file: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_marker = |at: &usize| {
        let after = file.get(at + 3..).unwrap_or_default();
        after.is_empty() || after.starts_with([' ', '\t', '\r', '\n'])
    };
    let first = file.starts_with("---").then_some(0).filter(is_marker);
    let later = file.match_indices("\n---").map(|(at, _)| at + 1).filter(is_marker).collect::<Vec<_>>();
    let markers: Vec<usize> = first.into_iter().chain(later).collect();
    let starts = std::iter::once(0).chain(markers.clone().into_iter().map(|at| at + 3));
    let ends = markers.into_iter().chain([file.len()]);
    starts.zip(ends).filter_map(|(start, end)| Some((start, file.get(start..end)?)))
}

fn documents<'a>(
    file: &'a str,
    start: usize,
    text: &'a str,
    before: usize,
) -> Vec<Result<Document<'a>, Malformed>> {
    if text.lines().all(is_void) {
        return Vec::new();
    }
    if !text.trim_start().starts_with('{') {
        return vec![Ok(Document { number: before + 1, file, text, start, syntax: Syntax::Yaml })];
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut found = Vec::new();
    while let Some(value) = values.next() {
        let number = before + found.len() + 1;
        let document = |text: &'a str, start| Document { number, file, text, start, syntax: Syntax::Json };
        found.push(match value {
            Ok(value) => Ok(document(value.get(), start + values.byte_offset() - value.get().len())),
            Err(error) => Err(document(text, start).malformed_json(&error)),
        });
    }
    found
}

/// Whether a line says nothing: blank, a comment, a directive, or the end of a document.
fn is_void(line: &str) -> bool {
    let line = line.trim_end();
    line.trim_start().is_empty()
        || line.trim_start().starts_with('#')
        || line.starts_with('%')
        || line == "..."
}

impl<'a> Document<'a> {
    /// Reads the document as a `T`.
    pub(crate) fn parse<T: Deserialize<'a>>(&self) -> Result<T, Malformed> {
        match self.syntax {
            Syntax::Json => serde_json::from_str(self.text).map_err(|error| self.malformed_json(&error)),
            Syntax::Yaml => serde_saphyr::from_str_with_options(self.text, bounds())
                .map_err(|error| self.malformed_yaml(error.without_snippet())),
        }
    }

    /// Reads the document as a seed wants it.
    pub(crate) fn parse_as<S: DeserializeSeed<'a>>(&self, seed: S) -> Result<S::Value, Malformed> {
        match self.syntax {
            Syntax::Json => {
                let mut json = serde_json::Deserializer::from_str(self.text);
                seed.deserialize(&mut json).map_err(|error| self.malformed_json(&error))
            }
            Syntax::Yaml => {
                serde_saphyr::with_deserializer_from_str_with_options(self.text, bounds(), |yaml| {
                    seed.deserialize(yaml)
                })
                .map_err(|error| self.malformed_yaml(error.without_snippet()))
            }
        }
    }

    fn malformed_json(&self, error: &serde_json::Error) -> Malformed {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
        Malformed { document: self.number, line: self.line(error.line()), message }
    }

    fn malformed_yaml(&self, error: &serde_saphyr::Error) -> Malformed {
        let within = error.location().and_then(|at| usize::try_from(at.line()).ok()).unwrap_or_default();
        Malformed { document: self.number, line: self.line(within), message: in_words(error) }
    }

    /// The line of the file that is this line of the document, both counted from 1; 0 is unknown.
    fn line(&self, within: usize) -> Option<usize> {
        let before = self.file.get(..self.start)?.matches('\n').count();
        (within > 0).then_some(before + within)
    }
}

/// What an error says, without its place.
fn in_words(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::{Error, budget::BudgetBreach};
    match error {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            format!("it is nested more than {YAML_DEPTH_MAX} levels deep")
        }
        Error::Budget { breach: BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. }, .. } => {
            format!("it holds more than {YAML_NODES_MAX} values: split it")
        }
        Error::AliasError { error, .. } => in_words(error),
        Error::AliasReplayLimitExceeded { .. } => "its aliases stand for too much: write it out".to_owned(),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("`{key}` is given twice"),
        Error::DuplicateMappingKey { key: None, .. } => "a key is given twice".to_owned(),
        _ => {
            let text = error.to_string();
            let place = error.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
            place.and_then(|place| text.strip_suffix(&place)).unwrap_or(&text).to_owned()
        }
    }
}

/// How much work one document may cause.
fn bounds() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * YAML_NODES_MAX,
            max_nodes: YAML_NODES_MAX,
            max_depth: YAML_DEPTH_MAX,
            max_documents: 1,
            // What aliases cost is bounded by what they stand for: a block of labels may be repeated often.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: YAML_REPLAYED_EVENTS_MAX },
        // Comments mean nothing here, and may be long.
        emit_comments: false,
        with_snippet: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IgnoredAny;
    use serde_json::{Value, json};

    fn read(file: &str) -> Vec<Result<Value, Malformed>> {
        split(file).map(|document| document?.parse()).collect()
    }

    #[test]
    fn documents_are_told_apart() {
        let table = [
            ("", vec![]),
            ("# nothing\n---\n\n---\n", vec![]),
            ("a: 1", vec![json!({"a": 1})]),
            (
                "--- \na: 1\n---\t# two\na: 2\r\n---\r\na: 3\n---",
                vec![json!({"a": 1}), json!({"a": 2}), json!({"a": 3})],
            ),
            ("%YAML 1.2\n---\na: 1\n...\n", vec![json!({"a": 1})]),
            ("a: |\n  ---\n  b\nc: ---\n", vec![json!({"a": "---\nb\n", "c": "---"})]),
            ("---a: 1\n", vec![json!({"---a": 1})]),
            (
                "{\"a\": 1}{\"a\": 2}\n{\"a\": 3}\n---\na: 4\n",
                vec![json!({"a": 1}), json!({"a": 2}), json!({"a": 3}), json!({"a": 4})],
            ),
            ("--- {\"a\": \"---\"}\n", vec![json!({"a": "---"})]),
        ];
        for (file, expected) in table {
            let read: Vec<_> = read(file).into_iter().map(Result::unwrap).collect();
            assert_eq!(read, expected, "{file:?}");
        }
    }

    #[test]
    fn a_mistake_is_placed_and_does_not_hide_what_follows() {
        let found = read(
            "a: 1\n---\nb: 2\nc: [\n---\n{\"d\": 1}\n{\"e\": 1,\n \"f\" 2}\n---\ng: 1\ng: 2\n---\nh: 1\n",
        );
        let places: Vec<_> =
            found.iter().filter_map(|r| r.as_ref().err()).map(|e| (e.document, e.line)).collect();
        assert_eq!(found.len(), 6);
        assert_eq!(places, [(2, Some(4)), (4, Some(8)), (5, Some(11))], "{found:?}");
        assert_eq!(found[4].as_ref().unwrap_err().message, "`g` is given twice");
    }

    #[test]
    fn messages_have_no_place_of_their_own() {
        for found in read("a: [}\n---\n{\"a\": }\n---\n- &a [x]\n- *b\n") {
            let message = found.unwrap_err().message;
            assert!(!message.contains("line"), "{message}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut file = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let one = format!("*a{}, ", level - 1);
            file += &format!("a{level}: &a{level} [{}]\n", one.repeat(10));
        }
        let message = read(&file).remove(0).unwrap_err().message;
        assert_eq!(message, "its aliases stand for too much: write it out");
    }

    #[test]
    fn a_block_may_be_repeated_often() {
        let file = format!("labels: &labels {{tmp: 'yes'}}\nall: [{}]\n", "*labels, ".repeat(1_000));
        assert_eq!(read(&file).remove(0).unwrap()["all"][999], json!({"tmp": "yes"}));
    }

    #[test]
    fn a_deep_document_is_refused() {
        for file in ["[".repeat(100_000), "- ".repeat(100_000), "{\"a\":".repeat(100_000)] {
            let document = split(&file).next().unwrap();
            assert!(document.and_then(|document| document.parse::<IgnoredAny>()).is_err());
        }
    }
}
