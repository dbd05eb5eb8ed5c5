//! Who the operator is, and what it may do: a role for each component and scope, made of what the code declares.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use api::GROUP;
use chassis::rights::{self, Component, Right, Scope};
use controllers::node_cleanup::rights::{OVERRIDE_RIGHTS, OVERRIDE_VERB, PLUGIN_SECRET_VERBS, RECORDS};
use serde_json::{Value, json};
use units::NamespacedName;

use super::labels;
use super::rbac::{RbacOptions, collect_role, custom_role};
use crate::limits::{ACCOUNTS_MAX, COLLECTED_RESOURCES_MAX, PLUGIN_SECRETS_MAX};

/// Every right that some code of ours declares.
pub fn declared_rights() -> impl Iterator<Item = &'static Right> {
    let controllers = controllers::gc::rights::RIGHTS.iter().chain(controllers::node_cleanup::rights::RIGHTS);
    rights::RIGHTS.iter().chain(controllers)
}

/// The service account, its roles and what binds them, and the roles for people.
pub(super) fn documents(options: &RbacOptions) -> anyhow::Result<Vec<Value>> {
    ensure!(
        options.collect.len() <= COLLECTED_RESOURCES_MAX,
        "--collect is given {} times; at most {COLLECTED_RESOURCES_MAX} are allowed",
        options.collect.len()
    );
    ensure!(
        options.act_as.len() <= ACCOUNTS_MAX,
        "--act-as is given {} times; at most {ACCOUNTS_MAX} are allowed",
        options.act_as.len()
    );
    ensure!(
        options.plugin_secrets.len() <= PLUGIN_SECRETS_MAX,
        "--plugin-secret is given {} times; at most {PLUGIN_SECRETS_MAX} are allowed",
        options.plugin_secrets.len()
    );
    let mut documents = vec![json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"labels": labels(), "name": options.service_account, "namespace": options.namespace},
        // Only our own pods need its token, and they say so.
        "automountServiceAccountToken": false,
    })];
    for component in Component::ALL {
        for scope in [Scope::Cluster, Scope::OwnNamespace] {
            let rights =
                declared_rights().filter(|right| (right.component, right.scope) == (component, scope));
            let rules: Vec<_> = rights.map(rule).collect();
            if !rules.is_empty() {
                documents.extend(role(
                    &format!("groundskeeper-{}", component.name()),
                    scope,
                    &rules,
                    options,
                ));
            }
        }
    }
    documents.push(collect_role());
    documents.push(binding("groundskeeper-collect", Scope::Cluster, options));
    documents.extend(for_people());
    if !options.collect.is_empty() {
        documents.push(custom_role(options));
    }
    if !options.plugin_secrets.is_empty() {
        documents.extend(plugin_secrets(options));
    }
    documents.extend(options.act_as.iter().flat_map(|account| acting_as(account, options)));
    documents.iter().all(Value::is_object).then_some(documents).context("a manifest is no object")
}

/// The name of the role that says which Secrets plugins may read.
const PLUGIN_SECRETS_ROLE: &str = "groundskeeper-plugin-secrets";

/// The right to read these Secrets, each by its name. A rule without names would give all of them.
fn plugin_secrets(options: &RbacOptions) -> [Value; 2] {
    let names: BTreeSet<_> = options.plugin_secrets.iter().collect();
    let rule = json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": PLUGIN_SECRET_VERBS});
    let rules: Vec<_> = (!names.is_empty()).then_some(rule).into_iter().collect();
    role(PLUGIN_SECRETS_ROLE, Scope::OwnNamespace, &rules, options)
}

/// The role that says which Secrets plugins may read, by kind and name alone.
pub(crate) fn plugin_secrets_role(options: &RbacOptions) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": PLUGIN_SECRETS_ROLE, "namespace": options.namespace},
    })
}

/// The Secrets that a role lets plugins read.
pub(crate) fn secrets_in(role: &Value) -> Vec<String> {
    let rules = role.get("rules").and_then(Value::as_array).into_iter().flatten();
    let names = rules.filter_map(|rule| rule.get("resourceNames")?.as_array()).flatten();
    names.filter_map(|name| crate::names::secret(name.as_str()?).ok()).collect()
}

/// The right to act as one service account, in its own namespace.
fn acting_as(account: &NamespacedName, options: &RbacOptions) -> [Value; 2] {
    let name = format!("groundskeeper-act-as-{}", account.name);
    let metadata = json!({"labels": labels(), "name": name, "namespace": account.namespace});
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": [{"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [account.name], "verbs": ["impersonate"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": options.service_account, "namespace": options.namespace}],
    });
    [role, binding]
}

