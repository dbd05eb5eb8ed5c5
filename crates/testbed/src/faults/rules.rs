//! The table of rules, and who counts what.
//!
//! Each rule counts its own matches, whatever the others do. The faults of a request act in the order in which their
//! rules were added; one that answers or cuts ends it. Knows nothing of connections.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::calls::{Call, Calls};
use super::count::Count;
use super::events::{Event, Events};
use super::fault::{Fault, Kind};

#[derive(Debug, Default)]
pub(super) struct Rules {
    table: Mutex<Table>,
    changed: watch::Sender<u64>,
}

/// Rules and calls are numbered together, so that it is known which came first.
#[derive(Debug, Default)]
struct Table {
    rules: Vec<Arc<Rule>>,
    numbers: u64,
}

#[derive(Debug)]
pub(super) struct Rule {
    number: u64,
    calls: Calls,
    pub(super) fault: Kind,
    matched: AtomicU64,
    events: AtomicU64,
    acted: AtomicU64,
    triggered: AtomicBool,
    lifted: AtomicBool,
}

/// What the rules say about one call.
#[derive(Debug, Clone)]
pub(super) struct Engaged {
    /// The call's place among calls and rules.
    number: u64,
    pub(super) rules: Vec<Arc<Rule>>,
}

impl Rules {
    pub(super) fn add(&self, calls: Calls, fault: Fault) -> Arc<Rule> {
        let mut table = self.table();
        table.numbers += 1;
        let rule = Arc::new(Rule {
            number: table.numbers,
            calls,
            fault: fault.0,
            matched: AtomicU64::new(0),
            events: AtomicU64::new(0),
            acted: AtomicU64::new(0),
            triggered: AtomicBool::new(false),
            lifted: AtomicBool::new(false),
        });
        table.rules.push(Arc::clone(&rule));
        drop(table);
        self.tell();
        rule
    }

    pub(super) fn lift(&self, rule: &Rule) {
        rule.lifted.store(true, Ordering::SeqCst);
        self.table().rules.retain(|other| other.number != rule.number);
        self.tell();
    }

    pub(super) fn clear(&self) {
        for rule in std::mem::take(&mut self.table().rules) {
            rule.lifted.store(true, Ordering::SeqCst);
        }
        self.tell();
    }

    /// Counts a call that begins, and says which rules hold for it.
    pub(super) fn engage(&self, call: &Call) -> Engaged {
        let mut table = self.table();
        table.numbers += 1;
        let matching = table.rules.iter().filter(|rule| rule.calls.match_call(call));
        let rules =
            matching.filter(|rule| rule.calls.count.takes(rule.matched.fetch_add(1, Ordering::SeqCst) + 1));
        let rules = rules.cloned().collect();
        Engaged { number: table.numbers, rules }
    }

    /// The rules that hold now for a watch that began earlier.
    pub(super) fn over(&self, call: &Call, engaged: &Engaged) -> Vec<Arc<Rule>> {
        let table = self.table();
        let holds = |rule: &&Arc<Rule>| {
            let came_later = rule.number > engaged.number;
            match rule.calls.count {
                Count::Always | Count::Before if came_later => rule.calls.match_call(call),
                _ => engaged.rules.iter().any(|other| other.number == rule.number),
            }
        };
        table.rules.iter().filter(holds).cloned().collect()
    }

    /// Tells when rules come or go.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn tell(&self) {
        self.changed.send_modify(|generation| *generation += 1);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rule {
    /// Counts an event, and says whether it is meant.
    pub(super) fn takes(&self, events: &Events, event: &Event) -> bool {
        events.match_event(event) && events.takes(self.events.fetch_add(1, Ordering::SeqCst) + 1)
    }

    pub(super) fn act(&self) {
        self.acted.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn trigger(&self) {
        self.triggered.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_triggered(&self) -> bool {
        self.triggered.load(Ordering::SeqCst)
    }

    pub(super) fn is_lifted(&self) -> bool {
        self.lifted.load(Ordering::SeqCst)
    }
}

/// A rule that holds until it is lifted or its proxy is dropped. Dropping the handle changes nothing.
#[derive(Clone)]
pub struct RuleHandle {
    pub(super) rule: Arc<Rule>,
    pub(super) rules: Arc<Rules>,
}

impl RuleHandle {
    /// Ends the rule. Watches that it froze go on, events that it held are delivered. A request that stands at a gate
    /// stays there.
    pub fn lift(&self) {
        self.rules.lift(&self.rule);
    }

    /// Requests that it has matched, whether they were meant by its count or not.
    pub fn matched(&self) -> u64 {
        self.rule.matched.load(Ordering::SeqCst)
    }

    /// How often its fault has happened: to requests, replies or watches, or for faults of events to events.
    pub fn acted(&self) -> u64 {
        self.rule.acted.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for RuleHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)
    }
}
