//! `AdmissionReview` v1: reading what an API server asks, and writing what it is told.
//!
//! Total: whatever the bytes are, there is a [`Request`] or a [`Malformed`], and each has an answer. The object itself is
//! not parsed here; whoever judges it parses it as what it should be.

use std::collections::BTreeMap;

use http::StatusCode;
use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::limits::{MESSAGE_CHARS_MAX, QUOTED_CHARS_MAX, WARNING_CHARS_MAX, WARNINGS_MAX};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// What an API server asks about one request that somebody made.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Names this question.
    pub uid: String,
    /// The kind of the object.
    pub kind: Kind,
    /// The subresource, such as `status`.
    #[serde(default)]
    pub sub_resource: Option<String>,
    /// The object's name; empty if the server is to make one up.
    #[serde(default)]
    pub name: String,
    /// The object's namespace; empty if it has none.
    #[serde(default)]
    pub namespace: String,
    /// What is to be done.
    pub operation: Operation,
    /// Who asks for it.
    pub user_info: User,
    /// The object as it would be.
    #[serde(default)]
    pub object: Option<Box<RawValue>>,
    /// The object as it is.
    #[serde(default)]
    pub old_object: Option<Box<RawValue>>,
    /// Nothing will be stored, whatever the answer is.
    #[serde(default)]
    pub dry_run: Option<bool>,
}

/// The kind of an object under review.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Kind {
    /// Its API group; empty for the core.
    #[serde(default)]
    pub group: String,
    /// Its version.
    pub version: String,
    /// Its name.
    pub kind: String,
}

/// What is to be done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// It is created.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// Something connects to it.
    Connect,
}

/// Who made a request, as the API server has authenticated them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct User {
    /// The name.
    #[serde(default)]
    pub username: String,
    /// What tells users of one name apart over time.
    #[serde(default)]
    pub uid: Option<String>,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What the authenticator says besides.
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What is said to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It may go on.
    Allow {
        /// Shown to the user.
        warnings: Vec<String>,
    },
    /// It may not.
    Deny(Denial),
    /// It may go on with these changes to the object.
    Patch {
        /// The operations of a JSON patch.
        operations: Vec<Value>,
    },
}

/// Why a request may not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The HTTP status that the user gets.
    pub code: StatusCode,
    /// The same for programs, such as `Forbidden`.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Answer {
    /// It may go on, and there is nothing to say.
    pub const fn allow() -> Self {
        Self::Allow { warnings: Vec::new() }
    }

    /// What is asked for makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::deny(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// Whoever asks may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::deny(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// It cannot be told now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::deny(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// It may not go on.
    pub fn deny(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self::Deny(Denial { code, reason, message: message.into() })
    }
}

/// Why something is not a review that can be answered in substance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not JSON, or not an object.
    #[error("the body is not an AdmissionReview: {0}")]
    NotAReview(String),
    /// It is another version, or another kind.
    #[error("the body is {kind} of {api_version}; only AdmissionReview of admission.k8s.io/v1 is understood")]
    WrongVersion {
        /// What it says it is.
        api_version: String,
        /// What it says it is.
        kind: String,
    },
    /// It has no request.
    #[error("the AdmissionReview has no request with a uid")]
    NoRequest,
    /// It has a request that cannot be understood.
    #[error("the request cannot be understood: {message}")]
    Request {
        /// Names the question, so that it can be answered.
        uid: String,
        /// What is wrong.
        message: String,
    },
}

/// The part of a review that says what the rest is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default, borrow)]
    request: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named {
    uid: String,
}

/// Reads a review.
pub fn parse(body: &[u8]) -> Result<Request, Malformed> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|error| Malformed::NotAReview(quoted(&error.to_string())))?;
    if envelope.api_version != API_VERSION || envelope.kind != KIND {
        let (api_version, kind) = (quoted(&envelope.api_version), quoted(&envelope.kind));
        return Err(Malformed::WrongVersion { api_version, kind });
    }
    let request = envelope.request.ok_or(Malformed::NoRequest)?;
    let named: Named = serde_json::from_str(request.get()).map_err(|_| Malformed::NoRequest)?;
    if named.uid.is_empty() {
        return Err(Malformed::NoRequest);
    }
    serde_json::from_str(request.get())
        .map_err(|error| Malformed::Request { uid: quoted(&named.uid), message: quoted(&error.to_string()) })
}

/// The part of an answer that answers.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<ByteString>,
}

/// The answer to a review, as the API server reads it.
pub(super) fn respond(uid: &str, answer: &Answer) -> Value {
    let allowed = Response { uid, allowed: true, ..Response::default() };
    let response = match answer {
        Answer::Allow { warnings } => {
            let cut = |warning: &String| warning.chars().take(WARNING_CHARS_MAX).collect();
            Response { warnings: warnings.iter().take(WARNINGS_MAX).map(cut).collect(), ..allowed }
        }
        Answer::Deny(Denial { code, reason, message }) => {
            Response { allowed: false, status: Some(status(*code, reason, message)), ..allowed }
        }
        Answer::Patch { operations } if operations.is_empty() => allowed,
        Answer::Patch { operations } => Response {
            patch_type: Some("JSONPatch"),
            patch: Some(ByteString(json!(operations).to_string().into_bytes())),
            ..allowed
        },
    };
    json!({"apiVersion": API_VERSION, "kind": KIND, "response": response})
}

