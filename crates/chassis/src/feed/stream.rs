//! A watch as a stream of events: lines of JSON, or frames of protobuf.
//!
//! Knows nothing of what the events mean.

use std::time::Duration;

use control::Mutant;
use futures::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, TryStreamExt as _};
use http_body_util::BodyExt as _;
use kube::Client;

use crate::client::{Encoding, send};
use crate::error::ApiError;
use crate::limits::WATCH_LINE_BYTES_MAX;

/// Why there is no next event.
#[derive(Debug)]
pub(super) enum Broken {
    /// Nothing came for this long.
    Silent(Duration),
    Failed(ApiError),
}

impl From<ApiError> for Broken {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// Opens a stream of events; says how they are written.
pub(super) async fn open(
    client: &Client,
    request: http::Request<Vec<u8>>,
) -> Result<(Encoding, impl AsyncBufRead + Unpin + use<>), ApiError> {
    let (encoding, body) = send(client, request).await?;
    let body = body.into_data_stream().map_err(std::io::Error::other);
    Ok((encoding, Box::pin(body.into_async_read())))
}

/// Reads the next event; false at the end. An end within an event counts as an end: the watch resumes before it.
pub(super) async fn next(
    stream: &mut (impl AsyncBufRead + Unpin),
    encoding: Encoding,
    event: &mut Vec<u8>,
    silence_max: Duration,
) -> Result<bool, Broken> {
    event.clear();
    let silence_max = if Mutant::SilenceBelieved.is_on() { Duration::from_hours(24) } else { silence_max };
    let reading = async {
        match encoding {
            Encoding::Json => line(stream, event).await,
            Encoding::Protobuf => framed(stream, event).await,
        }
    };
    match tokio::time::timeout(silence_max, reading).await {
        Err(_) => Err(Broken::Silent(silence_max)),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Ok(Err(error)) => Err(ApiError::Unreachable(error.to_string()).into()),
        Ok(Ok(Length::TooLong)) => {
            Err(ApiError::Garbled(format!("a watch event is longer than {WATCH_LINE_BYTES_MAX} bytes"))
                .into())
        }
        Ok(Ok(Length::Whole)) => Ok(true),
        Ok(Ok(Length::Cut)) => Ok(false),
    }
}

/// How much of an event was read.
enum Length {
    Whole,
    Cut,
    TooLong,
}

async fn line(stream: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> std::io::Result<Length> {
    let limit = u64::try_from(WATCH_LINE_BYTES_MAX).unwrap_or(u64::MAX);
    stream.take(limit).read_until(b'\n', line).await?;
    Ok(match line.len() {
        length if length >= WATCH_LINE_BYTES_MAX => Length::TooLong,
        _ if line.ends_with(b"\n") => Length::Whole,
        _ => Length::Cut,
    })
}

async fn framed(stream: &mut (impl AsyncBufRead + Unpin), frame: &mut Vec<u8>) -> std::io::Result<Length> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length);
    if usize::try_from(length).map_or(true, |length| length > WATCH_LINE_BYTES_MAX) {
        return Ok(Length::TooLong);
    }
    // What is held grows with what comes, not with what was announced.
    let read = stream.take(length.into()).read_to_end(frame).await?;
    Ok(if u32::try_from(read) == Ok(length) { Length::Whole } else { Length::Cut })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;

    const SOON: Duration = Duration::from_secs(5);

    async fn events(encoding: Encoding, bytes: &[u8]) -> Vec<Result<Vec<u8>, ()>> {
        let (mut stream, mut event, mut events) = (Cursor::new(bytes.to_vec()), Vec::new(), Vec::new());
        loop {
            match next(&mut stream, encoding, &mut event, SOON).await {
                Ok(true) => events.push(Ok(event.clone())),
                Ok(false) => return events,
                Err(Broken::Failed(ApiError::Garbled(_))) => {
                    events.push(Err(()));
                    return events;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn events_end_where_their_form_says_and_one_that_is_cut_off_is_none() {
        let ok = |event: &[u8]| Ok(event.to_vec());
        assert_eq!(events(Encoding::Json, b"{1}\n{22}\n{3").await, [ok(b"{1}\n"), ok(b"{22}\n")]);
        let frames = b"\0\0\0\x01a\0\0\0\0\0\0\0\x03bcd";
        assert_eq!(events(Encoding::Protobuf, frames).await, [ok(b"a"), ok(b""), ok(b"bcd")]);
        for cut in [&b""[..], b"\0\0", b"\0\0\0\x02", b"\0\0\0\x02a"] {
            let bytes = [&b"\0\0\0\x01a"[..], cut].concat();
            assert_eq!(events(Encoding::Protobuf, &bytes).await, [ok(b"a")], "{cut:?}");
        }
    }

    #[tokio::test]
    async fn no_event_is_longer_than_the_longest_whatever_it_says() {
        assert_eq!(events(Encoding::Protobuf, b"\xff\xff\xff\xffabc").await, [Err(())]);
        let endless = vec![b'x'; WATCH_LINE_BYTES_MAX + 1];
        assert_eq!(events(Encoding::Json, &endless).await, [Err(())]);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_within_an_event_too() {
        let mut stream = futures::io::BufReader::new(Silent);
        let mut event = Vec::new();
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let next = next(&mut stream, encoding, &mut event, SOON).await;
            assert!(matches!(next, Err(Broken::Silent(SOON))), "{next:?}");
        }
    }

    /// Nothing ever comes.
    struct Silent;

    impl futures::AsyncRead for Silent {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut [u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            std::task::Poll::Pending
        }
    }
}
