//! Who wrote a policy, as the API server itself writes it down; and what it refuses.

use serde_json::{Value, json};
use testbed::{ControlPlane, Identity};

use crate::support::drafts::{self, Draft};
use crate::support::{eventually, holds, kubectl};
use crate::{done, get, kubectl_as, turn};

const AUTHOR: &str = "groundskeeper.dev/author";
const GROUPS: &str = "groundskeeper.dev/author-groups";

/// A policy as its author writes it: without a word about who that is.
fn policy(name: &str) -> Draft {
    let Draft(mut policy) = drafts::policy(name);
    policy["metadata"].as_object_mut().unwrap().remove("annotations");
    Draft(policy)
}

/// Somebody who may do everything with policies.
fn gardener(cluster: &ControlPlane, name: &str) -> Identity {
    let identity = cluster.user(name, &["gardeners"]).unwrap();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "gardeners"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "gardeners"}],
    });
    kubectl(cluster, &["apply", "-f", "-"], &binding.to_string());
    identity
}

fn annotation(policy: &Value, key: &str) -> String {
    policy["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned()
}

/// Waits until the API server has taken up what was installed: policies take a moment.
async fn in_force(cluster: &ControlPlane, somebody: &Identity) {
    let tried = policy("tried").after(7200).labelled("tmp=yes").0.to_string();
    let foreign = policy("tried").with("/spec/targetResource/namespace", "elsewhere").0.to_string();
    eventually(cluster, "the guards are in force", async || {
        let stamped =
            kubectl_as(cluster, somebody, "create --dry-run=server -o json -f - -n default", &tried);
        let refused = kubectl_as(cluster, somebody, "create --dry-run=server -f - -n default", &foreign);
        let is_stamped = stamped.as_ref().is_ok_and(|text| text.contains(AUTHOR));
        holds(is_stamped && refused.is_err(), format!("{stamped:?} {refused:?}"))
    })
    .await;
}

#[tokio::test]
async fn the_author_of_a_spec_is_written_down_and_nobody_can_say_otherwise() {
    let (_turn, cluster) = turn().await;
    done(cluster, "install");
    let (rose, lily) = (gardener(cluster, "rose"), gardener(cluster, "lily"));
    in_force(cluster, &rose).await;
    let namespace = cluster.namespace("authors").await.unwrap();
    let apply = format!("apply -n {namespace} -f -");
    let look = || get(cluster, &format!("gcp/sweep -n {namespace}"));
    let is_by = |who: &str| {
        let found = look();
        assert_eq!(annotation(&found, AUTHOR), who, "{found}");
        assert_eq!(annotation(&found, GROUPS), "gardeners\nsystem:authenticated", "{found}");
    };
    let manifest = policy("sweep").labelled("tmp=yes");
    let text = |draft: &Draft| draft.0.to_string();

    // Created with a forged author: put right.
    let forged =
        manifest.clone().annotated(&format!("{AUTHOR}=admin")).annotated(&format!("{GROUPS}=system:masters"));
    kubectl_as(cluster, &rose, &apply, &text(&forged)).unwrap();
    is_by("rose");
    // Applied again by the same, without annotations; by another, who changes only a label: the author stays.
    kubectl_as(cluster, &rose, &apply, &text(&manifest)).unwrap();
    is_by("rose");
    kubectl_as(cluster, &lily, &format!("label -n {namespace} gcp/sweep a=b"), "").unwrap();
    is_by("rose");
    kubectl_as(cluster, &lily, &format!("replace -n {namespace} -f -"), &text(&manifest)).unwrap();
    is_by("rose");
    let side = format!("apply --server-side --force-conflicts -n {namespace} -f -");
    kubectl_as(cluster, &lily, &side, &text(&manifest)).unwrap();
    kubectl_as(cluster, &lily, &side, &text(&manifest)).unwrap();
    is_by("rose");
    kubectl_as(cluster, &lily, &format!("annotate -n {namespace} gcp/sweep --overwrite {AUTHOR}=admin"), "")
        .unwrap();
    is_by("rose");
    kubectl_as(cluster, &lily, &format!("annotate -n {namespace} gcp/sweep {AUTHOR}-"), "").unwrap();
    is_by("rose");
    // The status is no way round.
    let status = json!({"metadata": {"annotations": {AUTHOR: "admin"}}, "status": {}}).to_string();
    let patch =
        format!("patch -n {namespace} gcp/sweep --subresource=status --type=merge --patch-file=/dev/stdin");
    kubectl_as(cluster, cluster.admin(), &patch, &status).unwrap();
    is_by("rose");
    // Another spec has another author, whatever the manifest says.
    kubectl_as(cluster, &lily, &side, &text(&forged.clone().after(60))).unwrap();
    is_by("lily");
    kubectl_as(cluster, &rose, &side, &text(&manifest.clone().after(90))).unwrap();
    is_by("rose");
    // Service accounts and administrators are authors as everybody is.
    kubectl_as(cluster, cluster.admin(), &side, &text(&manifest.clone().after(100))).unwrap();
    let found = look();
    assert_eq!(annotation(&found, AUTHOR), cluster.admin().name());
    assert!(annotation(&found, GROUPS).contains("system:masters"), "{found}");
    let robot =
        cluster.user("system:serviceaccount:team:robot", &["system:serviceaccounts", "gardeners"]).unwrap();
    kubectl_as(cluster, &robot, &side, &text(&manifest.clone().after(110))).unwrap();
    assert_eq!(annotation(&look(), AUTHOR), "system:serviceaccount:team:robot");

    without_the_stamp(cluster, &rose, &lily, &namespace).await;
    done(cluster, "uninstall --yes --delete-policies");
}

/// Where nothing puts the annotations right, wrong ones are refused, and none are let pass.
async fn without_the_stamp(cluster: &ControlPlane, rose: &Identity, lily: &Identity, namespace: &str) {
    kubectl(cluster, &["delete", "mutatingadmissionpolicybinding/groundskeeper-author"], "");
    let plain = policy("plain").labelled("tmp=yes");
    let create = format!("create -n {namespace} -f -");
    eventually(cluster, "nobody stamps any more", async || {
        let arguments = format!("{create} --dry-run=server -o json");
        let tried = kubectl_as(cluster, rose, &arguments, &plain.0.to_string());
        holds(tried.as_ref().is_ok_and(|text| !text.contains(AUTHOR)), format!("{tried:?}"))
    })
    .await;
    let says_no = |answer: Result<String, String>| {
        let complaint = answer.unwrap_err();
        assert!(complaint.contains("say who wrote the spec"), "{complaint}");
    };
    let signed = |draft: Draft, author: &str, groups: &str| {
        draft.with("/metadata/annotations", json!({AUTHOR: author, GROUPS: groups})).0.to_string()
    };
    let groups = "gardeners\nsystem:authenticated";
    says_no(kubectl_as(cluster, rose, &create, &signed(plain.clone(), "admin", groups)));
    says_no(kubectl_as(cluster, rose, &create, &signed(plain.clone(), "rose", "system:masters")));
    says_no(kubectl_as(
        cluster,
        rose,
        &create,
        &plain.clone().annotated(&format!("{AUTHOR}=rose")).0.to_string(),
    ));
    kubectl_as(cluster, rose, &create, &signed(plain.clone(), "rose", groups)).unwrap();
    let annotate = format!("annotate -n {namespace} --overwrite gcp/plain");
    says_no(kubectl_as(cluster, lily, &format!("{annotate} {AUTHOR}=lily"), ""));
    let replace = format!("replace -n {namespace} -f -");
    says_no(kubectl_as(cluster, lily, &replace, &signed(plain.clone().after(5), "rose", groups)));
    // Without a word about the author it goes through; the operator then deletes nothing for it.
    kubectl_as(cluster, lily, &replace, &plain.clone().after(5).0.to_string()).unwrap();
    says_no(kubectl_as(cluster, lily, &format!("{annotate} {AUTHOR}=rose"), ""));
    kubectl_as(cluster, rose, &create, &policy("unsigned").labelled("tmp=yes").0.to_string()).unwrap();
}

#[tokio::test]
async fn what_can_only_be_a_mistake_is_refused_and_what_may_be_one_is_warned_of() {
    let (_turn, cluster) = turn().await;
    // Before the guards are there: it may still be changed elsewhere, and deleted.
    kubectl(cluster, &["apply", "--server-side", "-f", "-"], &crate::support::printed(&["crds"]));
    kubectl(
        cluster,
        &["wait", "--for=condition=Established", "crd/garbagecollectionpolicies.groundskeeper.dev"],
        "",
    );
    kubectl(cluster, &["create", "-n", "kube-system", "-f", "-"], &policy("old").0.to_string());
    let made = done(cluster, "install --force-conflicts");
    assert!(
        made.iter().any(|line| line.starts_with("customresourcedefinition") && line.ends_with("configured"))
    );
    let admin = cluster.admin();
    in_force(cluster, admin).await;
    let tries = |namespace: &str, draft: Draft| {
        kubectl_as(
            cluster,
            admin,
            &format!("create --dry-run=server -n {namespace} -f -"),
            &draft.0.to_string(),
        )
    };
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "groundskeeper-system"] {
        let complaint = tries(namespace, policy("sweep")).unwrap_err();
        assert!(
            complaint.contains(&format!("nothing in namespace {namespace} is ever collected")),
            "{complaint}"
        );
    }
    let foreign = policy("sweep").with("/spec/targetResource/namespace", "kube-system");
    let complaint = tries("default", foreign).unwrap_err();
    assert!(complaint.contains("must be the policy's own namespace"), "{complaint}");
    let own = policy("sweep").with("/spec/targetResource/namespace", "default");
    assert!(tries("default", own.labelled("tmp=yes")).is_ok());

    let warned = tries("default", policy("sweep")).unwrap();
    assert!(warned.contains("collects every ConfigMap in namespace default"), "{warned}");
    for harmless in [policy("sweep").labelled("tmp=yes"), policy("sweep").dry_run(), policy("sweep").paused()]
    {
        let said = tries("default", harmless).unwrap();
        assert!(!said.contains("Warning"), "{said}");
    }
    kubectl(cluster, &["label", "-n", "kube-system", "gcp/old", "a=b"], "");
    kubectl(cluster, &["delete", "-n", "kube-system", "gcp/old"], "");
    done(cluster, "uninstall --yes");
}
