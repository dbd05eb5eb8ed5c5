//! Takes secrets out of what others say.
//!
//! A server may repeat what it was told: in an error, in an echo of the request. What is taken out is taken out before
//! anybody reads the answer, so that no message, state or log has to be looked at again.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::Redacted;
use serde_json::Value;

use crate::limits::SECRET_CHARS_MIN;

const REDACTED: &str = "[redacted]";

/// What is to be taken out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrub {
    /// The longest first, so that none leaves the rest of another one.
    words: Vec<Redacted<String>>,
}

impl Scrub {
    /// Adds a secret, in the forms in which one may come back: as it is, as base64, and each of its parts of a header such as
    /// `Bearer …`. One that is too short to be a secret is not looked for.
    pub(crate) fn hide(&mut self, secret: &str) {
        let parts = secret.split_ascii_whitespace().map(str::to_owned);
        for word in
            [secret.to_owned(), secret.trim().to_owned(), STANDARD.encode(secret)].into_iter().chain(parts)
        {
            let is_scheme = ["basic", "bearer", "token"].contains(&word.to_ascii_lowercase().as_str());
            let is_known = self.words.iter().any(|known| *known.expose() == word);
            if word.chars().count() >= SECRET_CHARS_MIN && !is_scheme && !is_known {
                self.words.push(Redacted::new(word));
            }
        }
        self.words.sort_by_key(|word| std::cmp::Reverse(word.expose().len()));
    }

    /// A text without the secrets.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for word in &self.words {
            if text.contains(word.expose().as_str()) {
                text = Cow::Owned(text.replace(word.expose().as_str(), REDACTED));
            }
        }
        text
    }

    /// A body without the secrets. JSON is looked at as what it says, so that an escape hides none.
    pub(crate) fn body(&self, body: Vec<u8>) -> Vec<u8> {
        if self.words.is_empty() || body.is_empty() {
            return body;
        }
        match serde_json::from_slice::<Value>(&body) {
            Ok(value) => self.value(value).to_string().into_bytes(),
            Err(_) => self.text(&String::from_utf8_lossy(&body)).into_owned().into_bytes(),
        }
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text).into_owned()),
            Value::Array(values) => values.into_iter().map(|value| self.value(value)).collect(),
            Value::Object(fields) => Value::Object(
                fields
                    .into_iter()
                    .map(|(key, value)| (self.text(&key).into_owned(), self.value(value)))
                    .collect(),
            ),
            Value::Number(number) => {
                let text = number.to_string();
                match self.text(&text) {
                    Cow::Owned(clean) => Value::String(clean),
                    Cow::Borrowed(_) => Value::Number(number),
                }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scrub(secret: &str) -> Scrub {
        let mut scrub = Scrub::default();
        scrub.hide(secret);
        scrub
    }

    #[test]
    fn a_secret_is_found_in_every_form_in_which_it_comes_back() {
        let scrub = scrub("Bearer hunter2/x");
        let bodies = [
            r#"{"message": "no right for hunter2/x"}"#,
            r#"{"message": "hunter2\/x", "hunter2/x": 1}"#,
            r#"{"message": ["\u0068unter2/x"]}"#,
            "<p>Bearer hunter2/x</p>",
            r#"{"message": "QmVhcmVyIGh1bnRlcjIveA=="}"#,
        ];
        for body in bodies {
            let clean = String::from_utf8(scrub.body(body.as_bytes().to_vec())).unwrap();
            assert!(!clean.contains("unter2") && !clean.contains("QmVh"), "{clean}");
            assert!(clean.contains(REDACTED), "{clean}");
        }
        assert_eq!(scrub.body(b"{\"status\":\"done\"}".to_vec()), b"{\"status\":\"done\"}");
    }

    #[test]
    fn what_is_too_short_for_a_secret_leaves_sentences_alone() {
        assert_eq!(scrub("a").text("a sentence"), "a sentence");
        assert_eq!(scrub("Basic x").text("a basic rule"), "a basic rule");
    }

    proptest! {
        #[test]
        fn no_secret_survives(secret in "[!-~]{6,24}", before in ".{0,8}", after in ".{0,8}") {
            let clean = scrub(&secret).body(format!("{before}{secret}{after}").into_bytes());
            // A secret that is a part of our own word is not shown by it.
            prop_assume!(!REDACTED.contains(secret.trim()) && !secret.contains("redacted"));
            prop_assert!(!String::from_utf8_lossy(&clean).contains(&secret) || secret.trim().is_empty());
        }
    }
}
