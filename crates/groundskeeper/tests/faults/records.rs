//! What an operator's ledger says, checked as a user checks it and then read as any program may: line by line.

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::ControlPlane;

use crate::support::groundskeeper;

/// The records of an instance, in order.
#[derive(Debug)]
pub(crate) struct Records(Vec<Value>);

impl Records {
    /// Reads all segments of an instance that has ended, if `groundskeeper audit verify` finds nothing wrong with them.
    pub(crate) fn verified(cluster: &ControlPlane, instance: &str) -> Result<Self, String> {
        let directory = cluster.directory().join("ledger").join(instance);
        let verified = groundskeeper(&["audit", "verify", directory.to_str().unwrap()]);
        if !verified.status.success() {
            let said = [verified.stdout, verified.stderr].concat();
            return Err(format!("the ledger is damaged: {}", String::from_utf8_lossy(&said)));
        }
        Ok(Self::so_far(cluster, instance))
    }

    /// Reads all segments of an instance, which may be about to write another line.
    pub(crate) fn so_far(cluster: &ControlPlane, instance: &str) -> Self {
        let directory = cluster.directory().join("ledger").join(instance);
        let mut segments: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .collect();
        segments.sort();
        let text: String = segments.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        Self(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Every intent has one outcome, or was settled.
    pub(crate) fn are_settled(&self) -> Result<(), String> {
        let answers = || self.of_kinds(&["Outcome", "Settled"]);
        for intent in self.of_kinds(&["Intent"]) {
            let count = answers().filter(|answer| answer["intent"] == intent["sequence"]).count();
            if count != 1 {
                return Err(format!("an intent has {count} outcomes: {intent}"));
            }
        }
        Ok(())
    }

    /// The names of the objects that were deleted, as far as the ledger knows.
    pub(crate) fn deleted(&self) -> BTreeSet<String> {
        let done = |record: &&Value| record["outcome"] == "deleted" || record["outcome"] == "done";
        let name = |record: &Value| record["object"]["name"].as_str().unwrap_or_default().to_owned();
        self.of_kinds(&["Outcome", "Settled"]).filter(done).map(name).collect()
    }

    /// The kind of the last record.
    pub(crate) fn end_with(&self, kind: &str) -> bool {
        self.0.last().is_some_and(|record| record["kind"] == kind)
    }

    fn of_kinds(&self, kinds: &[&str]) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|record| record["kind"].as_str().is_some_and(|kind| kinds.contains(&kind)))
    }
}
