//! What the replicas have written into their ledgers before they acted: which policy asked for a deletion, in which form, and
//! when that was decided.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use testbed::ControlPlane;

/// How long before a deletion another one must have been decided to be known to have been: they are decided one after the
/// other, but written down side by side.
const ORDER_IS_CERTAIN_AFTER: i64 = 100;

/// The records of one replica, in order.
pub(crate) struct Ledger(Vec<Value>);

/// A deletion that was decided on.
#[derive(Debug)]
pub(crate) struct Intent {
    /// When, in milliseconds.
    pub(crate) decided_at: i64,
    /// Namespace and name of the policy; no namespace for one of the cluster.
    pub(crate) policy: (String, String),
    pub(crate) policy_uid: String,
    pub(crate) generation: u64,
    /// In which time of leading.
    pub(crate) epoch: u64,
    /// Whether it went by an approval, and not by the budget.
    pub(crate) is_approved: bool,
    /// UIDs of the objects that the same replica had sent deletions of by then, and that may go for all it knew.
    pub(crate) going: BTreeSet<String>,
}

impl Ledger {
    /// Whatever has been written so far.
    pub(crate) fn read(cluster: &ControlPlane, instance: &str) -> Self {
        let directory = cluster.directory().join("ledger").join(instance);
        let Ok(entries) = std::fs::read_dir(directory) else { return Self(Vec::new()) };
        let mut segments: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .collect();
        segments.sort();
        let text: String = segments.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        Self(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The last decision to delete such an object that was written down by then.
    pub(crate) fn intent(&self, is_it: impl Fn(&Value) -> bool, by: i64) -> Option<Intent> {
        let is_before = |record: &Value| moment(record) <= by;
        let deletes = |record: &Value| record["kind"] == "Intent" && record["act"] == "delete";
        let found =
            self.0.iter().rfind(|record| deletes(record) && is_before(record) && is_it(&record["object"]))?;
        let rule = &found["rule"];
        let name = rule["policy"].as_str().unwrap();
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        Some(Intent {
            decided_at: moment(found),
            policy: (namespace.to_owned(), name.to_owned()),
            policy_uid: rule["uid"].as_str().unwrap().to_owned(),
            generation: rule["generation"].as_u64().unwrap(),
            epoch: found["epoch"].as_u64().unwrap(),
            is_approved: found["evidence"]["approvedAt"].is_string(),
            going: self.going(moment(found)),
        })
    }

    fn going(&self, by: i64) -> BTreeSet<String> {
        let uid = |record: &Value| record["object"]["uid"].as_str().unwrap_or_default().to_owned();
        let mut going = BTreeSet::new();
        for record in self.0.iter().filter(|record| moment(record) < by - ORDER_IS_CERTAIN_AFTER) {
            let stays = !matches!(record["outcome"].as_str(), Some("deleted" | "gone"));
            match record["kind"].as_str() {
                Some("Intent") if record["act"] == "delete" => drop(going.insert(uid(record))),
                Some("Outcome") if stays => {
                    let intent = self.0.iter().find(|intent| intent["sequence"] == record["intent"]);
                    intent.map(|intent| going.remove(&uid(intent)));
                }
                _ => {}
            }
        }
        going
    }
}

fn moment(record: &Value) -> i64 {
    record["time"].as_str().unwrap().parse::<Timestamp>().unwrap().as_millisecond()
}
