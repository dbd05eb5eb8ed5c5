//! What the simulated cluster is, and what its two interfaces do with it: everything but the wire.
//!
//! Time passes by looks: a job is one volume further each time somebody looks at it, a removal is one look nearer to its end
//! each time somebody sees the node. So a test says how long something takes, and nothing sleeps.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{DrainEnd, Effect, Status};
use crate::targets::Reply;

/// Everything that is there.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    /// In the order in which they are listed.
    pub(super) nodes: Vec<StorageNode>,
    pub(super) jobs: Vec<Job>,
    /// The member that answers, whoever is asked.
    pub(super) teller: String,
    pub(super) drain_end: DrainEnd,
    /// So often a node under removal is seen before it is gone.
    pub(super) removal_looks: u32,
    /// Whether a node that is not there is an internal error, as in older versions.
    pub(super) has_old_words: bool,
    pub(super) effects: BTreeMap<Effect, u64>,
}

#[derive(Clone, Debug)]
pub(super) struct StorageNode {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: Status,
    /// None is a node without drives.
    pub(super) pools: u32,
    pub(super) attached: u64,
    /// Volumes that have no replica elsewhere.
    pub(super) lonely: u32,
    takes_attachments: bool,
    /// Looks until it is gone, once it is being removed.
    leaves_after: Option<u32>,
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) node: String,
    pub(super) issuer: String,
    pub(super) state: &'static str,
    total: u64,
    done: u64,
}

/// Codes of gRPC, as the gateway writes them into its errors.
const INVALID_ARGUMENT: (u16, u8) = (400, 3);
const NOT_FOUND: (u16, u8) = (404, 5);
const INTERNAL: (u16, u8) = (500, 13);

impl StorageNode {
    pub(super) fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            status: Status::Ok,
            pools: 1,
            attached: 0,
            lonely: 0,
            takes_attachments: true,
            leaves_after: None,
        }
    }
}

impl World {
    fn count(&mut self, effect: Effect, times: u64) {
        let counted = self.effects.entry(effect).or_default();
        *counted = counted.saturating_add(times);
    }

    pub(super) fn node_mut(&mut self, id: &str) -> Option<&mut StorageNode> {
        self.nodes.iter_mut().find(|node| node.id == id)
    }

    /// Somebody sees the cluster: removals go on.
    fn pass(&mut self) {
        let before = self.nodes.len();
        self.nodes.retain_mut(|node| match &mut node.leaves_after {
            Some(0) => false,
            Some(looks) => {
                *looks = looks.saturating_sub(1);
                true
            }
            None => true,
        });
        let gone = before.saturating_sub(self.nodes.len());
        self.count(Effect::Gone, u64::try_from(gone).unwrap_or(u64::MAX));
    }
}

/// The gateway.
impl World {
    pub(super) fn node_ids(&mut self) -> Reply {
        self.pass();
        let ids: Vec<&str> = self.nodes.iter().map(|node| &*node.id).collect();
        Reply::json(200, &json!({ "node_ids": ids }))
    }

    pub(super) fn inspect(&mut self, id: &str) -> Reply {
        self.pass();
        let has_old_words = self.has_old_words;
        let Some(node) = self.node_mut(id) else {
            return if has_old_words {
                refused(INTERNAL, "Unable to locate node with provided UUID.")
            } else {
                refused(NOT_FOUND, &format!("Id {id} not found"))
            };
        };
        let pools: Vec<Value> = (0..node.pools).map(|number| json!({ "ID": number })).collect();
        let mut said = json!({
            "id": node.id, "scheduler_node_name": node.name, "hostname": node.name,
            "mem_total": "16777216", "pools": pools,
        });
        // Zeroes are left out, and `STATUS_NONE` is one.
        if let (Some(fields), true) = (said.as_object_mut(), node.status != Status::None) {
            fields.insert("status".to_owned(), Value::from(node.status.name()));
        }
        Reply::json(200, &json!({ "node": said }))
    }

    pub(super) fn disable(&mut self, id: &str) -> Reply {
        let Some(node) = self.node_mut(id) else { return refused(NOT_FOUND, &format!("Id {id} not found")) };
        if std::mem::replace(&mut node.takes_attachments, false) {
            self.count(Effect::AttachmentsDisabled, 1);
        }
        Reply::json(200, &json!({}))
    }

    /// Each request begins a job of its own.
    pub(super) fn drain(&mut self, id: &str, body: &[u8]) -> Reply {
        let body: Value = match serde_json::from_slice(body) {
            Ok(body) => body,
            Err(_) if body.is_empty() => json!({}),
            Err(error) => return refused(INVALID_ARGUMENT, &error.to_string()),
        };
        let Some(node) = self.node_mut(id) else { return refused(NOT_FOUND, &format!("Id {id} not found")) };
        let total = node.attached;
        let issuer = body.get("issuer").and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = self.jobs.len().saturating_add(1);
        let job = Job {
            id: format!("job-{number}"),
            node: id.to_owned(),
            issuer,
            state: "PENDING",
            total,
            done: 0,
        };
        let said = json!({ "job": job.said() });
        self.jobs.push(job);
        self.count(Effect::DrainBegun, 1);
        Reply::json(200, &said)
    }

