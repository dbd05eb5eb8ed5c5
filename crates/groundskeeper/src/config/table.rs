//! The table of settings: a row each, with its place in the file, its flag, what it may be, and what it is unless told.
//!
//! Flags, environment variables, the checks of values, `config show` and the reference page are all made from it.

use api::DEFAULT_NAMESPACE;
use chassis::admission::limits::{LIFE_MAX, LIFE_MIN};
use chassis::limits::{
    DELETIONS_IN_FLIGHT_DEFAULT, DELETIONS_IN_FLIGHT_MAX, LEDGER_SEGMENT_BYTES_DEFAULT,
    LEDGER_SEGMENTS_DEFAULT, LEDGER_SEGMENTS_MIN,
};

use super::kind::Kind;

/// Of a certificate.
const LIFE: Kind = Kind::Span { least: LIFE_MIN.as_secs(), most: LIFE_MAX.as_secs() };

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its place in the file, such as `leases.renewDeadline`.
    pub path: &'static str,
    /// Its flag, without the dashes.
    pub flag: &'static str,
    /// What stands for its value in the help.
    pub value_name: &'static str,
    /// An older name of its environment variable, or one that others give.
    pub other_variable: Option<&'static str>,
    /// What it may be.
    pub kind: Kind,
    /// What it is unless told; none if there is nothing then.
    pub default: Option<Default>,
    /// Whether a change of the file takes effect without a restart.
    pub reload: Reload,
    /// What it means.
    pub help: &'static str,
}

/// What a setting is unless told.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// This text.
    Text(&'static str),
    /// This number.
    Number(u64),
}

/// When a change of the file takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Within seconds.
    Live,
    /// With the next start.
    Restart,
}

const fn setting(path: &'static str, flag: &'static str, kind: Kind, help: &'static str) -> Setting {
    let (value_name, default) = (kind.value_name(), None);
    Setting { path, flag, value_name, other_variable: None, kind, default, reload: Reload::Restart, help }
}

impl Setting {
    const fn is(self, text: &'static str) -> Self {
        Self { default: Some(Default::Text(text)), ..self }
    }

    const fn counts(self, number: u64) -> Self {
        Self { default: Some(Default::Number(number)), ..self }
    }

    const fn also(self, variable: &'static str) -> Self {
        Self { other_variable: Some(variable), ..self }
    }

    const fn live(self) -> Self {
        Self { reload: Reload::Live, ..self }
    }

    /// Its environment variable: `GROUNDSKEEPER_LEASES_RENEW_DEADLINE`.
    pub fn variable(&self) -> String {
        let mut name = String::from("GROUNDSKEEPER_");
        for char in self.path.chars() {
            match char {
                '.' => name.push('_'),
                upper if upper.is_ascii_uppercase() => name.extend(['_', upper]),
                lower => name.push(lower.to_ascii_uppercase()),
            }
        }
        name
    }

    /// What it is unless told, as text.
    pub fn default_text(&self) -> Option<String> {
        self.default.map(|default| match default {
            Default::Text(text) => text.to_owned(),
            Default::Number(number) => number.to_string(),
        })
    }
}

