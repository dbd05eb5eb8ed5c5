//! Kubernetes events, sent in the background.
//!
//! A bounded queue and one sender: telling what was done never holds up doing it. Equal events become a series, and an
//! object gets so many and no more ([`correlate`]). What does not fit, or does not reach the server, is counted and let
//! go; status and logs say it too.
//!
//! Invariant: an event has one name from the first attempt to the last, so that an attempt whose answer was lost and the
//! next one are the same event.

mod correlate;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use control::{Clock, Mutant};
use jiff::Timestamp;
use kube::Client;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::within;
use crate::error::{ApiError, Class, Classify as _};
use crate::limits::{
    EVENT_ATTEMPT_TIMEOUT, EVENT_FLUSH_TIMEOUT, EVENT_NOTE_BYTES_MAX, EVENT_QUEUE_MAX, EVENT_RETRY_PAUSES,
};
use crate::metrics::{MetricName, Metrics};
use crate::paths;
use correlate::{Correlator, Outgoing, Verdict};

/// Who speaks, in `reportingController`.
const CONTROLLER: &str = "groundskeeper.dev/groundskeeper";

/// Something worth telling, about one object.
#[derive(Clone, Debug)]
pub struct Event {
    /// What it is about.
    pub regarding: Regarding,
    /// What else has a part in it.
    pub related: Option<Regarding>,
    /// Whether something is wrong.
    pub type_: EventType,
    /// Why, in one word.
    pub reason: &'static str,
    /// What was done, in one word.
    pub action: &'static str,
    /// What happened, as a sentence. Cut at 1,000 bytes.
    pub note: String,
    /// When it happened.
    pub at: Timestamp,
}

/// The object that an event is about.
#[derive(Clone, Debug)]
pub struct Regarding {
    /// Group and version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace; empty for an object of the cluster.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The incarnation.
    pub uid: String,
}

/// Whether something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Where events are handed in.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Event>,
    metrics: Metrics,
}

impl Recorder {
    /// Hands in an event; never waits.
    pub fn record(&self, event: Event) {
        if self.queue.try_send(event).is_err() {
            self.metrics.count(MetricName::EventsDropped, &[("reason", "queue_full")]);
        }
    }
}

