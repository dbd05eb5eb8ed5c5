//! Everything that talks to a cluster, and everything that all controllers share.
//!
//! Client, discovery, feeds (watches), actuator, budgets, events, status writes, metrics, logs, health, shutdown. Knows
//! none of the controllers and none of their rules. What can fail here is the outside world; every failure has a
//! [`Class`] that says what happens next.
//!
//! Invariants: nothing is deleted but through the [`actuator`]; every call has a deadline, every queue a bound; a feed
//! that has been silent for too long is not live, and nothing is deleted on the word of a feed that is not live.

#![forbid(unsafe_code)]

mod access;
pub mod actuator;
pub mod admission;
mod client;
mod controller_thread;
mod discovery;
mod error;
mod events;
mod feed;
mod health;
mod http;
pub mod lease;
pub mod ledger;
pub mod limits;
mod metrics;
pub mod objects;
mod openapi;
mod paths;
pub mod reconcile;
pub mod rights;
mod secret;
mod service_account;
mod settlement;
mod status;
mod supervisor;
pub mod takeover;
mod telemetry;
mod trace;
pub mod writes;

pub use access::{Access, AccessReviews, Attributes, Subject};
pub use client::{ClientOptions, ConnectError, connect, connect_measured};
pub use controller_thread::ControllerThread;
pub use discovery::{Resource, Unserved, resolve};
pub use error::{ApiError, Class, Classify};
pub use events::{Event, EventType, Recorder, Regarding, recorder};
pub use feed::{
    Continuity, Feed, FeedEvent, FeedId, FeedState, FeedTarget, Feeds, Parked, Pushed, ReadProtobuf,
    Representation, View, count, list,
};
pub use health::{Check, Health, Ticker};
pub use http::{Endpoint, Pages, Scrapers, serve};
pub use metrics::{MetricName, Metrics};
pub use openapi::OpenApi;
pub use secret::Redacted;
pub use service_account::{InvalidServiceAccount, ServiceAccountName};
pub use settlement::{is_there, settle};
pub use status::write_status;
pub use supervisor::{Exit, Stage, Supervisor};
pub use telemetry::{LogFormat, LogLevel, Telemetry, check_log_level, start_telemetry};
pub use trace::{Trace, TraceTarget, Traces};
