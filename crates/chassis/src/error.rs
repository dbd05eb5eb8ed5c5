//! What can go wrong with a call, and what happens next.

use std::time::Duration;

use crate::limits::API_MESSAGE_CHARS_MAX;

/// What happens after a failure; also the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// It may work later by itself: back off.
    Transient,
    /// Somebody else was faster: look again, decide again.
    Conflict,
    /// We lack a right: wait for a change of rights, and say which.
    Denied,
    /// What was asked for makes no sense: wait for a change of the object.
    Invalid,
    /// We are wrong.
    Bug,
}

impl Class {
    /// The label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Bug => "bug",
        }
    }
}

/// Says what happens after an error.
pub trait Classify {
    /// The class of this error.
    fn class(&self) -> Class;
}

/// Why a call to the API server did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// The server answered, and said no.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// The machine-readable reason, such as `NotFound`.
        reason: String,
        /// The server's words, cut to a readable length.
        message: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("no answer from the API server within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The server could not be reached, or the connection broke.
    #[error("cannot reach the API server: {0}")]
    Unreachable(String),
    /// The answer is not what the API promises.
    #[error("cannot understand the API server's answer: {0}")]
    Garbled(String),
}

impl ApiError {
    /// The HTTP status of a refusal.
    pub const fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl ApiError {
    /// Whether what was asked for may have been done all the same: the answer was lost, or says that the server gave up
    /// waiting for a part of itself.
    pub const fn leaves_open(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Unreachable(_) | Self::Refused { code: 500..=599, .. })
    }
}

impl Classify for ApiError {
    fn class(&self) -> Class {
        match self {
            Self::Refused { code: 401 | 403, .. } => Class::Denied,
            Self::Refused { code: 409, .. } => Class::Conflict,
            Self::Refused { code: 400 | 404 | 405 | 406 | 410 | 413 | 415 | 422, .. } => Class::Invalid,
            Self::Refused { .. } | Self::TimedOut(_) | Self::Unreachable(_) => Class::Transient,
            Self::Garbled(_) => Class::Bug,
        }
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(*status),
            kube::Error::SerdeError(error) => Self::Garbled(error.to_string()),
            kube::Error::BuildRequest(error) => Self::Garbled(error.to_string()),
            other => Self::Unreachable(root_cause(&other)),
        }
    }
}

impl From<kube::core::Status> for ApiError {
    fn from(status: kube::core::Status) -> Self {
        let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        Self::Refused {
            code: status.code,
            reason: status.reason,
            message: status.message.chars().take(API_MESSAGE_CHARS_MAX).collect(),
            retry_after: (seconds > 0).then(|| Duration::from_secs(u64::from(seconds))),
        }
    }
}

/// The innermost cause: "connection refused" says more than the layers that it went through.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut current = error;
    for _ in 0..16 {
        match current.source() {
            Some(source) => current = source,
            None => break,
        }
    }
    current.to_string()
}
