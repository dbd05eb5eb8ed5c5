//! Answers of the API server in the form that it chose: JSON, or protobuf where both know it.
//!
//! To write protobuf costs the server a third of what JSON does, but custom resources, and other servers of the same
//! cluster, may know JSON alone. So whoever asks for protobuf takes JSON as well, and looks here at what came. The numbers
//! of fields are those of `generated.proto` in `k8s.io/apimachinery` (`runtime.Unknown`, `meta/v1.Status` and
//! `StatusDetails`), which never change.

use http::header;
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use kube::core::response::StatusDetails;
use views::protobuf::{Content, Malformed, Message};

use super::bounded;
use crate::error::ApiError;
use crate::limits::{ANSWER_BYTES_MAX, CALL_TIMEOUT};

/// The form of protobuf.
pub(crate) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What each message begins with that is told apart by its kind.
const MAGIC: &[u8] = b"k8s\0";

/// How something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As JSON; a watch has each event in a line.
    Json,
    /// As protobuf; a watch has each event behind its length, four bytes with the highest first.
    Protobuf,
}

impl Encoding {
    fn of(response: &http::Response<Body>) -> Self {
        let form = response.headers().get(header::CONTENT_TYPE).and_then(|form| form.to_str().ok());
        if form.is_some_and(|form| form.starts_with(PROTOBUF)) { Self::Protobuf } else { Self::Json }
    }
}

/// Sends a request, and hears how the answer is written; what is no success is an error.
pub(crate) async fn send(
    client: &Client,
    request: http::Request<Vec<u8>>,
) -> Result<(Encoding, Body), ApiError> {
    let response = bounded(client.send(request.map(Body::from))).await?;
    let encoding = Encoding::of(&response);
    if response.status().is_success() {
        return Ok((encoding, response.into_body()));
    }
    Err(refused(encoding, response).await)
}

/// Sends a request of which only matters whether it was accepted.
pub(crate) async fn accepted(client: &Client, request: http::Request<Vec<u8>>) -> Result<(), ApiError> {
    let call = async {
        let (_, mut body) = send(client, request).await?;
        // What comes is let go; but where an answer is not read to its end, its connection cannot be used again.
        while let Some(frame) = body.frame().await {
            frame.map_err(ApiError::from)?;
        }
        Ok(())
    };
    let late = || Err(ApiError::TimedOut(CALL_TIMEOUT));
    tokio::time::timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|_| late())
}

/// What the server says instead of what was asked for.
async fn refused(encoding: Encoding, response: http::Response<Body>) -> ApiError {
    let code = response.status().as_u16();
    let read = async { Ok(Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await) };
    let body = match bounded(read).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return ApiError::Unreachable(error.to_string()),
        Err(error) => return error,
    };
    let status = match encoding {
        Encoding::Json => serde_json::from_slice(&body).ok(),
        Encoding::Protobuf => content(&body).and_then(status).ok(),
    };
    // What stands between us and the server may answer in words of its own.
    let in_words = || Status::failure(String::from_utf8_lossy(&body).trim(), "").with_code(code);
    ApiError::from(status.unwrap_or_else(in_words))
}

/// A message itself, out of the envelope that names its kind.
pub(crate) fn content(enveloped: &[u8]) -> Result<&[u8], Malformed> {
    let envelope = enveloped.strip_prefix(MAGIC).ok_or(Malformed)?;
    Ok(Message::new(envelope).bytes(2)?.unwrap_or_default())
}

/// A refusal.
pub(crate) fn status(message: &[u8]) -> Result<Status, Malformed> {
    let mut status = Status::default();
    let mut fields = Message::new(message);
    while let Some(field) = fields.next_field()? {
        match field {
            (3, Content::Bytes(message)) => status.message = String::from_utf8_lossy(message).into_owned(),
            (4, Content::Bytes(reason)) => status.reason = String::from_utf8_lossy(reason).into_owned(),
            (5, Content::Bytes(message)) => status.details = Some(details(message)?),
            (6, Content::Number(code)) => status.code = u16::try_from(code).unwrap_or_default(),
            _ => {}
        }
    }
    Ok(status)
}

/// Of the details, when to come again: the rest is said by the message, too.
fn details(message: &[u8]) -> Result<StatusDetails, Malformed> {
    let mut retry_after_seconds = 0;
    let mut fields = Message::new(message);
    while let Some(field) = fields.next_field()? {
        if let (5, Content::Number(seconds)) = field {
            retry_after_seconds = u32::try_from(seconds).unwrap_or_default();
        }
    }
    let (name, group, kind, uid) = Default::default();
    Ok(StatusDetails { name, group, kind, uid, causes: Vec::new(), retry_after_seconds })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A field of bytes, so few that one byte says how many.
    fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
        [&[field << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn busy() -> Vec<u8> {
        let details = [bytes(1, b"a"), vec![5 << 3, 3]].concat();
        let fields = [
            bytes(2, b"Failure"),
            bytes(3, b"wait a little"),
            bytes(4, b"TooManyRequests"),
            bytes(5, &details),
            vec![6 << 3, 0xad, 3],
        ];
        [MAGIC.to_vec(), bytes(2, &fields.concat())].concat()
    }

    async fn read(encoding: Encoding, code: u16, body: &[u8]) -> ApiError {
        let response = http::Response::builder().status(code).body(Body::from(body.to_vec())).unwrap();
        refused(encoding, response).await
    }

    #[tokio::test]
    async fn a_refusal_says_the_same_in_every_form() {
        let json = br#"{"kind":"Status","status":"Failure","message":"wait a little","reason":"TooManyRequests","details":{"name":"a","retryAfterSeconds":3},"code":429}"#;
        for (encoding, body) in [(Encoding::Json, json.as_slice()), (Encoding::Protobuf, &busy())] {
            let ApiError::Refused { code, reason, message, retry_after } = read(encoding, 429, body).await
            else {
                panic!("it is a refusal")
            };
            assert_eq!(
                (code, &*reason, &*message),
                (429, "TooManyRequests", "wait a little"),
                "{encoding:?}"
            );
            assert_eq!(retry_after, Some(Duration::from_secs(3)), "{encoding:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_status_is_told_in_its_own_words() {
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let error = read(encoding, 502, b"<html>bad gateway</html>\n").await;
            assert!(
                matches!(&error, ApiError::Refused { code: 502, message, .. } if message == "<html>bad gateway</html>"),
                "{error:?}"
            );
        }
    }
}
