//! Judges every deletion that the API server's audit log tells of, by the oracle, over what the server had stored.
//!
//! The object is judged as it was directly before it went: preconditions see to it that this is what the operator judged,
//! and without them it is what matters. Everything else that a decision rests on (policies, labels of namespaces, the others
//! of a group, owners) may be as old as the world's faults make news: a deletion is right if it is right by some view of that
//! time.

use std::cell::Ref;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testbed::ControlPlane;

use crate::ground::{CLUSTER_POLICY, NAMESPACE, POLICY, kind_of};
use crate::history::History;
use crate::intents::{Intent, Ledger};
use crate::oracle::{self, No, ObjectKey, PolicyKey, Scene, Shape, Shown};
use crate::support::audit::{Request, Tail};
use crate::support::now;
use crate::terms::{KINDS, OWNERS_KINDS};

/// How old the news may be by which something is decided, in milliseconds: a fault of a watch, and the time to get over it on
/// a busy machine.
const NEWS_AGE_MAX: i64 = 4_000;

/// How long before it is written down something is decided, in milliseconds; what may happen only at certain times is judged
/// at each of these.
const DECIDED_BEFORE: [i64; 3] = [0, 200, 1_000];

/// How long the watches take to tell of something, in milliseconds, as a rule.
const TOLD_WITHIN: i64 = 500;

/// How long a deletion that looks wrong is looked at again, in milliseconds: the watches may have yet to tell of something.
const PATIENCE: i64 = 3_000;

/// What stands in the way of a verdict, or is the verdict.
type Wrong = String;

/// One deletion that was right.
struct Gone {
    /// The policy, and which incarnation of it.
    policy: (PolicyKey, String),
    decided_at: i64,
    epoch: u64,
    /// The span of the policy's budget, and the most that may go in it; none if it went by an approval.
    budget: Option<(i64, u64)>,
    words: String,
}

pub(crate) struct Judge {
    cluster: &'static ControlPlane,
    log: Tail,
    pending: Vec<Request>,
    gone: Vec<Gone>,
    /// UIDs of objects whose departure the operator has to answer for.
    answered_for: BTreeSet<String>,
    /// What the server did not say yes to.
    refused: Vec<Request>,
}

/// A moment for each sort of thing that a decision rests on.
#[derive(Clone, Copy)]
struct View {
    policies: u64,
    cluster_policies: u64,
    labels: u64,
    objects: u64,
}

impl Judge {
    /// Judges from now on.
    pub(crate) fn new(cluster: &'static ControlPlane) -> Self {
        let log = Tail::from_now(cluster);
        let (pending, gone, refused) = (Vec::new(), Vec::new(), Vec::new());
        Self { cluster, log, pending, gone, answered_for: BTreeSet::new(), refused }
    }

    pub(crate) fn deleted(&self) -> usize {
        self.gone.len()
    }

    pub(crate) fn refused(&self) -> usize {
        self.refused.len()
    }

