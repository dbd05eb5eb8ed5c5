//! Feeds on a real API server: what they show, what they say when the server refuses; and how many objects there are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests delete as users do")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::{
    Continuity, Feed, FeedEvent, FeedId, FeedState, FeedTarget, Feeds, Metrics, Parked, Pushed,
    Representation, Supervisor, count, resolve,
};
use http::{Response, header::CONTENT_TYPE};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use testbed::{ControlPlane, Options, Shared};
use tokio::sync::mpsc;
use units::{FieldPath, GroupVersionKind, Value};
use views::Projection;

const DEADLINE: Duration = Duration::from_secs(30);

async fn cluster() -> &'static ControlPlane {
    static CLUSTER: Shared = Shared::new(Options::api_server_only);
    CLUSTER.get().await.unwrap()
}

/// A feed of ConfigMaps, and who listens to it.
struct Listener {
    feed: Feed,
    events: mpsc::Receiver<(FeedId, FeedEvent<views::Object>)>,
    supervisor: Supervisor,
}

impl Listener {
    async fn start(namespace: &str, selector: Pushed) -> Self {
        Self::start_as(namespace, selector, Representation::Metadata, Arc::default()).await
    }

    async fn start_as(
        namespace: &str,
        selector: Pushed,
        representation: Representation,
        projection: Arc<Projection>,
    ) -> Self {
        let client = cluster().await.admin().client().unwrap();
        Self::start_with(client, namespace, (selector, representation), projection)
    }

    fn start_with(
        client: Client,
        namespace: &str,
        (selector, representation): (Pushed, Representation),
        projection: Arc<Projection>,
    ) -> Self {
        let supervisor = Supervisor::default();
        let feeds = Feeds {
            client,
            supervisor: supervisor.clone(),
            metrics: Metrics::default(),
            silence_max: Duration::from_secs(90),
        };
        let target = FeedTarget {
            kind: GroupVersionKind { api_version: "v1".parse().unwrap(), kind: "ConfigMap".into() },
            namespace: Some(namespace.to_owned()),
            selector,
            representation,
            continuity: Continuity::Resume,
        };
        let (sink, events) = mpsc::channel(64);
        Self { feed: feeds.start(1, target, projection, &sink), events, supervisor }
    }

    async fn next(&mut self) -> FeedEvent<views::Object> {
        let next = tokio::time::timeout(DEADLINE, self.events.recv()).await;
        next.expect("there is an event").expect("the feed runs").1
    }

    /// The names that the next complete listing shows.
    async fn listing(&mut self) -> Vec<String> {
        while !matches!(self.next().await, FeedEvent::Listing(_)) {}
        let mut names = Vec::new();
        loop {
            match self.next().await {
                FeedEvent::Applied(object) => names.push(object.metadata.name.to_string()),
                FeedEvent::Listed => break,
                other => panic!("{other:?} in a listing"),
            }
        }
        names.sort();
        names
    }

    /// The next change, in a word.
    async fn change(&mut self) -> String {
        loop {
            match self.next().await {
                FeedEvent::Applied(object) => return format!("{} applied", object.metadata.name),
                FeedEvent::Deleted(object) => return format!("{} deleted", object.metadata.name),
                _ => {}
            }
        }
    }

    async fn parked(&mut self) -> Parked {
        loop {
            if let FeedEvent::State(FeedState::Parked(parked)) = self.next().await {
                return parked;
            }
        }
    }

    fn end(self) {
        self.supervisor.stop();
    }
}

async fn maps(namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(cluster().await.admin().client().unwrap(), namespace)
}

async fn create(maps: &Api<ConfigMap>, name: &str, tier: &str) {
    let manifest = json!({"metadata": {"name": name, "labels": {"tier": tier}}});
    maps.create(&PostParams::default(), &serde_json::from_value(manifest).unwrap()).await.unwrap();
}

