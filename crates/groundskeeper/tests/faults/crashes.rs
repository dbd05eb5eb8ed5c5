//! R01: the operator is killed after any write that it makes, and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::faults::{Calls, Fault, FaultProxy, Gate, Trace, Verb};

use crate::bed::{Bed, ask_to_stop, ends_well, expect, soon, within};
use crate::records::Records;
use crate::support::audit;
use crate::support::drafts::{config_map, policy};
use crate::support::operator::{Launch, Operator};
use crate::support::scenery::Guards;
use crate::support::team::{Made, Team};

/// How long it may take until the ledger has an outcome for what was under way at the crash.
const SETTLED_WITHIN: Duration = Duration::from_secs(8);

/// So many statuses are about to be written when the last deletion has been.
const STATUSES: u64 = 4;

/// Objects of which three are due.
struct Scene<'a> {
    team: Team<'a>,
    sweep: Made,
    due: Vec<Made>,
    guards: Option<Guards>,
}

/// How it all ended, in a form that is the same for every namespace and every time.
#[derive(Debug, PartialEq)]
struct End {
    left: BTreeSet<String>,
    /// How often the deletion of each object was accepted.
    deleted: BTreeMap<String, usize>,
    counts: [Value; 4],
    conditions: Vec<[Value; 3]>,
}

/// One write: the n-th of its kind.
struct Point {
    words: String,
    calls: Calls,
    /// Statuses and events are summed up over a moment, so how many there are depends on the machine, and what the ledger's
    /// anchor needs is there already after the first run; whatever else is written comes in every run.
    comes_every_time: bool,
    /// It is a deletion, or one of the first statuses, which say what of a budget may be used.
    is_about_limits: bool,
}

/// Records a run without faults. Then, for every write of it: lets it through, kills the operator before it has the
/// answer, starts it again, and compares the end, the deletions and the ledger.
pub(crate) async fn after_every_write(bed: &Bed) -> Result<(), String> {
    let scene = Scene::set(bed).await;
    let (proxy, launch) = bed.rig("undisturbed").await;
    let operator = launch.clone().start(bed.cluster).await;
    let (wanted, trace) = scene.play(bed, &proxy, operator, &launch).await?;
    expect(wanted.deleted.values().all(|times| *times == 1) && wanted.deleted.len() == 3, || {
        format!("without a fault: {wanted:#?}")
    })?;

    let mut points = points(&trace);
    if bed.scenery.is_guarded() {
        points.retain(|point| point.is_about_limits);
    }
    let mut missed = Vec::new();
    for (number, point) in points.iter().enumerate() {
        bed.clear().await;
        let scene = Scene::set(bed).await;
        let (proxy, launch) = bed.rig(&format!("killed-{number}")).await;
        let place = |wrong: String| format!("killed after {}: {wrong}", point.words);
        if !scene.kill_at(bed, (&proxy, &launch), point).await.map_err(place)? && point.comes_every_time {
            missed.push(&point.words);
        }
        let operator = launch.clone().start(bed.cluster).await;
        let (end, _) = scene.play(bed, &proxy, operator, &launch).await.map_err(place)?;
        expect(end == wanted, || place(format!("it ended as {end:#?}\ninstead of {wanted:#?}")))?;
    }
    expect(missed.is_empty(), || format!("did not come a second time: {missed:?}"))
}

/// Every write of a run but the renewals of the lease.
fn points(trace: &Trace) -> Vec<Point> {
    let mut seen: BTreeMap<(Verb, String), u64> = BTreeMap::new();
    let mut points = Vec::new();
    for write in trace.writes() {
        let (verb, resource) = (write.verb, write.resource.clone());
        let nth = seen.entry((verb, resource.clone())).or_default();
        *nth += 1;
        if resource != "leases" || verb == Verb::Create {
            let words = format!("{verb} of {resource} {nth}");
            let is_summed_up = resource == "events" || resource.ends_with("/status");
            let comes_every_time =
                verb == Verb::Delete || resource == "leases" || (is_summed_up && *nth == 1);
            let is_about_limits = verb == Verb::Delete || (resource.ends_with("/status") && *nth <= STATUSES);
            let calls = Calls::of(resource).verb(verb).nth(*nth);
            points.push(Point { words, calls, comes_every_time, is_about_limits });
        }
    }
    let releases = |call: &testbed::faults::Call| call.body()["spec"]["holderIdentity"] == "";
    let calls = Calls::of("leases").verb(Verb::Update).that(releases).nth(1);
    let words = "the release of the lease".to_owned();
    points.push(Point { words, calls, comes_every_time: true, is_about_limits: false });
    points
}