    pub(super) fn jobs(&self) -> Reply {
        let jobs: Vec<Value> = self.jobs.iter().map(Job::said).collect();
        Reply::json(200, &if jobs.is_empty() { json!({}) } else { json!({ "jobs": jobs }) })
    }

    pub(super) fn job(&mut self, id: &str) -> Reply {
        let end = self.drain_end;
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else {
            return refused(NOT_FOUND, &format!("Job {id} not found"));
        };
        let said = json!({ "job": job.said(), "summary": job.summary() });
        let detached = job.pass(end);
        let node = job.node.clone();
        if let (Some(node), true) = (self.node_mut(&node), detached > 0) {
            node.attached = node.attached.saturating_sub(detached);
        }
        self.count(Effect::VolumeDetached, detached);
        Reply::json(200, &said)
    }
}

/// The management interface.
impl World {
    pub(super) fn enumerate(&mut self) -> Reply {
        self.pass();
        // Who is not at work reads the database, and that leaves out whom it is taking out.
        let blind = [Status::NotInQuorum, Status::Maintenance];
        let is_blind = self.nodes.iter().any(|node| node.id == self.teller && blind.contains(&node.status));
        let listed = self.nodes.iter().filter(|node| !(is_blind && node.status == Status::Decommission));
        let nodes: Vec<Value> = listed.map(StorageNode::counted).collect();
        Reply::json(200, &json!({ "Id": "px-cluster", "Status": 2, "NodeId": self.teller, "Nodes": nodes }))
    }

    /// Whatever comes of it comes with status 200, unless the request cannot be read.
    pub(super) fn remove(&mut self, ids: &[&str], force: Option<&str>) -> Reply {
        let force = match force {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(other) => return said(400, &format!("Invalid forceRemove Option: {other}")),
        };
        if ids.is_empty() {
            return said(400, "Missing id param");
        }
        let refused = ids.iter().find_map(|id| self.remove_one(id, force));
        let body =
            refused.map_or_else(|| json!({}), |error| json!({ "error": format!("Node Remove: {error}") }));
        Reply::json(200, &body)
    }

    /// The error, of which one means that it goes on.
    fn remove_one(&mut self, id: &str, force: bool) -> Option<String> {
        let (looks, is_teller) = (self.removal_looks, self.teller == id);
        let Some(node) = self.node_mut(id) else { return Some(format!("Node {id} does not exist")) };
        let takes = match node.status {
            Status::Maintenance => true,
            Status::Offline | Status::Decommission => !is_teller,
            _ => false,
        };
        if !takes {
            return Some(format!("Node {id} must be offline or in maintenance mode to be decommissioned."));
        }
        if node.lonely > 0 && !force {
            let volumes = node.lonely;
            return Some(format!(
                "Cannot remove node ID {id}: Cannot remove node without data loss. {volumes} volumes have their only replica there"
            ));
        }
        if node.leaves_after.is_none() {
            node.status = Status::Decommission;
            node.leaves_after = Some(looks);
            self.count(Effect::RemovalBegun, 1);
        }
        if looks > 0 {
            return Some("Node remove is pending".to_owned());
        }
        self.pass();
        None
    }
}

impl StorageNode {
    fn counted(&self) -> Value {
        json!({
            "Id": self.id, "SchedulerNodeName": self.name, "Hostname": self.name, "Status": self.status.number(),
            "Cpu": 1.5, "MemTotal": 16_777_216, "Pools": Value::Null, "NodeLabels": {},
        })
    }
}

impl Job {
    fn said(&self) -> Value {
        json!({
            "id": self.id, "state": self.state, "type": "DRAIN_ATTACHMENTS",
            "drain_attachments": {
                "node_id": self.node, "issuer": self.issuer,
                "Status": if self.state == "FAILED" { "a volume is in use" } else { "" },
            },
        })
    }

    /// Numbers of 64 bits are texts, and zeroes are left out.
    fn summary(&self) -> Value {
        let counts = [
            ("num_volumes_total", self.total),
            ("num_volumes_done", self.done),
            ("num_volumes_pending", self.total.saturating_sub(self.done)),
        ];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        let counts: BTreeMap<&str, String> = counts.map(|(name, count)| (name, count.to_string())).collect();
        json!({ "id": self.id, "work_summaries": [{ "drain_attachments_summary": counts }] })
    }

    /// It goes on by one volume; returns how many were detached.
    fn pass(&mut self, end: DrainEnd) -> u64 {
        match self.state {
            "PENDING" => self.state = "RUNNING",
            "RUNNING" if end == DrainEnd::Failed => self.state = "FAILED",
            "RUNNING" if end == DrainEnd::Cancelled => self.state = "CANCELLED",
            "RUNNING" if end == DrainEnd::Paused => self.state = "PAUSED",
            "PAUSED" if end != DrainEnd::Paused => self.state = "RUNNING",
            "RUNNING" if self.done < self.total => {
                self.done = self.done.saturating_add(1);
                return 1;
            }
            "RUNNING" => self.state = "DONE",
            _ => {}
        }
        0
    }
}

