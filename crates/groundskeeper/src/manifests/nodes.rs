//! What the API server itself does about nodes that will leave, whether or not we run: it puts the finalizer on, keeps it
//! there, refuses deletions that are unsafe, and watches over who says what in the record of a departure.
//!
//! The expressions are total, whatever an object lacks. What concerns everybody's nodes looks first whether the request is
//! about our finalizer, annotation or label at all: a kubelet's ordinary updates are none of its business.

use api::node_cleanup::{
    CONTROL_PLANE_LABELS, DELETION_GUARD_LABEL, GuardedBecause, NODE_FINALIZER, SKIP_CLEANUP_ANNOTATION,
};
use api::{GROUP, VERSION};
use controllers::node_cleanup::rights::{
    OVERRIDE_RIGHTS, OVERRIDE_VERB, OverrideRight, RECORD_VERB, RECORDS, RELEASE_VERB,
};
use serde_json::{Value, json};

use super::{Facts, labels};

/// Puts the finalizer on, and keeps it there.
pub(crate) const FINALIZER_POLICY: &str = "groundskeeper-node-finalizer";

/// Who asks, and our records: their verbs are the rights that are meant.
const AUTHORIZER: &str = "authorizer.group('groundskeeper.dev').resource('nodecleanups')";

/// All of them, each with its binding: what puts the finalizer on comes last, so that it is guarded from the beginning.
pub(super) fn documents(facts: &Facts) -> Vec<Value> {
    let mut documents = guards();
    if facts.mutating_policies {
        documents.extend([stamp(), stamp_binding()]);
    }
    documents
}

/// The validating policies and their bindings.
pub(crate) fn guards() -> Vec<Value> {
    let policies = [finalizer_stays(), bypass(), deletion(), overrides(), records()];
    policies.into_iter().flat_map(|policy| [policy.clone(), binding(&policy)]).collect()
}

/// A node that is created gets the finalizer from every policy that governs it, as `node_cleanup::Policy::governs` has it,
/// and asks the API server to. Of a policy that only plans it gets none; one that rests keeps its nodes until it goes on.
fn stamp() -> Value {
    let labels = "object.metadata.?labels.orValue({})";
    let control_plane = CONTROL_PLANE_LABELS.map(|label| format!("'{label}'")).join(", ");
    let has = format!("term.key in {labels}");
    let is_listed = format!("({has} && {labels}[term.key] in term.?values.orValue([]))");
    let conditions = [
        ("acts", "!params.spec.?dryRun.orValue(false)".to_owned()),
        (
            "asks-the-api-server",
            "params.spec.?finalizerBy.orValue('Automatic') in ['Automatic', 'AdmissionPolicy']".to_owned(),
        ),
        (
            "not-of-the-control-plane",
            format!(
                "'ControlPlaneNodes' in params.spec.?unlock.orValue([]) || ![{control_plane}].exists(key, key in {labels})"
            ),
        ),
        (
            "labels-match",
            format!(
                "params.spec.?nodeSelector.?matchLabels.orValue({{}}).all(key, {labels}[?key] == params.spec.nodeSelector.matchLabels[?key])"
            ),
        ),
        (
            "expressions-match",
            format!(
                "params.spec.?nodeSelector.?matchExpressions.orValue([]).all(term, \
                 term.operator == 'In' ? {is_listed} : term.operator == 'NotIn' ? !{is_listed} \
                 : term.operator == 'Exists' ? {has} : term.operator == 'DoesNotExist' && !({has}))"
            ),
        ),
    ];
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"labels": super::labels(), "name": FINALIZER_POLICY},
        "spec": {
            // A node that registers is not held up: the controller puts on what was missed.
            "failurePolicy": "Ignore",
            "matchConditions": conditions.map(|(name, expression)| json!({"name": name, "expression": expression})),
            "matchConstraints": constraints(&[("", "v1", "nodes", &["CREATE"])]),
            "mutations": [{
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {
                    "expression": format!("Object{{metadata: Object.metadata{{finalizers: ['{NODE_FINALIZER}']}}}}"),
                },
            }],
            "paramKind": {"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "NodeCleanupPolicy"},
            "reinvocationPolicy": "IfNeeded",
        },
    })
}