    /// Judges what has been done so far; what cannot be judged yet waits.
    pub(crate) fn sit(&mut self, history: &Ref<'_, History>, names: &[String]) -> Result<(), Wrong> {
        let new = self.log.read().into_iter().filter(|request| request.verb.starts_with("delete"));
        for request in new.filter(|request| kind_of(&request.resource).is_some()) {
            if request.accepted() {
                self.pending.push(request);
            } else {
                self.refused.push(request);
            }
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let ledgers: Vec<_> = names.iter().map(|name| Ledger::read(self.cluster, name)).collect();
        for request in std::mem::take(&mut self.pending) {
            match self.judge(&request, history, &ledgers) {
                Ok(gone) => self.gone.extend(gone),
                Err(_) if now().as_millisecond() < request.at.as_millisecond() + PATIENCE => {
                    self.pending.push(request);
                }
                Err(wrong) => return Err(format!("wrong deletion: {wrong}\n{request:?}")),
            }
        }
        self.budgets_hold()
    }

    pub(crate) fn has_done(&self) -> bool {
        self.pending.is_empty()
    }

    /// None if nothing went: what is going already, and on whose version nobody insists, may be deleted again.
    fn judge(
        &mut self,
        request: &Request,
        history: &History,
        ledgers: &[Ledger],
    ) -> Result<Option<Gone>, Wrong> {
        let kind = kind_of(&request.resource).unwrap();
        let key: ObjectKey = (kind, request.namespace.clone(), request.name.clone());
        let told_at = request.at.as_millisecond();
        let insisted = request.uid().to_owned();
        let is_it = |object: &Value| match insisted.as_str() {
            "" => object["kind"] == kind && object["namespace"] == key.1 && object["name"] == key.2,
            uid => object["uid"] == uid,
        };
        // Records and audit round their times in their own ways.
        let intent = ledgers.iter().filter_map(|ledger| ledger.intent(is_it, told_at + 1));
        let intent = intent.max_by_key(|intent| intent.decided_at);
        let intent = intent.ok_or_else(|| "no ledger told of it before".to_owned())?;

        let uid_of = |object: &Value| object["metadata"]["uid"].as_str().unwrap().to_owned();
        let mut departures = history.departures(&key);
        let departure = departures.find(|(object, change)| match insisted.as_str() {
            "" => change.seen >= told_at && !self.answered_for.contains(&uid_of(object)),
            uid => object["metadata"]["uid"] == uid,
        });
        let after = history.at(&key, history.revision_at(told_at + TOLD_WITHIN));
        let is_going = after.is_some_and(|object| !object["metadata"]["deletionTimestamp"].is_null());
        if departure.is_none() && insisted.is_empty() && is_going {
            return Ok(None);
        }
        let (object, change) = departure.ok_or_else(|| format!("{key:?} was not seen to go"))?;
        let version = object["metadata"]["resourceVersion"].as_str().unwrap();
        if !request.version().is_empty() && request.version() != version {
            return Err(format!("the server let {} through for {version}", request.version()));
        }
        let case = Case { history, key: &key, object, intent: &intent, to: change.revision - 1 };
        let gone = case.judge()?;
        self.answered_for.insert(uid_of(object));
        Ok(Some(gone))
    }

    /// Whatever may go in a span of time, no more has gone.
    fn budgets_hold(&self) -> Result<(), Wrong> {
        for gone in &self.gone {
            let Some((span, most)) = gone.budget else { continue };
            // What was begun at the very beginning of the span may lie before it: it was decided earlier than written down.
            let within = |other: &&Gone| {
                let age = gone.decided_at - other.decided_at;
                // What goes without a limit waits for no status: whoever leads next does not know what the last one lacked.
                let counts =
                    other.budget.is_some_and(|(_, most)| most < u64::MAX || other.epoch == gone.epoch);
                other.policy == gone.policy && counts && (0..span - 1_000).contains(&age)
            };
            let within: Vec<_> = self.gone.iter().filter(within).collect();
            if u64::try_from(within.len()).unwrap() > most {
                let words: Vec<_> = within.iter().map(|gone| (gone.budget, &gone.words)).collect();
                return Err(format!(
                    "wrong deletion: {} have gone under {:?}, and {most} may in {span} ms when {} goes: {words:#?}",
                    within.len(),
                    gone.policy,
                    gone.words
                ));
            }
        }
        Ok(())
    }

    /// Nobody else has removed anything, but for those that people did. Whether all that has gone is judged: the log may tell
    /// of a deletion later than the watches do.
    pub(crate) fn nothing_else_went(
        &mut self,
        history: &History,
        by_people: &BTreeSet<String>,
    ) -> Result<bool, Wrong> {
        let mut is_all = true;
        for key in history.keys().filter(|key| KINDS.contains(&key.0)) {
            for (object, change) in history.departures(key) {
                let uid = object["metadata"]["uid"].as_str().unwrap();
                if by_people.contains(uid) || self.answered_for.contains(uid) {
                    continue;
                }
                is_all = false;
                if self.hear_again(key, uid) || now().as_millisecond() < change.seen + PATIENCE {
                    continue;
                }
                let asked: Vec<_> = self.refused.iter().filter(|request| is_about(request, key)).collect();
                return Err(format!(
                    "wrong deletion: nothing tells who removed {key:?} {uid} by {change:?}\n{asked:#?}"
                ));
            }
        }
        Ok(is_all)
    }

    /// A server whose caller hangs up in the middle calls the deletion failed, though it is made: it is judged like the others.
    fn hear_again(&mut self, key: &ObjectKey, uid: &str) -> bool {
        let is_it = |request: &Request| {
            is_about(request, key)
                && request.has_failed()
                && (request.uid().is_empty() || request.uid() == uid)
        };
        let Some(at) = self.refused.iter().position(is_it) else { return false };
        self.pending.push(self.refused.remove(at));
        true
    }
}

fn is_about(request: &Request, (kind, space, name): &ObjectKey) -> bool {
    kind_of(&request.resource) == Some(*kind) && request.namespace == *space && request.name == *name
}

/// One deletion before the oracle.
struct Case<'a> {
    history: &'a History,
    key: &'a ObjectKey,
    object: &'a Value,
    intent: &'a Intent,
    /// The last moment before it went.
    to: u64,
}