/// A recorder, and the sender to run beside it.
///
/// The sender ends when it is told to and the queue is empty, or a few seconds after it is told to.
pub fn recorder(
    client: Client,
    instance: String,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> (Recorder, impl Future<Output = ()> + Send) {
    let (queue, waiting) = mpsc::channel(EVENT_QUEUE_MAX);
    let recorder = Recorder { queue, metrics: metrics.clone() };
    let sender = Sender { client, instance, metrics, clock, correlator: Correlator::default(), named: 0 };
    (recorder, sender.run(waiting, stop))
}

/// Sends events, one after the other.
struct Sender {
    client: Client,
    instance: String,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    correlator: Correlator,
    /// How many names have been given: tells those of one moment apart.
    named: u64,
}

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<Event>, stop: CancellationToken) {
        let over = async {
            stop.cancelled().await;
            tokio::time::sleep(EVENT_FLUSH_TIMEOUT).await;
        };
        let in_time = tokio::select! {
            () = self.send_all(&mut waiting, &stop) => true,
            () = over => false,
        };
        if !in_time {
            // The one that was being sent, and those behind it.
            let left = u64::try_from(waiting.len()).unwrap_or(u64::MAX).saturating_add(1);
            self.metrics.count_by(MetricName::EventsDropped, &[("reason", "shutdown")], left);
        }
    }

    /// Sends what comes until it is told to end, then what waits, then the counts that the server does not know.
    async fn send_all(&mut self, waiting: &mut mpsc::Receiver<Event>, stop: &CancellationToken) {
        loop {
            let event = tokio::select! {
                biased;
                event = waiting.recv() => event,
                () = stop.cancelled() => None,
            };
            let Some(event) = event else { break };
            self.take(event).await;
        }
        for outgoing in self.correlator.unsent() {
            // The count of a series is all that is lost.
            drop(self.patch(&outgoing).await);
        }
    }

    async fn take(&mut self, event: Event) {
        let now = self.clock.steady();
        self.named += 1;
        let name = name(&event, &self.instance, self.named);
        let (outgoing, sent) = match self.correlator.judge(event, now, || name) {
            Verdict::RateLimited => return self.dropped("rate_limited"),
            Verdict::Create(new) => {
                let sent = self.create(&new).await;
                (new, sent)
            }
            Verdict::Again(one) => {
                let mut sent = self.patch(&one).await;
                if sent.as_ref().is_err_and(|error| error.code() == Some(404)) {
                    // The server keeps events for an hour only.
                    sent = self.create(&one).await;
                }
                (one, sent)
            }
        };
        match sent {
            Ok(()) => self.metrics.count(MetricName::EventsSent, &[]),
            Err(error) => {
                self.dropped("send_failed");
                self.correlator.lost(&outgoing);
                let Event { reason, regarding, .. } = outgoing.event;
                tracing::warn!(reason, object = regarding.name, %error, "an event was not accepted");
            }
        }
    }

    async fn create(&self, outgoing: &Outgoing) -> Result<(), ApiError> {
        let mut outgoing = outgoing.clone();
        let mut pauses = EVENT_RETRY_PAUSES.iter();
        loop {
            let body = body(&outgoing, &self.instance).to_string().into_bytes();
            let request = http::Request::post(path(&outgoing.event))
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(body);
            match self.send(request).await {
                // An attempt whose answer was lost went through.
                Err(error) if error.code() == Some(409) => return Ok(()),
                Err(error) if may_pass(&error) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => return Err(error),
                },
                other => return other,
            }
            if Mutant::CreateRetried.is_on() {
                outgoing.name.push('x');
            }
        }
    }

    async fn patch(&self, outgoing: &Outgoing) -> Result<(), ApiError> {
        let path = format!("{}/{}", path(&outgoing.event), paths::segment(&outgoing.name));
        let body = json!({"series": series(outgoing)}).to_string().into_bytes();
        let mut pauses = EVENT_RETRY_PAUSES.iter();
        loop {
            let request = http::Request::patch(&path)
                .header(http::header::CONTENT_TYPE, "application/merge-patch+json")
                .body(body.clone());
            match self.send(request).await {
                Err(error) if may_pass(&error) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => return Err(error),
                },
                other => return other,
            }
        }
    }

    async fn send(&self, request: http::Result<http::Request<Vec<u8>>>) -> Result<(), ApiError> {
        let request = request.map_err(|error| ApiError::Garbled(error.to_string()))?;
        within(EVENT_ATTEMPT_TIMEOUT, self.client.request_text(request)).await.map(drop)
    }

    fn dropped(&self, reason: &str) {
        self.metrics.count(MetricName::EventsDropped, &[("reason", reason)]);
    }
}

/// Whether a later attempt may succeed where this one has not.
fn may_pass(error: &ApiError) -> bool {
    error.class() == Class::Transient
}

/// Where the events about an object are: in its namespace; those of cluster objects are in `default`.
fn path(event: &Event) -> String {
    let version = units::ApiVersion { group: "events.k8s.io".to_owned(), version: "v1".to_owned() };
    paths::collection(&version, "events", Some(namespace(event)))
}

fn namespace(event: &Event) -> &str {
    if event.regarding.namespace.is_empty() { "default" } else { &event.regarding.namespace }
}

/// As client-go names them: unique by time. The number tells those of one moment apart, the hash those of two replicas.
fn name(event: &Event, instance: &str, number: u64) -> String {
    let mut hasher = DefaultHasher::new();
    instance.hash(&mut hasher);
    let replica = hasher.finish() & 0xffff;
    let stem: String = event.regarding.name.chars().take(200).collect();
    let stem = stem.trim_end_matches(|char: char| !char.is_ascii_alphanumeric());
    format!("{stem}.{:x}{number:x}{replica:04x}", event.at.as_microsecond())
}

