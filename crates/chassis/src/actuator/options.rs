//! The options of a deletion, in the two forms in which the API server reads them.
//!
//! Protobuf costs the server a small part of what JSON does, and is what its own controllers send. It is used for the kinds
//! that the server itself serves; what lies behind another server of the same cluster may know JSON alone.

use serde::Serialize;
use units::{ApiVersion, ResourceVersion, Uid};

use crate::client::PROTOBUF;

/// `DeleteOptions`, as far as we use them.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeleteOptions<'a> {
    pub(super) kind: &'static str,
    pub(super) api_version: &'static str,
    pub(super) propagation_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grace_period_seconds: Option<i64>,
    pub(super) preconditions: Preconditions<'a>,
}

/// What must still hold when the server gets to it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Preconditions<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<&'a Uid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_version: Option<&'a ResourceVersion>,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Protobuf,
}

impl Form {
    /// The form that whoever serves a kind understands for certain.
    pub(super) fn of(served: &ApiVersion) -> Self {
        // A group without a dot belongs to the API server: the name of a custom resource's or another server's is a domain.
        if served.group.contains('.') { Self::Json } else { Self::Protobuf }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => PROTOBUF,
        }
    }

    /// In which forms the answer may come. What is deleted may come back whole, which only the API server itself can write
    /// in protobuf.
    pub(super) const fn answers(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf,application/json",
        }
    }
}

impl DeleteOptions<'_> {
    pub(super) fn written(&self, form: Form) -> Result<Vec<u8>, serde_json::Error> {
        match form {
            Form::Json => serde_json::to_vec(self),
            Form::Protobuf => Ok(self.protobuf()),
        }
    }

    /// An envelope that names version and kind, around the message; the numbers are those of `generated.proto` in
    /// `k8s.io/apimachinery` (`runtime.Unknown`, `meta/v1.DeleteOptions`), which never change.
    fn protobuf(&self) -> Vec<u8> {
        let mut preconditions = Message::default();
        if let Some(uid) = self.preconditions.uid {
            preconditions.bytes(1, uid.to_string().as_bytes());
        }
        if let Some(version) = self.preconditions.resource_version {
            preconditions.bytes(2, version.to_string().as_bytes());
        }
        let mut options = Message::default();
        if let Some(seconds) = self.grace_period_seconds {
            options.integer(1, seconds);
        }
        options.bytes(2, &preconditions.0);
        options.bytes(4, self.propagation_policy.as_bytes());
        let mut about = Message::default();
        about.bytes(1, self.api_version.as_bytes());
        about.bytes(2, self.kind.as_bytes());
        let mut envelope = Message::default();
        envelope.0.extend_from_slice(b"k8s\0");
        envelope.bytes(1, &about.0);
        envelope.bytes(2, &options.0);
        envelope.0
    }
}

/// A message of protobuf, as far as it is written.
#[derive(Debug)]
struct Message(Vec<u8>);

/// Room for the longest of those that are written: UIDs have 36 digits, versions up to 20.
const MESSAGE_BYTES_USUAL: usize = 128;

impl Default for Message {
    fn default() -> Self {
        Self(Vec::with_capacity(MESSAGE_BYTES_USUAL))
    }
}

impl Message {
    fn bytes(&mut self, field: u8, content: &[u8]) {
        self.0.push(field << 3 | 2);
        self.varint(content.len() as u64);
        self.0.extend_from_slice(content);
    }

    fn integer(&mut self, field: u8, value: i64) {
        self.0.push(field << 3);
        self.varint(value.cast_unsigned());
    }

    /// Seven bits in each byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, value: u64) {
        let [low, ..] = value.to_le_bytes();
        let rest = value >> 7;
        if rest == 0 {
            return self.0.push(low);
        }
        self.0.push(low | 0x80);
        self.varint(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protobuf_is_for_what_the_api_server_itself_serves() {
        for (served, expected) in [
            ("v1", Form::Protobuf),
            ("batch/v1", Form::Protobuf),
            ("apps/v1", Form::Protobuf),
            ("example.com/v1", Form::Json),
            ("metrics.k8s.io/v1beta1", Form::Json),
        ] {
            assert_eq!(Form::of(&served.parse().unwrap()), expected, "{served}");
        }
    }

    #[test]
    fn the_envelope_is_as_the_api_server_writes_it() {
        let (uid, version) = (Uid::from("u-1"), ResourceVersion::from("7"));
        let options = DeleteOptions {
            kind: "DeleteOptions",
            api_version: "v1",
            propagation_policy: "Background",
            grace_period_seconds: Some(300),
            preconditions: Preconditions { uid: Some(&uid), resource_version: Some(&version) },
        };
        let expected = b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x19\x08\xac\x02\x12\x08\x0a\x03u-1\x12\x017\x22\x0aBackground";
        assert_eq!(options.protobuf(), expected);
    }
}
