use super::*;
use crate::owners::owners;
use crate::testing::read;

fn compile(api_version: &str, kind: &str, rest: &str) -> Result<TargetRule, InvalidTarget> {
    let json = format!(r#"{{"apiVersion": "{api_version}", "kind": "{kind}"{rest}}}"#);
    TargetRule::compile(&serde_json::from_str(&json).unwrap())
}

fn pod(rest: &str) -> TargetRule {
    compile("v1", "Pod", &format!(", {rest}")).unwrap()
}

/// `yes`, `if owners are gone`, or why not.
fn selected(rule: &TargetRule, object: &str) -> String {
    let object = read(object, rule.reads());
    match rule.selects(&object) {
        Selected::Yes => "yes".to_owned(),
        Selected::IfOwnersAreGone => "if owners are gone".to_owned(),
        Selected::No(_) => rule.why_unselected(&object).into(),
    }
}

#[test]
fn an_object_is_selected_by_labels_fields_names_and_owners() {
    let object = r#"{"metadata": {"name": "web-1", "namespace": "team", "labels": {"app": "web"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": true}]},
        "spec": {"priority": 5}, "status": {"phase": "Failed"}}"#;
    let table = [
        (r#""labelSelector": {"matchLabels": {"app": "web"}}"#, "yes"),
        (
            r#""labelSelector": {"matchLabels": {"app": "db"}}"#,
            "its labels do not meet `app=db` of labelSelector",
        ),
        (
            r#""labelSelector": {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}]}"#,
            "its labels do not meet `tier in (a,b)` of labelSelector",
        ),
        (r#""fieldSelector": {"matchFields": {"status.phase": "Failed", "spec.priority": "5"}}"#, "yes"),
        (
            r#""fieldSelector": {"matchFields": {"status.phase": "Running"}}"#,
            "status.phase is `Failed`, not `Running` (fieldSelector)",
        ),
        (r#""fieldSelector": {"matchFields": {"spec.nodeName": ""}}"#, "yes"),
        (
            r#""fieldSelector": {"matchFields": {"spec.nodeName": "n"}}"#,
            "spec.nodeName is missing, not `n` (fieldSelector)",
        ),
        (r#""names": ["web-*", "db-?"]"#, "yes"),
        (r#""names": ["web"]"#, "its name is not among names: web"),
        (r#""names": ["a", "b-*", "c", "d", "e"]"#, "its name is not among names: a, b-*, c and 2 more"),
        (r#""names": ["web-*"], "excludeNames": ["db", "*-1"]"#, "its name is among excludeNames, by *-1"),
        (r#""owner": {"is": "Present"}"#, "yes"),
        (r#""owner": {"is": "Absent"}"#, "it has an owner"),
        (r#""owner": {"is": "Gone"}"#, "if owners are gone"),
        (r#""owner": {"kinds": ["Job", "ReplicaSet"]}"#, "yes"),
        (r#""owner": {"kinds": ["Job"]}"#, "none of its owners is of the kinds in owner.kinds"),
        (r#""owner": {"is": "Gone", "kinds": ["Job"]}"#, "none of its owners is of the kinds in owner.kinds"),
    ];
    for (target, expected) in table {
        assert_eq!(selected(&pod(target), object), expected, "{target}");
    }
}

#[test]
fn an_object_without_owners_has_none_that_is_gone() {
    let table = [("Present", "it has no owner"), ("Absent", "yes"), ("Gone", "it has no owner")];
    for (is, expected) in table {
        for object in [r#"{"metadata": {"name": "a"}}"#, r#"{"metadata": {"ownerReferences": []}}"#] {
            assert_eq!(selected(&pod(&format!(r#""owner": {{"is": "{is}"}}"#)), object), expected, "{is}");
        }
    }
}

#[test]
fn owners_are_told_as_the_object_names_them() {
    let object = r#"{"metadata": {"ownerReferences": [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "a", "uid": "1"},
        {"apiVersion": "v1", "kind": "Node", "name": "b", "uid": "2", "controller": true}]}}"#;
    let object = read(object, vec![owner_path().clone()]);
    let told: Vec<_> = owners(&object)
        .map(|owner| (owner.api_version, owner.kind, owner.name, owner.uid, owner.is_controller))
        .collect();
    assert_eq!(told, [("batch/v1", "Job", "a", "1", false), ("v1", "Node", "b", "2", true)]);
}

#[test]
fn what_the_server_can_select_is_said_in_its_syntax() {
    let table = [
        ("v1", "Pod", r#""labelSelector": {"matchLabels": {"a": "b"}}"#, Some("a=b"), None),
        (
            "v1",
            "Pod",
            r#""fieldSelector": {"matchFields": {"status.phase": "Failed", "spec.priority": "5", "spec.nodeName": "a,b=c\\"}}"#,
            None,
            Some(r"spec.nodeName=a\,b\=c\\,status.phase=Failed"),
        ),
        ("v1", "ConfigMap", r#""fieldSelector": {"matchFields": {"status.phase": "Failed"}}"#, None, None),
        (
            "example.com/v1",
            "Thing",
            r#""fieldSelector": {"matchFields": {".metadata.namespace": "a"}}, "names": ["x"]"#,
            None,
            Some("metadata.name=x,metadata.namespace=a"),
        ),
        // The server refuses a request that selects these by such a field.
        ("v1", "Node", r#""fieldSelector": {"matchFields": {"metadata.namespace": "a"}}"#, None, None),
        (
            "resource.k8s.io/v1beta2",
            "ResourceSlice",
            r#""fieldSelector": {"matchFields": {"metadata.namespace": "a"}}"#,
            None,
            None,
        ),
        (
            "apps/v1",
            "ReplicaSet",
            r#""fieldSelector": {"matchFields": {"status.replicas": "0"}}"#,
            None,
            None,
        ),
        ("v1", "Pod", r#""names": ["x-*"]"#, None, None),
        ("v1", "Pod", r#""names": ["x", "y"]"#, None, None),
        (
            "batch/v1",
            "Job",
            r#""fieldSelector": {"matchFields": {"status.succeeded": "1"}}"#,
            None,
            Some("status.successful=1"),
        ),
        (
            "v1",
            "Secret",
            r#""fieldSelector": {"matchFields": {"type": "Opaque"}}"#,
            None,
            Some("type=Opaque"),
        ),
    ];
    for (api_version, kind, rest, labels, fields) in table {
        let rule = compile(api_version, kind, &format!(", {rest}")).unwrap();
        let pushed = rule.pushed();
        assert_eq!((pushed.0.as_deref(), pushed.1.as_deref()), (labels, fields), "{kind} {rest}");
    }
}

#[test]
fn the_servers_names_and_defaults_of_fields_are_ours_too() {
    let job = compile("batch/v1", "Job", r#", "fieldSelector": {"matchFields": {"status.successful": "0"}}"#)
        .unwrap();
    assert_eq!(
        selected(&job, r#"{"status": {"succeeded": 1}}"#),
        "status.succeeded is `1`, not `0` (fieldSelector)"
    );
    assert_eq!(selected(&job, r#"{"status": {}}"#), "yes");
    let node = |value: &str| {
        let rest = format!(r#", "fieldSelector": {{"matchFields": {{"spec.unschedulable": "{value}"}}}}"#);
        compile("v1", "Node", &rest).unwrap()
    };
    assert_eq!(selected(&node("false"), r#"{"spec": {}}"#), "yes");
    assert_eq!(selected(&node("true"), r#"{"spec": {"unschedulable": true}}"#), "yes");
    assert_eq!(
        selected(&node("true"), r#"{"spec": {}}"#),
        "spec.unschedulable is missing, not `true` (fieldSelector)"
    );
}

#[test]
fn why_an_object_is_not_selected_is_short_and_tells_no_secret() {
    let many: Vec<_> = (0..64).map(|number| format!(r#""{number:063}""#)).collect();
    let labels = format!(
        r#""labelSelector": {{"matchExpressions": [{{"key": "a", "operator": "In", "values": [{}]}}]}}"#,
        many.join(",")
    );
    let long = "9".repeat(900);
    let field = format!(r#""fieldSelector": {{"matchFields": {{"status.reason": "{long}"}}}}"#);
    let object = format!(r#"{{"metadata": {{"name": "a"}}, "status": {{"reason": "{}"}}}}"#, "8".repeat(900));
    for target in [labels, field] {
        let why = selected(&pod(&target), &object);
        assert!(why.len() < 250 && why.contains('…'), "{why}");
    }
    let secret = compile("v1", "Secret", r#", "fieldSelector": {"matchFields": {"data.token": "YQ=="}}"#);
    let why = selected(&secret.unwrap(), r#"{"data": {"token": "c2VjcmV0"}}"#);
    assert_eq!(why, "data.token is `not shown`, not `YQ==` (fieldSelector)");
}

#[test]
fn a_target_that_cannot_be_acted_on_is_refused_with_what_to_write() {
    let table = [
        (r#""owner": {}"#, "owner needs `is` (Present, Absent or Gone) or `kinds`"),
        (r#""owner": {"is": "Absent", "kinds": ["Job"]}"#, "leave kinds out, or write `is: Present`"),
        (r#""owner": {"kinds": ["no kind"]}"#, "owner.kinds: `no kind` is not a kind"),
        (r#""names": ["a[0-9]"]"#, "names: `a[0-9]` is not a pattern for names"),
        (r#""excludeNames": [""]"#, "excludeNames: "),
        (r#""fieldSelector": {"matchFields": {"a[": "b"}}"#, "fieldSelector.matchFields: "),
        (r#""labelSelector": {"matchLabels": {"a b": "c"}}"#, "is not a label key"),
    ];
    for (rest, expected) in table {
        let error = compile("v1", "Pod", &format!(", {rest}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{rest}: {error}");
    }
    assert!(compile("v1", "9Pod", "").unwrap_err().to_string().contains("kind: `9Pod` is not a kind"));
    assert!(compile("a/b/c", "Pod", "").unwrap_err().to_string().starts_with("apiVersion: "));
}

#[test]
fn only_a_target_without_any_selector_is_unselective() {
    assert!(compile("v1", "Pod", "").unwrap().is_unselective());
    assert!(pod(r#""excludeNames": ["a"]"#).is_unselective());
    assert!(!pod(r#""names": ["a"]"#).is_unselective());
    assert!(!pod(r#""owner": {"is": "Absent"}"#).is_unselective());
}

#[test]
fn namespaces_are_covered_by_name_and_labels_unless_excluded() {
    let labels: Labels = [("env", "preview")].into_iter().collect();
    let table = [
        ("{}", "team", true, false),
        (r#"{"names": ["team", "ci-*"]}"#, "ci-7", true, false),
        (r#"{"names": ["team"]}"#, "other", false, false),
        (r#"{"exclude": ["prod-?"]}"#, "prod-1", false, false),
        (r#"{"exclude": ["prod-?"]}"#, "prod-10", true, false),
        (r#"{"names": ["*"], "exclude": ["team"]}"#, "team", false, false),
        (r#"{"selector": {"matchLabels": {"env": "preview"}}}"#, "team", true, true),
        (r#"{"selector": {"matchLabels": {"env": "prod"}}}"#, "team", false, true),
        (r#"{"names": ["x"], "selector": {"matchLabels": {"env": "preview"}}}"#, "team", false, true),
    ];
    for (selection, name, covered, needs_labels) in table {
        let rule = NamespaceRule::compile(Some(&serde_json::from_str(selection).unwrap())).unwrap();
        assert_eq!(rule.covers(name, Some(&labels)), covered, "{selection} {name}");
        assert_eq!(rule.needs_labels(), needs_labels, "{selection}");
        assert!(
            !rule.covers(name, None) || !needs_labels,
            "{selection}: covered although its labels are not known"
        );
    }
    assert!(NamespaceRule::compile(None).unwrap().covers("any", None));
}