impl Case<'_> {
    fn judge(&self) -> Result<Gone, Wrong> {
        let Intent { decided_at, policy, policy_uid, generation, .. } = self.intent;
        let from = self.history.revision_at(decided_at - NEWS_AGE_MAX);
        let mut why = format!("{policy:?} had not been of generation {generation} for {NEWS_AGE_MAX} ms");
        let moments = |kinds: &[&str]| self.history.moments(kinds, from, self.to);
        let objects = moments(&KINDS);
        for (number, objects) in objects.iter().copied().enumerate() {
            for labels in moments(&[NAMESPACE]) {
                for policies in self.distinct(POLICY, from) {
                    for cluster_policies in self.distinct(CLUSTER_POLICY, from) {
                        let view = View { policies, cluster_policies, labels, objects };
                        let Some(spec) = self.own_spec(view) else { continue };
                        match self.by_view(view) {
                            Ok((since, approved_at)) => {
                                let budget = self.budget(&spec, (since, approved_at), from)?;
                                let policy = (policy.clone(), policy_uid.clone());
                                let words = format!("{:?} at {decided_at}", self.key);
                                let epoch = self.intent.epoch;
                                return Ok(Gone { policy, decided_at: *decided_at, epoch, budget, words });
                            }
                            Err(no) if number == 0 => {
                                why = format!("{policy:?}: {no:?}\n{:#}\n{spec:#}", self.object);
                            }
                            Err(_) => {}
                        }
                        // Without a group, the others do not matter.
                        if number > 0 && spec["keep"].is_null() {
                            return Err(why);
                        }
                    }
                }
            }
        }
        Err(why)
    }

    /// The moments at which policies of a kind were others than before: most of their changes are of their statuses.
    fn distinct(&self, kind: &'static str, from: u64) -> Vec<u64> {
        let mut moments = self.history.moments(&[kind], from, self.to);
        let form = |revision: &mut u64| {
            let all = self.history.all_at(kind, *revision);
            let form = |(key, policy): (&ObjectKey, &Value)| {
                let meta = &policy["metadata"];
                (key.clone(), meta["uid"].clone(), meta["generation"].clone(), meta["annotations"].clone())
            };
            all.map(form).collect::<Vec<_>>()
        };
        moments.dedup_by_key(form);
        moments
    }

    /// The spec of the policy that asked for it, if it was of that generation then.
    fn own_spec(&self, view: View) -> Option<Value> {
        let Intent { policy: (namespace, name), policy_uid, generation, .. } = self.intent;
        let (kind, revision) = match namespace.as_str() {
            "" => (CLUSTER_POLICY, view.cluster_policies),
            _ => (POLICY, view.policies),
        };
        let policy = self.history.at(&(kind, namespace.clone(), name.clone()), revision)?;
        let is_it =
            policy["metadata"]["uid"] == *policy_uid && policy["metadata"]["generation"] == *generation;
        is_it.then(|| policy["spec"].clone())
    }

    /// Since when it was due, and when somebody approved that.
    fn by_view(&self, view: View) -> Result<(i64, Option<i64>), No> {
        let shown = shown(self.history, view, self.key.0, (self.intent, self.orphan()));
        let owners = owners(self.history, self.to);
        let mut verdict = Err(No::Untold);
        for before in DECIDED_BEFORE {
            let at = self.intent.decided_at - before;
            let scene = Scene { shown: &shown, owners: &owners, now: at };
            verdict = scene.judge(&self.intent.policy, self.key, self.object);
            if verdict.is_ok() {
                break;
            }
        }
        let approved_at = shown.policies[&self.intent.policy].approved_at;
        verdict.map(|since| (since, approved_at))
    }

    /// The object's UID, if its owners were gone before it named them: then nobody ever took it for anything else.
    fn orphan(&self) -> Option<String> {
        let owners = &self.object["metadata"]["ownerReferences"];
        let story = self.history.story(self.key);
        let same = |object: &Value| {
            object["metadata"]["uid"] == self.object["metadata"]["uid"]
                && object["metadata"]["ownerReferences"] == *owners
        };
        let until = story.partition_point(|change| change.revision <= self.to);
        let named = story[..until].iter().rev();
        let named = named.take_while(|change| change.object.as_ref().is_some_and(same)).last()?;
        let there = self::owners(self.history, named.revision);
        let mut owners = owners.as_array()?.iter();
        owners
            .all(|owner| !there.contains(owner["uid"].as_str().unwrap()))
            .then(|| self.object["metadata"]["uid"].as_str().unwrap().to_owned())
    }

    /// How many may go in which span; none, if an approval covers it.
    fn budget(
        &self,
        spec: &Value,
        (since, approved_at): (i64, Option<i64>),
        from: u64,
    ) -> Result<Option<(i64, u64)>, Wrong> {
        if self.intent.is_approved {
            let covers = |at: i64| since <= at && at <= self.intent.decided_at;
            let is_covered = approved_at.is_some_and(covers);
            return if is_covered {
                Ok(None)
            } else {
                Err(format!("no approval covers it: {approved_at:?}"))
            };
        }
        let budget = &spec["budget"];
        let bases = self.history.moments(&KINDS, from, self.to).into_iter().flat_map(|objects| {
            self.history
                .moments(&[NAMESPACE], from, self.to)
                .into_iter()
                .map(move |labels| base(self.history, (objects, labels), &self.intent.policy, spec))
        });
        let base = if budget["percent"].is_null() { 0 } else { bases.max().unwrap() };
        Ok(Some((oracle::window_of(budget), oracle::allowance(budget, base))))
    }
}

