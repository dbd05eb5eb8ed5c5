//! How an answer is read: bounded, and field by field, so that what is wrong is said with the field's name.
//!
//! What a plugin sends is somebody else's: texts are clipped and made plain, numbers brought within their bounds, unknown
//! fields ignored. What cannot be understood is refused whole. No error repeats what a plugin wrote but its `status` and
//! `apiVersion`, for it may hold secrets.

use serde_json::{Map, Value};

use super::{CONTRACT_VERSION, Checked, Described, Executed, Planned};
use crate::limits::{
    ANSWER_BYTES_MAX, FREE_FORM_KEYS_MAX, MESSAGE_CHARS_MAX, NESTING_MAX, PLANNED_LINES_MAX,
    RETRY_AFTER_SECONDS_DEFAULT, RETRY_AFTER_SECONDS_MAX, RETRY_AFTER_SECONDS_MIN, STATE_BYTES_MAX,
    WORD_CHARS_MAX,
};

/// Why an answer cannot be used, and what the plugin should write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It is larger than [`ANSWER_BYTES_MAX`].
    #[error(
        "the answer is larger than {ANSWER_BYTES_MAX} bytes: the plugin should answer in a few words, and keep at most {STATE_BYTES_MAX} bytes of `state`"
    )]
    TooLarge,
    /// It is not JSON.
    #[error(
        "the answer is not JSON (line {line}, column {column}): the plugin should write an object, such as {{\"status\": \"done\"}}"
    )]
    NotJson {
        /// From 1; 0 if the answer is empty.
        line: usize,
        /// From 1; 0 if the line is empty.
        column: usize,
    },
    /// It is JSON, and no object.
    #[error("the answer is {given}: the plugin should write an object, such as {{\"status\": \"done\"}}")]
    NotAnObject {
        /// What it is instead.
        given: &'static str,
    },
    /// Lists and maps lie deeper inside of each other than [`NESTING_MAX`].
    #[error(
        "the answer has more than {NESTING_MAX} lists or objects inside of each other: the plugin should write a flatter one"
    )]
    TooDeep,
    /// It speaks another version of the contract.
    #[error(
        "the answer's `apiVersion` is `{given}`: the plugin should write `{CONTRACT_VERSION}`, or leave it out"
    )]
    OtherVersion {
        /// What was written, shortened.
        given: String,
    },
    /// `status` is none of the three.
    #[error("the answer's `status` is `{given}`: the plugin should write `done`, `progress` or `failed`")]
    UnknownStatus {
        /// What was written, shortened.
        given: String,
    },
    /// A field that has to be there is not.
    #[error("the answer has no `{field}`: the plugin should write {write}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What belongs there.
        write: &'static str,
    },
    /// A field holds something else than it should.
    #[error("the answer's `{field}` is {given}: the plugin should write {write}")]
    WrongType {
        /// The field.
        field: &'static str,
        /// What it is instead.
        given: &'static str,
        /// What belongs there.
        write: &'static str,
    },
    /// The state is larger than [`STATE_BYTES_MAX`].
    #[error(
        "the answer's `state` has {bytes} bytes, at most {STATE_BYTES_MAX} are kept: the plugin should keep names there, and the data elsewhere"
    )]
    StateTooLarge {
        /// How many there are, written as JSON without spaces.
        bytes: usize,
    },
    /// The state has more keys than [`FREE_FORM_KEYS_MAX`].
    #[error(
        "the answer's `state` has {keys} keys, at most {FREE_FORM_KEYS_MAX} are kept: the plugin should put them into one list"
    )]
    StateTooWide {
        /// How many there are.
        keys: usize,
    },
}

impl Described {
    /// Reads the answer to `describe`.
    pub fn read(answer: &[u8]) -> Result<Self, BadAnswer> {
        let answer = Answer::read(answer)?;
        let name = answer.text("name", WORD_CHARS_MAX)?;
        if name.is_empty() {
            return Err(BadAnswer::Missing { field: "name", write: "what the plugin is called" });
        }
        let version = answer.text("version", WORD_CHARS_MAX)?;
        let settings_schema = answer.object("settingsSchema", "a JSON Schema, or leave it out")?.cloned();
        Ok(Self { name, version, settings_schema })
    }
}

impl Checked {
    /// Reads the answer to `check`.
    pub fn read(answer: &[u8]) -> Result<Self, BadAnswer> {
        const WRITE: &str = "true or false";
        let answer = Answer::read(answer)?;
        let healthy =
            answer.truth("healthy", WRITE)?.ok_or(BadAnswer::Missing { field: "healthy", write: WRITE })?;
        Ok(Self { healthy, message: answer.text("message", MESSAGE_CHARS_MAX)? })
    }
}

