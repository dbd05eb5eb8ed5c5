//! What stands around the policies of a check: nothing, or all that limits what may go.

use std::time::Duration;

use serde_json::json;

use super::audit::Request;
use super::checks::Found;
use super::drafts::{Draft, config_map, policy};
use super::holds;
use super::team::{Made, Team};

/// How a check's policies delete, and what there is besides them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenery {
    /// As the check says.
    Plain,
    /// Within a budget, a window and a `keep`; beside a Keep policy, and a policy that keeps the newest of what it may not
    /// delete more than some of.
    Guarded,
}

/// How many rounds may go, and how many do not because they are the newest.
const GOING: usize = 3;
const NEWEST: usize = 2;

/// What has to be as it was, whatever goes wrong.
pub(crate) struct Guards {
    /// Due, and kept by another policy.
    held: Made,
    /// The older ones are due, as many as their budget lets go.
    older: Vec<Made>,
    newest: Vec<Made>,
}

impl Scenery {
    /// A policy that deletes, as it stands in this scenery. The limits are none that the check comes up to.
    pub(crate) fn policy(self, draft: Draft) -> Draft {
        match self {
            Self::Plain => draft,
            Self::Guarded => in_window(draft)
                .with("/spec/budget", json!({"count": 50, "window": "1h"}))
                .with("/spec/keep", json!({"newest": 0, "groupBy": {"label": "app"}})),
        }
    }

    /// Whether anything limits what may go.
    pub(crate) fn is_guarded(self) -> bool {
        self == Self::Guarded
    }

    /// Sets what stands besides in a namespace; nothing, if it is plain.
    pub(crate) async fn set(self, team: &Team<'_>) -> Option<Guards> {
        if self == Self::Plain {
            return None;
        }
        let mut keeper = policy("keeper").labelled("hold=yes").with("/spec/action", "Keep").0;
        let spec = keeper["spec"].as_object_mut().unwrap();
        spec.retain(|field, _| !matches!(field.as_str(), "budget" | "ttl"));
        team.create(Draft(keeper)).await;
        let round = |name: &str| config_map(name).labelled("round=yes");
        let held = team.create(round("round-held").labelled("hold=yes")).await;
        let older = team.create_many(GOING, &round("round-old")).await;
        // Ages are whole seconds.
        team.wait_until(older[GOING - 1].due(1)).await;
        let newest = team.create_many(NEWEST, &round("round-new")).await;
        let rounds = policy("rounds").labelled("round=yes").after(1).at_rate(100);
        let rounds = in_window(rounds)
            .with("/spec/budget", json!({"count": GOING, "window": "1h"}))
            .with("/spec/keep", json!({"newest": NEWEST}));
        team.create(rounds).await;
        Some(Guards { held, older, newest })
    }
}

/// With a window that is open, and whose zone has clocks of its own.
fn in_window(draft: Draft) -> Draft {
    let windows = json!([{"from": "00:00", "to": "12:00"}, {"from": "12:00", "to": "24:00"}]);
    draft.with("/spec/schedule", json!({"timeZone": "Europe/Berlin", "windows": windows}))
}

impl Guards {
    /// Whether an object is one of those that stand besides.
    pub(crate) fn is_among(name: &str) -> bool {
        name.starts_with("round-")
    }

    /// What has to stay has stayed, and of the rest each was deleted once at most.
    pub(crate) async fn stand(&self, team: &Team<'_>) -> Found {
        team.is_untouched(&self.held).await?;
        for object in &self.newest {
            team.is_untouched(object).await?;
        }
        let deletions = team.deletions();
        let rounds = deletions.iter().filter(|asked| asked.accepted() && Self::is_among(&asked.name));
        let mut uids: Vec<_> = rounds.map(Request::uid).collect();
        uids.sort_unstable();
        let is_right = uids.windows(2).all(|pair| pair[0] != pair[1])
            && uids.iter().all(|uid| self.older.iter().any(|object| object.uid == *uid));
        holds(is_right, format!("{deletions:#?}"))
    }

    /// The same, and all that may go goes within this time.
    pub(crate) async fn go(&self, team: &Team<'_>, span: Duration) -> Found {
        team.all_go_once(&self.older, 1, span).await?;
        self.stand(team).await
    }
}