fn refused((status, code): (u16, u8), words: &str) -> Reply {
    Reply::json(status, &json!({ "error": words, "code": code, "message": words }))
}

/// A line, as Go's servers answer.
pub(super) fn said(status: u16, line: &str) -> Reply {
    Reply::text(status, &format!("{line}\n")).media_type("text/plain; charset=utf-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(nodes: &[(&str, Status)]) -> World {
        let nodes =
            nodes.iter().map(|(id, status)| StorageNode { status: *status, ..StorageNode::new(id, id) });
        let mut world = World { nodes: nodes.collect(), ..World::default() };
        world.teller = world.nodes[0].id.clone();
        world
    }

    fn json(reply: &Reply) -> Value {
        assert_eq!(reply.status, 200, "{reply:?}");
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn remove(world: &mut World, id: &str) -> String {
        let said = json(&world.remove(&[id], Some("false")));
        said.get("error").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    #[test]
    fn a_removal_is_refused_in_a_good_answer_unless_the_node_is_out_of_the_way() {
        let mut world = world(&[("a", Status::Ok), ("b", Status::Ok), ("c", Status::Offline)]);
        assert!(remove(&mut world, "b").contains("must be offline or in maintenance mode"));
        assert!(remove(&mut world, "x").contains("does not exist"));
        world.nodes[2].lonely = 2;
        assert!(remove(&mut world, "c").contains("Cannot remove node without data loss"));
        assert_eq!(world.effects.get(&Effect::RemovalBegun), None);
        world.nodes[2].lonely = 0;
        assert_eq!(remove(&mut world, "c"), "");
        assert_eq!(world.nodes.len(), 2);
        assert_eq!(world.effects[&Effect::Gone], 1);
        assert_eq!(world.remove(&[], None).status, 400);
        assert_eq!(world.remove(&["a"], Some("maybe")).status, 400);
    }

    #[test]
    fn a_removal_that_takes_its_time_is_an_error_until_the_node_is_gone() {
        let mut world = world(&[("a", Status::Ok), ("c", Status::Maintenance)]);
        world.removal_looks = 1;
        assert_eq!(remove(&mut world, "c"), "Node Remove: Node remove is pending");
        assert_eq!(remove(&mut world, "c"), "Node Remove: Node remove is pending");
        assert_eq!(world.effects[&Effect::RemovalBegun], 1);
        assert_eq!(json(&world.inspect("c"))["node"]["status"], "STATUS_DECOMMISSION");
        assert_eq!(json(&world.enumerate())["Nodes"].as_array().unwrap().len(), 1);
        assert_eq!(world.inspect("c").status, 404);
        world.has_old_words = true;
        assert_eq!(world.inspect("c").status, 500);
    }

    #[test]
    fn who_is_in_maintenance_does_not_list_those_that_are_being_removed() {
        let mut world = world(&[("a", Status::Maintenance), ("b", Status::Ok), ("c", Status::Offline)]);
        world.removal_looks = 9;
        remove(&mut world, "c");
        assert_eq!(json(&world.enumerate())["Nodes"].as_array().unwrap().len(), 2);
        world.teller = "b".to_owned();
        let listed = json(&world.enumerate());
        assert_eq!(listed["Nodes"][2]["Status"], 6);
        assert_eq!(listed["NodeId"], "b");
    }

    #[test]
    fn each_request_to_drain_is_a_job_which_goes_on_by_being_looked_at() {
        let mut world = world(&[("a", Status::None)]);
        world.nodes[0].attached = 2;
        assert_eq!(json(&world.inspect("a"))["node"].get("status"), None, "a zero is left out");
        assert_eq!(json(&world.jobs()), json!({}), "and so is an empty list");
        world.drain("a", br#"{"issuer":"us"}"#);
        world.drain("a", b"");
        assert_eq!(world.effects[&Effect::DrainBegun], 2);
        assert_eq!(world.drain("a", b"{").status, 400);
        let states: Vec<String> =
            (0..5).map(|_| json(&world.job("job-1"))["job"]["state"].to_string()).collect();
        assert_eq!(states, ["\"PENDING\"", "\"RUNNING\"", "\"RUNNING\"", "\"RUNNING\"", "\"DONE\""]);
        assert_eq!(world.nodes[0].attached, 0);
        let said = json(&world.job("job-1"));
        assert_eq!(said["job"]["drain_attachments"]["issuer"], "us");
        let summary = &said["summary"]["work_summaries"][0]["drain_attachments_summary"];
        assert_eq!(summary, &json!({"num_volumes_total": "2", "num_volumes_done": "2"}));
    }
}
