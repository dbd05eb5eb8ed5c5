//! What the API server itself refuses, warns of and writes down about our kinds, whether or not we run.
//!
//! Rules of the kinds' own schemas see neither who asks nor where an object lies; these policies do. They concern our own
//! kinds and nothing else: whatever goes wrong here, nobody's pods are held up.
//!
//! Who wrote a policy's spec stands in two annotations. Where the cluster serves `MutatingAdmissionPolicy`, it writes them
//! itself and puts right what a client says of them; a second policy refuses whatever is wrong with them nevertheless.
//! Both may be missing: then the operator deletes nothing for that policy, and says so.

use api::{GROUP, VERSION};
use serde_json::{Value, json};

use super::{Facts, RbacOptions, labels};

/// Writes the author down.
pub(crate) const STAMP_POLICY: &str = "groundskeeper-author";

/// Refuses a wrong author.
const AUTHOR_POLICY: &str = "groundskeeper-author";

/// Validating policies: who wrote it; what is refused; what is warned of.
pub(crate) const GUARD_POLICIES: [&str; 3] = [AUTHOR_POLICY, "groundskeeper-scope", "groundskeeper-caution"];

/// The annotations that name a policy's author: the user, and the groups, one a line.
pub(crate) const AUTHOR: &str = "groundskeeper.dev/author";
const GROUPS: &str = "groundskeeper.dev/author-groups";

/// Whether the request gives the policy a spec: it makes it, or changes it.
const IS_FRESH: &str = "request.operation == 'CREATE' || object.spec != oldObject.spec";

pub(super) fn documents(options: &RbacOptions, facts: &Facts) -> Vec<Value> {
    let mut documents = Vec::new();
    if facts.mutating_policies {
        documents.extend([stamp(), stamp_binding()]);
    }
    for policy in [author(), scope(options), caution()] {
        let actions: &[&str] = if policy["metadata"]["name"] == GUARD_POLICIES[2] {
            &["Warn", "Audit"]
        } else {
            &["Deny", "Audit"]
        };
        let binding = binding(&policy, actions);
        documents.extend([policy, binding]);
    }
    documents
}

fn constraints() -> Value {
    json!({
        "matchPolicy": "Equivalent",
        "resourceRules": [{
            "apiGroups": [GROUP],
            "apiVersions": [VERSION],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["garbagecollectionpolicies", "clustergarbagecollectionpolicies"],
            "scope": "*",
        }],
    })
}

/// Who asks, and what the annotations say before and after. A group with a line break in its name is left out: it would be
/// read as two.
fn variables() -> Vec<Value> {
    let annotations =
        |object: &str| format!("has({object}.metadata.annotations) ? {object}.metadata.annotations : {{}}");
    let variables = [
        ("fresh", IS_FRESH.to_owned()),
        ("given", annotations("object")),
        ("old", format!("request.operation == 'CREATE' ? {{}} : ({})", annotations("oldObject"))),
        ("user", "has(request.userInfo.username) ? request.userInfo.username : ''".to_owned()),
        (
            "groups",
            "has(request.userInfo.groups) ? request.userInfo.groups.filter(group, !group.contains('\\n')).join('\\n') : ''"
                .to_owned(),
        ),
    ];
    variables.into_iter().map(|(name, expression)| json!({"name": name, "expression": expression})).collect()
}

/// A spec that is new gets its author; one that stays keeps the one that it has.
fn stamp() -> Value {
    let wanted = |key: &str, fresh: &str| {
        format!("variables.fresh ? [{fresh}] : ('{key}' in variables.old ? [variables.old['{key}']] : [])")
    };
    let mut variables = variables();
    variables.push(json!({"name": "author", "expression": wanted(AUTHOR, "variables.user")}));
    variables.push(json!({"name": "authorGroups", "expression": wanted(GROUPS, "variables.groups")}));
    let write = |key: &str, variable: &str| {
        let path = format!("'/metadata/annotations/' + jsonpatch.escapeKey('{key}')");
        format!(
            "(size(variables.{variable}) > 0 \
             ? [JSONPatch{{op: 'add', path: {path}, value: variables.{variable}[0]}}] \
             : ('{key}' in variables.given ? [JSONPatch{{op: 'remove', path: {path}}}] : []))"
        )
    };
    let expression = format!(
        "(has(object.metadata.annotations) || size(variables.author) + size(variables.authorGroups) == 0 \
         ? [] : [JSONPatch{{op: 'add', path: '/metadata/annotations', value: {{}}}}]) + {} + {}",
        write(AUTHOR, "author"),
        write(GROUPS, "authorGroups"),
    );
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"labels": labels(), "name": STAMP_POLICY},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": constraints(),
            // Once more if another webhook has changed the object since.
            "reinvocationPolicy": "IfNeeded",
            "variables": variables,
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
        },
    })
}

