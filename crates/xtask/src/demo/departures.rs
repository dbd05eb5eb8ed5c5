//! When objects go, as a watch of our own sees it.
//!
//! Independent of what the operator says about itself. The time is that of the watch event's arrival here, so it holds
//! the way through the API server as well: what is measured is never better than it was.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use control::{Clock as _, SystemClock};
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PartialObjectMeta, WatchEvent, WatchParams};
use kube::{Client, Resource};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Departures that wait to be told; the demo has some eighty objects.
const QUEUE_MAX: usize = 100;

/// An object that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Departure {
    /// `configmap` or `job`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(super) gone: Timestamp,
}

/// All departures of ConfigMaps and Jobs from one namespace, from now on.
#[derive(Debug)]
pub(super) struct Departures {
    queue: mpsc::Receiver<Result<Departure>>,
    _watches: JoinSet<()>,
}

impl Departures {
    pub(super) async fn watch(client: Client, namespace: &str) -> Result<Self> {
        let (sink, queue) = mpsc::channel(QUEUE_MAX);
        let mut watches = JoinSet::new();
        let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
        watches.spawn(forward("configmap", events(maps).await?, sink.clone()));
        let jobs = Api::<Job>::namespaced(client, namespace);
        watches.spawn(forward("job", events(jobs).await?, sink));
        Ok(Self { queue, _watches: watches })
    }

    /// The next departure, within a time.
    pub(super) async fn next(&mut self, within: Duration) -> Result<Option<Departure>> {
        match tokio::time::timeout(within, self.queue.recv()).await {
            Err(_) => Ok(None),
            Ok(None) => Err(anyhow!("the demo's own watch has ended")),
            Ok(Some(departure)) => departure.map(Some),
        }
    }
}

type Event<K> = kube::Result<WatchEvent<PartialObjectMeta<K>>>;

async fn events<K>(api: Api<K>) -> Result<impl Stream<Item = Event<K>> + Send + Unpin>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let listed = api.list_metadata(&ListParams::default()).await.context("listing what may go")?;
    let version = listed.metadata.resource_version.unwrap_or_default();
    let events = api.watch_metadata(&WatchParams::default(), &version).await.context("watching what goes")?;
    Ok(Box::pin(events))
}

async fn forward<K>(
    kind: &'static str,
    mut events: impl Stream<Item = Event<K>> + Unpin,
    sink: mpsc::Sender<Result<Departure>>,
) {
    while let Some(event) = events.next().await {
        let gone = SystemClock.now();
        let departure = match event {
            Ok(WatchEvent::Deleted(object)) => departure(kind, object, gone),
            Ok(WatchEvent::Error(status)) => Err(anyhow!("watching {kind} objects: {status:?}")),
            Err(error) => Err(anyhow!(error).context(format!("watching {kind} objects"))),
            Ok(_) => continue,
        };
        if sink.send(departure).await.is_err() {
            return;
        }
    }
}

fn departure<K>(kind: &'static str, object: PartialObjectMeta<K>, gone: Timestamp) -> Result<Departure> {
    let metadata = object.metadata;
    let name = metadata.name.context("an object without a name")?;
    let created = metadata.creation_timestamp.context("an object without a creation time")?.0;
    Ok(Departure { kind, name, created, gone })
}