impl<'a> Scene<'a> {
    /// Three objects that are due, two that are protected, one that no policy selects.
    async fn set(bed: &'a Bed) -> Self {
        let team = Team::new(bed.cluster, "crash").await;
        let due = team.create_many(3, &config_map("due").labelled("tmp=yes")).await;
        let kept = config_map("kept").labelled("tmp=yes").annotated("groundskeeper.dev/protect=true");
        team.create_many(2, &kept).await;
        team.create(config_map("other")).await;
        let sweep = policy("sweep").labelled("tmp=yes").after(1).at_rate(100);
        let sweep = team.create(bed.scenery.policy(sweep)).await;
        let guards = bed.scenery.set(&team).await;
        team.wait_until(due[2].due(1)).await;
        Self { team, sweep, due, guards }
    }

    /// Lets an operator do all that there is to do, and asks it to stop.
    async fn play(
        &self,
        bed: &Bed,
        proxy: &FaultProxy,
        operator: Operator,
        launch: &Launch,
    ) -> Result<(End, Trace), String> {
        soon("it is ready", async || {
            let (code, text) = operator.readiness().await;
            expect(code == 200, || text)
        })
        .await?;
        self.is_done().await?;
        within(SETTLED_WITHIN, "everything is settled", async || {
            Records::so_far(bed.cluster, &launch.name).are_settled()
        })
        .await?;
        ends_well(operator).await?;
        let records = Records::verified(bed.cluster, &launch.name)?;
        records.are_settled()?;
        let told: BTreeSet<_> = self.due.iter().map(|object| object.name.clone()).collect();
        let mut recorded = records.deleted();
        recorded.retain(|name| !Guards::is_among(name));
        expect(recorded == told, || format!("the ledger tells of {recorded:?}"))?;
        if let Some(guards) = &self.guards {
            guards.stand(&self.team).await?;
        }
        Ok((self.end().await, proxy.trace()))
    }

    /// Starts an operator and kills it at a point, on the way or while it stops; returns whether it got there.
    async fn kill_at(
        &self,
        bed: &Bed,
        (proxy, launch): (&FaultProxy, &Launch),
        point: &Point,
    ) -> Result<bool, String> {
        let gate = Gate::new();
        let rule = proxy.on(point.calls.clone(), Fault::hold_after(&gate));
        let operator = launch.clone().start(bed.cluster).await;
        let undisturbed = async {
            self.is_done().await?;
            ask_to_stop(&operator);
            soon("it ends", async || expect(!operator.is_running(), || "it runs".to_owned())).await
        };
        let held = tokio::select! {
            held = gate.arrived() => Some(held),
            ended = undisturbed => ended.map(|()| None)?,
        };
        let is_reached = held.is_some();
        operator.kill();
        drop(held);
        rule.lift();
        bed.free_lease().await;
        Ok(is_reached)
    }

    /// Waits until nothing is left to do, and the policy says so.
    async fn is_done(&self) -> Result<(), String> {
        soon("everything is done", async || {
            let policy = self.team.look_at(&self.sweep).await.unwrap_or_default();
            let status = &policy["status"];
            let done = status["pending"] == 0
                && status["matched"] == 2
                && status["conditions"].as_array().is_some_and(|conditions| {
                    conditions.iter().any(|condition| condition["reason"] == "Collecting")
                });
            expect(done, || status.to_string())
        })
        .await
    }

    async fn end(&self) -> End {
        let objects = self.team.api("v1", "ConfigMap").list(&ListParams::default()).await.unwrap();
        let left = objects.items.into_iter().filter_map(|object| object.metadata.name);
        let left = left.filter(|name| !Guards::is_among(name)).collect();
        let mut deleted = BTreeMap::new();
        for deletion in audit::deletions(self.team.cluster, &self.team.namespace) {
            if deletion.accepted() && !Guards::is_among(&deletion.name) {
                *deleted.entry(deletion.name).or_default() += 1;
            }
        }
        let status = self.team.look_at(&self.sweep).await.unwrap_or_default()["status"].clone();
        // `deleted` is left out: as its documentation says, a crash may lose the last second's.
        let counts = ["matched", "pending", "protected", "observedGeneration"];
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        End {
            left,
            deleted,
            counts: counts.map(|field| status.get(field).cloned().unwrap_or(json!(null))),
            conditions: conditions
                .into_iter()
                .map(|condition| ["type", "status", "reason"].map(|field| condition[field].clone()))
                .collect(),
        }
    }
}
