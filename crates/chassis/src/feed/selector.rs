//! What the server is asked to leave out.

use crate::error::ApiError;
use crate::paths;

/// Selectors that the server applies, so that what they leave out is never sent.
///
/// An object that ceases to match is shown as deleted, in the form in which it ceased to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pushed {
    /// A label selector in its text form: `app=web,tier in (a,b)`.
    pub labels: Option<String>,
    /// A field selector in its text form: `status.phase=Failed`. Which fields there are depends on the kind; a server
    /// that does not know one refuses, and the feed parks as [`Parked::SelectorRefused`](super::Parked).
    pub fields: Option<String>,
}

impl Pushed {
    /// As it is added to a query.
    pub(super) fn query(&self) -> String {
        let part = |name: &str, selector: &Option<String>| {
            let selector = selector.as_deref().filter(|text| !text.is_empty());
            selector.map(|text| format!("&{name}={}", paths::segment(text))).unwrap_or_default()
        };
        part("labelSelector", &self.labels) + &part("fieldSelector", &self.fields)
    }

    /// Whether a refusal is about this selector.
    pub(super) fn is_refused_by(&self, error: &ApiError) -> bool {
        // The API has no reason of its own for it: all of these are a plain BadRequest. Built-in kinds and custom
        // resources say "field label not supported", kinds without fields of their own "is not a known field selector",
        // and the parsers the rest.
        const WORDS: [&str; 4] =
            ["field label", "field selector", "unable to parse requirement", "invalid selector"];
        let ApiError::Refused { code: 400, message, .. } = error else { return false };
        !self.query().is_empty() && WORDS.iter().any(|words| message.contains(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_written_so_that_nothing_of_it_is_taken_for_another_parameter() {
        assert_eq!(Pushed::default().query(), "");
        let pushed =
            Pushed { labels: Some("a in (b,c),!d".into()), fields: Some("status.phase!=Failed&x".into()) };
        assert_eq!(
            pushed.query(),
            "&labelSelector=a%20in%20%28b%2Cc%29%2C%21d&fieldSelector=status.phase%21%3DFailed%26x"
        );
        let empty = Pushed { labels: Some(String::new()), fields: None };
        assert_eq!(empty.query(), "");
    }

    #[test]
    fn only_a_refusal_that_speaks_of_selectors_is_about_the_selector() {
        let refused = |code, message: &str| ApiError::Refused {
            code,
            reason: "BadRequest".into(),
            message: message.into(),
            retry_after: None,
        };
        let pushed = Pushed { labels: None, fields: Some("spec.x=1".into()) };
        assert!(pushed.is_refused_by(&refused(400, "field label not supported: spec.x")));
        assert!(!pushed.is_refused_by(&refused(400, "sendInitialEvents is forbidden")));
        assert!(!pushed.is_refused_by(&refused(500, "field label not supported: spec.x")));
        assert!(!Pushed::default().is_refused_by(&refused(400, "field label not supported: spec.x")));
    }
}
