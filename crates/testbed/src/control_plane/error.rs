//! Why a control plane did not start, or did not do what was asked.

use std::io;
use std::path::PathBuf;

use crate::binaries::BinariesError;

/// Why there is no control plane.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There are no programs to run.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// No port could be had from the system.
    #[error("the system gives no free ports on loopback")]
    Ports(#[source] io::Error),
    /// The control plane's directory could not be set up.
    #[error("cannot prepare {}", .path.display())]
    Prepare {
        /// What was to be written.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate for {subject}")]
    Certificate {
        /// Whose.
        subject: String,
        /// Why it failed.
        source: rcgen::Error,
    },
    /// A client for the API server could not be made.
    #[error("cannot make a client for the API server")]
    Client(#[source] kube::Error),
    /// A server's program could not be run.
    #[error("cannot run {server}")]
    Spawn {
        /// Which one.
        server: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A server listens on a port that somebody else has taken, in every attempt.
    #[error(
        "{server} found its port taken, although it was free a moment before; something on this machine takes ports \
         as fast as they are given out (the log is {})", .log.display()
    )]
    PortBusy {
        /// Which server.
        server: String,
        /// Its log, kept.
        log: PathBuf,
    },
    /// A server ended before it was ready.
    #[error("{server} ended before it was ready ({status}); its log is {}, and ends:\n{last_lines}", .log.display())]
    Exited {
        /// Which one.
        server: String,
        /// How it ended.
        status: String,
        /// Its log, kept.
        log: PathBuf,
        /// The end of it.
        last_lines: String,
    },
    /// A server runs, but is not ready.
    #[error(
        "{server} was not ready after {} s ({last}); its log is {}, and ends:\n{last_lines}",
        crate::limits::READY_DEADLINE.as_secs(), .log.display()
    )]
    NotReady {
        /// Which one.
        server: String,
        /// What it answered last.
        last: String,
        /// Its log, kept.
        log: PathBuf,
        /// The end of it.
        last_lines: String,
    },
    /// The runtime that called is shutting down.
    #[error("the start was abandoned: the async runtime is shutting down")]
    Abandoned,
}

/// Why the cluster does not have what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The API server refused, or could not be reached.
    #[error("{doing}")]
    Api {
        /// What was tried.
        doing: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// It was accepted, but is not usable.
    #[error("{doing}: not usable after {} s: {last}", crate::limits::OBJECT_DEADLINE.as_secs())]
    Late {
        /// What was tried.
        doing: String,
        /// What was seen last.
        last: String,
    },
    /// There is nobody who would play the node.
    #[error("node `{node}` would never be ready: start the control plane with `Options::kwok(true)`")]
    NoKwok {
        /// Its name.
        node: String,
    },
}
