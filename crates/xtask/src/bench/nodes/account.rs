//! What the operators asked of the API server, by its audit log.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::Value;

use crate::bench::row;

/// What the operators asked since some moment, and was answered.
pub(super) struct Account {
    requests: Vec<Request>,
}

struct Request {
    verb: String,
    /// `nodes`, `pods/eviction`
    resource: String,
    name: String,
    at: Timestamp,
    code: u64,
    body: Value,
}

impl Account {
    /// Reads the log of an API server.
    pub(super) fn read(log: &str, since: Timestamp) -> Self {
        let events =
            log.lines().filter(|line| line.starts_with(r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1""#));
        let events = events.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let requests = events.filter_map(|event| Request::read(&event)).filter(|request| request.at >= since);
        let mut requests: Vec<_> = requests.filter(|request| request.resource != "leases").collect();
        requests.sort_by_key(|request| request.at);
        Self { requests }
    }

    /// Prints what is worth knowing.
    pub(super) fn tell(&self, nodes: usize, at_once: usize) -> Result<()> {
        let each = |count: usize| format!("{:.1} per node", count as f64 / nodes as f64);
        let all = self.requests.iter().filter(|request| request.verb != "watch").count();
        let watches = self.requests.len() - all;
        row("API requests of all replicas, without watches and leases", &each(all), "");
        row("watches opened", &each(watches), "");
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for request in &self.requests {
            *kinds.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let most: Vec<_> = kinds
            .iter()
            .take(12)
            .map(|(kind, count)| format!("{kind} {:.1}", *count as f64 / nodes as f64))
            .collect();
        row("the most of them, per node", &most.join(", "), "");
        let busy = self.requests.iter().filter(|request| request.code == 429).count();
        let refused = self.requests.iter().filter(|request| request.code == 409).count();
        row("answers 429, answers 409", &format!("{busy}, {refused}"), "");
        self.evictions()?;
        self.events(nodes);
        row(
            "nodes that left at one time, at most",
            &self.most_at_once().to_string(),
            &format!("≤ {at_once}"),
        );
        Ok(())
    }

    fn evictions(&self) -> Result<()> {
        let accepted: Vec<_> = self.of("create", "pods/eviction").filter(|one| one.code == 201).collect();
        let mut uids: HashMap<String, usize> = HashMap::new();
        for eviction in &accepted {
            let uid = eviction.body["deleteOptions"]["preconditions"]["uid"].as_str().unwrap_or_default();
            *uids.entry(uid.to_owned()).or_default() += 1;
        }
        let twice = uids.values().filter(|times| **times > 1).count();
        let (first, last) = accepted.first().zip(accepted.last()).context("nothing was evicted")?;
        let span = last.at.duration_since(first.at).as_secs_f64().max(1.0);
        let mut seconds: HashMap<i64, usize> = HashMap::new();
        for eviction in &accepted {
            *seconds.entry(eviction.at.as_second()).or_default() += 1;
        }
        let peak = seconds.values().max().copied().unwrap_or_default();
        let rate = accepted.len() as f64 / span;
        row("evictions accepted", &format!("{}, {twice} pods twice", accepted.len()), "each pod once");
        row(
            "evictions per second",
            &format!("{rate:.1} over {span:.0} s, {peak} in the busiest second"),
            "≤ 100",
        );
        Ok(())
    }

    fn events(&self, nodes: usize) {
        let mut told: HashMap<String, usize> = HashMap::new();
        for event in self.requests.iter().filter(|request| request.resource == "events") {
            let about = event.body["regarding"]["uid"].as_str().unwrap_or_default();
            *told.entry(about.to_owned()).or_default() += 1;
        }
        let (all, most) = (told.values().sum::<usize>(), told.values().max().copied().unwrap_or_default());
        let text = format!("{:.1} on average, {most} at most", all as f64 / nodes as f64);
        row("events per node", &text, "≤ 25");
    }

    /// How many were leaving at one time at most: from the first word of it in a record until the finalizer was off.
    fn most_at_once(&self) -> isize {
        let mut begun: HashMap<&str, Timestamp> = HashMap::new();
        let mut moments: Vec<(Timestamp, isize)> = Vec::new();
        for status in self.of("patch", "nodecleanups/status").filter(|request| request.code < 300) {
            if status.phase().is_some_and(|phase| phase != "Waiting") {
                begun.entry(&status.name).or_insert(status.at);
            }
        }
        moments.extend(begun.values().map(|at| (*at, 1)));
        let releases = self.of("patch", "nodes").filter(|request| request.code < 300 && request.releases());
        moments.extend(releases.map(|release| (release.at, -1)));
        moments.sort_unstable();
        let mut leaving = 0;
        let counts = moments.iter().map(|(_, change)| {
            leaving += change;
            leaving
        });
        counts.max().unwrap_or_default()
    }

    fn of<'a>(&'a self, verb: &'a str, resource: &'a str) -> impl Iterator<Item = &'a Request> {
        self.requests.iter().filter(move |request| request.verb == verb && request.resource == resource)
    }
}

impl Request {
    fn read(event: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &event["objectRef"];
        let mut resource = text(&object["resource"]);
        if let Some(part) = object["subresource"].as_str() {
            resource = format!("{resource}/{part}");
        }
        if event["stage"] == "ResponseStarted" && event["verb"] != "watch" {
            return None;
        }
        let is_end_of_watch = event["verb"] == "watch" && event["stage"] == "ResponseComplete";
        let at = event["requestReceivedTimestamp"].as_str()?.parse().ok()?;
        let code = event["responseStatus"]["code"].as_u64().unwrap_or_default();
        let body = event["requestObject"].clone();
        let request =
            Self { verb: text(&event["verb"]), resource, name: text(&object["name"]), at, code, body };
        (!is_end_of_watch).then_some(request)
    }

    /// The phase that a status says.
    fn phase(&self) -> Option<&str> {
        let mut operations = self.body.as_array()?.iter();
        operations.find(|operation| operation["path"] == "/status")?["value"]["phase"].as_str()
    }

    /// Whether it takes a finalizer off.
    fn releases(&self) -> bool {
        let path = |operation: &Value| {
            operation["path"].as_str().unwrap_or_default().starts_with("/metadata/finalizers")
        };
        let operations = self.body.as_array().into_iter().flatten();
        operations.into_iter().any(|operation| operation["op"] == "remove" && path(operation))
    }
}
