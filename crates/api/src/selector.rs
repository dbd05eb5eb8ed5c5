//! Label selectors, compiled.
//!
//! Semantics as in Kubernetes (`k8s.io/apimachinery/pkg/labels`): all terms must hold, `NotIn` holds where the label is
//! missing, and a selector without terms selects everything.

use std::fmt;

use units::Labelled;

use crate::garbage_collection::{LabelOperator, LabelSelector};
use crate::limits::{SELECTOR_TERMS_MAX, SELECTOR_VALUES_MAX};

/// A label selector that has been checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq)]
struct Term {
    key: String,
    operator: LabelOperator,
    values: Vec<String>,
}

/// Why a selector cannot be acted on, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// More terms than anyone needs.
    #[error(
        "labelSelector has {given} terms; at most {SELECTOR_TERMS_MAX} in matchLabels and in matchExpressions each are allowed"
    )]
    TooManyTerms {
        /// How many there are.
        given: usize,
    },
    /// More values than anyone needs.
    #[error(
        "labelSelector requirement on `{key}` has {given} values; at most {SELECTOR_VALUES_MAX} are allowed"
    )]
    TooManyValues {
        /// The label.
        key: String,
        /// How many there are.
        given: usize,
    },
    /// The key is not one that an object could have.
    #[error("`{key}` is not a label key: write `name` or `prefix/name`, such as `app` or `example.com/tier`")]
    Key {
        /// What was written.
        key: String,
    },
    /// The value is not one that an object could have.
    #[error(
        "`{value}` is not a label value (for `{key}`): at most 63 letters, digits, `-`, `_` and `.`, starting and ending with a letter or digit"
    )]
    Value {
        /// The label.
        key: String,
        /// What was written.
        value: String,
    },
    /// `In` and `NotIn` compare with values.
    #[error("labelSelector requirement on `{key}`: operators In and NotIn need at least one entry in values")]
    ValuesMissing {
        /// The label.
        key: String,
    },
    /// `Exists` and `DoesNotExist` compare with nothing.
    #[error(
        "labelSelector requirement on `{key}`: operators Exists and DoesNotExist take no values: leave values out"
    )]
    ValuesUnexpected {
        /// The label.
        key: String,
    },
}

/// As `kubectl` takes it: `app=web,tier in (a,b),!draft`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Term { key, operator, values }) in self.terms.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match (operator, values.as_slice()) {
                (LabelOperator::In, [value]) => write!(f, "{key}={value}")?,
                (LabelOperator::In, values) => write!(f, "{key} in ({})", values.join(","))?,
                (LabelOperator::NotIn, values) => write!(f, "{key} notin ({})", values.join(","))?,
                (LabelOperator::Exists, _) => f.write_str(key)?,
                (LabelOperator::DoesNotExist, _) => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

impl Selector {
    /// Checks and compiles a selector; none selects everything.
    pub fn compile(selector: Option<&LabelSelector>) -> Result<Self, InvalidSelector> {
        let Some(selector) = selector else { return Ok(Self::default()) };
        let given = selector.match_labels.len().max(selector.match_expressions.len());
        if given > SELECTOR_TERMS_MAX {
            return Err(InvalidSelector::TooManyTerms { given });
        }
        let exact = selector.match_labels.iter().map(|(key, value)| Term {
            key: key.clone(),
            operator: LabelOperator::In,
            values: vec![value.clone()],
        });
        let required = selector.match_expressions.iter().map(|requirement| Term {
            key: requirement.key.clone(),
            operator: requirement.operator,
            values: requirement.values.clone(),
        });
        let terms: Vec<_> = exact.chain(required).collect();
        terms.iter().try_for_each(Term::check)?;
        Ok(Self { terms })
    }

    /// A label that every selected object has, with its value, if there is one.
    pub fn demanded(&self) -> Option<(&str, &str)> {
        self.terms.iter().find_map(|term| match (term.operator, term.values.as_slice()) {
            (LabelOperator::In, [value]) => Some((term.key.as_str(), value.as_str())),
            _ => None,
        })
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The first term that these labels do not meet, in the API server's syntax.
    pub fn unmet(&self, labels: &impl Labelled) -> Option<String> {
        let term = self.terms.iter().find(|term| !term.holds(labels))?;
        Some(Self { terms: vec![term.clone()] }.to_string())
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &impl Labelled) -> bool {
        self.terms.iter().all(|term| term.holds(labels))
    }
}

impl Term {
    fn check(&self) -> Result<(), InvalidSelector> {
        let key = || self.key.clone();
        if !is_label_key(&self.key) {
            return Err(InvalidSelector::Key { key: self.key.chars().take(80).collect() });
        }
        if self.values.len() > SELECTOR_VALUES_MAX {
            return Err(InvalidSelector::TooManyValues { key: key(), given: self.values.len() });
        }
        if let Some(value) = self.values.iter().find(|value| !is_label_value(value)) {
            return Err(InvalidSelector::Value { key: key(), value: value.chars().take(80).collect() });
        }
        match (self.operator, self.values.is_empty()) {
            (LabelOperator::In | LabelOperator::NotIn, true) => {
                Err(InvalidSelector::ValuesMissing { key: key() })
            }
            (LabelOperator::Exists | LabelOperator::DoesNotExist, false) => {
                Err(InvalidSelector::ValuesUnexpected { key: key() })
            }
            _ => Ok(()),
        }
    }

