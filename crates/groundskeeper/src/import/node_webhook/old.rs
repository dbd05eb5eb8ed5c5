//! What the old system was told: its environment, and where each value came from.
//!
//! Knows the names that it read, and nothing of what becomes of them. Values of Secrets are never read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use chassis::objects;
use serde_json::Value;

use super::OLD_WEBHOOK;
use crate::cluster::{Cluster, text};
use crate::plan::input;

/// The names that it read, or that its documents speak of.
pub(super) const NAMES: [&str; 18] = [
    "ENABLED_PLUGINS",
    "LOGGER_FORMAT",
    "LOGGER_VERBOSITY",
    "PORTWORX_LABEL_SELECTOR",
    "PORTWORX_API_ENDPOINT",
    "PORTWORX_TIMEOUT",
    "DRAIN_TIMEOUT",
    "DRAIN_GRACE_PERIOD",
    "SLACK_WEBHOOK_URL",
    "SLACK_CHANNEL",
    "DRY_RUN",
    "PORT",
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
    "KUBECONFIG",
    "INSECURE_SKIP_TLS_VERIFY",
    "LOG_LEVEL",
    "METRICS_PORT",
];

/// Names that no other program is likely to read.
const TELLING: [&str; 5] = [
    "ENABLED_PLUGINS",
    "LOGGER_VERBOSITY",
    "PORTWORX_LABEL_SELECTOR",
    "PORTWORX_API_ENDPOINT",
    "DRAIN_GRACE_PERIOD",
];

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Text(String),
    /// It lies in a Secret, and was not read.
    Secret {
        name: String,
        key: String,
    },
    /// It is said to lie somewhere that was not given.
    Elsewhere(String),
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) given: Given,
    /// Where it stands.
    pub(super) origin: String,
    /// Whether the old system read it: a ConfigMap that nothing mounts was never read.
    pub(super) was_read: bool,
}

/// The old system.
#[derive(Clone, Debug, Default)]
pub(super) struct Old {
    pub(super) settings: BTreeMap<String, Setting>,
    /// Its Deployments, as `namespace/name`, with the replicas that they ask for.
    pub(super) deployments: Vec<(String, i64)>,
    /// The namespace of the first of them.
    pub(super) namespace: String,
    /// The configurations of its webhook.
    pub(super) webhooks: Vec<String>,
    /// Which nodes its webhook looked at, if not at all of them.
    pub(super) selector: Option<Value>,
}

impl Old {
    pub(super) fn is_anything(&self) -> bool {
        !(self.settings.is_empty() && self.deployments.is_empty() && self.webhooks.is_empty())
    }

    /// The text of a setting, if it has one.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match &self.settings.get(name)?.given {
            Given::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            Given::Secret { .. } | Given::Elsewhere(_) => None,
        }
    }
}

/// From files: manifests, and files of the environment.
pub(super) fn from_files(paths: &[PathBuf]) -> anyhow::Result<Old> {
    let is_environment = |path: &&PathBuf| path.to_string_lossy().ends_with(".env");
    let (environments, manifests): (Vec<_>, Vec<_>) = paths.iter().partition(is_environment);
    let manifests: Vec<_> = manifests.into_iter().cloned().collect();
    let objects: Vec<_> = input::objects(&manifests)?.into_iter().map(|(_, object)| object).collect();
    let mut old = from_objects(&objects);
    for path in environments {
        for (name, value) in environment(path)? {
            let origin = path.display().to_string();
            old.settings.insert(name, Setting { given: Given::Text(value), origin, was_read: true });
        }
    }
    Ok(old)
}

fn environment(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let text = input::text_of(path)?;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pair = line.split_once('=');
        let (name, value) =
            pair.with_context(|| format!("{}:{}: write NAME=VALUE", path.display(), number + 1))?;
        let value = value.trim();
        let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        let (name, value) = (name.trim().to_owned(), quoted.unwrap_or(value).to_owned());
        if NAMES.contains(&&*name) {
            found.push((name, value));
        }
    }
    Ok(found)
}

