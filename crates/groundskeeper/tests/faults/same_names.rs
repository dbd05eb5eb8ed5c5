//! R04: while a deletion is on its way, its object becomes another, or changes.

use serde_json::json;
use testbed::faults::{Calls, Fault, Gate, Held, Verb};

use crate::bed::{Bed, PATIENCE, arrives, ends_well, soon, untouched};
use crate::support::drafts::{config_map, policy};
use crate::support::operator::Operator;
use crate::support::scenery::Guards;
use crate::support::team::{Made, Team};

/// A deletion that has been sent and has not reached the server.
struct Standoff<'a> {
    team: Team<'a>,
    object: Made,
    guards: Option<Guards>,
    operator: Operator,
    held: Held,
    _proxy: testbed::faults::FaultProxy,
}

/// The object is deleted and made anew under the same name; only its UID tells them apart for sure.
pub(crate) async fn of_another_object(bed: &Bed) -> Result<(), String> {
    let standoff = Standoff::reach(bed, "renamed").await?;
    standoff.team.delete(&standoff.object).await;
    let anew = standoff.team.create(config_map("object")).await;
    standoff.end(&anew).await
}

/// The label that the policy selects by is taken away.
pub(crate) async fn of_a_changed_object(bed: &Bed) -> Result<(), String> {
    let standoff = Standoff::reach(bed, "relabelled").await?;
    let saved = json!({"metadata": {"labels": {"tmp": null}}});
    let saved = standoff.team.edit(&standoff.object, saved).await;
    standoff.end(&saved).await
}

impl<'a> Standoff<'a> {
    async fn reach(bed: &'a Bed, name: &str) -> Result<Self, String> {
        let team = Team::new(bed.cluster, name).await;
        let (proxy, launch) = bed.rig(name).await;
        let gate = Gate::new();
        proxy
            .on(Calls::of("configmaps").verb(Verb::Delete).named("object").nth(1), Fault::hold_before(&gate));
        let object = team.create(config_map("object").labelled("tmp=yes")).await;
        team.create(bed.scenery.policy(policy("sweep").labelled("tmp=yes").after(1))).await;
        let guards = bed.scenery.set(&team).await;
        let operator = launch.start(bed.cluster).await;
        let held = arrives("the deletion is sent", gate.arrived()).await?;
        Ok(Self { team, object, guards, operator, held, _proxy: proxy })
    }

    /// Lets the deletion go on, and waits until the operator has answered to it and done something later.
    async fn end(self, kept: &Made) -> Result<(), String> {
        self.held.release();
        soon("the deletion is answered", async || {
            let deletions = self.team.deletions();
            if deletions.iter().any(|deletion| deletion.name == "object") {
                Ok(())
            } else {
                Err(format!("{deletions:?}"))
            }
        })
        .await?;
        let witness = self.team.create(config_map("witness").labelled("tmp=yes")).await;
        soon("the witness goes", async || match self.team.look_at(&witness).await {
            None => Ok(()),
            Some(found) => Err(found.to_string()),
        })
        .await?;
        untouched(kept, self.team.look_at(kept).await.as_ref())?;
        if let Some(guards) = &self.guards {
            guards.go(&self.team, PATIENCE).await?;
        }
        ends_well(self.operator).await
    }
}
