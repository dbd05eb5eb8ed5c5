//! `cmdb` against a table API: one record, whatever gets lost.

use node_cleanup::contract::Task;
use serde_json::{Value, json};
use testbed::targets::cmdb::Cmdb;
use testbed::targets::{Misbehaviour, Target};

use crate::support::{Ground, kind, object, task};

async fn cmdb(name: &str) -> (Ground, Target<Cmdb>) {
    let ground = Ground::in_cluster(name).await;
    let cmdb = Target::start(Cmdb::new("keeper", "s3cr3t-password")).await.unwrap();
    ground.secret("cmdb", &[("user", "keeper"), ("password", "s3cr3t-password")]).await;
    (ground, cmdb)
}

fn settings(cmdb: &Target<Cmdb>) -> Value {
    let table = format!("{}/api/now/table/incident", cmdb.url());
    json!({
        "basicAuthFrom": {
            "username": {"name": "cmdb", "key": "user"},
            "password": {"name": "cmdb", "key": "password"},
        },
        "find": {"url": format!("{table}?sysparm_query=correlation_id={{{{idempotencyKey}}}}"), "idAt": "/result/0/sys_id"},
        "create": {
            "url": table,
            "body": {"correlation_id": "{{idempotencyKey}}", "short_description": "node {{node.name}} leaves"},
            "idAt": "/result/sys_id",
        },
        "update": {"url": format!("{table}/{{{{id}}}}"), "body": {"state": "7", "close_notes": "{{node.name}} has left"}},
    })
}

fn ticket(cmdb: &Target<Cmdb>) -> Task {
    task("ticket", settings(cmdb))
}

#[tokio::test]
async fn a_record_is_opened_once_kept_in_the_state_and_closed() {
    let (ground, cmdb) = cmdb("record").await;
    let mut ticket = ticket(&cmdb);
    assert!(ground.plugins.check("cmdb", &ticket.settings).await.unwrap().healthy);
    assert_eq!(ground.plugins.plan("cmdb", &ticket).await.unwrap().steps.len(), 3);
    assert_eq!(cmdb.received().len(), 0);

    assert_eq!(kind(&ground.execute("cmdb", &ticket).await), "progress", "the id is written down first");
    assert_eq!(cmdb.with(|cmdb| (cmdb.created(), cmdb.changed())), (1, 0));
    assert_eq!(kind(&ground.to_the_end("cmdb", &mut ticket).await), "done");
    let id = ticket.state["id"].clone();
    assert_eq!(ticket.state, object(json!({"stage": "updated", "id": id})));
    assert_eq!(kind(&ground.to_the_end("cmdb", &mut ticket).await), "done");

    assert_eq!(cmdb.with(|cmdb| (cmdb.created(), cmdb.changed())), (1, 1));
    let record = cmdb.with(|cmdb| cmdb.records("incident")[0].clone());
    assert_eq!(
        Value::Object(record),
        json!({
            "sys_id": id, "correlation_id": "run-1/ticket", "short_description": "node worker-1 leaves", "state": "7",
            "close_notes": "worker-1 has left",
        })
    );
    assert!(cmdb.received().iter().all(|request| request.header("idempotency-key") == Some("run-1/ticket")));
}

#[tokio::test]
async fn answers_that_were_lost_open_no_second_record() {
    let (ground, cmdb) = cmdb("lost").await;
    let mut ticket = ticket(&cmdb);
    // Each call loses its answer once: the search, the creation, the change.
    for (wanted, before) in [((0, 0), 0), ((1, 0), 1), ((1, 1), 1)] {
        for _ in 0..before {
            // What comes before the call that is lost.
            cmdb.misbehave(1, Misbehaviour::Late(std::time::Duration::ZERO));
        }
        if wanted == (1, 1) {
            assert_eq!(kind(&ground.execute("cmdb", &ticket).await), "progress");
            ticket.state = object(
                json!({"stage": "found", "id": cmdb.with(|cmdb| cmdb.records("incident")[0]["sys_id"].clone())}),
            );
        }
        cmdb.misbehave(1, Misbehaviour::LoseAnswer);
        assert_eq!(kind(&ground.execute("cmdb", &ticket).await), "unreachable");
        assert_eq!(cmdb.with(|cmdb| (cmdb.created(), cmdb.changed())), wanted);
        ticket.attempt += 1;
    }
    assert_eq!(kind(&ground.to_the_end("cmdb", &mut ticket).await), "done");
    assert_eq!(cmdb.with(|cmdb| cmdb.created()), 1);
    assert_eq!(cmdb.with(|cmdb| cmdb.records("incident")[0]["state"].clone()), json!("7"));
}