/// All policies are asked, each by itself.
fn stamp_binding() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"labels": labels(), "name": FINALIZER_POLICY},
        "spec": {
            "paramRef": {"parameterNotFoundAction": "Allow", "selector": {}},
            "policyName": FINALIZER_POLICY,
        },
    })
}

/// Nobody takes the finalizer off who may not release nodes: not the node's own kubelet, by `nodes` or by `nodes/status`.
fn finalizer_stays() -> Value {
    let finalizers =
        |object: &str| format!("'{NODE_FINALIZER}' in {object}.metadata.?finalizers.orValue([])");
    policy(
        FINALIZER_POLICY,
        &NODE_UPDATES,
        &json!({
            "matchConditions": [
                {"name": "has-the-finalizer", "expression": finalizers("oldObject")},
                {"name": "loses-it", "expression": format!("!({})", finalizers("object"))},
            ],
            "validations": [{
                "expression": may("oldObject.metadata.uid", RELEASE_VERB),
                "messageExpression": format!(
                    "'the finalizer {NODE_FINALIZER} keeps node ' + oldObject.metadata.name + ' until its cleanup has ended: {}'",
                    RELEASE_INSTEAD
                ),
                "reason": "Forbidden",
            }],
        }),
    )
}

/// Whoever has a node go without its cleanup by the annotation has to be allowed to release it.
fn bypass() -> Value {
    let is_set = |object: &str| {
        format!("{object}.metadata.?annotations[?'{SKIP_CLEANUP_ANNOTATION}'].orValue('') == 'true'")
    };
    policy(
        "groundskeeper-node-bypass",
        &NODE_UPDATES,
        &json!({
            "matchConditions": [
                {"name": "asks-for-it", "expression": is_set("object")},
                {"name": "has-not-before", "expression": format!("!({})", is_set("oldObject"))},
            ],
            "validations": [{
                "expression": may("oldObject.metadata.uid", RELEASE_VERB),
                "messageExpression": format!(
                    "'the annotation {SKIP_CLEANUP_ANNOTATION} lets node ' + oldObject.metadata.name + ' go without its cleanup: {}'",
                    RELEASE_INSTEAD
                ),
                "reason": "Forbidden",
            }],
        }),
    )
}

/// What to do instead, within quotes that the caller closes.
const RELEASE_INSTEAD: &str = "use `groundskeeper nodes release ' + oldObject.metadata.name + '`, or be given the right to `release` nodecleanups.groundskeeper.dev";

