//! One call, and what comes back of it.

use std::time::Duration;

use chassis::Redacted;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde_json::Value;

use super::{Trust, Url};
use crate::limits::{CALL_TIMEOUT_DEFAULT, EXTRA_HEADERS_MAX, RETRY_AFTER_SECONDS_MAX};
use crate::scrub::Scrub;

/// One call. Debug shows no secret and no path.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Redacted<Vec<u8>>,
    pub(super) reach: Reach,
    /// None takes the system's.
    pub(super) trust: Option<Trust>,
    pub(super) timeout: Duration,
    pub(super) answer_bytes_max: usize,
    pub(super) scrub: Scrub,
}

/// Which addresses a call may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Public ones, and of the private ones those that the operator of the cluster has listed.
    #[default]
    Listed,
    /// Private ones, too.
    Private,
}

/// A header that cannot be sent. Never repeats its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// The name is none.
    #[error("`{given}` is no name of a header: write letters, digits and dashes, such as `X-Api-Key`")]
    Name {
        /// What was written, shortened.
        given: String,
    },
    /// The name is one that only we write.
    #[error("the header `{name}` is written by us: leave it out")]
    Ours {
        /// The name.
        name: String,
    },
    /// The value has a line break or another character that headers cannot have.
    #[error(
        "the value of the header `{name}` has a line break or a character that no header can have: write it without"
    )]
    Value {
        /// The name.
        name: String,
    },
    /// There are more than a call may have.
    #[error("a call has at most {EXTRA_HEADERS_MAX} headers of its own: write fewer")]
    TooMany,
}

/// What came back: whatever status it has, a redirect included.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Whether it says that its body is JSON.
    pub is_json: bool,
    /// How long it asks us to wait, at most an hour.
    pub retry_after: Option<Duration>,
    /// Its body, without the secrets of the call.
    pub body: Vec<u8>,
}

/// Headers that frame a message, or say to whom it goes: with these one could say something else than was checked.
const OURS: [HeaderName; 13] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::ACCEPT_ENCODING,
    header::USER_AGENT,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
];

impl Call {
    /// A call without a body.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Redacted::new(Vec::new()),
            reach: Reach::default(),
            trust: None,
            timeout: CALL_TIMEOUT_DEFAULT,
            answer_bytes_max: node_cleanup::limits::ANSWER_BYTES_MAX,
            scrub: Scrub::default(),
        }
    }

    /// With a body of JSON.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = Redacted::new(body.to_string().into_bytes());
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// With this header, which is no secret.
    pub fn header(self, name: &str, value: &str) -> Result<Self, InvalidHeader> {
        self.with(name, value, false)
    }

    /// With this header, whose value nobody sees; what an answer repeats of it is taken out.
    pub fn secret_header(mut self, name: &str, value: &Redacted<String>) -> Result<Self, InvalidHeader> {
        self.scrub.hide(value.expose());
        self.with(name, value.expose(), true)
    }

    /// What else an answer might repeat, and nobody is to see.
    #[must_use]
    pub fn hiding(mut self, secret: &Redacted<String>) -> Self {
        self.scrub.hide(secret.expose());
        self
    }

    /// To these addresses.
    #[must_use]
    pub fn reach(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// With these certificates; none takes the system's.
    #[must_use]
    pub fn trust(mut self, trust: Option<Trust>) -> Self {
        self.trust = trust;
        self
    }

    /// Within this time, all included.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With so many bytes in its answer at most.
    #[must_use]
    pub fn answer_bytes_max(mut self, bytes: usize) -> Self {
        self.answer_bytes_max = bytes;
        self
    }

    fn with(mut self, name: &str, value: &str, is_secret: bool) -> Result<Self, InvalidHeader> {
        let name = header_name(name)?;
        let mut value =
            HeaderValue::from_str(value).map_err(|_| InvalidHeader::Value { name: name.to_string() })?;
        value.set_sensitive(is_secret);
        self.headers.insert(name, value);
        // The type of the body is ours.
        if self.headers.len() > EXTRA_HEADERS_MAX + 4 { Err(InvalidHeader::TooMany) } else { Ok(self) }
    }
}

/// The name of a header that somebody may choose.
pub(crate) fn header_name(given: &str) -> Result<HeaderName, InvalidHeader> {
    let name = HeaderName::from_bytes(given.as_bytes()).map_err(|_| InvalidHeader::Name {
        given: given.chars().filter(|c| !c.is_control()).take(64).collect(),
    })?;
    if OURS.contains(&name) { Err(InvalidHeader::Ours { name: name.to_string() }) } else { Ok(name) }
}

impl Answer {
    /// What is read of the head of an answer.
    pub(super) fn head(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let media = text(header::CONTENT_TYPE).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let seconds = text(header::RETRY_AFTER).and_then(|text| text.trim().parse::<u64>().ok());
        Self {
            status,
            is_json: media == "application/json"
                || (media.starts_with("application/") && media.ends_with("+json")),
            retry_after: seconds.map(|seconds| Duration::from_secs(seconds.min(RETRY_AFTER_SECONDS_MAX))),
            body: Vec::new(),
        }
    }

    /// Whether it asks to be taken elsewhere, which we do not do.
    pub fn is_redirect(&self) -> bool {
        self.status.is_redirection()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call::new(Method::POST, "https://a.example/x".parse().unwrap())
    }

    #[test]
    fn a_header_can_neither_break_the_line_nor_the_message() {
        let rows = [
            ("X-Api-Key", "a\r\nHost: b"),
            ("X-Api-Key", "a\nb"),
            ("X-Api-Key", "a\0b"),
            ("X-Api\r\nHost", "b"),
            ("", "b"),
            ("x y", "b"),
            ("Host", "b"),
            ("content-length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("Proxy-Authorization", "b"),
        ];
        for (name, value) in rows {
            assert!(call().header(name, value).is_err(), "{name}: {value:?}");
        }
        assert!(call().header("Authorization", "Bearer x").is_ok());
    }

    #[test]
    fn a_call_shows_neither_its_secrets_nor_its_body() {
        let secret = Redacted::new("hunter2hunter2".to_owned());
        let call = call().secret_header("Authorization", &secret).unwrap();
        let call = call.json(&serde_json::json!({"password": "hunter2hunter2"}));
        assert!(!format!("{call:?}{call:#?}").contains("hunter2"), "{call:?}");
    }

    #[test]
    fn what_is_too_many_headers_is_refused() {
        let many = (0..40).try_fold(call(), |call, number| call.header(&format!("x-{number}"), "y"));
        assert_eq!(many.unwrap_err(), InvalidHeader::TooMany);
    }
}