/// What a collector that has seen everything has to leave alone or to delete, now.
pub(crate) fn truth(history: &History) -> (Shown, BTreeSet<String>) {
    let now = u64::MAX;
    let view = View { policies: now, cluster_policies: now, labels: now, objects: now };
    let mut shown = Shown::default();
    for kind in KINDS {
        shown.objects.extend(objects(history, kind, now));
    }
    (shown.policies, shown.labels) = (policies(history, view), labels(history, now));
    let owners = owners(history, now);
    (shown, owners)
}

fn shown(
    history: &History,
    view: View,
    kind: &'static str,
    (intent, orphan): (&Intent, Option<String>),
) -> Shown {
    Shown {
        policies: policies(history, view),
        labels: labels(history, view.labels),
        objects: objects(history, kind, view.objects),
        going: intent.going.clone(),
        orphans: orphan.into_iter().collect(),
    }
}

fn objects(history: &History, kind: &'static str, at: u64) -> BTreeMap<ObjectKey, Value> {
    history.all_at(kind, at).map(|(key, object)| (key.clone(), object.clone())).collect()
}

fn labels(history: &History, at: u64) -> BTreeMap<String, Value> {
    let all = history.all_at(NAMESPACE, at);
    all.map(|(key, space)| (key.2.clone(), space["metadata"]["labels"].clone())).collect()
}

fn owners(history: &History, at: u64) -> BTreeSet<String> {
    let all = OWNERS_KINDS.into_iter().flat_map(|kind| history.all_at(kind, at));
    all.map(|(_, owner)| owner["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
}

fn policies(history: &History, view: View) -> BTreeMap<PolicyKey, Shape> {
    let namespaced = history.all_at(POLICY, view.policies);
    let all = namespaced.chain(history.all_at(CLUSTER_POLICY, view.cluster_policies));
    let shape = |(key, policy): (&ObjectKey, &Value)| {
        let approved_at = approved_at(history, key, policy);
        ((key.1.clone(), key.2.clone()), Shape { spec: policy["spec"].clone(), approved_at })
    };
    all.map(shape).collect()
}

/// When this form of a policy was approved. The hash of its spec is what its status says of this generation.
fn approved_at(history: &History, key: &ObjectKey, policy: &Value) -> Option<i64> {
    let approval = policy["metadata"]["annotations"]["groundskeeper.dev/approved"].as_str()?;
    let (hash, at) = approval.split_once('@')?;
    let is_hash_of_it = |known: &Value| {
        known["metadata"]["uid"] == policy["metadata"]["uid"]
            && known["spec"] == policy["spec"]
            && known["status"]["observedGeneration"] == known["metadata"]["generation"]
            && known["status"]["specHash"] == hash
    };
    let mut forms = history.story(key).iter().filter_map(|change| change.object.as_ref());
    forms.any(is_hash_of_it).then(|| at.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// How many objects there were at that moment where a policy looks.
fn base(history: &History, (objects, labels): (u64, u64), policy: &PolicyKey, spec: &Value) -> u64 {
    let mut shown = Shown { labels: self::labels(history, labels), ..Shown::default() };
    for kind in KINDS {
        let keys = history.all_at(kind, objects).map(|(key, _)| (key.clone(), Value::Null));
        shown.objects.extend(keys);
    }
    let owners = BTreeSet::new();
    oracle::base(&Scene { shown: &shown, owners: &owners, now: 0 }, policy, spec)
}