    fn holds(&self, labels: &impl Labelled) -> bool {
        let value = labels.label(&self.key);
        let listed = || value.is_some_and(|value| self.values.iter().any(|listed| listed == value));
        match self.operator {
            LabelOperator::In => listed(),
            LabelOperator::NotIn => !listed(),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

/// A qualified name: `name` of at most 63 characters, or `prefix/name` with a DNS subdomain before the slash.
pub fn is_label_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let is_subdomain = |prefix: &str| {
        prefix.len() <= 253
            && prefix.split('.').all(|label| {
                !label.is_empty()
                    && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
    };
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

fn is_label_value(value: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && edge(bytes.first())
        && edge(bytes.last())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn selector(json: &str) -> Result<Selector, InvalidSelector> {
        Selector::compile(Some(&serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn selectors_select_as_in_kubernetes() {
        let table = [
            (r"{}", "a=1", true),
            (r"{}", "", true),
            (r#"{"matchLabels":{"a":"1"}}"#, "a=1 b=2", true),
            (r#"{"matchLabels":{"a":"1"}}"#, "a=2", false),
            (r#"{"matchLabels":{"a":"1","b":"2"}}"#, "a=1", false),
            (r#"{"matchLabels":{"a":""}}"#, "a=", true),
            (r#"{"matchLabels":{"a":""}}"#, "", false),
            (r#"{"matchExpressions":[{"key":"a","operator":"In","values":["1","2"]}]}"#, "a=2", true),
            (r#"{"matchExpressions":[{"key":"a","operator":"In","values":["1","2"]}]}"#, "a=3", false),
            (r#"{"matchExpressions":[{"key":"a","operator":"In","values":["1"]}]}"#, "", false),
            (r#"{"matchExpressions":[{"key":"a","operator":"NotIn","values":["1"]}]}"#, "a=1", false),
            (r#"{"matchExpressions":[{"key":"a","operator":"NotIn","values":["1"]}]}"#, "a=2", true),
            (r#"{"matchExpressions":[{"key":"a","operator":"NotIn","values":["1"]}]}"#, "", true),
            (r#"{"matchExpressions":[{"key":"a","operator":"Exists"}]}"#, "a=", true),
            (r#"{"matchExpressions":[{"key":"a","operator":"Exists"}]}"#, "b=1", false),
            (r#"{"matchExpressions":[{"key":"a","operator":"DoesNotExist"}]}"#, "b=1", true),
            (r#"{"matchExpressions":[{"key":"a","operator":"DoesNotExist"}]}"#, "a=1", false),
            (
                r#"{"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"Exists"}]}"#,
                "a=1",
                false,
            ),
        ];
        for (json, labels, expected) in table {
            let pairs = labels.split_whitespace().filter_map(|pair| pair.split_once('='));
            let labels: BTreeMap<_, _> =
                pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            assert_eq!(selector(json).unwrap().matches(&labels), expected, "{json} on {labels:?}");
        }
    }

    #[test]
    fn a_selector_that_could_never_match_is_refused_with_what_to_write() {
        let table = [
            (r#"{"matchLabels":{"a b":"1"}}"#, "is not a label key"),
            (r#"{"matchLabels":{"UPPER/a":"1"}}"#, "is not a label key"),
            (r#"{"matchLabels":{"a":"-1"}}"#, "is not a label value"),
            (r#"{"matchExpressions":[{"key":"a","operator":"In"}]}"#, "need at least one entry"),
            (r#"{"matchExpressions":[{"key":"a","operator":"Exists","values":["1"]}]}"#, "leave values out"),
        ];
        for (json, expected) in table {
            let error = selector(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn no_selector_selects_everything() {
        assert!(Selector::compile(None).unwrap().matches(&BTreeMap::new()));
    }
}