fn stamp_binding() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"labels": labels(), "name": STAMP_POLICY},
        "spec": {"policyName": STAMP_POLICY},
    })
}

fn author() -> Value {
    let absent = format!("(!('{AUTHOR}' in variables.given) && !('{GROUPS}' in variables.given))");
    let is =
        |key: &str, value: &str| format!("'{key}' in variables.given && variables.given['{key}'] == {value}");
    let stays =
        |key: &str| format!("'{key}' in variables.old && {}", is(key, &format!("variables.old['{key}']")));
    let message = format!(
        "the annotations {AUTHOR} and {GROUPS} say who wrote the spec; the cluster writes them: leave them out, or as they are"
    );
    let own = format!(
        "!variables.fresh || {absent} || ({} && {})",
        is(AUTHOR, "variables.user"),
        is(GROUPS, "variables.groups")
    );
    let same = format!("variables.fresh || {absent} || ({} && {})", stays(AUTHOR), stays(GROUPS));
    policy(
        AUTHOR_POLICY,
        &json!({
            "variables": variables(),
            "validations": [
                {"expression": own, "message": message, "reason": "Forbidden"},
                {"expression": same, "message": message, "reason": "Forbidden"},
            ],
        }),
    )
}

/// What a policy targets, be it one kind or several; and the namespace that it lies in, empty for one of the cluster.
fn targets() -> Value {
    json!([
        {
            "name": "targets",
            "expression": "(has(object.spec.targetResource) ? [object.spec.targetResource] : []) + (has(object.spec.targetResources) ? object.spec.targetResources : [])",
        },
        {
            "name": "home",
            "expression": "has(object.metadata.namespace) ? object.metadata.namespace : ''",
        },
    ])
}

/// What a policy may never be about. An old one that is so may still be changed elsewhere, or deleted.
fn scope(options: &RbacOptions) -> Value {
    let own = &options.namespace;
    let system = "has(object.spec.unlock) && 'SystemNamespaces' in object.spec.unlock";
    let protected = format!(
        "variables.home != '{own}' && (!(variables.home in ['kube-system', 'kube-public', 'kube-node-lease']) || ({system}))"
    );
    policy(
        GUARD_POLICIES[1],
        &json!({
            "matchConditions": [{"name": "spec-is-new", "expression": IS_FRESH}],
            "variables": targets(),
            "validations": [
                {
                    "expression": protected,
                    "messageExpression": "'nothing in namespace ' + variables.home + ' is ever collected: put the policy into the namespace of its objects'",
                    "reason": "Forbidden",
                },
                {
                    "expression": "variables.home == '' || variables.targets.all(t, !has(t.namespace) || t.namespace == variables.home)",
                    "message": "targetResource.namespace must be the policy's own namespace: leave it out, or put the policy there",
                    "reason": "Invalid",
                },
            ],
        }),
    )
}

/// What is allowed and yet often a slip.
fn caution() -> Value {
    let selects = "variables.targets.all(t, has(t.labelSelector) \
        && ((has(t.labelSelector.matchLabels) && size(t.labelSelector.matchLabels) > 0) \
        || (has(t.labelSelector.matchExpressions) && size(t.labelSelector.matchExpressions) > 0)))";
    let is_narrowed = "has(object.spec.conditions) || has(object.spec.when) || has(object.spec.keep) \
        || (has(object.spec.ttl) && has(object.spec.ttl.marks)) \
        || variables.targets.all(t, has(t.fieldSelector) || has(t.names) || has(t.owner))";
    let is_harmless = "(has(object.spec.mode) && object.spec.mode == 'Plan') \
        || (has(object.spec.behavior) && has(object.spec.behavior.dryRun) && object.spec.behavior.dryRun) \
        || (has(object.spec.paused) && object.spec.paused)";
    policy(
        GUARD_POLICIES[2],
        &json!({
            "matchConditions": [{"name": "spec-is-new", "expression": IS_FRESH}],
            "variables": targets(),
            "validations": [{
                "expression": format!("variables.home != 'default' || ({selects}) || ({is_narrowed}) || ({is_harmless})"),
                "messageExpression": "'this collects every ' + variables.targets[0].kind + ' in namespace default: add a labelSelector, or try it with `mode: Plan` first'",
            }],
        }),
    )
}

/// A validating policy. Faults of its own refuse the request: only our own kinds are concerned.
fn policy(name: &str, spec: &Value) -> Value {
    let mut policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"labels": labels(), "name": name},
        "spec": spec,
    });
    policy["spec"]["failurePolicy"] = json!("Fail");
    policy["spec"]["matchConstraints"] = constraints();
    policy
}

fn binding(policy: &Value, actions: &[&str]) -> Value {
    let name = &policy["metadata"]["name"];
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"labels": labels(), "name": name},
        "spec": {"policyName": name, "validationActions": actions},
    })
}