const NODE_UPDATES: [Rule<'static>; 2] =
    [("", "v1", "nodes", &["UPDATE"]), ("", "v1", "nodes/status", &["UPDATE"])];

/// A node that carries our label stays, until what the label says is over. A deletion that is repeated changes nothing.
fn deletion() -> Value {
    let label = format!("oldObject.metadata.labels['{DELETION_GUARD_LABEL}']");
    let why =
        GuardedBecause::ALL.iter().rev().fold("'its label says so'".to_owned(), |otherwise, because| {
            format!("({label} == '{}' ? '{}' : {otherwise})", because.word(), because.meaning())
        });
    policy(
        "groundskeeper-node-deletion",
        &[("", "v1", "nodes", &["DELETE"])],
        &json!({
            "matchConditions": [
                {
                    "name": "is-guarded",
                    "expression": format!("'{DELETION_GUARD_LABEL}' in oldObject.metadata.?labels.orValue({{}})"),
                },
                {"name": "not-yet-deleted", "expression": "!has(oldObject.metadata.deletionTimestamp)"},
                {
                    "name": "not-to-be-skipped",
                    "expression": format!(
                        "oldObject.metadata.?annotations[?'{SKIP_CLEANUP_ANNOTATION}'].orValue('') != 'true'"
                    ),
                },
            ],
            "validations": [{
                "expression": may("oldObject.metadata.uid", OVERRIDE_VERB),
                "messageExpression": format!(
                    "'node ' + oldObject.metadata.name + ' may not be deleted now: ' + {why} + '. To delete it all the same, annotate it with {SKIP_CLEANUP_ANNOTATION}=true, which also skips its cleanup, or be given the right to `{OVERRIDE_VERB}` nodecleanups.{GROUP}'"
                ),
                "reason": "Forbidden",
            }],
        }),
    )
}

/// Each part of the overrides is changed only by whoever has its verb, and in the own name; the rest only by the operator.
fn overrides() -> Value {
    const NAME: &str = "object.metadata.?name.orValue('')";
    let own = "dyn(object.spec)";
    let old = "dyn(oldObject.spec)";
    let is_recorder = may(NAME, RECORD_VERB);
    let others_stay = format!(
        "{own}.all(key, key == 'overrides' || {own}[?key] == {old}[?key]) && {old}.all(key, key == 'overrides' || key in {own})"
    );
    let mut validations = vec![json!({
        "expression": format!("(request.operation == 'UPDATE' && {others_stay}) || {is_recorder}"),
        "message": "a record of a departure is written by Groundskeeper alone; people change spec.overrides, best by `groundskeeper nodes`",
        "reason": "Forbidden",
    })];
    for OverrideRight { field, verb, is_of_steps } in OVERRIDE_RIGHTS {
        let nothing = if is_of_steps { ".orValue([])" } else { "" };
        let (is, was) =
            (format!("variables.is[?'{field}']{nothing}"), format!("variables.was[?'{field}']{nothing}"));
        let is_own = if is_of_steps {
            format!("{is}.all(said, said in {was} || said.by == variables.user)")
        } else {
            format!(
                "{is} == {was} || !('{field}' in variables.is) || variables.is.{field}.by == variables.user"
            )
        };
        validations.push(json!({
            "expression": format!("{is} == {was} || {}", may(NAME, verb)),
            "message": format!(
                "spec.overrides.{field} is changed only by whoever has the right to `{verb}` {RECORDS}.{GROUP}; the ClusterRole groundskeeper-node-operator gives it"
            ),
            "reason": "Forbidden",
        }));
        validations.push(json!({
            "expression": is_own,
            "messageExpression": format!(
                "'spec.overrides.{field}: `by` says who decided it, and you are ' + variables.user + ': write that'"
            ),
            "reason": "Forbidden",
        }));
    }
    policy(
        "groundskeeper-node-overrides",
        &[(GROUP, VERSION, RECORDS, &["CREATE", "UPDATE"])],
        &json!({
            "variables": [
                {"name": "is", "expression": "has(object.spec.overrides) ? dyn(object.spec.overrides) : dyn({})"},
                {
                    "name": "was",
                    "expression": "request.operation == 'CREATE' || !has(oldObject.spec.overrides) ? dyn({}) : dyn(oldObject.spec.overrides)",
                },
                {"name": "user", "expression": "has(request.userInfo.username) ? request.userInfo.username : ''"},
            ],
            "validations": validations,
        }),
    )
}

/// How far a departure is says the operator alone, and a record stays until the departure is over.
fn records() -> Value {
    const NAME: &str = "oldObject.metadata.name";
    let (is_recorder, may_release) = (may(NAME, RECORD_VERB), may(NAME, RELEASE_VERB));
    let is_over = "oldObject.?status.?phase.orValue('') in ['Completed', 'Released', 'Lost']";
    policy(
        "groundskeeper-node-records",
        &[(GROUP, VERSION, "nodecleanups/status", &["UPDATE"]), (GROUP, VERSION, RECORDS, &["DELETE"])],
        &json!({
            "validations": [
                {
                    "expression": format!("request.operation == 'DELETE' || {is_recorder}"),
                    "message": "the status of a departure is written by Groundskeeper alone; people change spec.overrides, best by `groundskeeper nodes`",
                    "reason": "Forbidden",
                },
                {
                    "expression": format!("request.operation != 'DELETE' || {is_over} || {may_release} || {is_recorder}"),
                    "message": "the departure is not over, and without its record its steps would be taken again: wait, or let the node go by `groundskeeper nodes release`",
                    "reason": "Forbidden",
                },
            ],
        }),
    )
}

/// Whether whoever asks has a verb on a record of this name.
fn may(name: &str, verb: &str) -> String {
    format!("{AUTHORIZER}.name({name}).check('{verb}').allowed()")
}

/// A group, a version, a resource and what is done with it.
type Rule<'a> = (&'a str, &'a str, &'a str, &'a [&'a str]);

