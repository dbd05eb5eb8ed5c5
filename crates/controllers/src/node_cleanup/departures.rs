//! Departures: one node that leaves, from its deletion to its end.
//!
//! The key is a run, the name of its record. A turn settles what plugins have answered since the last one, decides, writes
//! the record, and only then acts. Plugins are asked beside the turns; their answers wake the key.
//!
//! Invariants: what has not been written down is not done; the first decision of an epoch is made on the record as the
//! server has it, and no write overtakes another.

mod judge;
mod sight;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use api::NodeCleanup;
use api::node_cleanup::{Blocker, NodeCleanupStatus, NodeReason};
use chassis::actuator::Outcome;
use chassis::lease::Epoch;
use chassis::reconcile::{Controller, Did, Report, Requeue};
use chassis::{ApiError, Class, Classify};
use control::{Clock, Mutant};
use jiff::Timestamp;
use node_cleanup::departure::Act;
use node_cleanup::steps::Moment;
use units::{ResourceVersion, Uid};

use super::apply::Deeds;
use super::limits::{NO_SLOT_PAUSE, OVERTAKEN_PAUSE, UNREAD_PAUSE};
use super::memory::Memories;
use super::nodes::{became, settled};
use super::observe::{Ground, is_over};
use super::report;
use judge::Sight;

