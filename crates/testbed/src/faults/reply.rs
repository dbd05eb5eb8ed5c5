//! A reply's body on its way to the process.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

use super::trace::Ticket;

/// The connection breaks here: what the client has not got, it never gets.
#[derive(Debug, thiserror::Error)]
#[error("cut by a fault of the test, or because the API server is gone")]
pub(super) struct Cut;

#[derive(Debug)]
pub(super) enum Reply {
    Whole {
        bytes: Option<Bytes>,
        ticket: Option<Ticket>,
    },
    /// Byte for byte as it comes.
    Passing(kube::client::Body),
    /// What a watch's pump lets through; its end is the end.
    Lines(mpsc::Receiver<Result<Bytes, Cut>>),
}

impl Reply {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()), ticket: None }
    }

    /// The server's answer to a write, which is noted as delivered when the connection takes it.
    pub(super) fn to_write(bytes: Bytes, ticket: Ticket) -> Self {
        if bytes.is_empty() {
            ticket.delivered();
            return Self::whole(bytes);
        }
        Self::Whole { bytes: Some(bytes), ticket: Some(ticket) }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole { bytes, ticket } => {
                if let Some(ticket) = ticket.take() {
                    ticket.delivered();
                }
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            Self::Passing(body) => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(|_| Cut)))
            }
            Self::Lines(lines) => {
                let line = ready!(lines.poll_recv(context));
                Poll::Ready(line.map(|line| line.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole { bytes, .. } => bytes.is_none(),
            Self::Passing(body) => body.is_end_stream(),
            Self::Lines(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { bytes, .. } => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Passing(body) => body.size_hint(),
            Self::Lines(_) => SizeHint::default(),
        }
    }
}
