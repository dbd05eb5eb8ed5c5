//! What becomes of the old system's settings: a policy, and notes on all that is not as it was.

use anyhow::Context as _;
use api::NodeCleanupPolicy;
use api::garbage_collection::{LabelOperator, LabelSelector};
use node_cleanup::steps::PluginFacts;
use node_cleanup::{BUILT_IN_PLUGINS, Policy};
use serde_json::{Map, Value, json};

use super::super::notes::{Bearing, Note, Notes};
use super::old::{Given, NAMES, Old};
use crate::label_selector;

/// The Secret in the operator's namespace that the converted policy names for Slack.
const SLACK_SECRET: (&str, &str) = ("node-cleanup-slack", "url");

/// What the old system did if nothing said otherwise.
const PLUGINS_DEFAULT: &str = "logger";
const PORTWORX_SELECTOR_DEFAULT: &str = "px/enabled=true";
const PORTWORX_ENDPOINT_DEFAULT: &str = "http://portworx-api:9001";
const PORTWORX_TIMEOUT_DEFAULT: &str = "300s";

/// Settings that have no counterpart, each with the reason.
const WITHOUT_COUNTERPART: [(&str, &str); 9] = [
    ("LOGGER_FORMAT", "the operator's own log has one form: JSON lines, or text by its setting logFormat"),
    ("LOGGER_VERBOSITY", "what is logged is the step's setting `message`, at its `level`"),
    ("PORT", "the operator's configuration says where its webhook listens"),
    ("TLS_CERT_FILE", "the operator makes and rotates its certificates by itself"),
    ("TLS_KEY_FILE", "the operator makes and rotates its certificates by itself"),
    ("KUBECONFIG", "the operator uses its service account"),
    (
        "INSECURE_SKIP_TLS_VERIFY",
        "certificates are always verified; `caBundle` of a step names an authority of one's own",
    ),
    ("LOG_LEVEL", "the operator's configuration says it: logLevel"),
    ("METRICS_PORT", "the operator's configuration says where its metrics are"),
];

/// The policy, and what is to be known of it.
pub(super) fn policy(old: &Old, name: &str, enforce: bool) -> anyhow::Result<(Value, Vec<Note>)> {
    let mut draft = Draft { old, notes: Notes::default(), spec: Map::new() };
    draft.origins();
    draft.mode(enforce);
    draft.nodes();
    draft.drain();
    draft.steps();
    draft.without_counterpart();
    let spec = std::mem::take(&mut draft.spec);
    let manifest = json!({
        "apiVersion": format!("{}/{}", api::GROUP, api::VERSION),
        "kind": "NodeCleanupPolicy",
        "metadata": {"name": name},
        "spec": spec,
    });
    // Nothing is written that the operator would not take.
    let read: NodeCleanupPolicy = serde_json::from_value(manifest.clone()).context("the converted policy")?;
    let known = |plugin: &str| BUILT_IN_PLUGINS.contains(&plugin).then(PluginFacts::default);
    Policy::compile(&read, &known).context("the converted policy cannot be acted on")?;
    Ok((manifest, draft.notes.sorted()))
}

struct Draft<'a> {
    old: &'a Old,
    notes: Notes,
    spec: Map<String, Value>,
}

