//! What the policies and objects of this world are made of: its kinds, its namespaces, and how long things last in it.
//!
//! A step of this world may be minutes, so lives are long. The run on the real control plane
//! (`crates/groundskeeper/tests/adversary`) has terms of its own, and shares the rest.

pub(crate) const KINDS: [&str; 2] = ["ConfigMap", "Secret"];
pub(crate) const SPACES: [&str; 4] = ["team", "other", "kube-system", OWN_NAMESPACE];
pub(crate) const OWN_NAMESPACE: &str = "grounds";
pub(crate) const OWNERS_API_VERSION: &str = "v1";

pub(crate) fn api_version(_kind: &str) -> &'static str {
    "v1"
}

/// How many of a hundred policies are plain.
pub(crate) const PLAIN_PERCENT: usize = 40;

/// Seconds from creation to deletion.
pub(crate) const LIFE_SECONDS_MAX: i64 = 90;
pub(crate) const LIVES: [&str; 5] = ["5s", "90s", "1m", "2m30s", "1h"];
pub(crate) const LIVES_IN_FIELDS: [&str; 3] = ["30", "90s", "2m"];
pub(crate) const LIFE_AS_NUMBER: i64 = 40;
pub(crate) const LIFE_DEFAULT: &str = "100s";
/// What the word `short` stands for.
pub(crate) const SHORT_SECONDS: i64 = 7;
pub(crate) const MARKS: [&str; 6] = ["20s", "90", "2m", "odd", "0s", "forever"];
pub(crate) const JANITORS_MARKS: [&str; 4] = ["20s", "2m", "forever", "1m30s"];
pub(crate) const AGES_LEAST: [&str; 2] = ["10s", "1m"];

/// How far away the moments are that objects and policies name, in milliseconds.
pub(crate) const PAST_MAX: i64 = 120_000;
pub(crate) const FUTURE_MAX: i64 = 240_000;

/// How far away windows begin, and about how long they are.
pub(crate) const WINDOW_MINUTES_MAX: i64 = 20;