#[tokio::test]
async fn a_server_that_knows_the_key_needs_no_search() {
    let (ground, cmdb) = cmdb("keys").await;
    cmdb.with(Cmdb::know_keys);
    let mut given = object(settings(&cmdb));
    given.remove("find");
    given.remove("update");
    let refused = ground.execute("cmdb", &task("ticket", Value::Object(given.clone()))).await;
    assert_eq!(kind(&refused), "failed-for-good:InvalidSettings");
    assert!(format!("{refused:?}").contains("a second record"), "{refused:?}");

    given["create"]["idempotent"] = json!(true);
    let ticket = task("ticket", Value::Object(given));
    cmdb.misbehave(1, Misbehaviour::LoseAnswer);
    assert_eq!(kind(&ground.execute("cmdb", &ticket).await), "unreachable");
    assert_eq!(kind(&ground.execute("cmdb", &ticket).await), "done");
    assert_eq!((cmdb.with(|cmdb| cmdb.created()), cmdb.received().len()), (1, 2));
}

#[tokio::test]
async fn a_password_that_was_changed_is_read_anew_and_never_shown() {
    let (ground, cmdb) = cmdb("password").await;
    let mut ticket = ticket(&cmdb);
    cmdb.misbehave(1, Misbehaviour::Repeat(422));
    let mut said = format!("{:?}", ground.execute("cmdb", &ticket).await);
    cmdb.with(|cmdb| cmdb.change_password("keeper", "an0ther-password"));
    assert_eq!(kind(&ground.execute("cmdb", &ticket).await), "failed:Refused");
    ground.secret("cmdb", &[("user", "keeper"), ("password", "an0ther-password")]).await;
    let outcome = ground.to_the_end("cmdb", &mut ticket).await;
    assert_eq!(kind(&outcome), "done");
    said += &format!("{outcome:?}{:?}", ground.plugins);
    assert!(!said.contains("s3cr3t") && !said.contains("an0ther"), "{said}");
}

#[tokio::test]
async fn what_is_not_there_and_what_cannot_be_read_is_told() {
    let (ground, cmdb) = cmdb("told").await;
    let mut lost = ticket(&cmdb);
    lost.state = object(json!({"stage": "created", "id": "nobody"}));
    assert_eq!(kind(&ground.execute("cmdb", &lost).await), "failed-for-good:Refused");

    let mut elsewhere = object(settings(&cmdb));
    elsewhere["create"]["idAt"] = json!("/result/number");
    let outcome = ground.execute("cmdb", &task("elsewhere", Value::Object(elsewhere))).await;
    assert_eq!(kind(&outcome), "failed:NoIdInAnswer");

    let mut only_found = object(settings(&cmdb));
    only_found.remove("create");
    let outcome = ground.execute("cmdb", &task("only-found", Value::Object(only_found))).await;
    assert!(kind(&outcome) == "done" && format!("{outcome:?}").contains("nothing to do"), "{outcome:?}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_is_asked() {
    let ground = Ground::new();
    let base = "https://cmdb.example/api";
    let find = json!({"url": base, "idAt": "/id"});
    let rows = [
        (json!({}), "neither `create` nor `update`"),
        (json!({"update": {"url": base}}), "needs an id"),
        (json!({"find": find, "update": {"url": "https://{{node.name}}.example/"}}), "before its path"),
        (json!({"find": find, "update": {"url": "{{node.name}}"}}), "before its path"),
        (json!({"find": find, "update": {"url": "https://a.example{{node.name}}"}}), "before its path"),
        (
            json!({"find": {"url": format!("{base}/{{{{id}}}}"), "idAt": "/id"}, "update": {"url": base}}),
            "is no placeholder",
        ),
        (json!({"find": find, "update": {"url": base, "body": {"a": ["{{nod}}"]}}}), "is no placeholder"),
        (
            json!({"find": {"url": base, "idAt": "id"}, "update": {"url": base}}),
            "settings.find.idAt does not match",
        ),
        (
            json!({"find": find, "update": {"url": base}, "headersFrom": {"Host": {"name": "a", "key": "b"}}}),
            "written by us",
        ),
        (json!({"find": find, "update": {"url": base, "method": "DELETE"}}), "settings.update.method"),
        (json!({"find": find, "update": {"url": base}, "password": "x"}), "settings.password is not known"),
    ];
    for (settings, words) in rows {
        let fault = ground.plugins.check("cmdb", &object(settings.clone())).await.unwrap_err();
        assert!(fault.to_string().contains(words), "{settings}: {fault}");
        assert_eq!(
            kind(&ground.execute("cmdb", &task("a", settings)).await),
            "failed-for-good:InvalidSettings"
        );
    }
}
