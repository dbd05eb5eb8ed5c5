//! What a departure came to, by the record, by the API server's audit log, and by the server that its steps ask.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use testbed::faults::Call;

use crate::bed::Leaver;
use crate::doer::Doer;
use crate::support::audit::Request;
use crate::support::checks::{Found, within};
use crate::support::{audit, holds};
use crate::yard::Yard;

/// How long a departure may take to its end.
const TO_ITS_END: Duration = Duration::from_secs(40);

/// From the cordon to the first eviction.
const SETTLE: SignedDuration = SignedDuration::from_secs(5);

/// A write as it was asked for.
pub(crate) struct Asked<'a> {
    verb: String,
    resource: &'a str,
    name: &'a str,
    body: &'a Value,
}

impl<'a> Asked<'a> {
    pub(crate) fn on_its_way(call: &'a Call) -> Self {
        let (verb, resource) = (call.verb().to_string(), call.resource());
        Self { verb, resource, name: call.name(), body: call.body() }
    }

    pub(crate) fn answered(request: &'a Request) -> Self {
        let (verb, resource) = (request.verb.clone(), request.resource.as_str());
        Self { verb, resource, name: &request.name, body: &request.body }
    }

    /// Whether it is made for this departure.
    pub(crate) fn is_for(&self, leaver: &Leaver) -> bool {
        match self.resource {
            "nodecleanups" | "nodecleanups/status" => self.name == leaver.run,
            "nodes" => self.name == leaver.node,
            "pods/eviction" => {
                self.name.strip_prefix(&*leaver.node).is_some_and(|rest| rest.starts_with('-'))
            }
            "events" => self.body["regarding"]["uid"] == leaver.run,
            _ => false,
        }
    }

    /// What it is, in words that are the same for every node.
    pub(crate) fn words(&self) -> String {
        let Self { verb, resource, name, body } = self;
        let about = match *resource {
            "nodecleanups/status" => status(body),
            "nodes" => changed(body),
            "pods/eviction" => name.rsplit('-').next().unwrap_or_default().to_owned(),
            "events" => body["reason"].as_str().unwrap_or_default().to_owned(),
            "leases" => held(&body["spec"]).to_owned(),
            _ => String::new(),
        };
        format!("{verb} {resource} {about}")
    }
}

/// How far a status says that it is: `Draining; drain Running 1; forget Pending 0`.
fn status(patch: &Value) -> String {
    let operations = patch.as_array().into_iter().flatten();
    let mut written = operations.filter(|operation| operation["path"] == "/status");
    let Some(status) = written.next().map(|operation| &operation["value"]) else { return String::new() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let steps = status["steps"].as_array().into_iter().flatten();
    let steps = steps.map(|step| {
        let progress = if step["percent"].is_null() { "" } else { ", partly" };
        format!("; {} {}{progress}", text(&step["name"]), text(&step["state"]))
    });
    text(&status["phase"]) + &steps.collect::<String>()
}

/// Which fields a patch changes.
fn changed(patch: &Value) -> String {
    let operations = patch.as_array().into_iter().flatten();
    let paths = operations.filter(|operation| operation["op"] != "test").filter_map(|op| op["path"].as_str());
    paths.filter(|path| !path.ends_with("resourceVersion")).collect::<Vec<_>>().join(" ")
}

/// What a write makes of the lease.
fn held(lease: &Value) -> &'static str {
    match lease["holderIdentity"].as_str() {
        None | Some("") => "released",
        Some(_) if lease["acquireTime"] == lease["renewTime"] => "taken",
        Some(_) => "renewed",
    }
}

/// What the operators have asked the server to make of the lease since then, in words.
pub(crate) fn lease_writes(yard: &Yard, since: Timestamp) -> Vec<String> {
    let requests = audit::requests(yard.cluster, "groundskeeper-system").into_iter();
    let is_write = |request: &Request| matches!(request.verb.as_str(), "create" | "update" | "patch");
    requests
        .filter(|request| request.resource == "leases" && is_write(request) && request.at >= since)
        .map(|request| Asked::answered(&request).words())
        .collect()
}