impl Draft<'_> {
    fn note(&mut self, bearing: Bearing, field: &str, message: impl Into<String>) {
        self.notes.add(bearing, field, message);
    }

    fn put(&mut self, field: &str, value: Value) {
        self.spec.insert(field.to_owned(), value);
    }

    /// Says where values are that were not read then, or cannot be read now.
    fn origins(&mut self) {
        for (name, setting) in &self.old.settings {
            match &setting.given {
                Given::Elsewhere(place) => {
                    let message =
                        format!("its value lies in {place}, which was not given; the default is taken");
                    self.notes.add(Bearing::ActsOtherwise, name, message);
                }
                Given::Text(_) if !setting.was_read => {
                    let message = format!(
                        "it stands in {}, which nothing mounts: the old system never read it, and this policy does as it says",
                        setting.origin
                    );
                    self.notes.add(Bearing::ActsOtherwise, name, message);
                }
                Given::Text(_) | Given::Secret { .. } => {}
            }
        }
    }

    fn mode(&mut self, enforce: bool) {
        let dry_run = self.old.text("DRY_RUN").is_some_and(|text| ["true", "1", "yes"].contains(&text));
        if dry_run && enforce {
            self.note(
                Bearing::ActsOtherwise,
                "DRY_RUN",
                "it is set, and --enforce lets the policy act all the same",
            );
        }
        self.put("dryRun", json!(!enforce));
        if !enforce {
            let message =
                "the policy only plans: look at `groundskeeper nodes plan NODE`, then write `dryRun: false`";
            self.note(Bearing::Told, "dryRun", message);
        }
    }

    fn nodes(&mut self) {
        if let Some(selector) = self.old.selector.clone() {
            self.put("nodeSelector", selector);
        }
        let message = "nodes of the control plane are left alone, which the old system was not told to do: write `unlock: [ControlPlaneNodes]` if they are meant";
        self.note(Bearing::ActsOtherwise, "nodeSelector", message);
        let message = "the finalizer and the annotation are groundskeeper.dev/node-cleanup and groundskeeper.dev/skip-cleanup: --rewrite-nodes swaps them on nodes that are there";
        self.note(Bearing::Told, "", message);
    }

    /// The old system only spoke of draining; ours always drains.
    fn drain(&mut self) {
        let message = "a node is cordoned and drained, and its volumes are detached, before any step begins; the old system did neither";
        self.note(Bearing::ActsOtherwise, "drain", message);
        if let Some(timeout) = self.duration("DRAIN_TIMEOUT") {
            self.put("deadlines", json!({"drain": timeout}));
            let message = "a drain that takes longer is reported and goes on; it is not given up";
            self.note(Bearing::Told, "DRAIN_TIMEOUT", message);
        }
        let Some(grace) = self.duration("DRAIN_GRACE_PERIOD") else { return };
        let seconds = units::parse_duration(&grace).map_or(0, |span| span.milliseconds() / 1_000);
        if (1..=86_400).contains(&seconds) {
            self.put("drain", json!({"gracePeriodSeconds": seconds}));
        } else {
            let message = format!("{grace} is not between 1s and 1d; pods get the time that they ask for");
            self.note(Bearing::ActsOtherwise, "DRAIN_GRACE_PERIOD", message);
        }
    }

    /// One step after the other, in the order in which the plugins were named.
    fn steps(&mut self) {
        let plugins = self.old.text("ENABLED_PLUGINS").unwrap_or(PLUGINS_DEFAULT).to_owned();
        let mut steps: Vec<Value> = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for plugin in plugins.split(',').map(str::trim).filter(|plugin| !plugin.is_empty()) {
            let Some(mut step) = self.step(plugin) else { continue };
            let name = step.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            if names.contains(&name) {
                continue;
            }
            if let (Some(before), Some(step)) = (names.last(), step.as_object_mut()) {
                step.insert("dependsOn".to_owned(), json!([before]));
            }
            names.push(name);
            steps.push(step);
        }
        if !names.is_empty() {
            let message = "a step that fails is tried again 5 times, at growing pauses, and then holds the node; the old system tried for ever";
            self.note(Bearing::Told, "steps", message);
        }
        if !names.iter().any(|name| name == "slack") && self.old.settings.contains_key("SLACK_WEBHOOK_URL") {
            let message = "Slack is not among ENABLED_PLUGINS, so that no step tells it";
            self.note(Bearing::LeftOut, "SLACK_WEBHOOK_URL", message);
        }
        if !steps.is_empty() {
            self.put("steps", Value::Array(steps));
        }
    }

    fn step(&mut self, plugin: &str) -> Option<Value> {
        match plugin {
            "logger" | "log" => Some(json!({"name": "log", "plugin": "log"})),
            "drain" => {
                self.note(
                    Bearing::Told,
                    "ENABLED_PLUGINS",
                    "drain is there without being named, before all steps",
                );
                None
            }
            "portworx" => Some(self.portworx()),
            "slack" => Some(self.slack()),
            other => {
                let message =
                    format!("there is no plugin {other}: write a CleanupPlugin, and a step that names it");
                self.note(Bearing::NotConverted, "ENABLED_PLUGINS", message);
                None
            }
        }
    }

    fn portworx(&mut self) -> Value {
        let message = "the old plugin only waited and logged; ours removes the node from Portworx: read docs/nodes before it acts";
        self.note(Bearing::ActsOtherwise, "portworx", message);
        let endpoint = self.old.text("PORTWORX_API_ENDPOINT").unwrap_or(PORTWORX_ENDPOINT_DEFAULT).to_owned();
        let management = self.reachable(&endpoint);
        let gateway = management.strip_suffix(":9001").map(|host| format!("{host}:9021"));
        let gateway = gateway.unwrap_or_else(|| {
            let message = "its REST gateway is not on the port of the management interface: say where it is in `gatewayUrl`, which is port 9021 of the Service portworx-api unless Portworx was given other ports";
            self.note(Bearing::ToDo, "PORTWORX_API_ENDPOINT", message);
            management.clone()
        });
        let timeout =
            self.duration("PORTWORX_TIMEOUT").unwrap_or_else(|| PORTWORX_TIMEOUT_DEFAULT.to_owned());
        let mut step = json!({
            "name": "portworx", "plugin": "portworx", "timeout": timeout,
            "settings": {"managementUrl": management, "gatewayUrl": gateway, "allowPrivateAddresses": true},
        });
        let selector =
            self.old.text("PORTWORX_LABEL_SELECTOR").unwrap_or(PORTWORX_SELECTOR_DEFAULT).to_owned();
        match (label_selector::parse(&selector), step.as_object_mut()) {
            (Ok(selector), Some(step)) => _ = step.insert("when".to_owned(), json!(condition(&selector))),
            (Err(error), _) => {
                let message = format!(
                    "{error:#}: the step is taken for every node; say in `when` for which it is meant"
                );
                self.note(Bearing::ActsOtherwise, "PORTWORX_LABEL_SELECTOR", message);
            }
            _ => {}
        }
        step
    }

    /// The address as the operator sees it, from a namespace of its own.
    fn reachable(&mut self, endpoint: &str) -> String {
        let endpoint = endpoint.trim_end_matches('/');
        let (scheme, rest) = endpoint.split_once("://").unwrap_or(("http", endpoint));
        let (host, port) = rest.split_once(':').unwrap_or((rest, ""));
        if host.contains('.') || host.contains('[') || self.old.namespace.is_empty() {
            if !host.contains('.') {
                let message =
                    format!("{host} is a Service of the old system's namespace: add `.NAMESPACE.svc` to it");
                self.note(Bearing::ToDo, "PORTWORX_API_ENDPOINT", message);
            }
            return format!("{scheme}://{rest}");
        }
        let port = if port.is_empty() { String::new() } else { format!(":{port}") };
        format!("{scheme}://{host}.{}.svc{port}", self.old.namespace)
    }

    fn slack(&mut self) -> Value {
        let (name, key) = SLACK_SECRET;
        let from = match self.old.settings.get("SLACK_WEBHOOK_URL").map(|setting| &setting.given) {
            Some(Given::Secret { name, key }) => {
                format!("the URL, which lies in key {key} of Secret {name} of the old system")
            }
            _ => "the URL".to_owned(),
        };
        let message = format!(
            "put {from} into a Secret of the operator's namespace: `kubectl create secret generic {name} -n {} --from-literal={key}=URL`",
            api::DEFAULT_NAMESPACE
        );
        self.note(Bearing::ToDo, "SLACK_WEBHOOK_URL", message);
        if let Some(channel) = self.old.text("SLACK_CHANNEL") {
            let message = format!("a URL of Slack belongs to one channel: make sure that it is {channel}");
            self.note(Bearing::LeftOut, "SLACK_CHANNEL", message);
        }
        json!({"name": "slack", "plugin": "slack", "critical": false, "settings": {"urlFrom": {"name": name, "key": key}}})
    }

    /// A duration as Go writes it, if it is one of ours.
    fn duration(&mut self, name: &str) -> Option<String> {
        let text = self.old.text(name)?.to_owned();
        match units::parse_duration(&text) {
            Ok(span) if !span.is_zero() => Some(span.to_string()),
            Ok(_) => None,
            Err(error) => {
                self.note(Bearing::ActsOtherwise, name, format!("{error}; the default is taken"));
                None
            }
        }
    }

    fn without_counterpart(&mut self) {
        for (name, why) in WITHOUT_COUNTERPART {
            debug_assert!(NAMES.contains(&name), "{name}");
            if self.old.settings.contains_key(name) {
                self.note(Bearing::LeftOut, name, why);
            }
        }
    }
}

