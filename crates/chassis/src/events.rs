//! Kubernetes events, sent in the background.
//!
//! A bounded queue and one sender: telling what was done never holds up doing it. What does not fit, or does not reach
//! the server, is counted and let go; status and logs say it too.

use jiff::Timestamp;
use kube::Client;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::bounded;
use crate::limits::{EVENT_NOTE_BYTES_MAX, EVENT_QUEUE_MAX};
use crate::metrics::{MetricName, Metrics};
use crate::paths;

/// Who speaks, in `reportingController`.
const CONTROLLER: &str = "groundskeeper.dev/groundskeeper";

/// Something worth telling, about one object.
#[derive(Clone, Debug)]
pub struct Event {
    /// What it is about.
    pub regarding: Regarding,
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
    /// The namespace.
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

/// A recorder, and the sender to run beside it; the sender ends when it is told to and the queue is empty.
pub fn recorder(
    client: Client,
    instance: String,
    metrics: Metrics,
    stop: CancellationToken,
) -> (Recorder, impl Future<Output = ()> + Send) {
    let (queue, waiting) = mpsc::channel(EVENT_QUEUE_MAX);
    let recorder = Recorder { queue, metrics: metrics.clone() };
    (recorder, send_all(client, instance, metrics, (waiting, stop)))
}

async fn next(waiting: &mut mpsc::Receiver<Event>, stop: &CancellationToken) -> Option<Event> {
    tokio::select! {
        biased;
        event = waiting.recv() => event,
        () = stop.cancelled() => None,
    }
}

async fn send_all(
    client: Client,
    instance: String,
    metrics: Metrics,
    (mut waiting, stop): (mpsc::Receiver<Event>, CancellationToken),
) {
    let mut sequence = 0_u64;
    while let Some(event) = next(&mut waiting, &stop).await {
        sequence += 1;
        let path = paths::collection(
            &units::ApiVersion { group: "events.k8s.io".to_owned(), version: "v1".to_owned() },
            "events",
            Some(&event.regarding.namespace),
        );
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body(&event, &instance, sequence));
        let Ok(request) = request else { continue };
        match bounded(client.request_text(request)).await {
            Ok(_) => metrics.count(MetricName::EventsSent, &[]),
            Err(error) => {
                metrics.count(MetricName::EventsDropped, &[("reason", "send_failed")]);
                tracing::warn!(reason = event.reason, object = event.regarding.name, %error, "an event was not accepted");
            }
        }
    }
}

fn body(event: &Event, instance: &str, sequence: u64) -> Vec<u8> {
    let Regarding { api_version, kind, namespace, name, uid } = &event.regarding;
    // As client-go names them: unique by time; the sequence tells those of one moment apart.
    let suffix = format!("{:x}{:x}", event.at.as_microsecond(), sequence);
    let stem: String = name.chars().take(200).collect();
    let type_ = match event.type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    };
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": format!("{stem}.{suffix}"), "namespace": namespace},
        "eventTime": format!("{:.6}", event.at),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "action": event.action,
        "reason": event.reason,
        "type": type_,
        "note": cut(&event.note),
        "regarding": {"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "uid": uid},
    })
    .to_string()
    .into_bytes()
}

/// A note within its limit, cut between characters.
fn cut(note: &str) -> &str {
    note.get(..note.floor_char_boundary(EVENT_NOTE_BYTES_MAX)).unwrap_or(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "é".repeat(800);
        assert!(cut(&long).len() <= EVENT_NOTE_BYTES_MAX && cut(&long).len() > EVENT_NOTE_BYTES_MAX - 2);
    }

    #[test]
    fn the_time_of_an_event_is_in_microseconds() {
        let event = Event {
            regarding: Regarding {
                api_version: "v1".into(),
                kind: "K".into(),
                namespace: "n".into(),
                name: "x".into(),
                uid: "u".into(),
            },
            type_: EventType::Normal,
            reason: "R",
            action: "A",
            note: String::new(),
            at: "2026-11-21T04:00:00.123456789Z".parse().unwrap(),
        };
        let body: serde_json::Value = serde_json::from_slice(&body(&event, "pod", 1)).unwrap();
        assert_eq!(body["eventTime"], "2026-11-21T04:00:00.123456Z");
    }
}