impl Planned {
    /// Reads the answer to `plan`. Of more than [`PLANNED_LINES_MAX`] lines the first are kept.
    pub fn read(answer: &[u8]) -> Result<Self, BadAnswer> {
        const WRITE: &str = "a list of texts, one for each act";
        let wrong = |given| BadAnswer::WrongType { field: "steps", given, write: WRITE };
        let answer = Answer::read(answer)?;
        let steps = answer.field("steps").ok_or(BadAnswer::Missing { field: "steps", write: WRITE })?;
        let Value::Array(steps) = steps else { return Err(wrong(type_name(steps))) };
        let line = |step: &Value| match step {
            Value::String(text) => Ok(plain(text, MESSAGE_CHARS_MAX)),
            other => Err(wrong(list_of(other))),
        };
        Ok(Self { steps: steps.iter().take(PLANNED_LINES_MAX).map(line).collect::<Result<_, _>>()? })
    }
}

impl Executed {
    /// Reads the answer to `execute`.
    pub fn read(answer: &[u8]) -> Result<Self, BadAnswer> {
        const WRITE: &str = "`done`, `progress` or `failed`";
        let answer = Answer::read(answer)?;
        let status = match answer.field("status") {
            None => return Err(BadAnswer::Missing { field: "status", write: WRITE }),
            Some(Value::String(status)) => status.as_str(),
            Some(other) => {
                return Err(BadAnswer::WrongType { field: "status", given: type_name(other), write: WRITE });
            }
        };
        let message = answer.text("message", MESSAGE_CHARS_MAX)?;
        let state = answer.state()?;
        match status {
            "done" => Ok(Self::Done { message, state }),
            "progress" => Ok(Self::Progress {
                percent: answer.percent()?,
                message,
                retry_after_seconds: answer.retry_after_seconds()?,
                state,
            }),
            "failed" => Ok(Self::Failed {
                retryable: answer.truth("retryable", "true or false")?.unwrap_or(true),
                reason: answer.word("reason")?,
                message,
                state,
            }),
            other => Err(BadAnswer::UnknownStatus { given: plain(other, WORD_CHARS_MAX) }),
        }
    }
}

/// An answer whose size, depth and version are as they must be.
struct Answer(Map<String, Value>);

impl Answer {
    fn read(answer: &[u8]) -> Result<Self, BadAnswer> {
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(BadAnswer::TooLarge);
        }
        let value: Value = serde_json::from_slice(answer)
            .map_err(|error| BadAnswer::NotJson { line: error.line(), column: error.column() })?;
        if height(&value) > NESTING_MAX {
            return Err(BadAnswer::TooDeep);
        }
        let Value::Object(fields) = value else {
            return Err(BadAnswer::NotAnObject { given: type_name(&value) });
        };
        let answer = Self(fields);
        let version = answer.text("apiVersion", WORD_CHARS_MAX)?;
        if !version.is_empty() && version != CONTRACT_VERSION {
            return Err(BadAnswer::OtherVersion { given: version });
        }
        Ok(answer)
    }

    /// A field that holds something; `null` is nothing.
    fn field(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, field: &'static str, chars_max: usize) -> Result<String, BadAnswer> {
        match self.field(field) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(plain(text, chars_max)),
            Some(other) => Err(BadAnswer::WrongType { field, given: type_name(other), write: "a text" }),
        }
    }

    /// A text of which letters and digits are kept.
    fn word(&self, field: &'static str) -> Result<String, BadAnswer> {
        let mut word = self.text(field, MESSAGE_CHARS_MAX)?;
        word.retain(|c| c.is_ascii_alphanumeric());
        word.truncate(WORD_CHARS_MAX);
        Ok(word)
    }

    fn truth(&self, field: &'static str, write: &'static str) -> Result<Option<bool>, BadAnswer> {
        match self.field(field) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(other) => Err(BadAnswer::WrongType { field, given: type_name(other), write }),
        }
    }

    fn object(
        &self,
        field: &'static str,
        write: &'static str,
    ) -> Result<Option<&Map<String, Value>>, BadAnswer> {
        match self.field(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(other) => Err(BadAnswer::WrongType { field, given: type_name(other), write }),
        }
    }

    fn number(&self, field: &'static str, write: &'static str) -> Result<Option<f64>, BadAnswer> {
        match self.field(field) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_f64()),
            Some(other) => Err(BadAnswer::WrongType { field, given: type_name(other), write }),
        }
    }

    fn percent(&self) -> Result<Option<u8>, BadAnswer> {
        let percent = self.number("percent", "a number from 0 to 100")?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "brought within the bounds of the type before"
        )]
        let whole = |percent: f64| percent.clamp(0.0, 100.0) as u8;
        Ok(percent.map(whole))
    }

    fn retry_after_seconds(&self) -> Result<u32, BadAnswer> {
        let (least, most) = (f64::from(RETRY_AFTER_SECONDS_MIN), f64::from(RETRY_AFTER_SECONDS_MAX));
        let seconds = self.number("retryAfterSeconds", "a number from 1 to 3,600")?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "brought within the bounds of the type before"
        )]
        let whole = |seconds: f64| seconds.ceil().clamp(least, most) as u32;
        Ok(seconds.map_or(RETRY_AFTER_SECONDS_DEFAULT, whole))
    }

    fn state(&self) -> Result<Option<Map<String, Value>>, BadAnswer> {
        let Some(state) = self.object("state", "an object, or leave it out")? else { return Ok(None) };
        if state.len() > FREE_FORM_KEYS_MAX {
            return Err(BadAnswer::StateTooWide { keys: state.len() });
        }
        let bytes = serde_json::to_vec(state).map_or(usize::MAX, |text| text.len());
        if bytes > STATE_BYTES_MAX {
            return Err(BadAnswer::StateTooLarge { bytes });
        }
        Ok(Some(state.clone()))
    }
}

