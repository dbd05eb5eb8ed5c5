//! The load: ConfigMaps, created by an administrator and deleted by a bare client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use control::{Clock as _, SystemClock};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use testbed::ControlPlane;

use super::service_account::ServiceAccount;
use super::watcher::Stopwatch;

/// Creations in flight: as many as the server takes gladly.
const CREATIONS_IN_FLIGHT: usize = 32;

/// How long a kind may be defined and not be created, in seconds: the API server takes about five.
const UNSERVED_MAX_SECONDS: f64 = 30.0;

/// A namespace to put load into.
pub(super) struct Load {
    client: Client,
    bare: Client,
    namespace: Arc<str>,
}

impl Load {
    pub(super) async fn new(cluster: &ControlPlane, purpose: &str) -> Result<Self> {
        let namespace = cluster.namespace(purpose).await?.into();
        let bare = ServiceAccount::bare(cluster)?.client().await?;
        Ok(Self { client: cluster.admin().client()?, bare, namespace })
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A policy on this namespace's ConfigMaps, with the limit lifted.
    pub(super) async fn policy(&self, ttl_seconds: i64) -> Result<()> {
        self.policy_with(&json!({"secondsAfterCreation": ttl_seconds})).await
    }

    /// The same with any `ttl`.
    pub(super) async fn policy_with(&self, ttl: &Value) -> Result<()> {
        let policy = json!({
            "apiVersion": "groundskeeper.dev/v1alpha1",
            "kind": "GarbageCollectionPolicy",
            "metadata": {"name": "bench"},
            "spec": {
                "targetResource": {"apiVersion": "v1", "kind": "ConfigMap", "labelSelector": {"matchLabels": {"bench": "yes"}}},
                "ttl": ttl,
                "behavior": {"maxDeletionsPerSecond": 10_000, "batchSize": 1_000},
                "mode": "Enforce",
                "budget": {"percent": 100},
            },
        });
        let path = format!(
            "/apis/groundskeeper.dev/v1alpha1/namespaces/{}/garbagecollectionpolicies",
            self.namespace
        );
        post(&self.client, &path, &policy).await
    }

    /// Creates so many as fast as the server takes them; returns how many per second that was.
    pub(super) async fn create(&self, prefix: &str, count: usize, bytes: usize) -> Result<f64> {
        let clock = Stopwatch::start();
        stream::iter(0..count)
            .map(|number| self.create_one(prefix, number, bytes))
            .buffer_unordered(CREATIONS_IN_FLIGHT)
            .try_collect::<()>()
            .await?;
        Ok(count as f64 / clock.seconds())
    }

    /// Creates so many as fast as the server takes them, each with annotations of its own; returns how many per second.
    pub(super) async fn create_marked(
        &self,
        prefix: &str,
        count: usize,
        annotations: impl Fn(usize) -> Value,
    ) -> Result<f64> {
        let clock = Stopwatch::start();
        stream::iter(0..count)
            .map(|number| self.post(prefix, number, (200, annotations(number))))
            .buffer_unordered(CREATIONS_IN_FLIGHT)
            .try_collect::<()>()
            .await?;
        Ok(count as f64 / clock.seconds())
    }

    /// Deletes each at its moment, with so many in flight, and says how many seconds after it that was accepted.
    pub(super) async fn delete_on_time(
        &self,
        prefix: &str,
        due: Vec<(usize, Timestamp)>,
        in_flight: usize,
    ) -> Result<Vec<f64>> {
        stream::iter(due)
            .map(async |(number, moment)| {
                let wait = moment.duration_since(SystemClock.now());
                tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
                self.delete_one(prefix, number).await?;
                Ok(SystemClock.now().duration_since(moment).as_secs_f64())
            })
            .buffer_unordered(in_flight)
            .try_collect()
            .await
    }

    /// What was created, by when it falls due that long after its creation, of which the server keeps whole seconds.
    pub(super) async fn due_after(&self, ttl_seconds: i64) -> Result<Vec<(usize, Timestamp)>> {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace);
        let mut due = Vec::new();
        for map in maps.list_metadata(&ListParams::default()).await?.items {
            let number = map.name_any().rsplit('-').next().context("a name without a number")?.parse()?;
            let created = map.creation_timestamp().context("no creation time")?.0;
            due.push((number, created + SignedDuration::from_secs(ttl_seconds)));
        }
        due.sort_by_key(|(number, moment)| (*moment, *number));
        Ok(due)
    }

    /// Creates so many, evenly, at so many per second.
    pub(super) async fn create_steadily(&self, prefix: &str, count: usize, per_second: u32) -> Result<()> {
        let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
        for number in 0..count {
            tick.tick().await;
            self.create_one(prefix, number, 200).await?;
        }
        Ok(())
    }

    /// Deletes what was created, with so many in flight; returns how many per second that was.
    pub(super) async fn delete_all(&self, prefix: &str, count: usize, in_flight: usize) -> Result<f64> {
        let clock = Stopwatch::start();
        stream::iter(0..count)
            .map(|number| self.delete_one(prefix, number))
            .buffer_unordered(in_flight)
            .try_collect::<()>()
            .await?;
        Ok(count as f64 / clock.seconds())
    }

    /// Deletes what was created, with so many in flight, and says after how many seconds each was accepted.
    pub(super) async fn delete_at_once(
        &self,
        prefix: &str,
        count: usize,
        in_flight: usize,
    ) -> Result<Vec<f64>> {
        let clock = Stopwatch::start();
        stream::iter(0..count)
            .map(async |number| self.delete_one(prefix, number).await.map(|()| clock.seconds()))
            .buffer_unordered(in_flight)
            .try_collect()
            .await
    }

    async fn create_one(&self, prefix: &str, number: usize, bytes: usize) -> Result<()> {
        self.post(prefix, number, (bytes, json!({}))).await
    }

    async fn post(&self, prefix: &str, number: usize, (bytes, annotations): (usize, Value)) -> Result<()> {
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": format!("{prefix}-{number:06}"),
                "labels": {"bench": "yes"},
                "annotations": annotations,
            },
            "data": {"payload": "x".repeat(bytes)},
        });
        post(&self.client, &format!("/api/v1/namespaces/{}/configmaps", self.namespace), &object).await
    }

    async fn delete_one(&self, prefix: &str, number: usize) -> Result<()> {
        let path = format!("/api/v1/namespaces/{}/configmaps/{prefix}-{number:06}", self.namespace);
        let request = http::Request::delete(path).body(Vec::new())?;
        self.bare.request_text(request).await.map(drop).context("deleting")
    }
}

/// A kind that was just defined may be read before anything of it can be created, for some seconds: then it is tried again.
async fn post(client: &Client, path: &str, object: &Value) -> Result<()> {
    let (body, clock) = (serde_json::to_vec(object)?, Stopwatch::start());
    loop {
        let request =
            http::Request::post(path).header("content-type", "application/json").body(body.clone())?;
        match client.request_text(request).await {
            Err(kube::Error::Api(status)) if status.code == 503 && clock.seconds() < UNSERVED_MAX_SECONDS => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer.map(drop).with_context(|| format!("creating at {path}")),
        }
    }
}

/// So many moments from the first on, so many per second.
pub(super) fn evenly(first: Timestamp, per_second: u32, count: usize) -> Vec<Timestamp> {
    let step = SignedDuration::from_secs(1) / i32::try_from(per_second).unwrap_or(i32::MAX);
    (0..).take(count).map(|number: i32| first + step * number).collect()
}
