//! The object that the tests ask about.

use expr::{Answer, Expression};
use jiff::Timestamp;
use units::Value;

const OBJECT: &str = r#"{
  "metadata": {
    "name": "report-1", "namespace": "team-a", "creationTimestamp": "2026-01-01T00:00:00Z",
    "labels": {"app": "web", "app.kubernetes.io/name": "shop"},
    "annotations": {"example.com/ttl": "36h", "expires": "2026-02-01T00:00:00Z", "note": "Grüße"}
  },
  "spec": {
    "replicas": 3, "ratio": 2.5, "paused": false, "size": "512Mi", "number": "42", "nothing": null, "empty": [],
    "ports": [80, 443, 8080],
    "containers": [
      {"name": "web", "image": "nginx:1.25", "env": [{"name": "A"}, {"name": "B"}]},
      {"name": "log", "image": "busybox", "env": [{"name": "C"}], "ready": true}
    ]
  },
  "status": {
    "phase": "Failed", "completionTime": "2026-01-02T03:04:05Z",
    "conditions": [
      {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-02T00:00:00Z"},
      {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-03T00:00:00Z"}
    ]
  }
}"#;

pub(crate) fn object() -> Value {
    serde_json::from_str(OBJECT).expect("the object is JSON")
}

/// A Saturday.
pub(crate) fn now() -> Timestamp {
    "2026-01-10T00:00:00Z".parse().expect("a timestamp")
}

/// What an expression gives for the object, in words; why not, if it gives nothing.
pub(crate) fn shown(text: &str) -> String {
    let expression = match Expression::compile(text) {
        Ok(expression) => expression,
        Err(error) => return format!("invalid: {error}"),
    };
    match expression.evaluate(&object(), now()) {
        Ok(Answer::Bool(value)) => value.to_string(),
        Ok(Answer::Time(time)) => time.to_string(),
        Ok(Answer::Span(span)) => format!("{}s", span.as_secs()),
        Ok(Answer::Text(text)) => format!("'{text}'"),
        Ok(Answer::Null) => "null".to_owned(),
        Ok(Answer::Other(name)) => name.to_owned(),
        Err(error) => format!("error: {error}"),
    }
}
