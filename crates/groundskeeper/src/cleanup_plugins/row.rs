//! What is known of a plugin.

use anyhow::Context as _;
use api::node_cleanup::CleanupPluginStatus;
use api::{CleanupPlugin, Condition, ConditionStatus};
use chassis::objects;
use node_cleanup::BUILT_IN_PLUGINS;
use serde::Serialize;

use crate::cluster::{Cluster, text};
use crate::nodes::OURS;

/// The two that the engine of departures carries out itself.
pub(super) const OF_THE_ENGINE: [&str; 2] = ["drain", "waitVolumeDetach"];

/// A plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) name: String,
    /// How it is reached.
    #[serde(rename = "type")]
    pub(super) reached: Reached,
    /// Whether it answers; none if nobody has asked it yet.
    pub(super) ready: Option<bool>,
    /// Why, in one word.
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
    /// Its name and version in its own words.
    pub(super) describes_itself_as: Option<String>,
    /// Whether the status speaks of the spec as it is now.
    pub(super) is_current: bool,
}

/// How a plugin is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Reached {
    /// It comes with Groundskeeper.
    BuiltIn,
    /// Over HTTP.
    Http,
    /// As a Job.
    Job,
}

impl Reached {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "BuiltIn",
            Self::Http => "Http",
            Self::Job => "Job",
        }
    }
}

impl Row {
    fn built_in(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            reached: Reached::BuiltIn,
            ready: Some(true),
            reason: None,
            message: None,
            describes_itself_as: None,
            is_current: true,
        }
    }

    fn of(plugin: CleanupPlugin) -> Self {
        let CleanupPluginStatus { observed_generation, describes_itself_as, conditions } =
            plugin.status.unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
        let (ready, reason, message) = match ready {
            Some(Condition { status, reason, message, .. }) => {
                (Some(status == ConditionStatus::True), Some(reason), Some(message))
            }
            None => (None, None, None),
        };
        Self {
            name: plugin.metadata.name.unwrap_or_default(),
            reached: if plugin.spec.job.is_some() { Reached::Job } else { Reached::Http },
            ready,
            reason,
            message,
            describes_itself_as,
            is_current: observed_generation == plugin.metadata.generation,
        }
    }

    /// Whether it answers, in a word.
    pub(super) const fn readiness(&self) -> &'static str {
        match self.ready {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
    }
}

/// All plugins by name, those that come with us first, and what could not be read. A `CleanupPlugin` counts before a built-in
/// plugin of its name.
pub(super) async fn all(cluster: &mut Cluster) -> anyhow::Result<(Vec<Row>, Vec<String>)> {
    let mut warnings = Vec::new();
    let mut declared = Vec::new();
    match cluster.resource(OURS, "CleanupPlugin").await? {
        None => warnings.push("the cluster does not know CleanupPlugin".to_owned()),
        Some(kind) => {
            for object in
                objects::list(&cluster.client, &kind, None).await.context("cannot list the CleanupPlugins")?
            {
                let name = text(&object, "/metadata/name").to_owned();
                match serde_json::from_value(object) {
                    Ok(plugin) => declared.push(Row::of(plugin)),
                    Err(error) => warnings.push(format!("CleanupPlugin {name} cannot be read: {error}")),
                }
            }
        }
    }
    declared.sort_by(|a, b| a.name.cmp(&b.name));
    let mut names: Vec<&str> = OF_THE_ENGINE.iter().chain(&BUILT_IN_PLUGINS).copied().collect();
    names.sort_unstable();
    let is_hidden =
        |name: &&str| !OF_THE_ENGINE.contains(name) && declared.iter().any(|row| row.name == **name);
    let built_in = names.iter().filter(|name| !is_hidden(name)).map(|name| Row::built_in(name));
    Ok((built_in.chain(declared.iter().cloned()).collect(), warnings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[allow(clippy::needless_pass_by_value, reason = "so that it reads as a manifest")]
    fn row(spec: Value, status: Value) -> Row {
        let metadata = json!({"name": "forget", "generation": 2});
        Row::of(
            serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap(),
        )
    }

    #[test]
    fn a_plugin_is_as_ready_as_its_status_says() {
        let http = json!({"http": {"url": "https://cleanup.example.com"}});
        let unasked = row(http.clone(), json!({}));
        assert_eq!((unasked.readiness(), unasked.is_current), ("Unknown", false));
        let condition = |status: &str| {
            json!([{"type": "Ready", "status": status, "reason": "Unreachable", "message": "refused",
                "lastTransitionTime": "2026-11-21T12:00:00Z"}])
        };
        let failing = row(http, json!({"observedGeneration": 2, "conditions": condition("False")}));
        assert_eq!((failing.readiness(), failing.reason.as_deref()), ("False", Some("Unreachable")));
        assert!(failing.is_current);
        let job = row(
            json!({"job": {"namespace": "ops", "template": {}}}),
            json!({"conditions": condition("True")}),
        );
        assert_eq!((job.readiness(), job.reached), ("True", Reached::Job));
    }
}
