//! All that is known of the cluster, as the watches show it: nodes, how they are to leave, and how far they are.
//!
//! What is derived from it (compiled policies, whose turn it is) is made anew when what it comes from changes. Knows no
//! watch and no client.
//!
//! Invariant: a departure that was told that it is its turn counts as leaving from that moment, whether or not its record
//! says so yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use api::node_cleanup::{CleanupPhase, Concurrency, NODE_FINALIZER};
use api::{CleanupPlugin, DrainRule, NodeCleanup, NodeCleanupPolicy, NodeMaintenance};
use node_cleanup::drain::{Intent, Rules, Settings};
use node_cleanup::steps::PluginFacts;
use node_cleanup::{Governs, InvalidPolicy, Member, MemberState, Policy, Reach, Turn, TurnRule};
use serde_json::Value;
use units::{Labelled as _, Uid};
use views::{DisruptionBudget, Node, Object, Pod, Readiness, VolumeAttachment};

use super::Wakes;
use super::shelf::Shelf;

/// All that is known of the cluster.
#[derive(Debug, Default)]
pub(in super::super) struct Stock {
    pub(super) nodes: Shelf<Node>,
    pub(super) policies: Shelf<NodeCleanupPolicy>,
    pub(super) rules: Shelf<DrainRule>,
    pub(super) plugins: Shelf<CleanupPlugin>,
    pub(super) records: Shelf<NodeCleanup>,
    pub(super) maintenances: Shelf<NodeMaintenance>,
    pub(super) budgets: Shelf<DisruptionBudget>,
    pub(super) attachments: Shelf<VolumeAttachment>,
    pub(super) namespaces: Shelf<Object>,
    pub(super) daemon_sets: Shelf<Object>,
    /// The pods of the nodes that are being emptied.
    pub(super) pods: HashMap<Box<str>, Shelf<Pod>>,
    compiled: BTreeMap<Box<str>, Result<Arc<Policy>, Unsound>>,
    compiled_rules: Arc<Rules>,
    turns: HashMap<String, Turn>,
    are_turns_old: bool,
    granted: BTreeSet<String>,
    /// Departures that have come to their end, by policy, and are in no status yet.
    ended: BTreeMap<String, i64>,
    /// Nodes on which a budget that lets nothing go has pods.
    pub(super) tight: BTreeSet<Box<str>>,
    /// The epoch that lasts, once all is known that was done before it.
    pub(super) taken_over: Option<u64>,
}

/// A policy that makes no sense.
#[derive(Clone, Debug)]
struct Unsound {
    why: String,
    /// Of which nodes it might decide, if it did.
    reach: Reach,
}

/// The nodes of one policy, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Tally {
    /// Nodes that the policy decides of.
    pub(in super::super) nodes: i64,
    /// Of them, those with the finalizer.
    pub(in super::super) finalized: i64,
    /// Nodes of the control plane that its selector selects, and that it does not decide of.
    pub(in super::super) left_alone: i64,
    /// Departures under way.
    pub(in super::super) leaving: i64,
    /// Departures that wait.
    pub(in super::super) held: i64,
    /// Departures that have come to their end since the policy's status was written last.
    pub(in super::super) ended: i64,
}

/// A maintenance that holds a node after another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Heir {
    pub(in super::super) name: String,
    pub(in super::super) uid: String,
}

/// Who decides of a node.
#[derive(Clone, Debug)]
pub(in super::super) enum Governor {
    /// This policy.
    Policy(Arc<Policy>, Arc<NodeCleanupPolicy>),
    /// None.
    Nobody,
    /// Nobody can tell: a policy that might decide of it makes no sense.
    Unknown,
}

/// Whether a departure has come to its end.
pub(in super::super) const fn is_over(phase: CleanupPhase) -> bool {
    matches!(phase, CleanupPhase::Completed | CleanupPhase::Released | CleanupPhase::Lost)
}

/// How far a record is.
pub(in super::super) fn phase(record: &NodeCleanup) -> CleanupPhase {
    record.status.as_ref().map_or(CleanupPhase::Waiting, |status| status.phase)
}

/// The run that a record is of: its name.
pub(in super::super) fn run(record: &NodeCleanup) -> &str {
    record.metadata.name.as_deref().unwrap_or_default()
}