/// A `metav1.Status` of a failure.
pub(super) fn status(code: StatusCode, reason: &str, message: &str) -> Value {
    let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "code": code.as_u16(),
        "reason": reason,
        "message": message,
    })
}

/// A value from outside, cut and without what a terminal would act on.
pub(super) fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(QUOTED_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::limits::BODY_BYTES_MAX;
    use super::*;

    fn review() -> Value {
        json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "request": {
                "uid": "0b5e",
                "kind": {"group": "groundskeeper.dev", "version": "v1alpha1", "kind": "GarbageCollectionPolicy"},
                "resource": {"group": "groundskeeper.dev", "version": "v1alpha1", "resource": "garbagecollectionpolicies"},
                "operation": "CREATE",
                "namespace": "team",
                "userInfo": {"username": "ada", "groups": ["developers"], "extra": {"scopes": ["all"]}},
                "object": {"metadata": {"name": "sweep"}},
                "oldObject": null,
                "dryRun": false,
                "options": {"kind": "CreateOptions"},
            },
        })
    }

    fn parsed(review: &Value) -> Result<Request, Malformed> {
        parse(review.to_string().as_bytes())
    }

    #[test]
    fn a_review_is_read_with_what_a_decision_needs() {
        let request = parsed(&review()).unwrap();
        assert_eq!((request.uid.as_str(), request.operation), ("0b5e", Operation::Create));
        assert_eq!(request.user_info.groups, ["developers"]);
        assert!(request.object.is_some() && request.old_object.is_none());
    }

    #[test]
    fn what_is_no_review_is_named() {
        let with = |pointer: &str, value: Value| {
            let mut changed = review();
            *changed.pointer_mut(pointer).unwrap() = value;
            parsed(&changed).unwrap_err().to_string()
        };
        let table = [
            (parse(b"").unwrap_err().to_string(), "not an AdmissionReview"),
            (parse(b"[]").unwrap_err().to_string(), "only AdmissionReview of"),
            (parse(b"\xff\xfe").unwrap_err().to_string(), "not an AdmissionReview"),
            (
                with("/apiVersion", json!("admission.k8s.io/v1beta1")),
                "only AdmissionReview of admission.k8s.io/v1",
            ),
            (with("/kind", json!("Pod")), "the body is Pod of"),
            (with("/request", json!(null)), "no request"),
            (with("/request/uid", json!(3)), "no request with a uid"),
            (with("/request/uid", json!("")), "no request with a uid"),
            (with("/request/operation", json!("PONDER")), "unknown variant `PONDER`"),
            (with("/request/userInfo", json!("ada")), "the request cannot be understood"),
        ];
        for (found, expected) in table {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn a_request_that_cannot_be_understood_can_still_be_answered() {
        let mut odd = review();
        odd["request"]["operation"] = json!("PONDER");
        let Err(Malformed::Request { uid, message }) = parsed(&odd) else { panic!("{odd}") };
        let answer = respond(&uid, &Answer::deny(StatusCode::BAD_REQUEST, "BadRequest", message));
        assert_eq!(answer["response"]["uid"], "0b5e");
        assert_eq!(answer["response"]["status"]["code"], 400);
    }

    #[test]
    fn nesting_without_end_is_no_danger() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let depth = 200_000;
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(parse(deep.as_bytes()).is_err());
            let inside = review().to_string().replace(r#"{"metadata":{"name":"sweep"}}"#, &deep);
            let request = parse(inside.as_bytes()).unwrap();
            let object = request.object.unwrap();
            assert!(serde_json::from_str::<Value>(object.get()).is_err(), "whoever parses it is told");
        }
    }

    #[test]
    fn a_review_of_the_largest_size_is_read() {
        let mut large = review();
        large["request"]["object"] = json!({"data": "x".repeat(BODY_BYTES_MAX - 2_000)});
        assert!(parsed(&large).is_ok());
    }

    #[test]
    fn answers_are_those_of_the_api() {
        let allowed = respond("u", &Answer::Allow { warnings: vec!["w".repeat(300); 20] });
        assert_eq!(allowed["response"]["allowed"], true);
        assert_eq!(allowed["response"]["warnings"].as_array().unwrap().len(), WARNINGS_MAX);
        assert_eq!(allowed["response"]["warnings"][0].as_str().unwrap().len(), WARNING_CHARS_MAX);
        let denied = respond("u", &Answer::forbidden("no"));
        assert_eq!(denied["response"]["allowed"], false);
        assert_eq!(denied["response"]["status"]["reason"], "Forbidden");
        let patched =
            respond("u", &Answer::Patch { operations: vec![json!({"op": "remove", "path": "/a"})] });
        assert_eq!(patched["response"]["patch"], "W3sib3AiOiJyZW1vdmUiLCJwYXRoIjoiL2EifV0=");
        let unchanged = respond("u", &Answer::Patch { operations: Vec::new() });
        assert!(unchanged["response"].get("patch").is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..2_000)) {
            drop(parse(&body));
        }

        #[test]
        fn no_damage_to_a_review_makes_it_panic(at in 0_usize..1_000, byte in any::<u8>(), cut in 0_usize..1_000) {
            let mut bytes = review().to_string().into_bytes();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            drop(parse(&bytes));
        }
    }
}
