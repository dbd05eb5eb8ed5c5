//! What is applied to a cluster before the operator runs in it: a file per subject.
//!
//! Functions of the code and their arguments alone: the same input gives the same bytes, whatever features other crates
//! of the build turn on.

#![allow(
    clippy::indexing_slicing,
    reason = "indexing JSON of our own making gives null where there is nothing"
)]

mod access;
mod alerts;
mod configuration;
mod crds;
mod flow_control;
mod guards;
mod monitoring;
mod nodes;
mod rbac;
mod webhooks;
mod workload;

pub use access::declared_rights;
pub(crate) use access::{plugin_secrets_role, secrets_in};
pub use alerts::{ALERTS, Alert, RUNBOOKS, alerts_yaml};
pub use crds::crds_yaml;
pub use rbac::{CollectedResource, RbacOptions, rbac_yaml};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::names;

pub(crate) use configuration::SEED;
pub(crate) use flow_control::{LEASES_SCHEMA, OTHER_SCHEMA, PRIORITY_LEVEL};
pub(crate) use guards::{AUTHOR, GUARD_POLICIES, STAMP_POLICY};
pub(crate) use monitoring::API_VERSION as MONITORING;
pub(crate) use nodes::{FINALIZER_POLICY, guards as node_guards};
pub(crate) use rbac::{collected_by, custom_role};
pub(crate) use workload::DEPLOYMENT;

/// Who made an object, for whoever finds it in a cluster; an uninstallation takes only what carries it.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "groundskeeper");

/// What an installation depends on.
#[derive(clap::Args, Clone, Debug, PartialEq, Eq)]
pub struct InstallOptions {
    #[command(flatten)]
    pub(crate) rbac: RbacOptions,

    /// The image that the Deployment runs. None is published yet: build your own from the binary.
    #[arg(long, value_name = "IMAGE", default_value = concat!("groundskeeper:", env!("CARGO_PKG_VERSION")))]
    pub(crate) image: String,

    /// When a node fetches the image.
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = PullPolicy::IfNotPresent)]
    pub(crate) image_pull_policy: PullPolicy,

    /// How many replicas run: 1 to 16. One of them acts; all serve the webhook.
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) replicas: u8,

    /// A PersistentVolumeClaim in the operator's namespace that keeps the ledger. Default: an emptyDir, which goes with
    /// its pod. With more than one replica it must be ReadWriteMany.
    #[arg(long, value_name = "NAME", value_parser = names::service_account)]
    pub(crate) ledger_claim: Option<String>,

    /// Leave out the Deployment and what belongs to it: the operator runs elsewhere. Default: it is installed.
    #[arg(long)]
    pub(crate) no_workload: bool,

    /// Where the API server reaches the webhook of an operator that runs outside of the cluster, such as
    /// `https://192.0.2.1:9443`. Default: the Service groundskeeper-webhook.
    #[arg(long, value_name = "URL", value_parser = webhooks::base_url)]
    pub(crate) webhook_url: Option<String>,
}

impl Default for InstallOptions {
    fn default() -> Self {
        Self {
            rbac: RbacOptions::default(),
            image: concat!("groundskeeper:", env!("CARGO_PKG_VERSION")).to_owned(),
            image_pull_policy: PullPolicy::IfNotPresent,
            replicas: 2,
            ledger_claim: None,
            no_workload: false,
            webhook_url: None,
        }
    }
}

/// When a node fetches an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PullPolicy {
    /// Each time a pod starts.
    Always,
    /// If the node has none of that name.
    IfNotPresent,
    /// Not at all.
    Never,
}