fn constraints(rules: &[Rule<'_>]) -> Value {
    let rule = |(group, version, resource, operations): &Rule<'_>| {
        json!({
            "apiGroups": [group],
            "apiVersions": [version],
            "operations": operations,
            "resources": [resource],
            "scope": "Cluster",
        })
    };
    json!({"matchPolicy": "Equivalent", "resourceRules": rules.iter().map(rule).collect::<Vec<_>>()})
}

/// A validating policy. Its expressions cannot fail, so that a fault closes it: it would be a fault of the authorizer.
fn policy(name: &str, rules: &[Rule<'_>], spec: &Value) -> Value {
    let mut policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"labels": labels(), "name": name},
        "spec": spec,
    });
    policy["spec"]["failurePolicy"] = json!("Fail");
    policy["spec"]["matchConstraints"] = constraints(rules);
    policy
}

fn binding(policy: &Value) -> Value {
    let name = &policy["metadata"]["name"];
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"labels": labels(), "name": name},
        "spec": {"policyName": name, "validationActions": ["Deny", "Audit"]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_bound_and_what_is_guarded_is_named_in_full() {
        let documents = documents(&Facts::default());
        for policy in documents.iter().filter(|document| document["spec"]["matchConstraints"].is_object()) {
            let name = &policy["metadata"]["name"];
            assert!(documents.iter().any(|binding| binding["spec"]["policyName"] == *name
                && binding["kind"] == format!("{}Binding", policy["kind"].as_str().unwrap())));
            for rule in policy["spec"]["matchConstraints"]["resourceRules"].as_array().unwrap() {
                assert!(!rule.to_string().contains('*'), "{rule}");
            }
        }
    }

    #[test]
    fn nothing_of_everybodys_nodes_is_judged_but_what_is_about_us() {
        let of_nodes = |policy: &Value| policy["spec"]["matchConstraints"].to_string().contains("\"nodes");
        for policy in guards().iter().filter(|policy| of_nodes(policy)) {
            let conditions = policy["spec"]["matchConditions"].to_string();
            assert!(conditions.contains(GROUP), "{policy}");
        }
        assert_eq!(stamp()["spec"]["failurePolicy"], "Ignore");
    }

    #[test]
    fn no_word_of_ours_ends_a_text_of_an_expression() {
        for because in GuardedBecause::ALL {
            assert!(!because.meaning().contains(['\'', '\\']), "{because:?}");
        }
    }

    #[test]
    fn an_expression_asks_the_authorizer_no_oftener_than_its_cost_allows() {
        // One question costs 350,000 of the 1,000,000 that an expression may.
        let expressions = guards().into_iter().flat_map(|policy| {
            let validations = policy["spec"]["validations"].as_array().cloned().unwrap_or_default();
            validations.into_iter().map(|one| one["expression"].as_str().unwrap_or_default().to_owned())
        });
        for expression in expressions {
            assert!(expression.matches("authorizer.").count() <= 2, "{expression}");
        }
    }
}
