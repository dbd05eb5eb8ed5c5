//! What the policies and objects of this world are made of: its kinds, its namespaces, and how long things last in it.
//!
//! Time is real here, so lives are short. The simulation (`crates/gc/tests/adversary`) has terms of its own.

pub(crate) const KINDS: [&str; 3] = ["ConfigMap", "Leaf", "Secret"];
pub(crate) const SPACES: [&str; 4] = ["team", "other", "kube-system", OWN_NAMESPACE];
pub(crate) const OWN_NAMESPACE: &str = "groundskeeper-system";

/// The group of the kinds that are defined for this world: leaves, and owners.
pub(crate) const GROUP: &str = "adversary.example.com";
pub(crate) const OWNERS_API_VERSION: &str = "adversary.example.com/v1";
pub(crate) const OWNERS_KINDS: [&str; 2] = ["Pod", "Job"];

pub(crate) fn api_version(kind: &str) -> &'static str {
    if kind == "Leaf" { OWNERS_API_VERSION } else { "v1" }
}

/// How many of a hundred policies are plain.
pub(crate) const PLAIN_PERCENT: usize = 55;

/// Seconds from creation to deletion.
pub(crate) const LIFE_SECONDS_MAX: i64 = 6;
pub(crate) const LIVES: [&str; 5] = ["1s", "3s", "2s", "5s", "1h"];
pub(crate) const LIVES_IN_FIELDS: [&str; 3] = ["3", "4s", "2s"];
pub(crate) const LIFE_AS_NUMBER: i64 = 6;
pub(crate) const LIFE_DEFAULT: &str = "5s";
/// What the word `short` stands for.
pub(crate) const SHORT_SECONDS: i64 = 1;
pub(crate) const MARKS: [&str; 6] = ["2s", "4", "6s", "odd", "0s", "forever"];
pub(crate) const JANITORS_MARKS: [&str; 4] = ["2s", "5s", "forever", "1m30s"];
pub(crate) const AGES_LEAST: [&str; 2] = ["1s", "4s"];

/// How far away the moments are that objects and policies name, in milliseconds.
pub(crate) const PAST_MAX: i64 = 6_000;
pub(crate) const FUTURE_MAX: i64 = 10_000;

/// How far away windows begin, and about how long they are.
pub(crate) const WINDOW_MINUTES_MAX: i64 = 1;