/// A label selector as a condition on the Node.
fn condition(selector: &LabelSelector) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let has =
        |key: &str| format!("(has(object.metadata.labels) && {} in object.metadata.labels)", quoted(key));
    let is_one = |key: &str, values: &[String]| {
        let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
        format!("({} && object.metadata.labels[{}] in [{}])", has(key), quoted(key), values.join(", "))
    };
    let labels = selector.match_labels.iter().map(|(key, value)| is_one(key, std::slice::from_ref(value)));
    let expressions = selector.match_expressions.iter().map(|term| match term.operator {
        LabelOperator::In => is_one(&term.key, &term.values),
        LabelOperator::NotIn => format!("!{}", is_one(&term.key, &term.values)),
        LabelOperator::Exists => has(&term.key),
        LabelOperator::DoesNotExist => format!("!{}", has(&term.key)),
    });
    labels.chain(expressions).collect::<Vec<_>>().join(" && ")
}

#[cfg(test)]
mod tests {
    use super::super::old::from_objects;
    use super::*;

    fn converted(environment: &[(&str, &str)]) -> (Value, Vec<Note>) {
        let env: Vec<_> =
            environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let deployment = json!({
            "kind": "Deployment", "metadata": {"name": "node-cleanup-webhook", "namespace": "infra"},
            "spec": {"template": {"spec": {"containers": [{"env": env}]}}},
        });
        let (mut manifest, notes) = policy(&from_objects(&[deployment]), "workers", true).unwrap();
        (manifest["spec"].take(), notes)
    }

