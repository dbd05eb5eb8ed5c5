//! Jobs on a real control plane.

use control::{Clock as _, SystemClock};
use jiff::SignedDuration;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, ListParams};
use node_cleanup::contract::{Executed, Request};
use node_cleanup::steps::Outcome;
use serde_json::{Value, json};
use testbed::ControlPlane;

use crate::support::{Ground, kind, object, task};

fn template(image: &str) -> Value {
    json!({"template": {"spec": {"containers": [{"name": "clean", "image": image}]}}})
}

async fn jobs(ground: &Ground) -> Vec<Job> {
    let jobs: Api<Job> = Api::namespaced(ground.client.clone(), &ground.namespace);
    jobs.list(&ListParams::default()).await.unwrap().items
}

#[tokio::test]
async fn a_job_is_made_once_and_is_done_when_it_completes() {
    let ground = Ground::in_cluster("jobs").await;
    ControlPlane::shared().await.unwrap().add_kwok_node("worker").await.unwrap();
    let mut clean = task("clean", json!({"template": template("tools/clean:1"), "settings": {"deep": true}}));
    assert!(ground.plugins.check("job", &clean.settings).await.unwrap().healthy);
    assert_eq!(jobs(&ground).await.len(), 0, "to ask makes none");

    let first = ground.execute("job", &clean).await;
    assert_eq!(kind(&first), "progress");
    // The answer was not written down: the same question comes again.
    assert_eq!(kind(&ground.to_the_end("job", &mut clean).await), "done");
    assert_eq!(kind(&ground.to_the_end("job", &mut clean).await), "done");
    let jobs = jobs(&ground).await;
    assert_eq!(jobs.len(), 1);
    let spec = jobs[0].spec.as_ref().unwrap();
    assert!(spec.ttl_seconds_after_finished.is_some() && spec.active_deadline_seconds.unwrap() <= 30);
    let pod = spec.template.spec.as_ref().unwrap();
    assert_eq!(pod.automount_service_account_token, Some(false));
    let env = &pod.containers[0].env.as_ref().unwrap()[0];
    let request: Request = serde_json::from_str(env.value.as_ref().unwrap()).unwrap();
    let request = serde_json::to_value(request).unwrap();
    assert_eq!((env.name.as_str(), &request["settings"]), ("GROUNDSKEEPER_REQUEST", &json!({"deep": true})));
    assert_eq!(clean.state["job"], json!(jobs[0].metadata.name));
}

#[tokio::test]
async fn a_job_that_fails_fails_the_attempt_and_the_next_one_makes_another() {
    let ground = Ground::in_cluster("failing").await;
    // No node takes it, so that its deadline ends it.
    let mut spec = template("tools/clean:1");
    spec["template"]["spec"]["nodeSelector"] = json!({"nobody": "has-it"});
    spec["activeDeadlineSeconds"] = json!(1);
    let mut clean = task("clean", json!({"template": spec}));
    let outcome = ground.to_the_end("job", &mut clean).await;
    assert_eq!(kind(&outcome), "failed:JobFailed", "{outcome:?}");
    clean.attempt = 2;
    assert_eq!(kind(&ground.execute("job", &clean).await), "progress");
    assert_eq!(jobs(&ground).await.len(), 2);
}

#[tokio::test]
async fn what_the_api_server_refuses_is_told_in_its_words() {
    let ground = Ground::in_cluster("refused").await;
    let misspelt = json!({"template": {"template": {"spec": {"containers": [{"name": "a", "image": "b", "imaje": "c"}]}}}});
    let checked = ground.plugins.check("job", &object(misspelt.clone())).await.unwrap();
    assert!(!checked.healthy && checked.message.contains("imaje"), "{checked:?}");
    assert_eq!(kind(&ground.execute("job", &task("a", misspelt)).await), "failed-for-good:JobRefused");

    let nobody = ControlPlane::shared().await.unwrap().user("nobody", &[]).unwrap().client().unwrap();
    let admin = ground.client.clone();
    let ground = ground.acting_as(nobody);
    let outcome = ground.execute("job", &task("b", json!({"template": template("a")}))).await;
    assert_eq!(kind(&outcome), "failed:JobRefused");
    assert!(format!("{outcome:?}").contains("cannot create resource"), "{outcome:?}");
    drop(admin);
}

#[tokio::test]
async fn a_job_of_somebody_else_under_the_same_name_is_left_alone() {
    let ground = Ground::in_cluster("taken").await;
    ground
        .plugins
        .declare(&crate::support::plugin(
            "cleaner",
            json!({
                "job": {"namespace": ground.namespace, "template": template("tools/clean:1")},
            }),
        ))
        .unwrap();
    let clean = task("clean", json!({}));
    let steps = ground.plugins.plan("cleaner", &clean).await.unwrap().steps;
    let name = steps[0].split(['/', ',']).nth(1).unwrap().to_owned();
    let theirs = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}},
    });
    let api: Api<Job> = Api::namespaced(ground.client.clone(), &ground.namespace);
    api.create(&kube::api::PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    assert_eq!(kind(&ground.execute("cleaner", &clean).await), "failed-for-good:JobNameTaken");
}

#[tokio::test]
async fn a_job_that_is_gone_is_not_made_twice() {
    let ground = Ground::in_cluster("gone").await;
    let mut clean = task("clean", json!({"template": template("tools/clean:1")}));
    clean.deadline = Some(SystemClock.now() + SignedDuration::from_secs(60));
    clean.state = object(json!({"madeFor": "run-1/clean/1", "job": "whatever"}));
    let outcome = ground.execute("job", &clean).await;
    assert!(
        matches!(&outcome, Outcome::Answered(Executed::Failed { reason, .. }) if reason == "JobGone"),
        "{outcome:?}"
    );
    assert_eq!(jobs(&ground).await.len(), 0);
}
