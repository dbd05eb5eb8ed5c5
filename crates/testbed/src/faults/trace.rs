//! What went through, as plain data.
//!
//! A write is in the trace from the moment that it is passed on. What a rule refused or cut before the server is not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::calls::{Call, Verb};
use crate::clock::Stopwatch;
use crate::limits;

/// What went through a proxy so far.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    writes: Vec<Write>,
    reads: BTreeMap<(Verb, String), u64>,
    forgotten: u64,
}

/// One write that the server was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// From 1, in the order in which they were passed on.
    pub sequence: u64,
    /// Never a read.
    pub verb: Verb,
    /// Empty for the core group.
    pub group: String,
    /// `configmaps`, `pods/eviction`.
    pub resource: String,
    /// Empty if there is none.
    pub namespace: String,
    /// For a create with `generateName` what the server chose; empty for many objects at once.
    pub name: String,
    /// The incarnation that the request insists on, in preconditions or in the object itself.
    pub uid: Option<String>,
    /// The version that the request insists on, likewise.
    pub resource_version: Option<String>,
    /// The server's answer; `None` if it has not given one (yet).
    pub code: Option<u16>,
    /// Whether the server's own answer was handed to the process.
    pub delivered: bool,
    /// When it was passed on, since the proxy's start.
    pub at: Duration,
}

impl Trace {
    /// Every write that was passed on, in that order; at most 100,000.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// How many reads of this kind were passed on (`watch`: how many were opened).
    pub fn reads(&self, verb: Verb, resource: &str) -> u64 {
        self.reads.get(&(verb, resource.to_owned())).copied().unwrap_or_default()
    }

    /// Writes beyond the bound, which are only counted.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// Where it is written down.
#[derive(Debug)]
pub(super) struct Recorder {
    trace: Mutex<Trace>,
    begun: Stopwatch,
}

/// A write's place in the trace.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    recorder: Arc<Recorder>,
    index: usize,
}

impl Recorder {
    pub(super) fn start() -> Self {
        Self { trace: Mutex::default(), begun: Stopwatch::start() }
    }

    pub(super) fn trace(&self) -> Trace {
        self.lock().clone()
    }

    pub(super) fn read(&self, call: &Call) {
        let mut trace = self.lock();
        let kind = (call.verb(), call.resource().to_owned());
        if trace.reads.len() < limits::TRACE_READS_MAX || trace.reads.contains_key(&kind) {
            *trace.reads.entry(kind).or_default() += 1;
        }
    }

    pub(super) fn write(self: &Arc<Self>, call: &Call) -> Ticket {
        let at = self.begun.elapsed();
        let mut trace = self.lock();
        let index = trace.writes.len();
        if index < limits::TRACE_WRITES_MAX {
            trace.writes.push(Write {
                sequence: index as u64 + 1,
                verb: call.verb(),
                group: call.group().to_owned(),
                resource: call.resource().to_owned(),
                namespace: call.namespace().to_owned(),
                name: call.name().to_owned(),
                uid: insisted(call, "uid"),
                resource_version: insisted(call, "resourceVersion"),
                code: None,
                delivered: false,
                at,
            });
        } else {
            trace.forgotten += 1;
        }
        Ticket { recorder: Arc::clone(self), index }
    }

    fn lock(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    pub(super) fn answered(&self, code: u16, body: &[u8]) {
        let mut trace = self.recorder.lock();
        let Some(write) = trace.writes.get_mut(self.index) else { return };
        write.code = Some(code);
        if write.name.is_empty() && code < 300 {
            let object: Value = serde_json::from_slice(body).unwrap_or_default();
            write.name = text(&object, "/metadata/name").unwrap_or_default();
        }
    }

    pub(super) fn delivered(&self) {
        if let Some(write) = self.recorder.lock().writes.get_mut(self.index) {
            write.delivered = true;
        }
    }
}

/// Of a deletion's options, an eviction's, or an object that replaces another.
fn insisted(call: &Call, field: &str) -> Option<String> {
    let places = [
        format!("/preconditions/{field}"),
        format!("/deleteOptions/preconditions/{field}"),
        format!("/metadata/{field}"),
    ];
    places.iter().find_map(|place| text(call.body(), place))
}

fn text(value: &Value, place: &str) -> Option<String> {
    value.pointer(place).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}