fn rule(right: &Right) -> Value {
    let mut rule = json!({"apiGroups": [right.group], "resources": right.resources, "verbs": right.verbs});
    if let (false, Some(rule)) = (right.names.is_empty(), rule.as_object_mut()) {
        rule.insert("resourceNames".to_owned(), json!(right.names));
    }
    rule
}

fn role(name: &str, scope: Scope, rules: &[Value], options: &RbacOptions) -> [Value; 2] {
    let kind = match scope {
        Scope::Cluster => "ClusterRole",
        Scope::OwnNamespace => "Role",
    };
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata(name, scope, options),
        "rules": rules,
    });
    [role, binding(name, scope, options)]
}

fn binding(role: &str, scope: Scope, options: &RbacOptions) -> Value {
    let (kind, role_kind) = match scope {
        Scope::Cluster => ("ClusterRoleBinding", "ClusterRole"),
        Scope::OwnNamespace => ("RoleBinding", "Role"),
    };
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata(role, scope, options),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": options.service_account, "namespace": options.namespace}],
    })
}

fn metadata(name: &str, scope: Scope, options: &RbacOptions) -> Value {
    match scope {
        Scope::Cluster => json!({"labels": labels(), "name": name}),
        Scope::OwnNamespace => json!({"labels": labels(), "name": name, "namespace": options.namespace}),
    }
}

/// What the cluster's own roles `view`, `edit` and `admin` take in, so that whoever may see or change things in a
/// namespace may do so with our kinds there. What a policy may delete depends on its author's own rights.
///
/// Whoever has a say in how nodes leave, or reads the metrics, needs a role of its own: these are there, and bound to
/// nobody.
fn for_people() -> Vec<Value> {
    // Whoever changes things in one namespace has no say in policies of the cluster; reading them explains much.
    const POLICIES: [&str; 2] = ["garbagecollectionpolicies", "clustergarbagecollectionpolicies"];
    let looked_at: Vec<_> = POLICIES.iter().chain(&NODE_KINDS).copied().collect();
    let role = |name: &str, aggregate: &[&str], resources: &[&str], verbs: &[&str]| {
        let mut labels = labels();
        for role in aggregate {
            labels[format!("rbac.authorization.k8s.io/aggregate-to-{role}")] = json!("true");
        }
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"labels": labels, "name": name},
            "rules": [{"apiGroups": [GROUP], "resources": resources, "verbs": verbs}],
        })
    };
    vec![
        role("groundskeeper-view", &["view", "edit", "admin"], &looked_at, &READ),
        role("groundskeeper-edit", &["edit", "admin"], &POLICIES[..1], &WRITE),
        node_operator(),
        node_admin(),
        person("groundskeeper-metrics-reader", &json!([{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}])),
    ]
}

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 4] = ["create", "update", "patch", "delete"];

/// The kinds of node cleanup, none of which has a namespace.
const NODE_KINDS: [&str; 5] =
    ["nodecleanuppolicies", RECORDS, "nodemaintenances", "drainrules", "cleanupplugins"];

/// Whoever is there when a node does not leave: stops, skips, tries again, gives more time, lets go; and empties nodes for
/// a maintenance.
fn node_operator() -> Value {
    let verbs: Vec<_> =
        ["patch", "update"].into_iter().chain(OVERRIDE_RIGHTS.iter().map(|right| right.verb)).collect();
    person(
        "groundskeeper-node-operator",
        &json!([
            {"apiGroups": [GROUP], "resources": NODE_KINDS, "verbs": READ},
            {"apiGroups": [GROUP], "resources": [RECORDS], "verbs": verbs},
            {"apiGroups": [GROUP], "resources": ["nodemaintenances"], "verbs": WRITE},
        ]),
    )
}

/// Whoever says how nodes leave, which is as much as being the operator: a plugin may be a Job in the operator's namespace.
fn node_admin() -> Value {
    person(
        "groundskeeper-node-admin",
        &json!([
            {"apiGroups": [GROUP], "resources": NODE_KINDS, "verbs": READ},
            {"apiGroups": [GROUP], "resources": ["nodecleanuppolicies", "drainrules", "cleanupplugins"], "verbs": WRITE},
            {"apiGroups": [GROUP], "resources": [RECORDS], "verbs": ["delete", OVERRIDE_VERB]},
        ]),
    )
}