    fn has(notes: &[Note], bearing: Bearing, field: &str) -> bool {
        notes.iter().any(|note| (note.bearing, &*note.field) == (bearing, field))
    }

    #[test]
    fn plugins_become_steps_one_after_the_other() {
        let (spec, notes) = converted(&[
            ("ENABLED_PLUGINS", "drain, logger,portworx,slack,custom"),
            ("PORTWORX_LABEL_SELECTOR", "px/enabled=true,!spot"),
            ("PORTWORX_TIMEOUT", "600s"),
            ("DRAIN_TIMEOUT", "5m0s"),
            ("DRAIN_GRACE_PERIOD", "30s"),
            ("SLACK_WEBHOOK_URL", "https://hooks.example.com/secret"),
            ("SLACK_CHANNEL", "#ops"),
            ("LOGGER_FORMAT", "pretty"),
        ]);
        let names: Vec<_> =
            spec["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["log", "portworx", "slack"]);
        assert_eq!(spec["steps"][2]["dependsOn"], json!(["portworx"]));
        let portworx = &spec["steps"][1];
        assert_eq!(portworx["timeout"], "10m");
        assert_eq!(portworx["settings"]["managementUrl"], "http://portworx-api.infra.svc:9001");
        assert_eq!(portworx["settings"]["gatewayUrl"], "http://portworx-api.infra.svc:9021");
        assert_eq!(
            (&spec["deadlines"]["drain"], &spec["drain"]["gracePeriodSeconds"]),
            (&json!("5m"), &json!(30))
        );
        assert!(!format!("{spec}{notes:?}").contains("hooks.example.com"), "the URL is a secret");
        assert!(
            has(&notes, Bearing::ToDo, "SLACK_WEBHOOK_URL") && has(&notes, Bearing::LeftOut, "LOGGER_FORMAT")
        );
        assert!(has(&notes, Bearing::NotConverted, "ENABLED_PLUGINS"));
    }

    #[test]
    fn what_was_not_said_is_what_the_old_system_took() {
        let (spec, _) = converted(&[]);
        assert_eq!(spec["steps"], json!([{"name": "log", "plugin": "log"}]));
        assert_eq!(spec["dryRun"], false);
        let (spec, _) = converted(&[("ENABLED_PLUGINS", "portworx")]);
        assert_eq!(
            spec["steps"][0]["when"],
            "((has(object.metadata.labels) && 'px/enabled' in object.metadata.labels) && object.metadata.labels['px/enabled'] in ['true'])"
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_and_does_not_stop_the_rest() {
        let (spec, notes) = converted(&[
            ("ENABLED_PLUGINS", "portworx"),
            ("PORTWORX_LABEL_SELECTOR", "a b"),
            ("PORTWORX_TIMEOUT", "soon"),
            ("PORTWORX_API_ENDPOINT", "https://px.example.com:17001/"),
            ("DRAIN_GRACE_PERIOD", "0s"),
        ]);
        assert_eq!(spec["steps"][0]["settings"]["managementUrl"], "https://px.example.com:17001");
        assert!(spec["steps"][0].get("when").is_none() && spec.get("drain").is_none());
        for field in ["PORTWORX_LABEL_SELECTOR", "PORTWORX_TIMEOUT"] {
            assert!(has(&notes, Bearing::ActsOtherwise, field), "{field}: {notes:?}");
        }
        assert!(has(&notes, Bearing::ToDo, "PORTWORX_API_ENDPOINT"));
    }
}