impl PullPolicy {
    const fn name(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// What an installation must know of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether `MutatingAdmissionPolicy` is served as v1, as from Kubernetes 1.36 on.
    pub mutating_policies: bool,
    /// Whether `ServiceMonitor` is served.
    pub service_monitors: bool,
    /// The ports that the API server itself listens on, as pods reach it.
    pub api_server_ports: Vec<u16>,
}

impl Default for Facts {
    /// A cluster of the newest version that we are tested with, without Prometheus' operator.
    fn default() -> Self {
        Self { mutating_policies: true, service_monitors: false, api_server_ports: vec![443, 6443] }
    }
}

/// All that an installation declares, in the order in which it is declared: what blocks requests comes last.
pub(crate) fn installation(options: &InstallOptions, facts: &Facts) -> anyhow::Result<Vec<Value>> {
    let mut documents = vec![rbac::namespace(&options.rbac)];
    documents.extend(crds::crds()?);
    documents.extend(access::documents(&options.rbac)?);
    documents.extend(flow_control::documents(&options.rbac));
    if !options.no_workload {
        documents.push(configuration::config_map(&options.rbac));
        documents.extend(workload::documents(options, facts));
        if facts.service_monitors {
            documents.push(monitoring::service_monitor(&options.rbac));
        }
    }
    if options.webhook_url.is_some() || !options.no_workload {
        documents.push(webhooks::validating(options));
        documents.push(webhooks::mutating(options, facts));
    }
    documents.extend(nodes::documents(facts));
    documents.extend(guards::documents(&options.rbac, facts));
    Ok(documents)
}

/// The same as a stream of YAML documents, for `kubectl apply --server-side --field-manager=groundskeeper -f -`.
pub fn install_yaml(options: &InstallOptions, facts: &Facts) -> anyhow::Result<String> {
    stream("Generated by `groundskeeper install --print`.", installation(options, facts)?)
}

/// Everything that any installation under these names may have declared.
pub(crate) fn all_ever_declared(options: &RbacOptions) -> anyhow::Result<Vec<Value>> {
    // Which Secrets they were does not matter for the names of the roles.
    let rbac = RbacOptions { plugin_secrets: vec!["any".to_owned()], ..options.clone() };
    let options = InstallOptions { rbac, ..InstallOptions::default() };
    let facts = Facts { mutating_policies: true, service_monitors: true, ..Facts::default() };
    let mut documents = installation(&options, &facts)?;
    documents.push(custom_role(&RbacOptions::default()));
    Ok(documents)
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": "groundskeeper", MANAGED_BY.0: MANAGED_BY.1})
}

/// A stream of YAML documents below a comment.
pub(crate) fn stream(comment: &str, documents: Vec<Value>) -> anyhow::Result<String> {
    let mut text = format!("# {comment}\n");
    for mut document in documents {
        // The order of keys would else depend on a feature of serde_json that any dependency may turn on.
        document.sort_all_objects();
        text += "---\n";
        serde_saphyr::to_fmt_writer(&mut text, &document).context("cannot write YAML")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What an installation holds, as `Kind/name`.
    fn listed(options: &InstallOptions, facts: &Facts) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let documents = installation(options, facts).unwrap();
        documents.iter().map(|d| format!("{}/{}", text(&d["kind"]), text(&d["metadata"]["name"]))).collect()
    }

    #[test]
    fn everything_carries_our_label_and_no_two_are_one() {
        let documents = all_ever_declared(&RbacOptions::default()).unwrap();
        for document in &documents {
            assert_eq!(document["metadata"]["labels"][MANAGED_BY.0], MANAGED_BY.1, "{document}");
            let same = |other: &&Value| {
                other["kind"] == document["kind"] && other["metadata"]["name"] == document["metadata"]["name"]
            };
            assert_eq!(documents.iter().filter(same).count(), 1, "{document}");
        }
    }

    #[test]
    fn what_can_block_comes_after_what_serves_it() {
        let listed = listed(&InstallOptions::default(), &Facts::default());
        let place = |name: &str| listed.iter().position(|one| one == name).unwrap();
        assert_eq!(place("Namespace/groundskeeper-system"), 0);
        for blocking in
            ["ValidatingWebhookConfiguration/groundskeeper", "MutatingAdmissionPolicy/groundskeeper-author"]
        {
            assert!(place(blocking) > place("Deployment/groundskeeper"), "{listed:#?}");
        }
    }

    #[test]
    fn the_author_is_written_down_by_the_server_where_it_can_and_else_by_the_webhook() {
        let mutating = |listed: Vec<String>| {
            listed.into_iter().filter(|one| one.starts_with("Mutating")).collect::<Vec<_>>()
        };
        let options = InstallOptions::default();
        let new = mutating(listed(&options, &Facts::default()));
        assert_eq!(
            new,
            [
                "MutatingWebhookConfiguration/groundskeeper",
                "MutatingAdmissionPolicy/groundskeeper-node-finalizer",
                "MutatingAdmissionPolicyBinding/groundskeeper-node-finalizer",
                "MutatingAdmissionPolicy/groundskeeper-author",
                "MutatingAdmissionPolicyBinding/groundskeeper-author"
            ]
        );
        let old = Facts { mutating_policies: false, ..Facts::default() };
        assert_eq!(mutating(listed(&options, &old)), ["MutatingWebhookConfiguration/groundskeeper"]);
        let hooks = |facts: &Facts| {
            let hooks = webhooks::mutating(&options, facts)["webhooks"].clone();
            hooks.as_array().unwrap().iter().map(|hook| hook["name"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(hooks(&Facts::default()), ["nodes.groundskeeper.dev"]);
        assert_eq!(hooks(&old), ["nodes.groundskeeper.dev", "policies.groundskeeper.dev"]);
    }

    #[test]
    fn an_operator_that_runs_elsewhere_is_reached_where_it_says_or_not_at_all() {
        let mut options = InstallOptions { no_workload: true, ..InstallOptions::default() };
        let facts = Facts { service_monitors: true, ..Facts::default() };
        let without = listed(&options, &facts);
        for absent in ["Deployment", "Service/", "ServiceMonitor", "ConfigMap", "ValidatingWebhook"] {
            assert!(!without.iter().any(|one| one.starts_with(absent)), "{absent}: {without:#?}");
        }
        options.webhook_url = Some("https://192.0.2.1:9443".into());
        let configuration = installation(&options, &facts).unwrap();
        let configuration =
            configuration.iter().find(|d| d["kind"] == "ValidatingWebhookConfiguration").unwrap();
        let client = &configuration["webhooks"][0]["clientConfig"];
        assert_eq!(*client, json!({"url": "https://192.0.2.1:9443/validate/policies"}));
    }

    #[test]
    fn what_is_written_is_read_back_equal() {
        let long = "word: of # many ".repeat(20);
        let values = [
            "true", "yes", "on", "n", "null", "~", "1", "0x1f", "1e3", "1:20", "007", "", " a ", "a: b",
            "# c",
        ];
        let more = [
            "*",
            "&a",
            "- x",
            "2026-11-21",
            "two\nlines\n",
            "three\n\n lines",
            "tab\t",
            "'",
            "\"",
            "é",
            long.trim(),
            &long,
        ];
        let document = json!({"true": values, "1": more, "empty": {"list": [], "map": {}, "null": null}, "number": 1, "yes": true});

        let text = stream("comment", vec![document.clone(), json!({"kind": "Other"})]).unwrap();

        let read: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert_eq!(read, [document, json!({"kind": "Other"})], "{text}");
    }
}
