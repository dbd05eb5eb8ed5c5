//! What takes a minute by its nature: all of it at one time.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::support::checks::within;
use crate::support::drafts::{config_map, policy};
use crate::support::holds;
use crate::support::team::Team;
use crate::{from_now, team};

/// The shortest interval, the shortest notice, and how often a verdict that depends on the time is made anew.
const MINUTE: Duration = Duration::from_secs(75);

#[tokio::test]
async fn what_takes_a_minute_comes_after_a_minute() {
    let (interval, notice, time) = (team("interval").await, team("told").await, team("time").await);
    let all = tokio::join!(looks_again(&interval), goes_as_told(&notice), turns_by_itself(&time));
    for result in [all.0, all.1, all.2] {
        result.unwrap();
    }
}

/// All objects are looked at anew in the interval that the policy asks for.
async fn looks_again(team: &Team<'_>) -> Result<(), String> {
    let draft = policy("sweep").labelled("tmp=yes").after(3600).with("/spec/evaluationInterval", "1m");
    let sweep = team.create(draft).await;
    let found =
        team.policy_is(&sweep, "it has looked", |policy| policy["status"]["lastRun"].is_string()).await;
    let first = found["status"]["lastRun"].clone();
    within(MINUTE, "it looks again", async || {
        let found = team.look_at(&sweep).await.unwrap();
        holds(found["status"]["lastRun"] != first, found)
    })
    .await
}

/// An object that was told goes no earlier, and no later, than it was told.
async fn goes_as_told(team: &Team<'_>) -> Result<(), String> {
    let sweep = policy("sweep").labelled("tmp=yes").after(1).with("/spec/notice", "1m");
    team.create(sweep).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    let told = within(Duration::from_secs(20), "it is told", async || {
        let found = team.look_at(&object).await.ok_or("it is gone")?;
        let text = found["metadata"]["annotations"]["groundskeeper.dev/notice"].as_str();
        let at = text.and_then(|text| text.split_once('/')).map(|(_, at)| at);
        at.and_then(|at| at.parse::<Timestamp>().ok()).ok_or_else(|| found.to_string())
    })
    .await?;
    within(MINUTE, "it goes", async || holds(team.look_at(&object).await.is_none(), "it is there")).await?;
    let asked = team.goes_in_time(&object, 1).await;
    let late = asked.at.duration_since(told).as_secs_f64();
    holds((0.0..2.0).contains(&late), format!("{late} s late"))
}

/// A condition that depends on the time comes to hold although nothing changes.
async fn turns_by_itself(team: &Team<'_>) -> Result<(), String> {
    let moment = from_now(5);
    let when = format!("now > timestamp('{moment}')");
    team.create(policy("sweep").labelled("tmp=yes").after(1).with("/spec/when", when)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    within(MINUTE, "it goes", async || holds(team.look_at(&object).await.is_none(), "it is there")).await?;
    let asked = team.goes_in_time(&object, 1).await;
    // When it turns is known: nobody waits for the next minute.
    let late = asked.at.duration_since(moment).as_secs_f64();
    holds((0.0..10.0).contains(&late), format!("{late} s late: {asked:?}"))
}

#[tokio::test]
async fn fields_that_make_no_interval_are_refused() {
    let team = team("no-interval").await;
    let draft = policy("sweep").with("/spec/evaluationInterval", "10s");
    let sweep = team.create(draft).await;
    let said = team.ready_is(&sweep, "False", "Invalid").await;
    assert!(said.contains("evaluationInterval") && said.contains("1m"), "{said}");
    team.edit(&sweep, json!({"spec": {"evaluationInterval": "1m"}})).await;
    team.collecting(&sweep).await;
}