impl Stock {
    /// Checks all policies anew: one of them, or what plugins there are, has changed.
    pub(super) fn compile_policies(&mut self, built_in: &dyn Fn(&str) -> Option<PluginFacts>) {
        let plugins = &self.plugins;
        let known = |name: &str| {
            let declared = plugins.of_cluster(name);
            let facts =
                declared.map(|plugin| PluginFacts { settings_schema: plugin.spec.settings_schema.clone() });
            built_in(name).or(facts)
        };
        self.compiled = self
            .policies
            .iter()
            .map(|policy| {
                let name = policy.metadata.name.as_deref().unwrap_or_default();
                let compiled = Policy::compile(policy, &known).map(Arc::new);
                let unsound =
                    |error: InvalidPolicy| Unsound { why: error.to_string(), reach: Reach::of(policy) };
                (name.into(), compiled.map_err(unsound))
            })
            .collect();
        self.are_turns_old = true;
    }

    /// Checks all rules anew.
    pub(super) fn compile_rules(&mut self) {
        let rules: Vec<DrainRule> = self.rules.iter().map(|rule| DrainRule::clone(rule)).collect();
        self.compiled_rules = Arc::new(Rules::compile(&rules));
    }

    /// Somebody may have got or lost a turn.
    pub(super) const fn shake(&mut self) {
        self.are_turns_old = true;
    }

