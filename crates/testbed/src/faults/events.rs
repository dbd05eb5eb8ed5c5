//! An event of a watch, and which events a fault is about.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::count::Count;

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// New, or there from the beginning.
    Added,
    /// Changed.
    Modified,
    /// Gone.
    Deleted,
    /// Nothing but how far the watch has come.
    Bookmark,
    /// Why the watch ends.
    Error,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub struct Event {
    kind: EventType,
    object: Value,
}

impl Event {
    /// What it tells.
    pub fn event_type(&self) -> EventType {
        self.kind
    }

    /// Its object's name.
    pub fn name(&self) -> &str {
        self.metadata("name")
    }

    /// Its object's namespace; empty if it has none.
    pub fn namespace(&self) -> &str {
        self.metadata("namespace")
    }

    /// A label of its object.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.object.get("metadata")?.get("labels")?.get(key)?.as_str()
    }

    /// Its object, as the server sent it.
    pub fn object(&self) -> &Value {
        &self.object
    }

    /// Reads a line of a watch; `None` if it is none.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let mut line: Value = serde_json::from_slice(line).ok()?;
        let kind = match line.get("type")?.as_str()? {
            "ADDED" => EventType::Added,
            "MODIFIED" => EventType::Modified,
            "DELETED" => EventType::Deleted,
            "BOOKMARK" => EventType::Bookmark,
            _ => EventType::Error,
        };
        Some(Self { kind, object: line.get_mut("object")?.take() })
    }

    /// Whether all that was there has been told (the end of a streaming list).
    pub(super) fn ends_the_beginning(&self) -> bool {
        let mark = self.object.get("metadata").and_then(|metadata| metadata.get("annotations"));
        let mark = mark.and_then(|annotations| annotations.get("k8s.io/initial-events-end"));
        self.kind == EventType::Bookmark && mark.is_some()
    }

    fn metadata(&self, field: &str) -> &str {
        let value = self.object.get("metadata").and_then(|metadata| metadata.get(field));
        value.and_then(Value::as_str).unwrap_or_default()
    }
}

type Condition = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

/// Which events a fault is about: all conditions have to hold, and then the count decides. A rule counts the events of
/// all its watches together.
#[derive(Clone)]
pub struct Events {
    words: String,
    conditions: Vec<Condition>,
    count: Count,
}

impl Events {
    /// Everything that happens to objects; no bookmarks and no errors.
    pub fn any() -> Self {
        Self::all("any").that(|event| !matches!(event.kind, EventType::Bookmark | EventType::Error))
    }

    /// Events of one type.
    pub fn of(kind: EventType) -> Self {
        Self::all("of").that(move |event| event.kind == kind).said(&format!("{kind:?}"))
    }

    /// Events of the object of this name.
    pub fn about(name: impl Into<String>) -> Self {
        Self::any().named(name)
    }

    /// Of the object of this name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        let name = name.into();
        let words = format!("named {name}");
        self.that(move |event| event.name() == name).said(&words)
    }

    /// Of objects in this namespace.
    #[must_use]
    pub fn in_namespace(self, namespace: impl Into<String>) -> Self {
        let namespace = namespace.into();
        let words = format!("in {namespace}");
        self.that(move |event| event.namespace() == namespace).said(&words)
    }

    /// Of objects with this label.
    #[must_use]
    pub fn labelled(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        let words = format!("labelled {key}={value}");
        self.that(move |event| event.label(&key) == Some(value.as_str())).said(&words)
    }

    /// Where this holds.
    #[must_use]
    pub fn that(mut self, holds: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Arc::new(holds));
        self
    }

    /// Only the n-th one (from 1).
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.count = Count::Nth(n);
        self
    }

    /// Only the first `n`.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.count = Count::First(n);
        self
    }

    /// All but the first `n` - 1.
    #[must_use]
    pub fn from_nth(mut self, n: u64) -> Self {
        self.count = Count::From(n);
        self
    }

    pub(super) fn match_event(&self, event: &Event) -> bool {
        self.conditions.iter().all(|holds| holds(event))
    }

    pub(super) fn takes(&self, number: u64) -> bool {
        self.count.takes(number)
    }

    fn all(words: &str) -> Self {
        Self { words: words.to_owned(), conditions: Vec::new(), count: Count::Always }
    }

    fn said(mut self, words: &str) -> Self {
        self.words = format!("{} {words}", self.words);
        self
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({}; {:?})", self.words, self.count)
    }
}