/// A role that is bound to nobody.
fn person(name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"labels": labels(), "name": name},
        "rules": rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the documents grant, as (where, group, resource, name, verb).
    fn granted(documents: &[Value]) -> BTreeSet<[String; 5]> {
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let mut granted = BTreeSet::new();
        let ours = |document: &&Value| {
            let name = document["metadata"]["name"].as_str().unwrap();
            documents.iter().any(|other| {
                other["kind"].as_str().unwrap().ends_with("RoleBinding") && other["roleRef"]["name"] == name
            })
        };
        let roles = documents.iter().filter(|document| document["rules"].is_array()).filter(ours);
        for role in roles {
            for rule in role["rules"].as_array().unwrap() {
                let mut names = texts(&rule["resourceNames"]);
                if names.is_empty() {
                    names.push("any".to_owned());
                }
                for (group, resource) in texts(&rule["apiGroups"])
                    .iter()
                    .flat_map(|group| texts(&rule["resources"]).into_iter().map(move |r| (group.clone(), r)))
                {
                    for (name, verb) in names
                        .iter()
                        .flat_map(|name| texts(&rule["verbs"]).into_iter().map(move |v| (name.clone(), v)))
                    {
                        let kind = role["kind"].as_str().unwrap().to_owned();
                        granted.insert([kind, group.clone(), resource.clone(), name, verb]);
                    }
                }
            }
        }
        granted
    }

    #[test]
    fn what_is_granted_is_what_the_code_declares_and_nothing_else() {
        let mut declared = BTreeSet::new();
        for right in declared_rights() {
            let kind = if right.scope == Scope::Cluster { "ClusterRole" } else { "Role" };
            let names = if right.names.is_empty() { &["any"][..] } else { right.names };
            for (resource, name) in right.resources.iter().flat_map(|r| names.iter().map(move |n| (r, n))) {
                for verb in right.verbs {
                    declared.insert([kind, right.group, resource, name, verb].map(ToOwned::to_owned));
                }
            }
        }
        assert_eq!(granted(&documents(&RbacOptions::default()).unwrap()), declared);
    }

    #[test]
    fn what_drains_cannot_read_secrets_and_plugins_read_only_those_that_are_named() {
        let secrets = |options: &RbacOptions| {
            let documents = documents(options).unwrap();
            let of = |granted: &[String; 5]| granted[2] == "secrets";
            granted(&documents)
                .into_iter()
                .filter(of)
                .map(|granted| granted[3].clone())
                .collect::<BTreeSet<_>>()
        };
        let without = secrets(&RbacOptions::default());
        assert_eq!(without, ["any", chassis::rights::WEBHOOK_SECRET].map(str::to_owned).into());
        let names = ["cmdb", "slack", "cmdb"].map(str::to_owned).to_vec();
        let options = RbacOptions { plugin_secrets: names, ..RbacOptions::default() };
        let more: BTreeSet<_> = secrets(&options).difference(&without).cloned().collect();
        assert_eq!(more, ["cmdb", "slack"].map(str::to_owned).into());

        let documents = documents(&options).unwrap();
        let find = |kind: &str, name: &str| {
            documents.iter().find(|d| d["kind"] == kind && d["metadata"]["name"] == name).unwrap()
        };
        let role = find("Role", "groundskeeper-plugin-secrets");
        assert_eq!(role["metadata"]["namespace"], api::DEFAULT_NAMESPACE);
        assert_eq!(role["rules"][0]["verbs"], json!(["get"]));
        assert_eq!(secrets_in(role), ["cmdb", "slack"]);
        let drains = find("ClusterRole", "groundskeeper-nodes")["rules"].to_string();
        assert!(drains.contains("pods/eviction") && !drains.contains("secrets"), "{drains}");
        // To create a Secret cannot be restricted by name: the webhook's, which is made once.
        let creates = find("Role", "groundskeeper-admission")["rules"].to_string();
        assert!(creates.contains("secrets"), "{creates}");
    }

    #[test]
    fn no_role_has_a_wildcard_or_a_verb_that_gives_more_rights() {
        let options = RbacOptions { collect: vec!["secrets".parse().unwrap()], ..RbacOptions::default() };
        for document in documents(&options).unwrap() {
            let rules = document["rules"].to_string();
            for forbidden in ["\"*\"", "\"escalate\"", "\"bind\"", "\"impersonate\""] {
                assert!(!rules.contains(forbidden), "{document}");
            }
        }
    }

    #[test]
    fn every_right_says_what_it_is_for() {
        for right in declared_rights() {
            assert!(right.why.starts_with("to "), "{right:?}");
        }
    }
}
