//! The marks by which objects say themselves when their time is up: ours, and those of other tools.

/// Our annotation for a time to live, such as `5d12h`, counted from the object's creation.
pub const TTL_ANNOTATION: &str = "groundskeeper.dev/ttl";

/// Our annotation for the moment at which an object's time is up, such as `2027-01-01T00:00:00Z`.
pub const EXPIRES_ANNOTATION: &str = "groundskeeper.dev/expires";

/// Kyverno's label: a duration, `2027-01-01T000000Z` or `2027-01-01`.
pub const KYVERNO_TTL_LABEL: &str = "cleanup.kyverno.io/ttl";

/// kube-janitor's annotation: a number with one of the units s, m, h, d and w, or `forever`.
pub const JANITOR_TTL_ANNOTATION: &str = "janitor/ttl";

/// kube-janitor's annotation: `2027-01-01T00:00:00Z`, `2027-01-01T00:00` or `2027-01-01`.
pub const JANITOR_EXPIRES_ANNOTATION: &str = "janitor/expires";

/// k8s-ttl-controller's annotation: a duration as Go writes it, also with days and weeks.
pub const TTL_CONTROLLER_TTL_ANNOTATION: &str = "k8s-ttl-controller.twin.sh/ttl";

/// k8s-ttl-controller's annotation: the moment from which the time to live counts instead of the object's creation.
pub const TTL_CONTROLLER_REFRESHED_AT_ANNOTATION: &str = "k8s-ttl-controller.twin.sh/refreshed-at";