/// From a cluster: Deployments that look like it, the ConfigMaps beside them, and its webhook.
pub(super) async fn from_cluster(cluster: &mut Cluster) -> anyhow::Result<Old> {
    let mut objects = Vec::new();
    for (api_version, kind) in
        [("apps/v1", "Deployment"), ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")]
    {
        objects.extend(list(cluster, (api_version, kind), None).await?);
    }
    let namespaces: Vec<_> = objects
        .iter()
        .filter(|object| is_old(object))
        .map(|deployment| text(deployment, "/metadata/namespace").to_owned())
        .collect();
    for namespace in namespaces {
        let of_it = format!("metadata.namespace={namespace}");
        objects.extend(list(cluster, ("v1", "ConfigMap"), Some(&of_it)).await?);
    }
    Ok(from_objects(&objects))
}

async fn list(
    cluster: &mut Cluster,
    (api_version, kind): (&str, &str),
    fields: Option<&str>,
) -> anyhow::Result<Vec<Value>> {
    let resource = cluster.resource(api_version, kind).await?;
    let resource = resource.with_context(|| format!("the cluster serves no {kind}"))?;
    let listed = objects::list(&cluster.client, &resource, fields).await;
    let mut listed = listed.with_context(|| format!("cannot list {}", resource.name()))?;
    // Items of a list do not repeat its type.
    for object in listed.iter_mut().filter_map(Value::as_object_mut) {
        object.insert("kind".to_owned(), kind.into());
    }
    Ok(listed)
}

/// From objects, whatever they are.
pub(super) fn from_objects(objects: &[Value]) -> Old {
    let mut old = Old::default();
    let maps: Vec<_> = objects.iter().filter(|object| text(object, "/kind") == "ConfigMap").collect();
    for deployment in objects.iter().filter(|object| is_old(object)) {
        let namespace = text(deployment, "/metadata/namespace");
        let name = format!("{namespace}/{}", text(deployment, "/metadata/name"));
        let replicas = deployment.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
        for container in containers(deployment) {
            put_container(&mut old, container, (namespace, &name), &maps);
        }
        if old.deployments.is_empty() {
            namespace.clone_into(&mut old.namespace);
        }
        old.deployments.push((name, replicas));
    }
    for map in &maps {
        let name = format!("ConfigMap {}", text(map, "/metadata/name"));
        for (key, value) in known(map) {
            let setting =
                Setting { given: Given::Text(value.to_owned()), origin: name.clone(), was_read: false };
            old.settings.entry(key.to_owned()).or_insert(setting);
        }
    }
    for configuration in
        objects.iter().filter(|object| text(object, "/kind") == "MutatingWebhookConfiguration")
    {
        let webhooks = configuration.pointer("/webhooks").and_then(Value::as_array).into_iter().flatten();
        for webhook in webhooks.filter(|webhook| text(webhook, "/name") == OLD_WEBHOOK) {
            old.webhooks.push(text(configuration, "/metadata/name").to_owned());
            let selector = webhook.get("objectSelector");
            let is_one = |selector: &&Value| selector.as_object().is_some_and(|fields| !fields.is_empty());
            old.selector = selector.filter(is_one).cloned().or_else(|| old.selector.take());
        }
    }
    old
}

fn containers(deployment: &Value) -> impl Iterator<Item = &Value> {
    deployment.pointer("/spec/template/spec/containers").and_then(Value::as_array).into_iter().flatten()
}

/// Whether an object is a Deployment of the old system: by its image, its name, or what only it reads.
fn is_old(object: &Value) -> bool {
    const CALLED: &str = "node-cleanup-webhook";
    if text(object, "/kind") != "Deployment" {
        return false;
    }
    let reads = |container: &Value| {
        let names = container.get("env").and_then(Value::as_array).into_iter().flatten();
        names.into_iter().any(|variable| TELLING.contains(&text(variable, "/name")))
    };
    text(object, "/metadata/name").contains(CALLED)
        || containers(object).any(|container| text(container, "/image").contains(CALLED) || reads(container))
}

fn put_container(old: &mut Old, container: &Value, (namespace, name): (&str, &str), maps: &[&Value]) {
    let lies_in = |map: &str| {
        let found = maps.iter().find(|found| {
            text(found, "/metadata/name") == map
                && [namespace, ""].contains(&text(found, "/metadata/namespace"))
        });
        found.copied()
    };
    for source in container.get("envFrom").and_then(Value::as_array).into_iter().flatten() {
        let map = text(source, "/configMapRef/name");
        for (key, value) in lies_in(map).map(known).unwrap_or_default() {
            let given = Given::Text(value.to_owned());
            let setting = Setting { given, origin: format!("ConfigMap {map} of {name}"), was_read: true };
            old.settings.insert(key.to_owned(), setting);
        }
    }
    for variable in container.get("env").and_then(Value::as_array).into_iter().flatten() {
        let called = text(variable, "/name");
        if !NAMES.contains(&called) {
            continue;
        }
        let from = |kind: &str, field: &str| text(variable, &format!("/valueFrom/{kind}/{field}")).to_owned();
        let (secret, map) = (from("secretKeyRef", "name"), from("configMapKeyRef", "name"));
        let given = if !secret.is_empty() {
            Given::Secret { name: secret, key: from("secretKeyRef", "key") }
        } else if map.is_empty() {
            Given::Text(text(variable, "/value").to_owned())
        } else {
            let key = from("configMapKeyRef", "key");
            let value = lies_in(&map).and_then(|map| map.get("data")?.get(&key)?.as_str());
            value.map_or_else(
                || Given::Elsewhere(format!("key {key} of ConfigMap {map}")),
                |value| Given::Text(value.to_owned()),
            )
        };
        let setting = Setting { given, origin: format!("Deployment {name}"), was_read: true };
        old.settings.insert(called.to_owned(), setting);
    }
}

/// What a ConfigMap says of the settings.
fn known(map: &Value) -> Vec<(&str, &str)> {
    let data = map.get("data").and_then(Value::as_object).into_iter().flatten();
    data.filter(|(key, _)| NAMES.contains(&key.as_str()))
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .collect()
}

/// Refuses if the old system runs: it would put its finalizer back, or take it off.
pub(super) fn must_rest(old: &Old) -> anyhow::Result<()> {
    ensure!(
        old.webhooks.is_empty(),
        "the old webhook still puts its finalizer on new nodes: `kubectl delete mutatingwebhookconfiguration {}` first",
        old.webhooks.join(" ")
    );
    for (deployment, replicas) in &old.deployments {
        let (namespace, name) = deployment.split_once('/').unwrap_or_default();
        ensure!(
            *replicas == 0,
            "the old system still runs and puts its finalizer back: `kubectl scale deployment/{name} -n {namespace} --replicas=0` first"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(container: &Value) -> Value {
        json!({
            "kind": "Deployment", "metadata": {"name": "node-cleanup-webhook", "namespace": "infra"},
            "spec": {"template": {"spec": {"containers": [container]}}},
        })
    }

    fn map(name: &str, data: &Value) -> Value {
        json!({"kind": "ConfigMap", "metadata": {"name": name, "namespace": "infra"}, "data": data})
    }

    #[test]
    fn each_setting_comes_from_where_the_old_system_read_it() {
        let container = json!({
            "envFrom": [{"configMapRef": {"name": "mounted"}}],
            "env": [
                {"name": "ENABLED_PLUGINS", "value": "logger,portworx"},
                {"name": "SLACK_WEBHOOK_URL", "valueFrom": {"secretKeyRef": {"name": "slack", "key": "url"}}},
                {"name": "PORTWORX_TIMEOUT", "valueFrom": {"configMapKeyRef": {"name": "mounted", "key": "timeout"}}},
                {"name": "DRAIN_TIMEOUT", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "x"}}},
                {"name": "OTHER", "value": "x"},
            ],
        });
        let objects = [
            deployment(&container),
            map("mounted", &json!({"LOGGER_FORMAT": "json", "ENABLED_PLUGINS": "logger", "timeout": "60s"})),
            map("loose", &json!({"SLACK_CHANNEL": "#ops", "LOGGER_FORMAT": "pretty"})),
        ];
        let old = from_objects(&objects);
        assert_eq!(old.text("ENABLED_PLUGINS"), Some("logger,portworx"), "a variable counts before a map");
        assert_eq!((old.text("LOGGER_FORMAT"), old.text("PORTWORX_TIMEOUT")), (Some("json"), Some("60s")));
        assert_eq!(
            old.settings["SLACK_WEBHOOK_URL"].given,
            Given::Secret { name: "slack".into(), key: "url".into() }
        );
        assert_eq!(old.settings["DRAIN_TIMEOUT"].given, Given::Elsewhere("key x of ConfigMap absent".into()));
        assert!(!old.settings["SLACK_CHANNEL"].was_read && old.settings["LOGGER_FORMAT"].was_read);
        assert!(!old.settings.contains_key("OTHER"));
        assert_eq!(old.deployments, [("infra/node-cleanup-webhook".to_owned(), 1)]);
    }

    #[test]
    fn it_has_to_rest_before_nodes_are_rewritten() {
        let webhook = json!({"kind": "MutatingWebhookConfiguration", "metadata": {"name": "cleanup"},
            "webhooks": [{"name": OLD_WEBHOOK, "objectSelector": {"matchLabels": {"pool": "a"}}}]});
        let found = from_objects(std::slice::from_ref(&webhook));
        assert_eq!(found.selector, Some(json!({"matchLabels": {"pool": "a"}})));
        assert!(must_rest(&found).unwrap_err().to_string().contains("mutatingwebhookconfiguration cleanup"));
        let running = from_objects(&[deployment(&json!({}))]);
        assert!(must_rest(&running).unwrap_err().to_string().contains("--replicas=0"));
        let mut resting = deployment(&json!({}));
        resting["spec"]["replicas"] = json!(0);
        assert!(must_rest(&from_objects(&[resting])).is_ok());
    }
}
