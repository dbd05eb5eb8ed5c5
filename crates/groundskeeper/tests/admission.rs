//! The admission webhook as users meet it: a real API server asks a real operator over TLS, with certificates that the
//! operator makes and rotates.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod support;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chassis::{Access, AccessReviews, Attributes, Class, Classify as _, Subject};
use control::SystemClock;
use serde_json::{Value, json};
use testbed::{ControlPlane, Turn};
use tokio::task::JoinSet;

use support::drafts::{Draft, config_map, policy};
use support::operator::Operator;
use support::team::Team;
use support::webhook::{apply, bundles, configure, configured, launch, remove};
use support::{eventually, holds};

/// A control plane for a test that leads it to webhooks of its own.
async fn turn() -> (Turn, &'static ControlPlane) {
    let (turn, cluster) = support::turn().await;
    remove(cluster);
    (turn, cluster)
}

/// Somebody who may write policies in a team's namespace, and have these rights on ConfigMaps.
fn member<'a>(team: &Team<'a>, name: &str, verbs: &[&str]) -> Team<'a> {
    grant(team, name, "groundskeeper.dev", "garbagecollectionpolicies", &["*"]);
    grant(team, name, "", "configmaps", verbs);
    let client = team.cluster.user(name, &["developers"]).unwrap().client().unwrap();
    Team { cluster: team.cluster, namespace: team.namespace.clone(), client }
}