/// Departures.
pub(super) struct Departures {
    pub(super) ground: Ground,
    pub(super) deeds: Deeds,
    pub(super) memories: Memories,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a departure is decided on.
pub(super) struct Snapshot {
    record: Arc<NodeCleanup>,
    seen: SeenRecord,
    seed: u64,
    /// What is to be decided on; or why nothing can be decided now.
    sight: Result<Sight, Unseen>,
}

/// Which version of the record was seen.
#[derive(Clone, Debug)]
pub(super) struct SeenRecord {
    pub(super) uid: Uid,
    pub(super) version: ResourceVersion,
}

/// Why nothing can be decided now.
enum Unseen {
    /// Something has to be read first.
    Reading,
    /// It has ended, and its record is kept until then.
    Over(Option<Timestamp>),
}

/// What is to be written, and done.
pub(super) struct Plan {
    pub(super) record: Arc<NodeCleanup>,
    pub(super) seen: SeenRecord,
    pub(super) status: NodeCleanupStatus,
    pub(super) writes: bool,
    pub(super) acts: Vec<Act>,
    /// Whether the record is deleted: it has been kept for long enough.
    pub(super) forgets: bool,
    /// How many answers of plugins the status says.
    pub(super) answers: usize,
    wake: Option<(Timestamp, &'static str)>,
    waits: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Whether the record was written.
    pub(super) wrote: bool,
    /// Why it was not.
    pub(super) unwritten: Option<ApiError>,
    /// Whether some pods had no slot.
    pub(super) has_more: bool,
    /// What became of the other acts.
    pub(super) outcomes: Vec<(&'static str, Outcome)>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The record could not be read.
    #[error("the record could not be read: {0}")]
    Reading(ApiError),
    /// The record could not be written, and nothing was done.
    #[error("the record could not be written: {0}")]
    Writing(ApiError),
    /// An act failed.
    #[error("{act}: {why}")]
    Acting {
        /// What was to be done.
        act: &'static str,
        /// What happened.
        why: String,
        /// What happens next.
        class: Class,
    },
}

impl Trouble {
    /// As the record tells it.
    fn blocker(&self) -> Blocker {
        let reason = NodeReason::ActFailed.name().to_owned();
        Blocker { reason, message: format!("{self}; it is tried again"), ..Blocker::default() }
    }
}

impl Classify for Trouble {
    fn class(&self) -> Class {
        match self {
            Self::Reading(error) | Self::Writing(error) => match error.class() {
                // The next one may be another.
                Class::Invalid => Class::Transient,
                class => class,
            },
            Self::Acting { class, .. } => *class,
        }
    }
}

impl Controller for Departures {
    type Key = String;
    type Snapshot = Snapshot;
    type Plan = Plan;
    type Outcome = Done;
    type Error = Trouble;

    const NAME: &'static str = "nodecleanup";

    async fn observe(&self, key: &String) -> Result<Option<Snapshot>, Trouble> {
        let Some(record) = self.record(key).await? else {
            self.forget(key);
            return Ok(None);
        };
        let (Some(uid), Some(version)) = (&record.metadata.uid, &record.metadata.resource_version) else {
            return Ok(None);
        };
        let seen =
            SeenRecord { uid: Uid::from(uid.as_str()), version: ResourceVersion::from(version.as_str()) };
        let seed = seed(&record.spec.node_uid);
        let sight = self.look(key, &record).await?;
        Ok(Some(Snapshot { record, seen, seed, sight }))
    }

    fn decide(snapshot: &Snapshot, now: Timestamp) -> Plan {
        let Snapshot { record, seen, seed, sight } = snapshot;
        let status = record.status.clone().unwrap_or_default();
        let resting = Plan {
            record: Arc::clone(record),
            seen: seen.clone(),
            status,
            writes: false,
            acts: Vec::new(),
            forgets: false,
            answers: 0,
            wake: None,
            waits: false,
        };
        match sight {
            Err(Unseen::Reading) => Plan { waits: true, ..resting },
            Err(Unseen::Over(keep_until)) => match keep_until {
                Some(until) if *until <= now => Plan { forgets: true, ..resting },
                until => Plan { wake: until.map(|until| (until, "the record has been kept")), ..resting },
            },
            Ok(sight) => sight.decide(resting, Moment { now, seed: *seed }),
        }
    }

    async fn apply(&self, key: &String, plan: &Plan, epoch: &Epoch) -> Done {
        let mut done = Done::default();
        let after = Mutant::ResultUnrecorded.is_on();
        if plan.writes && !after {
            self.write(key, plan, &mut done).await;
            if done.unwritten.is_some() {
                return done;
            }
        }
        if !plan.writes {
            // What these answers say stands in the record already.
            self.memories.with(key, |memory| memory.told(plan.answers));
        }
        self.act(key, plan, epoch, &mut done).await;
        if plan.writes && after {
            self.write(key, plan, &mut done).await;
        }
        done
    }

    async fn report(&self, key: &String, plan: Plan, done: Done) -> Result<Report, Trouble> {
        let Done { wrote, unwritten, has_more, outcomes } = done;
        if let Some(error) = unwritten {
            let is_overtaken = error.class() == Class::Conflict;
            if is_overtaken {
                return Ok(again(Requeue::After(OVERTAKEN_PAUSE, "the record has changed meanwhile")));
            }
            return Err(Trouble::Writing(error));
        }
        if wrote {
            report::say(&self.deeds, &plan.record, &plan.status, self.clock.now());
        }
        if is_over(plan.status.phase) {
            if wrote {
                self.ground.stock().has_ended(&plan.record.spec.policy);
            }
            self.forget(key);
        }
        let trouble = settled(outcomes);
        // What was overtaken is only looked at again.
        let told = trouble.as_ref().err().filter(|trouble| trouble.class() != Class::Conflict);
        let told = told.map(Trouble::blocker);
        let was_told =
            self.memories.with(key, |memory| std::mem::replace(&mut memory.trouble, told).is_some());
        trouble?;
        if was_told && !is_over(plan.status.phase) {
            return Ok(again(Requeue::After(OVERTAKEN_PAUSE, "what could not be done has been done")));
        }
        let requeue = match (has_more, plan.waits, plan.wake) {
            (true, ..) => Requeue::After(NO_SLOT_PAUSE, "more pods are to be asked"),
            (_, true, _) => Requeue::After(UNREAD_PAUSE, "something has to be read first"),
            (.., Some((at, why))) => Requeue::At(at, why),
            (.., None) => Requeue::AwaitChange,
        };
        let did = if wrote || has_more { Did::Something } else { Did::Nothing };
        Ok(Report { requeue, did })
    }
}

fn again(requeue: Requeue) -> Report {
    Report { requeue, did: Did::Something }
}

impl Departures {
    /// Writes the record down. Nothing is done before the server has it.
    async fn write(&self, key: &String, plan: &Plan, done: &mut Done) {
        match self.deeds.write(key, &plan.seen, &plan.status).await {
            Ok(version) => {
                done.wrote = true;
                self.ground.works.departures.wrote(key, version);
                let now = self.clock.now();
                self.memories.with(key, |memory| {
                    memory.written_at = Some(now);
                    memory.told(plan.answers);
                });
            }
            Err(error) => {
                if error.class() == Class::Conflict {
                    // Whoever wrote it knows more than we do.
                    self.memories.with(key, |memory| memory.read_in = None);
                }
                done.unwritten = Some(error);
            }
        }
    }

    async fn act(&self, key: &str, plan: &Plan, epoch: &Epoch, done: &mut Done) {
        let record = &plan.record;
        let uid = Uid::from(record.spec.node_uid.as_str());
        let node = self.ground.stock().node(&record.spec.node_name).cloned();
        // Another node of this name is none of this record's business.
        let node = node.filter(|node| node.metadata.uid.as_ref() == Some(&uid));
        let mut pods = Vec::new();
        for act in &plan.acts {
            match act {
                Act::Close => {
                    if let Some(node) = &node {
                        let closed = became(self.deeds.close(node).await);
                        done.outcomes.push(("the node was not cordoned", closed));
                    }
                }
                Act::Ask(eviction) => pods.push(eviction.clone()),
                Act::Call(asked) => self.deeds.call(&self.ground, &self.memories, (key, plan), asked, epoch),
                Act::Release => {
                    if let Some(node) = &node {
                        let released = self.deeds.release(node, record, epoch).await;
                        done.outcomes.push(("the finalizer was not taken off", released));
                    }
                }
            }
        }
        if !pods.is_empty() {
            let asked = self.deeds.ask_pods(pods, record, epoch).await;
            done.has_more = asked.has_more;
            let now = self.clock.now();
            self.memories.with(key, |memory| {
                for (uid, answer) in asked.answers {
                    memory.tries.record(&uid, answer, now);
                }
            });
            if asked.was_unheard {
                self.ground.doubt();
            }
        }
        if plan.forgets {
            let forgotten = self.deeds.forget(record, &plan.seen, epoch).await;
            done.outcomes.push(("the record was not deleted", forgotten));
        }
    }

    /// Nothing of a departure is to be remembered any more.
    fn forget(&self, key: &str) {
        self.ground.release_pods(key);
        self.memories.forget(key);
    }
}

fn seed(uid: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(keep_until: Option<&str>) -> Snapshot {
        let record: NodeCleanup = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "u", "uid": "r", "resourceVersion": "7"},
            "spec": {"nodeName": "a", "nodeUid": "u", "policy": "all"},
            "status": {"phase": "Completed"},
        }))
        .unwrap();
        Snapshot {
            record: Arc::new(record),
            seen: SeenRecord { uid: Uid::from("r"), version: ResourceVersion::from("7") },
            seed: 1,
            sight: Err(Unseen::Over(keep_until.map(|until| until.parse().unwrap()))),
        }
    }

    #[test]
    fn the_record_of_a_departure_that_has_ended_is_kept_as_long_as_was_said() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let table = [
            (Some("2026-11-21T12:01:00Z"), false, Some("2026-11-21T12:01:00Z")),
            (Some("2026-11-21T12:00:00Z"), true, None),
            (Some("2026-11-21T11:00:00Z"), true, None),
            (None, false, None),
        ];
        for (keep_until, forgets, wakes) in table {
            let plan = Departures::decide(&ended(keep_until), now);
            assert_eq!((plan.forgets, plan.writes, plan.acts.len()), (forgets, false, 0), "{keep_until:?}");
            assert_eq!(plan.wake.map(|(at, _)| at), wakes.map(|at| at.parse().unwrap()), "{keep_until:?}");
        }
    }
}