fn labels(text: &str) -> Pushed {
    Pushed { labels: Some(text.to_owned()), fields: None }
}

fn fields(text: &str) -> Pushed {
    Pushed { labels: None, fields: Some(text.to_owned()) }
}

#[tokio::test]
async fn a_pushed_selector_holds_in_streamed_listings_in_pages_and_in_the_watch() {
    let namespace = cluster().await.namespace("pushed").await.unwrap();
    let maps = maps(&namespace).await;
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web")] {
        create(&maps, name, tier).await;
    }
    let mut web = Listener::start(&namespace, labels("tier in (web)")).await;
    let mut named = Listener::start(&namespace, fields("metadata.name=b")).await;
    assert_eq!(web.listing().await, ["a", "c"]);
    assert_eq!(named.listing().await, ["b"]);

    create(&maps, "d", "db").await;
    create(&maps, "e", "web").await;
    assert_eq!(web.change().await, "e applied");
    let relabel = |tier: &str| Patch::Merge(json!({"metadata": {"labels": {"tier": tier}}}));
    maps.patch("a", &PatchParams::default(), &relabel("db")).await.unwrap();
    assert_eq!(web.change().await, "a deleted", "it is not selected any more");
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    assert_eq!(named.change().await, "b deleted");

    // What is listed by quorum comes in pages.
    web.feed.relist();
    assert_eq!(web.listing().await, ["c", "e"]);
    named.feed.relist();
    assert!(named.listing().await.is_empty());
    web.end();
    named.end();
}

#[tokio::test]
async fn of_a_whole_object_the_fields_of_the_projection_are_shown() {
    let namespace = cluster().await.namespace("projected").await.unwrap();
    let maps = maps(&namespace).await;
    let [size, other] =
        ["data.size", "data.other"].map(|path| path.parse::<FieldPath>().unwrap().prefix().clone());
    let projection = Arc::new(Projection::new([size.clone()]));
    let (full, all) = (Representation::Full, Pushed::default());
    let mut listener = Listener::start_as(&namespace, all, full, projection).await;
    assert!(listener.listing().await.is_empty());
    let manifest = json!({"metadata": {"name": "report"}, "data": {"size": "7", "other": "x"}});
    maps.create(&PostParams::default(), &serde_json::from_value(manifest).unwrap()).await.unwrap();
    let object = loop {
        if let FeedEvent::Applied(object) = listener.next().await {
            break object;
        }
    };
    assert_eq!(object.fields.get(&size), Some(&Value::Text("7".into())));
    assert_eq!(object.fields.get(&other), None);
    listener.end();
}