/// How many lists and maps lie inside of each other. JSON that was parsed is never deeper than its parser allows, 128.
pub(crate) fn height(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(height).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(height).max().unwrap_or(0),
        _ => 0,
    }
}

/// A text in one line and at most so many characters, without what a terminal would obey: control characters, and those
/// that turn the direction of what follows.
pub(crate) fn plain(text: &str, chars_max: usize) -> String {
    let spaced = |c: char| if c.is_whitespace() { ' ' } else { c };
    let is_plain = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    let mut plain = text.trim().chars().map(spaced).filter(is_plain);
    let mut short: String = plain.by_ref().take(chars_max).collect();
    if plain.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}

const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

const fn list_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "a list with a null",
        Value::Bool(_) => "a list with a truth value",
        Value::Number(_) => "a list with a number",
        Value::String(_) => "a list with a text",
        Value::Array(_) => "a list with a list",
        Value::Object(_) => "a list with an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn executed(answer: &Value) -> Result<Executed, String> {
        Executed::read(answer.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    fn object(value: &Value) -> Option<Map<String, Value>> {
        value.as_object().cloned()
    }

    #[test]
    fn the_shortest_answers_suffice() {
        assert_eq!(
            executed(&json!({"status": "done"})),
            Ok(Executed::Done { message: String::new(), state: None })
        );
        assert_eq!(
            executed(&json!({"status": "progress"})),
            Ok(Executed::Progress {
                percent: None,
                message: String::new(),
                retry_after_seconds: 10,
                state: None
            })
        );
        assert_eq!(
            executed(&json!({"status": "failed"})),
            Ok(Executed::Failed {
                retryable: true,
                reason: String::new(),
                message: String::new(),
                state: None
            })
        );
        let described =
            Described::read(br#"{"name": "cmdb", "kind": "unknown fields are ignored"}"#).unwrap();
        assert_eq!(described, Described { name: "cmdb".to_owned(), ..Described::default() });
        assert_eq!(Checked::read(br#"{"healthy": true}"#).map(|checked| checked.healthy), Ok(true));
        assert_eq!(Planned::read(br#"{"steps": []}"#), Ok(Planned::default()));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_write() {
        let rows: [(&[u8], &str); 13] = [
            (b"", "is not JSON (line 1, column 0)"),
            (b"done", "is not JSON"),
            (b"[]", "is a list: the plugin should write an object, such as {\"status\": \"done\"}"),
            (b"null", "is null"),
            (b"{}", "has no `status`: the plugin should write `done`, `progress` or `failed`"),
            (
                br#"{"status": "ok"}"#,
                "`status` is `ok`: the plugin should write `done`, `progress` or `failed`",
            ),
            (br#"{"status": 200}"#, "`status` is a number: the plugin should write `done`"),
            (
                br#"{"status": "done", "message": {"a": "secret"}}"#,
                "`message` is an object: the plugin should write a text",
            ),
            (
                br#"{"status": "progress", "percent": "half"}"#,
                "`percent` is a text: the plugin should write a number from 0 to 100",
            ),
            (br#"{"status": "progress", "retryAfterSeconds": "1m"}"#, "write a number from 1 to 3,600"),
            (
                br#"{"status": "failed", "retryable": "no"}"#,
                "`retryable` is a text: the plugin should write true or false",
            ),
            (br#"{"status": "done", "state": []}"#, "`state` is a list: the plugin should write an object"),
            (
                br#"{"apiVersion": "groundskeeper.dev/plugin/v2", "status": "done"}"#,
                "`groundskeeper.dev/plugin/v2`: the plugin should write `groundskeeper.dev/plugin/v1alpha1`",
            ),
        ];
        for (answer, said) in rows {
            let error = Executed::read(answer).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(
            Checked::read(b"{}")
                .unwrap_err()
                .to_string()
                .contains("no `healthy`: the plugin should write true or false")
        );
        assert!(Described::read(b"{}").unwrap_err().to_string().contains("no `name`"));
        let error = Planned::read(br#"{"steps": [1]}"#).unwrap_err().to_string();
        assert!(
            error.contains("`steps` is a list with a number: the plugin should write a list of texts"),
            "{error}"
        );
    }

    #[test]
    fn numbers_are_brought_within_their_bounds() {
        let rows = [(-5.0, 0, 1), (0.0, 0, 1), (33.9, 33, 34), (100.0, 100, 100), (1e300, 100, 3_600)];
        for (given, percent, seconds) in rows {
            let answer =
                executed(&json!({"status": "progress", "percent": given, "retryAfterSeconds": given}));
            let Ok(Executed::Progress { percent: Some(found), retry_after_seconds, .. }) = answer else {
                panic!("{answer:?}")
            };
            assert_eq!((found, retry_after_seconds), (percent, seconds), "{given}");
        }
    }

    #[test]
    fn texts_are_clipped_and_made_plain() {
        let answer = executed(&json!({
            "status": "failed", "retryable": false, "reason": "Node still on-line!",
            "message": "first\nsecond\u{1b}[31m red \u{202e}evil",
        }));
        assert_eq!(
            answer,
            Ok(Executed::Failed {
                retryable: false,
                reason: "Nodestillonline".to_owned(),
                message: "first second[31m red evil".to_owned(),
                state: None,
            })
        );
        let Ok(Executed::Done { message, .. }) =
            executed(&json!({"status": "done", "message": "ä".repeat(5_000)}))
        else {
            panic!()
        };
        assert_eq!((message.chars().count(), message.ends_with("ä…")), (MESSAGE_CHARS_MAX, true));
    }

    #[test]
    fn what_is_too_large_too_deep_or_too_wide_is_refused() {
        let huge = format!(r#"{{"status": "done", "message": "{}"}}"#, "x".repeat(ANSWER_BYTES_MAX));
        assert_eq!(Executed::read(huge.as_bytes()), Err(BadAnswer::TooLarge));
        let state = |bytes: usize| executed(&json!({"status": "done", "state": {"a": "x".repeat(bytes)}}));
        assert!(state(STATE_BYTES_MAX - 8).is_ok());
        assert!(state(STATE_BYTES_MAX - 7).unwrap_err().contains("has 16385 bytes, at most 16384 are kept"));
        let wide: Map<String, Value> = (0..65).map(|n| (n.to_string(), json!(n))).collect();
        assert!(executed(&json!({"status": "done", "state": wide})).unwrap_err().contains("65 keys"));
        for levels in [NESTING_MAX, 10_000] {
            let deep = format!(r#"{{"status": "done", "x": {}{}}}"#, "[".repeat(levels), "]".repeat(levels));
            assert!(Executed::read(deep.as_bytes()).is_err(), "{levels}");
        }
    }

    #[test]
    fn an_answer_that_was_written_by_our_types_is_read_as_the_same() {
        let answers = [
            Executed::Done { message: "gone".to_owned(), state: object(&json!({"ticket": "INC-7"})) },
            Executed::Progress {
                percent: Some(40),
                message: "moving".to_owned(),
                retry_after_seconds: 30,
                state: None,
            },
            Executed::Failed {
                retryable: false,
                reason: "DataLoss".to_owned(),
                message: "one replica".to_owned(),
                state: None,
            },
        ];
        for answer in answers {
            assert_eq!(Executed::read(&serde_json::to_vec(&answer).unwrap()), Ok(answer));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic_or_break_a_bound(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            text in "\\PC{0,40}|[\\x00-\\x20]{0,5}",
            number in any::<f64>(),
        ) {
            _ = Executed::read(&bytes);
            _ = Described::read(&bytes);
            _ = Planned::read(&bytes);
            let answer = executed(&json!({
                "status": "progress", "message": text, "percent": number, "retryAfterSeconds": number,
            }));
            if let Ok(Executed::Progress { percent, message, retry_after_seconds, .. }) = answer {
                prop_assert!(percent.unwrap_or(0) <= 100);
                prop_assert!((1..=3_600).contains(&retry_after_seconds));
                prop_assert!(!message.chars().any(char::is_control));
            }
        }
    }
}