/// All that the operators have asked the server to write since then, in the order of the answers.
pub(crate) fn writes(yard: &Yard, since: Timestamp) -> Vec<Request> {
    let namespaces = ["", "default", &yard.namespace];
    let requests = namespaces.iter().flat_map(|namespace| audit::requests(yard.cluster, namespace));
    let is_write =
        |request: &Request| matches!(request.verb.as_str(), "create" | "update" | "patch" | "delete");
    let mut writes: Vec<_> = requests.filter(|request| is_write(request) && request.at >= since).collect();
    writes.sort_by_key(|request| request.at);
    writes
}

/// The departure comes to its end, well, and its node is gone.
pub(crate) async fn is_completed(yard: &Yard, leaver: &Leaver) -> Found {
    within(TO_ITS_END, &format!("{} is gone for good", leaver.node), async || {
        let record = yard.record(&leaver.run).await.ok_or("there is no record")?;
        holds(record["status"]["phase"] == "Completed", &record["status"])
    })
    .await?;
    let node = yard.look("v1", "Node", &leaver.node).await;
    holds(node.is_none(), format!("{} is there", leaver.node))
}

/// Each step was done once, and none was asked for once another was that depends on it; nor before the pods had gone.
pub(crate) fn is_done_in_order(doer: &Doer, leaver: &Leaver, steps: &[&str], writes: &[Request]) -> Found {
    let expected: BTreeMap<_, _> = steps.iter().map(|step| ((*step).to_owned(), 1)).collect();
    let effects: BTreeMap<_, _> = doer.effects(&leaver.run).into_iter().collect();
    holds(effects == expected, format!("{}: done so often: {effects:?}", leaver.node))?;
    let calls = doer.calls(&leaver.run);
    let place = |step: &str| steps.iter().position(|known| *known == step);
    let is_in_order = calls.is_sorted_by_key(|call| place(&call.step));
    holds(is_in_order, format!("{}: asked in this order: {calls:#?}", leaver.node))?;
    let asked = evictions(leaver, writes);
    let is_after = calls.first().zip(asked.last()).is_none_or(|(call, eviction)| call.at > eviction.at);
    holds(is_after, format!("{}: a step was taken before the last pod was asked", leaver.node))
}

/// Its pods were evicted once each, none that stays, and none before the node had settled.
pub(crate) fn is_emptied_once(leaver: &Leaver, writes: &[Request]) -> Found {
    let asked = evictions(leaver, writes);
    let stays = asked.iter().find(|eviction| eviction.name.ends_with("-stays"));
    holds(stays.is_none(), format!("one was asked that stays: {stays:?}"))?;
    let mut accepted: BTreeMap<&str, usize> = BTreeMap::new();
    for eviction in asked.iter().filter(|eviction| eviction.code == 201) {
        *accepted.entry(uid(eviction)).or_default() += 1;
    }
    let cordon = writes.iter().find(|write| {
        write.resource == "nodes"
            && write.name == leaver.node
            && changed(&write.body).contains("unschedulable")
    });
    let cordon = cordon.ok_or_else(|| format!("{} was not cordoned", leaver.node))?;
    let first = asked.iter().map(|eviction| eviction.at).min();
    let span = first.map(|first| first.duration_since(cordon.at));
    holds(span.is_none_or(|span| span >= SETTLE), format!("a pod was asked {span:?} after the cordon"))?;
    let is_once = accepted.values().all(|times| *times == 1) && accepted.len() == 2;
    holds(is_once, format!("{}: evicted so often: {accepted:?}", leaver.node))
}

/// The evictions of its pods that were asked for, whatever the answer.
pub(crate) fn evictions<'w>(leaver: &Leaver, writes: &'w [Request]) -> Vec<&'w Request> {
    let is_of_it =
        |write: &&Request| write.resource == "pods/eviction" && Asked::answered(write).is_for(leaver);
    writes.iter().filter(is_of_it).collect()
}

/// The incarnation that an eviction insists on.
pub(crate) fn uid(eviction: &Request) -> &str {
    eviction.body["deleteOptions"]["preconditions"]["uid"].as_str().unwrap_or_default()
}