/// All settings, in the order of the reference page.
pub const SETTINGS: &[Setting] = &[
    setting("cluster.kubeconfig", "kubeconfig", Kind::Path,
        "The kubeconfig file. Without it: KUBECONFIG, then ~/.kube/config, then the pod's service account"),
    setting("cluster.context", "context", Kind::Text, "The context within the kubeconfig. Without it: the current one"),
    setting("namespace", "own-namespace", Kind::Namespace,
        "The namespace that this operator runs in; nothing in it is ever deleted")
        .is(DEFAULT_NAMESPACE).also("POD_NAMESPACE"),

    setting("leases.namespace", "lease-namespace", Kind::Namespace,
        "The namespace of the lease. Without it: the operator's own"),
    setting("leases.name", "lease-name", Kind::Name, "The name of the lease").is("groundskeeper-slot-0"),
    setting("leases.duration", "lease-duration", Kind::Span { least: 1, most: 600 },
        "How long others wait for a leader that has gone silent").is("15s"),
    setting("leases.renewDeadline", "lease-renew-deadline", Kind::Span { least: 1, most: 600 },
        "How long a leader that cannot renew its lease goes on; shorter than the duration").is("10s"),
    setting("leases.retryPeriod", "lease-retry-period", Kind::Span { least: 0, most: 600 },
        "How often the lease is renewed, or tried for; shorter than the deadline").is("2s"),

    setting("ledger.mode", "ledger", Kind::Choice(&["required", "best-effort", "off"]),
        "Whether every destructive act must be written down first, should be, or is not").is("required"),
    setting("ledger.directory", "ledger-dir", Kind::Path, "The folder of the ledger")
        .is("/var/lib/groundskeeper/ledger"),
    setting("ledger.segmentBytes", "ledger-segment-bytes",
        Kind::Number { least: 64 * 1024, most: 1024 * 1024 * 1024 },
        "Bytes of one file of the ledger; then the next begins").counts(LEDGER_SEGMENT_BYTES_DEFAULT),
    setting("ledger.keepSegments", "ledger-keep-segments", Kind::Number { least: LEDGER_SEGMENTS_MIN as u64, most: 10_000 },
        "Files of the ledger that are kept").counts(LEDGER_SEGMENTS_DEFAULT as u64),
    setting("ledger.anchorInterval", "ledger-anchor-interval", Kind::Span { least: 1, most: 86_400 },
        "How often the head of the ledger is written to the cluster, if it has changed").is("1m"),

    setting("watches.silenceMax", "watch-silence-max", Kind::Span { least: 5, most: 600 },
        "How long a watch may be silent before it counts as dead, and nothing is deleted on its word. The API server sends a sign of life about every minute; below that, watches are opened anew for nothing")
        .is("90s"),

    setting("webhook.bindAddress", "webhook-bind-address", Kind::Address,
        "Where admission reviews are answered. Without it: nowhere"),
    setting("webhook.certificates", "webhook-certificates", Kind::Certificates,
        "Where the webhook's certificate comes from: self is our own authority, kept in the Secret groundskeeper-webhook-tls of our namespace and rotated; directory:PATH holds tls.crt and tls.key, such as a mounted Secret of cert-manager")
        .is("self"),
    setting("webhook.authorityLife", "webhook-authority-life", LIFE, "How long our own authority lives").is("8760h"),
    setting("webhook.certificateLife", "webhook-certificate-life", LIFE,
        "How long our own certificate lives; it is renewed after two thirds. At most a third of the authority's").is("168h"),
    setting("webhook.clientCa", "webhook-client-ca", Kind::Path,
        "A PEM file with authorities: callers of the webhook must then show a certificate of one of them. Without it: none is demanded"),
    setting("webhook.clientNames", "webhook-client-name", Kind::Text,
        "The common names that a caller's certificate may have, separated by commas. Without it: any"),

    setting("policies.authorCheck", "author-check", Kind::Choice(&["required", "off"]),
        "Whether a policy acts only if its author may list and delete what it targets").is("required"),
    setting("plugins.allowPrivate", "plugin-allow-private", Kind::Text,
        "Hosts and networks, separated by commas, that cleanup plugins may call although their addresses are private, such as cmdb.example.com,10.1.0.0/16. Without it: none but what a CleanupPlugin allows by itself"),
    setting("plugins.allowLoopback", "plugin-allow-loopback", Kind::Switch,
        "Whether cleanup plugins may call this machine itself: for trials").is("false"),
    setting("limits.deletionsInFlight", "max-deletions-in-flight",
        Kind::Number { least: 1, most: DELETIONS_IN_FLIGHT_MAX as u64 },
        "How many deletions may be in flight at one time, over all policies: 1 to 256")
        .counts(DELETIONS_IN_FLIGHT_DEFAULT as u64),

    setting("metrics.bindAddress", "metrics-bind-address", Kind::Address,
        "Where /metrics is served. Port 0 takes a free one").is("127.0.0.1:8080"),
    setting("metrics.auth", "metrics-auth", Kind::Choice(&["auto", "required", "off"]),
        "Whether readers of metrics need a token with the right to get /metrics: required always asks, off never, auto unless the address is on loopback")
        .is("auto"),
    setting("health.bindAddress", "health-probe-bind-address", Kind::Address,
        "Where /livez, /readyz and /startupz are served; /metrics as well if it is the same address. Port 0 takes a free one")
        .is("127.0.0.1:8081"),

    setting("log.level", "log-level", Kind::LogLevel,
        "What is logged: off, error, warn, info, debug or trace, or a list such as info,chassis=debug")
        .is("info").also("GROUNDSKEEPER_LOG").live(),
    setting("log.format", "log-format", Kind::Choice(&["json", "text"]),
        "How it is logged: one JSON object per line, or text for people").is("json"),
    setting("traces.endpoint", "otlp-endpoint", Kind::Endpoint,
        "Where traces are sent by OTLP over gRPC, such as http://collector:4317. Without it: nowhere"),
    setting("traces.sampleRatio", "traces-sample-ratio", Kind::Ratio,
        "The share of traces that is sent, from 0 to 1").is("1").live(),
];