fn body(outgoing: &Outgoing, instance: &str) -> serde_json::Value {
    let Outgoing { event, name, count, .. } = outgoing;
    let type_ = match event.type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    };
    let mut body = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace(event)},
        "eventTime": microseconds(event.at),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "action": event.action,
        "reason": event.reason,
        "type": type_,
        "note": cut(&event.note.replace(char::is_control, "\u{fffd}")),
        "regarding": reference(&event.regarding),
    });
    let related = event.related.as_ref().map(|related| ("related", reference(related)));
    let series = (*count > 1).then(|| ("series", series(outgoing)));
    for (field, value) in related.into_iter().chain(series) {
        if let Some(body) = body.as_object_mut() {
            body.insert(field.to_owned(), value);
        }
    }
    body
}

fn reference(of: &Regarding) -> serde_json::Value {
    let Regarding { api_version, kind, namespace, name, uid } = of;
    json!({"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "uid": uid})
}

fn series(outgoing: &Outgoing) -> serde_json::Value {
    json!({"count": outgoing.count, "lastObservedTime": microseconds(outgoing.last)})
}

fn microseconds(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// A note within its limit, cut between characters.
fn cut(note: &str) -> &str {
    note.get(..note.floor_char_boundary(EVENT_NOTE_BYTES_MAX)).unwrap_or(note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SHUTDOWN_RECORD_TIMEOUT;

    fn event() -> Event {
        Event {
            regarding: Regarding {
                api_version: "v1".into(),
                kind: "K".into(),
                namespace: "n".into(),
                name: "x".into(),
                uid: "u".into(),
            },
            related: None,
            type_: EventType::Normal,
            reason: "R",
            action: "A",
            note: String::new(),
            at: "2026-11-21T04:00:00.123456789Z".parse().unwrap(),
        }
    }

    fn written(event: Event, count: u32) -> serde_json::Value {
        let last = "2026-11-21T04:01:00Z".parse().unwrap();
        body(&Outgoing { event, name: "x.1".into(), count, last }, "pod")
    }

    #[test]
    fn a_note_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "é".repeat(800);
        assert!(cut(&long).len() <= EVENT_NOTE_BYTES_MAX && cut(&long).len() > EVENT_NOTE_BYTES_MAX - 2);
    }

    #[test]
    fn a_note_steers_no_terminal() {
        let body = written(Event { note: "a\u{1b}[31mb\nc".into(), ..event() }, 1);
        assert_eq!(body["note"], "a\u{fffd}[31mb\u{fffd}c");
    }

    #[test]
    fn times_are_in_microseconds_and_only_a_repeated_event_has_a_series() {
        let (once, thrice) = (written(event(), 1), written(event(), 3));
        assert_eq!(once["eventTime"], "2026-11-21T04:00:00.123456Z");
        assert!(once.get("series").is_none() && once.get("related").is_none());
        assert_eq!(thrice["series"], json!({"count": 3, "lastObservedTime": "2026-11-21T04:01:00.000000Z"}));
    }

    #[test]
    fn names_tell_events_and_replicas_apart_and_are_names() {
        let long = Regarding { name: format!("{}.{}", "a".repeat(199), "b".repeat(50)), ..event().regarding };
        let long = Event { regarding: long, ..event() };
        assert_ne!(name(&event(), "one", 1), name(&event(), "one", 2));
        assert_ne!(name(&event(), "one", 1), name(&event(), "two", 1));
        let name = name(&long, "one", 1);
        assert!(!name.contains("..") && name.len() <= 253, "{name}");
    }

    #[test]
    fn events_of_cluster_objects_are_in_the_default_namespace() {
        let node =
            Event { regarding: Regarding { namespace: String::new(), ..event().regarding }, ..event() };
        assert!(path(&node).contains("/namespaces/default/"));
        assert_eq!(written(node, 1)["metadata"]["namespace"], "default");
    }

    #[test]
    fn the_last_events_are_sent_within_what_a_shutdown_may_take() {
        assert!(EVENT_FLUSH_TIMEOUT < SHUTDOWN_RECORD_TIMEOUT);
    }
}