/// A client that keeps what forms its answers had.
async fn noting(forms: &Arc<Mutex<BTreeSet<String>>>) -> Client {
    let kubeconfig = Kubeconfig::read_from(cluster().await.admin().kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let forms = Arc::clone(forms);
    let note = tower::util::MapResponseLayer::new(move |answer: Response<_>| {
        let form = answer.headers()[CONTENT_TYPE].to_str().unwrap().split(';').next().unwrap().to_owned();
        forms.lock().unwrap().insert(form);
        answer
    });
    ClientBuilder::try_from(config).unwrap().with_layer(&note).build()
}

#[tokio::test]
async fn metadata_comes_in_protobuf_and_is_what_it_is_in_json() {
    let namespace = cluster().await.namespace("forms").await.unwrap();
    let maps = maps(&namespace).await;
    let paths = ["annotations", "finalizers", "generateName", "managedFields", "ownerReferences"];
    let path = |name: &str| format!("metadata.{name}").parse::<FieldPath>().unwrap().prefix().clone();
    let projection = Arc::new(Projection::new(paths.map(path)));
    let manifest = json!({
        "metadata": {
            "name": "a",
            "labels": {"tier": "web", "empty": ""},
            "annotations": {"groundskeeper.dev/ttl": "5m", "example.com/word": "é", "example.com/note": "{\"a\": [1]}"},
            "finalizers": ["example.com/a", "example.com/b"],
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u-1", "controller": true, "blockOwnerDeletion": false},
                {"apiVersion": "example.com/v1", "kind": "Thing", "name": "p", "uid": "u-2"},
            ],
        },
    });
    maps.create(&PostParams::default(), &serde_json::from_value(manifest).unwrap()).await.unwrap();
    let mut seen = Vec::new();
    for (representation, expected) in [
        (Representation::Metadata, ["application/json", "application/vnd.kubernetes.protobuf"].as_slice()),
        (Representation::Full, &["application/json"]),
    ] {
        let forms = Arc::default();
        let client = noting(&forms).await;
        let about = (Pushed::default(), representation);
        let mut listener = Listener::start_with(client, &namespace, about, Arc::clone(&projection));
        assert!(matches!(listener.next().await, FeedEvent::Listing(_)));
        let FeedEvent::Applied(object) = listener.next().await else { panic!("it shows what there is") };
        seen.push((listener, vec![format!("{object:?}")]));
        // Which resource it is was asked in JSON.
        assert!(forms.lock().unwrap().iter().eq(expected), "{representation:?}: {forms:?}");
    }
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let clear = Patch::Merge(json!({"metadata": {"finalizers": null, "labels": null}}));
    maps.patch("a", &PatchParams::default(), &clear).await.unwrap();
    for (listener, seen) in &mut seen {
        loop {
            match listener.next().await {
                FeedEvent::Applied(object) => seen.push(format!("{object:?}")),
                FeedEvent::Deleted(object) => break seen.push(format!("{object:?}")),
                _ => {}
            }
        }
    }
    let [(metadata, in_protobuf), (full, in_json)] = <[_; 2]>::try_from(seen).ok().unwrap();
    assert_eq!(in_protobuf, in_json);
    assert_eq!(in_json.len(), 3, "it is there, on its way out, gone: {in_json:#?}");
    metadata.end();
    full.end();
}

#[tokio::test]
async fn a_selector_that_the_server_refuses_parks_the_feed_for_that_reason() {
    let namespace = cluster().await.namespace("refused").await.unwrap();
    for selector in [fields("data.size=1"), fields("no selector"), labels("a in b")] {
        let mut listener = Listener::start(&namespace, selector.clone()).await;
        let parked = listener.parked().await;
        assert!(matches!(&parked, Parked::SelectorRefused { .. }), "{selector:?}: {parked:?}");
        assert!(!listener.feed.is_live());
        listener.end();
    }
}

#[tokio::test]
async fn objects_are_counted_by_one_request_however_many_there_are() {
    let cluster = cluster().await;
    let client = cluster.admin().client().unwrap();
    let namespaces = [cluster.namespace("counted").await.unwrap(), cluster.namespace("other").await.unwrap()];
    let kind = GroupVersionKind { api_version: "v1".parse().unwrap(), kind: "Secret".into() };
    let resource = resolve(&client, &kind).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespaces[0]);
    let create = async |number: usize| {
        let secret: Secret =
            serde_json::from_value(json!({"metadata": {"name": format!("s-{number}")}})).unwrap();
        secrets.create(&PostParams::default(), &secret).await.unwrap();
    };
    let (mut created, before) = (0, count(&client, &resource, None).await.unwrap());
    for expected in [0, 1, 2, 1_200] {
        for chunk in (created..expected).collect::<Vec<_>>().chunks(50) {
            futures::future::join_all(chunk.iter().map(|number| create(*number))).await;
        }
        created = expected;
        let expected = u64::try_from(expected).unwrap();
        assert_eq!(count(&client, &resource, Some(&namespaces[0])).await.unwrap(), expected);
    }
    assert_eq!(count(&client, &resource, None).await.unwrap(), before + 1_200);
    assert_eq!(count(&client, &resource, Some(&namespaces[1])).await.unwrap(), 0);
}
