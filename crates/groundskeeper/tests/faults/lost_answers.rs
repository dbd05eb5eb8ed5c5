//! R02: the server does what it is asked to, and the answer does not come.

use serde_json::Value;
use testbed::faults::{Calls, EventType, Events, Fault, Gate, Refusal, Verb};

use crate::bed::{Bed, PATIENCE, arrives, ends_well, expect, soon, untouched};
use crate::records::Records;
use crate::support::drafts::{config_map, policy};
use crate::support::team::{Made, Team};

/// Three deletions are carried out and not answered. Of two the operator can find out; of the third it cannot, and it
/// sends it again when the name belongs to somebody else. The watch tells it of none.
pub(crate) async fn of_deletions(bed: &Bed) -> Result<(), String> {
    let team = Team::new(bed.cluster, "lost").await;
    let (proxy, launch) = bed.rig("lost-deletions").await;
    let deletion_of = |name: &str| Calls::of("configmaps").verb(Verb::Delete).named(name);
    proxy.on(deletion_of("cut").nth(1), Fault::cut_after());
    proxy.on(deletion_of("late").nth(1), Fault::replace_reply(Refusal::timeout()));
    proxy.on(deletion_of("hidden").nth(1), Fault::cut_after());
    let hidden = proxy.on(Calls::lists("configmaps").named("hidden"), Fault::refuse(Refusal::unavailable()));
    let again = Gate::new();
    proxy.on(deletion_of("hidden").nth(2), Fault::hold_before(&again));
    let silent = Fault::hold_events(Events::of(EventType::Deleted));
    let silent = proxy.on(Calls::watches("configmaps"), silent);

    for name in ["cut", "late"] {
        team.create(config_map(name).labelled("tmp=yes")).await;
    }
    team.create(config_map("hidden").labelled("hidden=yes")).await;
    let sweep = team.create(bed.scenery.policy(policy("sweep").labelled("tmp=yes").after(1))).await;
    let other = team.create(bed.scenery.policy(policy("other").labelled("hidden=yes").after(1))).await;
    let guards = bed.scenery.set(&team).await;
    let name = launch.name.clone();
    let operator = launch.start(bed.cluster).await;

    let repeated = arrives("the deletion without an answer is sent again", again.arrived()).await?;
    soon("the other two are counted", async || deleted(&team, &sweep, 2).await).await?;
    let mut anew = Vec::new();
    for name in ["cut", "late", "hidden"] {
        anew.push(team.create(config_map(name)).await);
    }
    repeated.release();
    hidden.lift();
    soon("the second deletion is answered", async || {
        let of_it = team.deletions().into_iter().filter(|deletion| deletion.name == "hidden").count();
        expect(of_it == 2, || format!("{of_it} deletions"))
    })
    .await?;
    silent.lift();

    let witness = team.create(config_map("witness").labelled("hidden=yes")).await;
    soon("the witness goes", async || match team.look_at(&witness).await {
        None => Ok(()),
        Some(found) => Err(found.to_string()),
    })
    .await?;
    for object in &anew {
        untouched(object, team.look_at(object).await.as_ref())?;
    }
    for name in ["cut", "late", "hidden"] {
        let accepted = team.deletions().iter().filter(|asked| asked.name == name && asked.accepted()).count();
        expect(accepted == 1, || format!("{accepted} deletions of {name} were accepted"))?;
    }
    deleted(&team, &sweep, 2).await?;
    nothing_left(&team, &[&sweep, &other]).await?;
    if let Some(guards) = guards {
        guards.go(&team, PATIENCE).await?;
    }
    ends_well(operator).await?;
    let records = Records::verified(bed.cluster, &name)?;
    records.are_settled()?;
    let told = records.deleted();
    expect(["cut", "late"].iter().all(|name| told.contains(*name)), || {
        format!("the ledger tells of {told:?}")
    })
}

async fn deleted(team: &Team<'_>, sweep: &Made, count: u64) -> Result<(), String> {
    let found = team.look_at(sweep).await.unwrap_or_default();
    expect(found["status"]["deleted"] == count, || found["status"].to_string())
}

async fn nothing_left(team: &Team<'_>, policies: &[&Made]) -> Result<(), String> {
    for policy in policies {
        soon("nothing is left to do", async || {
            let found = team.look_at(policy).await.unwrap_or_default();
            expect(found["status"]["matched"] == 0, || found["status"].to_string())
        })
        .await?;
    }
    Ok(())
}

/// Two events are stored, and the answers are lost in two ways. Each is told once.
pub(crate) async fn of_events(bed: &Bed) -> Result<(), String> {
    let team = Team::new(bed.cluster, "lost-events").await;
    let (proxy, launch) = bed.rig("lost-events").await;
    let telling = |reason: &'static str| {
        Calls::of("events").verb(Verb::Create).that(move |call| call.body()["reason"] == reason).nth(1)
    };
    proxy.on(telling("Collecting"), Fault::cut_after());
    proxy.on(telling("Deleted"), Fault::replace_reply(Refusal::timeout()));

    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let operator = launch.start(bed.cluster).await;
    soon("the deletion is told of", async || {
        let told = told(&team, &sweep).await;
        expect(told.iter().any(|reason| reason == "Deleted"), || format!("{told:?}"))
    })
    .await?;
    expect(team.look_at(&object).await.is_none(), || "it is not gone".to_owned())?;
    ends_well(operator).await?;
    let told = told(&team, &sweep).await;
    expect(told == ["Collecting", "Deleted"], || format!("the events are {told:?}"))
}

/// The reasons of all events about a policy, in alphabetical order.
async fn told(team: &Team<'_>, sweep: &Made) -> Vec<String> {
    let events = team.api("events.k8s.io/v1", "Event").list(&kube::api::ListParams::default()).await.unwrap();
    let events = events.items.iter().map(|event| serde_json::to_value(event).unwrap());
    let about = |event: &Value| event["regarding"]["uid"] == sweep.uid;
    let mut reasons: Vec<_> =
        events.filter(about).map(|event| event["reason"].as_str().unwrap().to_owned()).collect();
    reasons.sort();
    reasons
}
