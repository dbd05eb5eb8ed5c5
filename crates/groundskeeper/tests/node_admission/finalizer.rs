//! The finalizer: on which nodes the API server puts it, and who can take it off again.

use futures::{StreamExt as _, stream};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use node_cleanup::{Governs, Policy};
use serde_json::{Value, json};

use crate::support::{identity, now};
use crate::{
    FINALIZER, apply_policy, cluster, finalizers_of_new, in_force, kubelet, nodes, put, read, strip, words,
};

const WAYS: [(&str, &str); 6] = [
    ("nodes", "merge"),
    ("nodes", "put"),
    ("nodes", "strategic"),
    ("nodes/status", "merge"),
    ("nodes/status", "put"),
    ("nodes/status", "strategic"),
];

#[tokio::test]
async fn a_kubelet_registers_with_the_finalizer_and_cannot_take_it_off() {
    let cluster = cluster().await;
    let pool = json!({"pool": "registered"});
    apply_policy(cluster, "registered", &json!({"nodeSelector": {"matchLabels": pool}}));
    in_force(cluster, &pool).await;
    let kubelet = kubelet(cluster, "registered-1");
    let api = nodes(&kubelet);
    let node = json!({"metadata": {"name": "registered-1", "labels": pool}});
    let registered = api.create(&PostParams::default(), &read(node.clone())).await.unwrap();
    assert_eq!(registered.metadata.finalizers.unwrap(), [FINALIZER]);

    // What a kubelet does all day.
    let ready = json!({"status": {"conditions": [{
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
        "lastHeartbeatTime": now().to_string(), "lastTransitionTime": now().to_string(),
    }]}});
    let params = PatchParams::default();
    api.patch_status("registered-1", &params, &Patch::Strategic(&ready)).await.unwrap();
    let annotated = json!({"metadata": {"annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}}});
    api.patch("registered-1", &params, &Patch::Merge(&annotated)).await.unwrap();
    put(&kubelet, "registered-1", "nodes/status", |_| {}).await.unwrap();
    put(&kubelet, "registered-1", "nodes", |_| {}).await.unwrap();

    for (resource, how) in WAYS {
        let refusal = strip(&kubelet, "registered-1", resource, how).await.expect_err(how);
        assert!(
            refusal.contains("`groundskeeper nodes release registered-1`"),
            "{how} {resource}: {refusal}"
        );
    }
    let bypass = json!({"metadata": {"annotations": {"groundskeeper.dev/skip-cleanup": "true"}}});
    for refusal in [
        api.patch("registered-1", &params, &Patch::Merge(&bypass)).await.unwrap_err(),
        api.patch_status("registered-1", &params, &Patch::Merge(&bypass)).await.unwrap_err(),
    ] {
        assert!(words(&refusal).contains("lets node registered-1 go without its cleanup"), "{refusal}");
    }

    nodes(cluster.admin()).delete("registered-1", &DeleteParams::default()).await.unwrap();
    for (resource, how) in WAYS {
        strip(&kubelet, "registered-1", resource, how).await.expect_err("while it is being deleted");
    }
    let again = api.create(&PostParams::default(), &read(node.clone())).await.unwrap_err();
    assert!(words(&again).starts_with("409"), "{again}");
    // The operator takes it off when all is done, and the node may come back.
    strip(&identity(cluster), "registered-1", "nodes", "strategic").await.unwrap();
    assert!(api.get_opt("registered-1").await.unwrap().is_none());
    let back = api.create(&PostParams::default(), &read(node)).await.unwrap();
    assert_eq!(back.metadata.finalizers.unwrap(), [FINALIZER]);
    // So may an administrator, by hand: all rights are theirs.
    nodes(cluster.admin()).patch("registered-1", &params, &Patch::Merge(&bypass)).await.unwrap();
    strip(cluster.admin(), "registered-1", "nodes", "merge").await.unwrap();
}

/// Every policy of a few choices, with a label of its own so that it selects no other's nodes.
fn policies() -> Vec<Value> {
    let term = |operator: &str, values: &[&str]| {
        let values = (!values.is_empty()).then_some(values);
        vec![json!({"key": "a", "operator": operator, "values": values.unwrap_or_default()})]
    };
    let terms = [
        vec![],
        term("In", &["1"]),
        term("In", &["", "2"]),
        term("NotIn", &["1"]),
        term("NotIn", &["", "2"]),
        term("Exists", &[]),
        term("DoesNotExist", &[]),
    ];
    let mut policies = Vec::new();
    for terms in &terms {
        for (labels, unlock) in [(json!({}), json!([])), (json!({"b": ""}), json!(["ControlPlaneNodes"]))] {
            let mut labels = labels.clone();
            labels["suite"] = json!(format!("choice-{}", policies.len()));
            policies.push(json!({
                "nodeSelector": {"matchLabels": labels, "matchExpressions": terms},
                "unlock": unlock,
                "paused": policies.len() % 2 == 1,
            }));
        }
    }
    policies
}

/// The labels of nodes, as far as the policies look at them.
fn all_labels() -> Vec<Value> {
    let mut all = Vec::new();
    for a in [None, Some(""), Some("1"), Some("2")] {
        for b in [None, Some(""), Some("x")] {
            for role in [None, Some("control-plane"), Some("master"), Some("etcd"), Some("worker")] {
                let role = role.map(|role| (format!("node-role.kubernetes.io/{role}"), ""));
                let pairs = [a.map(|a| ("a".to_owned(), a)), b.map(|b| ("b".to_owned(), b)), role];
                let labels = pairs.into_iter().flatten().map(|(key, value)| (key, json!(value)));
                all.push(Value::Object(labels.collect()));
            }
        }
    }
    all
}

#[tokio::test]
async fn the_api_server_and_the_engine_agree_which_nodes_a_policy_governs() {
    let cluster = cluster().await;
    let policies = policies();
    for (at, spec) in policies.iter().enumerate() {
        apply_policy(cluster, &format!("choice-{at}"), spec);
    }
    apply_policy(cluster, "choice-last", &json!({"nodeSelector": {"matchLabels": {"suite": "last"}}}));
    in_force(cluster, &json!({"suite": "last"})).await;
    let mut cases = Vec::new();
    for (at, spec) in policies.iter().enumerate() {
        let manifest = json!({"metadata": {"name": "p"}, "spec": spec});
        let policy = Policy::compile(&read(manifest), &|_| None).unwrap();
        for mut labels in all_labels() {
            labels["suite"] = json!(format!("choice-{at}"));
            let pairs: std::collections::BTreeMap<String, String> = read(labels.clone());
            cases.push((spec, labels, policy.governs(&pairs) == Governs::Yes));
        }
    }
    let governed = cases.iter().filter(|(_, _, governs)| *governs).count();
    assert!(governed > 100 && cases.len() - governed > 100, "{governed} of {}", cases.len());
    let disagreements: Vec<_> = stream::iter(cases)
        .map(async |(spec, labels, governs)| {
            let is_on = finalizers_of_new(cluster.admin(), &labels).await == [FINALIZER];
            (is_on != governs).then(|| format!("{spec} on {labels}: the engine says {governs}"))
        })
        .buffer_unordered(8)
        .filter_map(async |disagreement| disagreement)
        .collect()
        .await;
    assert!(disagreements.is_empty(), "{disagreements:#?}");
}

#[tokio::test]
async fn only_a_policy_that_acts_and_asks_the_api_server_puts_the_finalizer_on() {
    let cluster = cluster().await;
    let of = |pool: &str| json!({"matchLabels": {"pool": pool}});
    for (pool, more) in [
        ("asks-automatic", json!({"finalizerBy": "Automatic"})),
        ("asks-policy", json!({"finalizerBy": "AdmissionPolicy", "paused": true})),
        ("asks-webhook", json!({"finalizerBy": "Webhook"})),
        ("asks-nobody", json!({"finalizerBy": "Controller"})),
        ("asks-dry", json!({"dryRun": true})),
    ] {
        let mut spec = more;
        spec["nodeSelector"] = of(pool);
        apply_policy(cluster, pool, &spec);
    }
    // A second one on the same nodes: the finalizer is there once.
    apply_policy(
        cluster,
        "asks-last",
        &json!({"nodeSelector": {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["asks-automatic", "asks-last"]}]}}),
    );
    in_force(cluster, &json!({"pool": "asks-last"})).await;
    for (pool, expected) in [
        ("asks-automatic", &[FINALIZER][..]),
        ("asks-policy", &[FINALIZER]),
        ("asks-webhook", &[]),
        ("asks-nobody", &[]),
        ("asks-dry", &[]),
    ] {
        let found = finalizers_of_new(cluster.admin(), &json!({"pool": pool})).await;
        assert_eq!(found, expected, "{pool}");
    }
    let node = json!({"metadata": {"generateName": "x-", "labels": {"pool": "asks-last"}, "finalizers": ["example.com/other"]}});
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let node = nodes(cluster.admin()).create(&dry_run, &read(node)).await.unwrap();
    assert_eq!(node.metadata.finalizers.unwrap(), ["example.com/other", FINALIZER]);
}
