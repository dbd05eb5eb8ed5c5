//! Why a `CleanupPlugin` cannot be used, and what to write instead.

use node_cleanup::settings::InvalidSchema;

use crate::limits::CONCURRENCY_MAX;

/// Why a `CleanupPlugin` cannot be used, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlugin {
    /// It has no name; only possible in an object that no API server has seen.
    #[error("the plugin has no name: write metadata.name")]
    Nameless,
    /// Its name is that of a plugin that comes with us.
    #[error("`{name}` is a plugin that comes with us: give this one another name")]
    Taken {
        /// The name.
        name: String,
    },
    /// It is reached by nothing, or by two ways.
    #[error("a plugin is reached either by http or by job: write one of them")]
    NotOneWay,
    /// Its server cannot be called like this.
    #[error("spec.http: {0}")]
    Http(String),
    /// Its Job cannot be made like this.
    #[error("spec.job: {0}")]
    Job(String),
    /// Settings cannot be held against its schema.
    #[error("spec.{0}")]
    Schema(#[from] InvalidSchema),
    /// It would be given no step, or too many.
    #[error("spec.concurrency is {given}: write 1 to {CONCURRENCY_MAX}")]
    Concurrency {
        /// What was written.
        given: u32,
    },
}