/// Gives somebody rights in a team's namespace.
fn grant(team: &Team<'_>, user: &str, group: &str, resource: &str, verbs: &[&str]) {
    let group_of_roles = "rbac.authorization.k8s.io";
    let metadata = json!({"name": format!("{user}-{resource}"), "namespace": team.namespace});
    let documents = [
        json!({
            "apiVersion": format!("{group_of_roles}/v1"), "kind": "Role", "metadata": metadata,
            "rules": [{"apiGroups": [group], "resources": [resource], "verbs": verbs}],
        }),
        json!({
            "apiVersion": format!("{group_of_roles}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group_of_roles, "kind": "Role", "name": metadata["name"]},
            "subjects": [{"apiGroup": group_of_roles, "kind": "User", "name": user}],
        }),
    ];
    apply(team.cluster, &documents);
}

/// An operator whose webhook is in use.
async fn in_use(cluster: &ControlPlane, flags: &[&str]) -> Operator {
    let operator = launch(cluster, flags).await;
    configure(cluster, &[&operator]);
    configured(cluster).await;
    operator
}

/// A configuration that has just been written takes a moment to be heard of.
async fn heard(team: &Team<'_>) {
    eventually(team.cluster, "the webhook is called", async || {
        let answer = team.try_create(policy("heard").on("rbac.authorization.k8s.io/v1", "ClusterRole")).await;
        let answer = answer.map_or_else(|refusal| refusal, |_| "created".to_owned());
        holds(answer.contains("has no namespaces"), answer)
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_could_not_be_carried_out_is_refused_with_what_to_write() {
    let (_turn, cluster) = turn().await;
    let operator = in_use(cluster, &[]).await;
    let team = Team::new(cluster, "judged").await;
    heard(&team).await;
    let table = [
        (
            policy("foreign").with("/spec/targetResource/namespace", "elsewhere"),
            "spec.targetResource.namespace is `elsewhere`, but a policy collects only in its own namespace",
        ),
        (
            policy("cluster-wide").on("rbac.authorization.k8s.io/v1", "ClusterRole"),
            "ClusterRole (rbac.authorization.k8s.io/v1) has no namespaces",
        ),
        (policy("fixed").on("v1", "Binding"), "Binding (v1) cannot be collected"),
        (policy("typo").on("v1", "configmap"), "did you mean ConfigMap?"),
        (
            policy("selector").with("/spec/targetResource/labelSelector/matchLabels", json!({"a b": "c"})),
            "spec.targetResource.",
        ),
    ];
    for (draft, expected) in table {
        let name = draft.name().to_owned();
        let refusal = team.try_create(draft).await.expect_err(&name);
        assert!(refusal.contains(expected), "{name}: {refusal}");
    }
    let system = Team::in_namespace(cluster, "kube-system");
    let refusal = system.try_create(policy("system")).await.unwrap_err();
    assert!(refusal.contains("nothing would be collected here: objects in kube-system"), "{refusal}");

    let warned = apply_as_admin(&team, &policy("soon").on("example.com/v1", "Thing"));
    assert!(warned.contains("Warning: the cluster serves no kind Thing (example.com/v1) yet"), "{warned}");
    let good = team.create(policy("good")).await;
    team.collecting(&good).await;
    assert!(operator.errors().is_empty(), "{:#?}", operator.errors());
    assert!(operator.stop().await.success());
    remove(cluster);
}

/// Applies a manifest as `kubectl` does; returns what it says besides.
fn apply_as_admin(team: &Team<'_>, draft: &Draft) -> String {
    use std::io::Write as _;
    let mut child = Command::new(team.cluster.kubectl())
        .args(["create", "-n", &team.namespace, "-f", "-", "--kubeconfig"])
        .arg(team.cluster.admin().kubeconfig())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(draft.0.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn nobody_gains_a_right_by_writing_a_policy() {
    let (_turn, cluster) = turn().await;
    let operator = in_use(cluster, &[]).await;
    let team = Team::new(cluster, "authors").await;
    heard(&team).await;
    let (ada, bob) = (member(&team, "ada", &["list", "delete"]), member(&team, "bob", &["get", "list"]));

    let refusal = bob.try_create(policy("sweep")).await.unwrap_err();
    let expected = format!("`bob` may not `delete` `configmaps` in namespace `{}`", team.namespace);
    assert!(refusal.contains(&expected), "{refusal}");
    let dry = dry_run(&bob, "sweep").await.unwrap_err();
    assert!(dry.contains(&expected), "{dry}");

    // What the manifest claims is replaced by who writes it.
    let sweep = ada.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let found = team.look_at(&sweep).await.unwrap();
    let annotations = &found["metadata"]["annotations"];
    assert_eq!(annotations["groundskeeper.dev/author"], "ada", "{found}");
    assert_eq!(annotations["groundskeeper.dev/author-groups"], "developers\nsystem:authenticated");

    // Somebody else may change what is not the spec, but neither the spec nor the author.
    bob.edit(&sweep, json!({"metadata": {"labels": {"seen-by": "bob"}}})).await;
    let spec = bob.try_edit(&sweep, json!({"spec": {"paused": true}})).await.unwrap_err().to_string();
    assert!(spec.contains(&expected), "{spec}");
    for author in [json!("bob"), Value::Null] {
        let forged = json!({"metadata": {"annotations": {"groundskeeper.dev/author": author}}});
        let refusal = team.try_edit(&sweep, forged).await.unwrap_err().to_string();
        assert!(refusal.contains("leave them as they are"), "{refusal}");
    }
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.goes_in_time(&object, 1).await;

    // A right that comes is seen at once.
    grant(&team, "bob", "", "configmaps", &["list", "delete"]);
    eventually(cluster, "bob may write policies", async || {
        bob.try_edit(&sweep, json!({"spec": {"paused": true}})).await.map_err(|error| error.to_string())
    })
    .await;
    let found = team.look_at(&sweep).await.unwrap();
    assert_eq!(found["metadata"]["annotations"]["groundskeeper.dev/author"], "bob");
    bob.delete(&sweep).await;
    assert_eq!(team.look_at(&sweep).await, None);
    assert!(operator.errors().is_empty(), "{:#?}", operator.errors());
    assert!(operator.stop().await.success());
    remove(cluster);
}

#[tokio::test]
async fn rights_are_those_that_the_api_server_sees_and_a_new_one_is_soon_seen() {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "rights").await;
    let ada = member(&team, "ada", &["list"]);
    let attributes = |verb| Attributes {
        verb,
        group: String::new(),
        resource: "configmaps".to_owned(),
        namespace: team.namespace.clone(),
    };
    let subject = Subject { user: "ada".to_owned(), ..Subject::default() };
    let asks_as = |client: &kube::Client| AccessReviews::new(client.clone(), Arc::new(SystemClock));
    let (ours, hers) = (asks_as(&team.client), asks_as(&ada.client));

    eventually(cluster, "the binding is heard of", async || {
        let access = ours.may(&subject, &attributes("list")).await.unwrap();
        holds(access == Access::Allowed, format!("{access:?}"))
    })
    .await;
    assert!(matches!(ours.may(&subject, &attributes("delete")).await.unwrap(), Access::Denied { .. }));
    let error = hers.may(&subject, &attributes("list")).await.unwrap_err();
    assert_eq!(error.class(), Class::Denied, "she may not ask about others: {error}");

    grant(&team, "ada", "", "configmaps", &["list", "delete"]);
    eventually(cluster, "the new right is seen", async || {
        let access = ours.may(&subject, &attributes("delete")).await.unwrap();
        holds(access == Access::Allowed, format!("{access:?}"))
    })
    .await;
}

/// Asks the API server what it would say to a policy, without one coming into being.
async fn dry_run(team: &Team<'_>, name: &str) -> Result<(), String> {
    let Draft(manifest) = policy(name);
    let path = format!(
        "/apis/groundskeeper.dev/v1alpha1/namespaces/{}/garbagecollectionpolicies?dryRun=All",
        team.namespace
    );
    let request = http::Request::post(path)
        .header("Content-Type", "application/json")
        .body(manifest.to_string().into_bytes())
        .unwrap();
    team.client.request_text(request).await.map(drop).map_err(|error| error.to_string())
}

/// Two replicas that serve certificates which live for seconds.
async fn fast_replicas(cluster: &ControlPlane) -> [Operator; 2] {
    let lives = ["--webhook-certificate-life", "5s", "--webhook-authority-life", "15s"];
    let replicas = [launch(cluster, &lives).await, launch(cluster, &lives).await];
    configure(cluster, &[&replicas[0], &replicas[1]]);
    configured(cluster).await;
    replicas
}

/// The secret's certificates: bundle and leaf.
fn certificates(cluster: &ControlPlane) -> (String, String) {
    let secret = ["get", "secret", "groundskeeper-webhook-tls", "-n", "groundskeeper-system", "-o", "json"];
    let secret: Value = serde_json::from_str(&support::kubectl(cluster, &secret, "")).unwrap();
    let entry = |name: &str| secret["data"][name].as_str().unwrap_or_default().to_owned();
    (entry("ca.crt"), entry("tls.crt"))
}

/// R21: certificates and authorities rotate while admissions come in; none fails.
#[tokio::test]
async fn no_admission_fails_while_certificates_rotate() {
    let (_turn, cluster) = turn().await;
    let replicas = fast_replicas(cluster).await;
    let team = Team::new(cluster, "rotates").await;
    heard(&team).await;

    let (until, asked) = (Instant::now() + Duration::from_secs(30), Arc::new(AtomicUsize::new(0)));
    let done = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for number in 0..8_u32 {
        let team = Team::in_namespace(cluster, &team.namespace);
        let (asked, done) = (Arc::clone(&asked), Arc::clone(&done));
        load.spawn(async move {
            let mut failed = Vec::new();
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            while !done.load(Ordering::Relaxed) {
                ticks.tick().await;
                asked.fetch_add(1, Ordering::Relaxed);
                failed.extend(dry_run(&team, &format!("load-{number}")).await.err());
            }
            failed
        });
    }
    let (mut leaves, mut authorities) = (BTreeSet::new(), BTreeSet::new());
    while Instant::now() < until {
        let (bundle, leaf) = certificates(cluster);
        leaves.insert(leaf);
        authorities.insert(bundle);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    done.store(true, Ordering::Relaxed);
    let failed: Vec<_> = load.join_all().await.into_iter().flatten().collect();
    let asked = asked.load(Ordering::Relaxed);
    println!(
        "{asked} admissions, {} leaves, {} bundles, {} failed",
        leaves.len(),
        authorities.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "{} of {asked}: {:#?}", failed.len(), failed.first());
    assert!(asked > 1_000, "{asked} admissions are no load");
    assert!(
        leaves.len() >= 5 && authorities.len() >= 4,
        "{} leaves, {} bundles",
        leaves.len(),
        authorities.len()
    );
    let mut steps = 0.0;
    for replica in replicas {
        assert!(replica.errors().is_empty(), "{:#?}", replica.errors());
        for step in ["leaf_renewed", "authority_added", "authority_switched", "authority_dropped"] {
            let label = format!(r#"step="{step}""#);
            steps +=
                replica.metric("groundskeeper_certificate_rotations_total", &[&label]).await.unwrap_or(0.0);
        }
        assert!(replica.stop().await.success());
    }
    assert!(steps >= 8.0, "{steps}");
    remove(cluster);
}

#[tokio::test]
async fn a_secret_that_is_deleted_is_replaced_and_no_admission_fails() {
    let (_turn, cluster) = turn().await;
    let replicas = [launch(cluster, &[]).await, launch(cluster, &[]).await];
    configure(cluster, &[&replicas[0], &replicas[1]]);
    configured(cluster).await;
    let team = Team::new(cluster, "secret").await;
    heard(&team).await;
    let (before, _) = certificates(cluster);

    let secret = ["delete", "secret", "groundskeeper-webhook-tls", "-n", "groundskeeper-system"];
    support::kubectl(cluster, &secret, "");
    eventually(cluster, "a new authority is shown besides the old", async || {
        dry_run(&team, "meanwhile").await.unwrap();
        let shown: BTreeSet<_> = bundles(cluster).into_iter().collect();
        holds(shown.len() == 1 && !shown.contains(&before), format!("{shown:?}"))
    })
    .await;
    assert_eq!(bundles(cluster)[0], certificates(cluster).0);
    for replica in replicas {
        assert!(replica.errors().is_empty(), "{:#?}", replica.errors());
        assert!(replica.stop().await.success());
    }
    remove(cluster);
}

#[tokio::test]
async fn a_caller_without_a_certificate_is_refused_where_one_is_demanded() {
    let (_turn, cluster) = turn().await;
    let authority = cluster.ca();
    let operator = in_use(cluster, &["--webhook-client-ca", authority.to_str().unwrap()]).await;
    let team = Team::new(cluster, "callers").await;
    eventually(cluster, "the API server is turned away", async || {
        let refusal = team.try_create(policy("sweep")).await.expect_err("nobody has judged it");
        holds(refusal.contains("certificate required"), refusal)
    })
    .await;
    assert!(
        operator.metric("groundskeeper_webhook_handshake_failures_total", &[r#"reason="tls""#]).await
            >= Some(1.0)
    );
    assert!(operator.stop().await.success());
    remove(cluster);
}

#[tokio::test]
async fn an_operator_that_stops_under_load_finishes_what_it_was_asked() {
    let (_turn, cluster) = turn().await;
    let operator = in_use(cluster, &[]).await;
    let team = Team::new(cluster, "stops").await;
    heard(&team).await;
    let mut load = JoinSet::new();
    for number in 0..20_u32 {
        let team = Team::in_namespace(cluster, &team.namespace);
        load.spawn(async move { (dry_run(&team, &format!("load-{number}")).await, Instant::now()) });
    }
    let begun = Instant::now();
    assert!(operator.stop().await.success());
    assert!(begun.elapsed() < Duration::from_secs(10));
    for (answer, _) in load.join_all().await {
        // A request that came after the end found nobody; one that was heard was answered.
        if let Err(refusal) = answer {
            assert!(refusal.contains("connection refused"), "{refusal}");
        }
    }
    remove(cluster);
}
