//! From nothing to an installation, and back to nothing.

use serde_json::{Value, json};

use crate::support::drafts::{config_map, policy};
use crate::support::operator::Operator;
use crate::support::team::Team;
use crate::support::{self, eventually, holds, kubectl};
use crate::{done, get, kubectl_as, refused, turn};

/// Every object that could be ours, wherever it is.
fn everything(cluster: &testbed::ControlPlane) -> Vec<String> {
    let kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies,\
        validatingadmissionpolicybindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings,clusterroles,\
        clusterrolebindings,roles,rolebindings,flowschemas,prioritylevelconfigurations,leases,secrets,configmaps,\
        serviceaccounts,deployments,services,networkpolicies,poddisruptionbudgets,crds";
    let found = get(cluster, &format!("{} -A", kinds.replace(' ', "")));
    let items = found["items"].as_array().unwrap().iter();
    let named = |object: &&Value| {
        object["metadata"]["name"].as_str().unwrap().contains("groundskeeper")
            || object["metadata"]["namespace"] == "groundskeeper-system"
    };
    let text =
        |object: &Value| format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"]);
    items
        .filter(named)
        .map(text)
        .filter(|text| !text.contains("kube-root-ca") && !text.ends_with("\"default\""))
        .collect()
}

#[tokio::test]
async fn an_installation_is_made_once_kept_and_taken_away_without_a_trace() {
    let (_turn, cluster) = turn().await;
    assert_eq!(everything(cluster), Vec::<String>::new());

    let tried = done(cluster, "install --dry-run --collect configmaps");
    assert!(tried.iter().all(|line| line.ends_with(" created (server dry run)")), "{tried:#?}");
    assert_eq!(everything(cluster), Vec::<String>::new(), "a dry run writes nothing");

    let made = done(cluster, "install --collect configmaps");
    assert!(made.iter().all(|line| line.ends_with(" created")), "{made:#?}");
    assert_eq!(made.len(), tried.len());
    let present = everything(cluster);
    assert!(present.len() + 1 >= made.len(), "{present:#?}\n{made:#?}");

    let again = done(cluster, "install");
    assert!(again.iter().all(|line| line.contains(" unchanged")), "{again:#?}");
    assert_eq!(again.len(), made.len(), "what was opted in stays so: {again:#?}");
    let tried = done(cluster, "install --replicas 3 --dry-run");
    let changed: Vec<_> = tried.iter().filter(|line| line.contains("configured")).collect();
    assert_eq!(changed, ["deployment.apps/groundskeeper configured (server dry run)"]);

    // Under these rights alone, the operator does its work.
    let operator = Operator::start(cluster).await;
    let team = Team::new(cluster, "installed").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.gone(&object).await;
    assert!(operator.stop().await.success());

    let kept = done(cluster, "uninstall --yes");
    assert!(kept.iter().any(|line| line.contains("stays: there are policies")), "{kept:#?}");
    assert!(kept.last().unwrap().contains("nothing of Groundskeeper is left that could block"), "{kept:#?}");
    let left = |present: Vec<String>| {
        present.into_iter().filter(|text| !text.starts_with("Event")).collect::<Vec<_>>()
    };
    // Of kinds of which there is nothing, the definitions go.
    let definitions = ["clustergarbagecollectionpolicies", "garbagecollectionpolicies"]
        .map(|plural| format!(r#"CustomResourceDefinition/"{plural}.groundskeeper.dev""#));
    eventually(cluster, "only the definitions are left", async || {
        let mut present = left(everything(cluster));
        present.sort();
        holds(present == definitions, format!("{present:#?}"))
    })
    .await;
    assert!(team.look_at(&sweep).await.is_some());

    let gone = done(cluster, "uninstall --yes --delete-policies");
    assert!(
        gone.iter().any(|line| line.starts_with("customresourcedefinition") && line.ends_with("deleted"))
    );
    eventually(cluster, "nothing is left", async || {
        let present = left(everything(cluster));
        let namespaces = kubectl(cluster, &["get", "namespaces", "-o", "name"], "");
        holds(
            present.is_empty() && !namespaces.contains("groundskeeper"),
            format!("{present:#?} {namespaces}"),
        )
    })
    .await;
    let nothing = done(cluster, "uninstall --yes");
    assert_eq!(nothing, ["nothing of Groundskeeper is left that could block a request"]);
}

#[tokio::test]
async fn an_installation_says_what_is_in_its_way_and_takes_nothing_unasked() {
    let (_turn, cluster) = turn().await;
    // The namespace was there before: it stays as it is, and stays.
    kubectl(cluster, &["create", "namespace", "groundskeeper-system"], "");
    let made = done(cluster, "install");
    assert!(made[0].starts_with("namespace/groundskeeper-system unchanged"), "{made:#?}");

    let scale = ["scale", "deployment/groundskeeper", "--replicas=5", "-n", "groundskeeper-system"];
    kubectl(cluster, &scale, "");
    let complaint = refused(cluster.admin(), "install");
    assert!(complaint.contains(".spec.replicas") && complaint.contains("--force-conflicts"), "{complaint}");
    let forced = done(cluster, "install --force-conflicts");
    assert!(forced.contains(&"deployment.apps/groundskeeper configured".to_owned()), "{forced:#?}");

    // Users' settings, the operator's CA and everybody's opt-ins survive another installation.
    let settings = json!({"data": {"config.yaml": "logLevel: debug\n"}}).to_string();
    let config = ["patch", "configmap/groundskeeper-config", "-n", "groundskeeper-system", "-p", &settings];
    kubectl(cluster, &config, "");
    let webhook = "validatingwebhookconfiguration/groundskeeper";
    let authority = get(cluster, "configmap/kube-root-ca.crt -n default")["data"]["ca.crt"].clone();
    let made = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca"}, "stringData": {"ca": authority}});
    kubectl(cluster, &["create", "-n", "default", "-f", "-"], &made.to_string());
    let encoded = get(cluster, "secret/ca -n default")["data"]["ca"].clone();
    let bundle =
        json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": encoded}]).to_string();
    kubectl(cluster, &["patch", webhook, "--type=json", "-p", &bundle], "");
    let before = get(cluster, webhook);
    let again = done(cluster, "install --collect secrets");
    let changed: Vec<_> = again.iter().filter(|line| !line.contains("unchanged")).collect();
    assert_eq!(changed, ["clusterrole.rbac.authorization.k8s.io/groundskeeper-collect-custom created"]);
    let after = get(cluster, webhook);
    assert_eq!(before["webhooks"], after["webhooks"]);
    assert_eq!(after["webhooks"][0]["clientConfig"]["caBundle"], encoded);
    let config = get(cluster, "configmap/groundskeeper-config -n groundskeeper-system");
    assert_eq!(config["data"]["config.yaml"], "logLevel: debug\n");
    done(cluster, "install --collect pods");
    let role = get(cluster, "clusterrole/groundskeeper-collect-custom");
    assert_eq!(role["rules"][0]["resources"], json!(["pods", "secrets"]));
    done(cluster, "install --collect pods --collect-only");
    let role = get(cluster, "clusterrole/groundskeeper-collect-custom");
    assert_eq!(role["rules"][0]["resources"], json!(["pods"]));

    let readable =
        || get(cluster, "role/groundskeeper-plugin-secrets -n groundskeeper-system")["rules"].clone();
    let rules = |names: &[&str]| json!([{"apiGroups": [""], "resourceNames": names, "resources": ["secrets"], "verbs": ["get"]}]);
    done(cluster, "install --plugin-secret slack");
    done(cluster, "install --plugin-secret cmdb");
    assert_eq!(readable(), rules(&["cmdb", "slack"]));
    done(cluster, "install --plugin-secret cmdb --collect pods --collect-only");
    assert_eq!(readable(), rules(&["cmdb"]));

    let complaint = refused(cluster.admin(), "uninstall");
    assert!(complaint.contains("--yes"), "{complaint}");
    let gone = done(cluster, "uninstall --yes");
    assert!(gone.iter().any(|line| line.contains("namespace/groundskeeper-system stays")), "{gone:#?}");
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let (_turn, cluster) = turn().await;
    let nobody = cluster.user("nobody", &[]).unwrap();
    let complaint = refused(&nobody, "install");
    assert!(complaint.contains("you lack a right") && complaint.contains("nobody"), "{complaint}");
}

#[tokio::test]
async fn pods_are_admitted_as_restricted_and_whatever_is_left_of_an_installation_can_be_taken_away() {
    let (_turn, cluster) = turn().await;
    done(cluster, "install");
    let namespace = get(cluster, "namespace/groundskeeper-system");
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let deployment = get(cluster, "deployment/groundskeeper -n groundskeeper-system");
    let template = &deployment["spec"]["template"];
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
    pod["metadata"]["name"] = json!("tried");
    let create = "create --dry-run=server -n groundskeeper-system -f -";
    kubectl_as(cluster, cluster.admin(), create, &pod.to_string()).unwrap();
    pod["spec"]["containers"][0]["securityContext"] = Value::Null;
    let complaint = kubectl_as(cluster, cluster.admin(), create, &pod.to_string()).unwrap_err();
    assert!(complaint.contains("PodSecurity"), "{complaint}");

    eventually(cluster, "the pods are made", async || {
        let pods = get(cluster, "pods -n groundskeeper-system");
        holds(pods["items"].as_array().unwrap().len() == 2, pods)
    })
    .await;
    // What is printed for an older cluster is as good as what is installed.
    let printed =
        support::printed(&["install", "--print", "--kubernetes-version=1.35", "--ledger-claim=records"]);
    assert!(printed.contains("kind: MutatingWebhookConfiguration"), "{printed}");
    let apply = ["apply", "--server-side", "--field-manager=groundskeeper", "--dry-run=server", "-f", "-"];
    kubectl(cluster, &apply, &printed);
    let tried = done(cluster, "install --ledger-claim records --dry-run");
    assert!(
        tried.contains(&"deployment.apps/groundskeeper configured (server dry run)".to_owned()),
        "{tried:#?}"
    );

    // Somebody else has begun to take it away, in an order of his own.
    kubectl(cluster, &["delete", "crd/garbagecollectionpolicies.groundskeeper.dev"], "");
    kubectl(cluster, &["delete", "namespace", "groundskeeper-system", "--wait=false"], "");
    kubectl(
        cluster,
        &["delete", "clusterrole/groundskeeper-gc", "validatingadmissionpolicy/groundskeeper-author"],
        "",
    );
    let gone = done(cluster, "uninstall --yes");
    assert!(gone.last().unwrap().contains("nothing of Groundskeeper is left"), "{gone:#?}");
    eventually(cluster, "nothing is left", async || {
        let present = everything(cluster);
        holds(present.is_empty(), format!("{present:#?}"))
    })
    .await;
}

#[tokio::test]
async fn our_requests_have_priorities_of_their_own() {
    let (_turn, cluster) = turn().await;
    done(cluster, "install --no-workload");
    let client = crate::support::identity(cluster).client().unwrap();
    // The API server says in its answers which schema a request fell under, also if it then refuses it.
    let schema_of = async |path: &str| {
        let request = http::Request::get(path).body(kube::client::Body::empty()).unwrap();
        let answer = client.send(request).await.unwrap();
        let uid = answer.headers()["X-Kubernetes-PF-FlowSchema-UID"].to_str().unwrap().to_owned();
        let schemas = get(cluster, "flowschemas");
        let schemas = schemas["items"].as_array().unwrap().iter();
        let mut name = schemas
            .filter(|schema| schema["metadata"]["uid"] == uid)
            .map(|schema| schema["metadata"]["name"].clone());
        name.next_back().unwrap_or_default()
    };
    let lease = "/apis/coordination.k8s.io/v1/namespaces/groundskeeper-system/leases/groundskeeper-slot-0";
    let foreign = "/apis/coordination.k8s.io/v1/namespaces/default/leases/other";
    let policies = "/apis/groundskeeper.dev/v1alpha1/garbagecollectionpolicies";
    for (path, schema) in
        [(lease, "groundskeeper-leases"), (foreign, "groundskeeper"), (policies, "groundskeeper")]
    {
        eventually(cluster, path, async || {
            let found = schema_of(path).await;
            holds(found == schema, found)
        })
        .await;
    }
    done(cluster, "uninstall --yes");
}