    pub(in super::super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.compiled_rules)
    }

    pub(in super::super) fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.of_cluster(name)
    }

    pub(in super::super) fn record(&self, run: &str) -> Option<&Arc<NodeCleanup>> {
        self.records.of_cluster(run)
    }

    pub(in super::super) fn maintenance(&self, name: &str) -> Option<&Arc<NodeMaintenance>> {
        self.maintenances.of_cluster(name)
    }

    pub(in super::super) fn plugin(&self, name: &str) -> Option<&Arc<CleanupPlugin>> {
        self.plugins.of_cluster(name)
    }

    pub(in super::super) fn policy(&self, name: &str) -> Option<&Arc<NodeCleanupPolicy>> {
        self.policies.of_cluster(name)
    }

    /// A policy, checked; or what is wrong with it.
    pub(in super::super) fn compiled(&self, name: &str) -> Option<Result<Arc<Policy>, String>> {
        let compiled = self.compiled.get(name)?;
        Some(compiled.clone().map_err(|unsound| unsound.why))
    }

    /// All checked policies that make sense.
    pub(in super::super) fn sound_policies(&self) -> Vec<Arc<Policy>> {
        self.compiled.values().filter_map(|compiled| compiled.as_ref().ok()).cloned().collect()
    }

    pub(in super::super) fn runs(&self) -> impl Iterator<Item = &Arc<NodeCleanup>> {
        self.records.iter()
    }

    /// The departure of this incarnation of a node that is under way.
    pub(super) fn run_of(&self, node: &Node) -> Option<&Arc<NodeCleanup>> {
        self.record(&node.metadata.uid.as_ref()?.to_string())
    }

    /// The names of the maintenances of a node.
    pub(super) fn maintenances_of(&self, node: &str) -> impl Iterator<Item = &Arc<NodeMaintenance>> {
        self.maintenances.iter().filter(move |maintenance| maintenance.spec.node_name == node)
    }

    /// Whether a maintenance of this UID wants this node held.
    pub(in super::super) fn has_maintenance(&self, uid: &str, node: &str) -> bool {
        self.maintenances_of(node).any(|maintenance| {
            maintenance.metadata.uid.as_deref() == Some(uid)
                && maintenance.metadata.deletion_timestamp.is_none()
        })
    }

    /// The maintenance that holds a node once the one that does is gone: the oldest that waits for it, and makes sense.
    pub(in super::super) fn heir(&self, node: &Node) -> Option<Heir> {
        let may_hold = |maintenance: &&Arc<NodeMaintenance>| {
            let seen =
                maintenance.status.as_ref().and_then(|status| status.node_uid.as_deref()).map(Uid::from);
            maintenance.metadata.deletion_timestamp.is_none()
                && (seen.is_none() || seen == node.metadata.uid)
                && Settings::compile(&maintenance.spec.drain, Intent::Maintenance).is_ok()
        };
        let age = |maintenance: &&Arc<NodeMaintenance>| {
            let metadata = &maintenance.metadata;
            (metadata.creation_timestamp.as_ref().map(|created| created.0), metadata.name.clone())
        };
        let next = self.maintenances_of(&node.metadata.name).filter(may_hold).min_by_key(age)?;
        Some(Heir { name: next.metadata.name.clone()?, uid: next.metadata.uid.clone()? })
    }

    /// The name of the maintenance of this UID.
    pub(in super::super) fn maintenance_called(&self, uid: &str) -> Option<String> {
        let maintenance =
            self.maintenances.iter().find(|maintenance| maintenance.metadata.uid.as_deref() == Some(uid))?;
        maintenance.metadata.name.clone()
    }

    /// Who decides of a node.
    pub(in super::super) fn governor(&self, node: &Node) -> Governor {
        let sound = self.compiled.values().filter_map(|compiled| compiled.as_deref().ok());
        let decides = Policy::of(sound, &node.metadata.labels).map(|policy| &policy.name);
        let found = decides.and_then(|name| {
            let policy = self.compiled.get(name)?.as_ref().ok()?;
            Some((policy, self.policy(name)?))
        });
        match found {
            Some((policy, object)) => Governor::Policy(Arc::clone(policy), Arc::clone(object)),
            // Nobody knows how it would have the node leave: what is there, stays.
            None if self.is_in_reach_of_the_unsound(node) => Governor::Unknown,
            None => Governor::Nobody,
        }
    }

    /// Whether these are the policies that are known, by the UID and generation of each.
    pub(in super::super) fn knows_policies(&self, found: &[Value]) -> bool {
        let named = |metadata: &Value| {
            let uid = metadata.get("uid").and_then(Value::as_str).map(ToOwned::to_owned);
            (uid, metadata.get("generation").and_then(Value::as_i64))
        };
        let found: BTreeSet<_> =
            found.iter().filter_map(|object| object.get("metadata")).map(named).collect();
        let known =
            self.policies.iter().map(|policy| (policy.metadata.uid.clone(), policy.metadata.generation));
        found == known.collect()
    }

    fn is_in_reach_of_the_unsound(&self, node: &Node) -> bool {
        let mut unsound = self.compiled.values().filter_map(|compiled| compiled.as_ref().err());
        self.policies.has_unreadable()
            || unsound.any(|unsound| unsound.reach.may_include(&node.metadata.labels))
    }

    /// Whether it is a departure's turn; once it is, the departure counts as leaving. None before it is known.
    pub(in super::super) fn take_turn(&mut self, run: &str) -> Option<Turn> {
        if self.granted.contains(run) {
            return Some(Turn::Begins);
        }
        let turn = self.turns.get(run).cloned()?;
        if turn == Turn::Begins {
            self.granted.insert(run.to_owned());
        }
        Some(turn)
    }

    /// Nobody has a turn who has not begun: another replica may have given them.
    pub(super) fn forget_turns(&mut self) {
        self.granted.clear();
        self.turns.clear();
        self.are_turns_old = true;
    }

    /// Says whose turn it is, if that may have changed; returns those who may begin, and the policies, which count them.
    pub(super) fn give_turns(&mut self) -> Wakes {
        let mut wakes = Wakes::default();
        if !std::mem::take(&mut self.are_turns_old) {
            return wakes;
        }
        let records = &self.records;
        self.granted.retain(|run| {
            records.of_cluster(run).is_some_and(|record| phase(record) == CleanupPhase::Waiting)
        });
        let mut turns = HashMap::new();
        for (policy, members) in self.members() {
            let compiled = self.compiled.get(&*policy).and_then(|compiled| compiled.as_deref().ok());
            let otherwise = TurnRule::compile(&Concurrency::default());
            let rule = compiled.map_or(&otherwise, |policy| &policy.turns);
            for (node, turn) in rule.turns(&members) {
                if let Some(record) = self.node(node).and_then(|node| self.run_of(node)) {
                    turns.insert(run(record).to_owned(), turn);
                }
            }
        }
        self.turns = turns;
        let begins = self.turns.iter().filter(|(_, turn)| **turn == Turn::Begins);
        wakes.departures.extend(begins.map(|(run, _)| run.clone()));
        wakes.policies.extend(self.compiled.keys().map(ToString::to_string));
        wakes.nodes.extend(self.guarded());
        wakes
    }

    /// The nodes of each policy, for whose turn it is.
    fn members(&self) -> BTreeMap<Box<str>, Vec<Member>> {
        let mut members: BTreeMap<Box<str>, Vec<Member>> = BTreeMap::new();
        for node in self.nodes.iter() {
            let record = self.run_of(node);
            let Some(policy) = self.policy_name(node, record) else { continue };
            let Some(state) = self.state(node, record) else { continue };
            let label = self.counts_by(&policy).and_then(|key| node.metadata.labels.label(key));
            let (name, group) = (node.metadata.name.to_string(), label.map(ToOwned::to_owned));
            members.entry(policy).or_default().push(Member { name, group, state });
        }
        for record in self.records.iter().filter(|record| self.has_outlived_its_node(record)) {
            let policy: Box<str> = record.spec.policy.as_str().into();
            let node = record.status.as_ref().and_then(|status| status.node.as_ref());
            let group = self.counts_by(&policy).and_then(|key| node?.labels.get(key).cloned());
            let (name, state) = (run(record).to_owned(), MemberState::Leaving);
            members.entry(policy).or_default().push(Member { name, group, state });
        }
        members
    }

    /// The label by which a policy counts the nodes that leave.
    fn counts_by(&self, policy: &str) -> Option<&str> {
        self.compiled.get(policy)?.as_ref().ok()?.turns.counts_by()
    }

    /// Whether the node of a departure is gone that has begun, and has not been brought to its end: it keeps its turn.
    fn has_outlived_its_node(&self, record: &NodeCleanup) -> bool {
        let phase = phase(record);
        let uid = Uid::from(record.spec.node_uid.as_str());
        let node = self.node(&record.spec.node_name).filter(|node| node.metadata.uid.as_ref() == Some(&uid));
        phase != CleanupPhase::Waiting && !is_over(phase) && node.is_none()
    }

    fn policy_name(&self, node: &Node, record: Option<&Arc<NodeCleanup>>) -> Option<Box<str>> {
        match record {
            Some(record) => Some(record.spec.policy.as_str().into()),
            None => match self.governor(node) {
                Governor::Policy(policy, _) => Some(policy.name.clone()),
                Governor::Nobody | Governor::Unknown => None,
            },
        }
    }

    fn state(&self, node: &Node, record: Option<&Arc<NodeCleanup>>) -> Option<MemberState> {
        let is_ready = node.readiness == Readiness::Ready;
        let Some(since) = node.metadata.deletion_timestamp else {
            return Some(if is_ready { MemberState::Ready } else { MemberState::NotReady });
        };
        let Some(record) = record else { return Some(MemberState::Waiting { since }) };
        let is_granted = self.granted.contains(run(record));
        match phase(record) {
            CleanupPhase::Waiting if !is_granted => Some(MemberState::Waiting { since }),
            over if is_over(over) => None,
            _ => Some(MemberState::Leaving),
        }
    }

    /// A departure has come to its end.
    pub(in super::super) fn has_ended(&mut self, policy: &str) {
        *self.ended.entry(policy.to_owned()).or_default() += 1;
    }

    /// So many of them are in the policy's status by now.
    pub(in super::super) fn have_been_told(&mut self, policy: &str, ended: i64) {
        if let Some(waiting) = self.ended.get_mut(policy) {
            *waiting -= ended;
        }
    }

    /// Counts the nodes and departures of one policy.
    pub(in super::super) fn tally(&self, policy: &str) -> Tally {
        let ended = self.ended.get(policy).copied().unwrap_or_default();
        let mut tally = Tally { ended, ..Tally::default() };
        let compiled = self.compiled.get(policy).and_then(|compiled| compiled.as_ref().ok());
        for node in self.nodes.iter() {
            let governs = compiled.map(|policy| policy.governs(&node.metadata.labels));
            tally.left_alone += i64::from(governs == Some(Governs::ControlPlane));
            if let Governor::Policy(governing, _) = self.governor(node)
                && *governing.name == *policy
            {
                tally.nodes += 1;
                tally.finalized += i64::from(node.has_finalizer(NODE_FINALIZER));
            }
        }
        for record in self.records.iter().filter(|record| record.spec.policy == policy) {
            match phase(record) {
                CleanupPhase::Waiting => tally.held += 1,
                over if is_over(over) => {}
                _ if is_held(record) => tally.held += 1,
                _ => tally.leaving += 1,
            }
        }
        tally
    }

    /// How many departures of a policy each kind of blocker stands in the way of, by its word.
    pub(in super::super) fn blocked(&self, policy: &str) -> BTreeMap<String, i64> {
        let mut blocked = BTreeMap::new();
        for record in self.records.iter().filter(|record| record.spec.policy == policy) {
            for reason in reasons(record) {
                *blocked.entry(reason.to_owned()).or_default() += 1;
            }
        }
        blocked
    }
}

/// The different reasons of what stands in the way of a departure.
fn reasons(record: &NodeCleanup) -> BTreeSet<&str> {
    let blockers = record.status.iter().flat_map(|status| &status.blockers);
    blockers.map(|blocker| blocker.reason.as_str()).collect()
}

/// Whether a departure goes on only if somebody helps.
pub(super) fn is_held(record: &NodeCleanup) -> bool {
    let conditions = record.status.iter().flat_map(|status| &status.conditions);
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Stalled" && condition.status == api::ConditionStatus::True)
}
