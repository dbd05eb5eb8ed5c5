//! Who the operator is, and what it may do: a role for each component and scope, made of what the code declares.

use anyhow::{Context as _, ensure};
use api::GROUP;
use chassis::rights::{self, Component, Right, Scope};
use serde_json::{Value, json};
use units::NamespacedName;

use super::labels;
use super::rbac::{RbacOptions, collect_role, custom_role};
use crate::limits::{ACCOUNTS_MAX, COLLECTED_RESOURCES_MAX};

/// Every right that some code of ours declares.
pub fn declared_rights() -> impl Iterator<Item = &'static Right> {
    rights::RIGHTS.iter().chain(controllers::gc::rights::RIGHTS)
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
    documents.extend(options.act_as.iter().flat_map(|account| acting_as(account, options)));
    documents.iter().all(Value::is_object).then_some(documents).context("a manifest is no object")
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
/// Whoever reads the metrics needs a role of its own: it is there, and bound to nobody.
fn for_people() -> [Value; 3] {
    // Whoever changes things in one namespace has no say in policies of the cluster; reading them explains much.
    const POLICIES: [&str; 2] = ["garbagecollectionpolicies", "clustergarbagecollectionpolicies"];
    const READ: [&str; 3] = ["get", "list", "watch"];
    const WRITE: [&str; 4] = ["create", "update", "patch", "delete"];
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
    [
        role("groundskeeper-view", &["view", "edit", "admin"], &POLICIES, &READ),
        role("groundskeeper-edit", &["edit", "admin"], &POLICIES[..1], &WRITE),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"labels": labels(), "name": "groundskeeper-metrics-reader"},
            "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}],
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

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
