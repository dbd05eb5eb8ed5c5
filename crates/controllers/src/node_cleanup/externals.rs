//! Declared plugins: whether each answers, in its status.
//!
//! The key is the name of a `CleanupPlugin`. A server is asked now and then what it is; a Job is seen to work when a step
//! needs it.

use std::sync::Arc;

use api::CleanupPlugin;
use api::node_cleanup::{CleanupPluginStatus, NodeCondition, NodeReason};
use chassis::lease::Epoch;
use chassis::objects::ObjectRef;
use chassis::reconcile::{Controller, Did, Report, Requeue};
use chassis::writes::{self, Seen};
use chassis::{Class, Classify as _};
use jiff::Timestamp;
use units::{ResourceVersion, Uid};

use super::apply::{self, Deeds};
use super::departures::Trouble;
use super::limits::{OVERTAKEN_PAUSE, PLUGIN_RECHECK, PLUGIN_RECHECK_FAILED};
use super::observe::Ground;
use super::report::conditions::{self, said};

/// Declared plugins.
pub(super) struct Externals {
    pub(super) ground: Ground,
    pub(super) deeds: Deeds,
}

/// What is known of a plugin.
pub(super) struct Snapshot {
    object: Arc<CleanupPlugin>,
    found: Found,
}

/// What came of asking.
enum Found {
    Invalid(String),
    Answers { calls_itself: String },
    Declared,
    Silent(String),
}

/// What its status is to say.
pub(super) struct Plan {
    object: Arc<CleanupPlugin>,
    status: CleanupPluginStatus,
    is_well: bool,
}

impl Controller for Externals {
    type Key = String;
    type Snapshot = Snapshot;
    type Plan = Plan;
    type Outcome = ();
    type Error = Trouble;

    const NAME: &'static str = "cleanupplugin";

    async fn observe(&self, key: &String) -> Result<Option<Snapshot>, Trouble> {
        let Some(object) = self.ground.stock().plugin(key).cloned() else { return Ok(None) };
        let found = match self.ground.plugins.declare(&object) {
            Err(invalid) => Found::Invalid(invalid.to_string()),
            Ok(()) if object.spec.job.is_some() => Found::Declared,
            Ok(()) => match self.ground.plugins.describe(key).await {
                Ok(described) => {
                    let calls_itself = format!("{} {}", described.name, described.version).trim().to_owned();
                    Found::Answers { calls_itself }
                }
                Err(error) => Found::Silent(error.to_string()),
            },
        };
        Ok(Some(Snapshot { object, found }))
    }

    fn decide(snapshot: &Snapshot, now: Timestamp) -> Plan {
        let Snapshot { object, found } = snapshot;
        let before = object.status.clone().unwrap_or_default();
        let (is_well, reason, message) = match found {
            Found::Invalid(why) => (false, NodeReason::Invalid, why.clone()),
            Found::Answers { calls_itself } => {
                (true, NodeReason::Answering, format!("it answers as {calls_itself}"))
            }
            Found::Declared => {
                (true, NodeReason::Declared, "it is a Job, which is made when a step needs it".to_owned())
            }
            Found::Silent(why) => (false, NodeReason::NotAnswering, why.clone()),
        };
        let is_stuck = matches!(found, Found::Invalid(_));
        let stuck = if is_stuck { message.clone() } else { String::new() };
        let said = vec![
            said(NodeCondition::Ready, is_well, reason, message.clone()),
            said(NodeCondition::Reconciling, !is_well && !is_stuck, reason, message),
            said(NodeCondition::Stalled, is_stuck, reason, stuck),
        ];
        let observed_generation = object.metadata.generation;
        let describes_itself_as = match found {
            Found::Answers { calls_itself } => Some(calls_itself.clone()),
            _ => before.describes_itself_as.clone(),
        };
        let conditions = conditions::conditions(said, &before.conditions, observed_generation, now);
        let status = CleanupPluginStatus { observed_generation, describes_itself_as, conditions };
        Plan { object: Arc::clone(object), status, is_well }
    }

    async fn apply(&self, _: &String, _: &Plan, _: &Epoch) {}

    async fn report(&self, key: &String, plan: Plan, (): ()) -> Result<Report, Trouble> {
        let Plan { object, status, is_well } = plan;
        let again = Requeue::After(
            if is_well { PLUGIN_RECHECK } else { PLUGIN_RECHECK_FAILED },
            "the plugin is asked again whether it answers",
        );
        if object.status.as_ref() == Some(&status) {
            return Ok(Report { requeue: again, did: Did::Nothing });
        }
        let uid = Uid::from(object.metadata.uid.as_deref().unwrap_or_default());
        let version = ResourceVersion::from(object.metadata.resource_version.as_deref().unwrap_or_default());
        let resource = apply::plugin_resource();
        let target = ObjectRef { resource: &resource, namespace: None, name: key };
        let seen = Seen { uid: &uid, version: &version };
        match writes::replace_status(self.deeds.client(), target, seen, &status).await {
            Ok(version) => self.ground.works.plugins.wrote(key, version),
            Err(error) if error.class() == Class::Conflict || error.code() == Some(404) => {
                let requeue = Requeue::After(OVERTAKEN_PAUSE, "the plugin has changed meanwhile");
                return Ok(Report { requeue, did: Did::Something });
            }
            Err(error) => return Err(Trouble::Writing(error)),
        }
        Ok(Report { requeue: again, did: Did::Something })
    }
}
