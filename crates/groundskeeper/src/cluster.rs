//! A cluster as the commands for people see it: how to reach it, and what it calls our kinds.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use chassis::objects::{self, ObjectRef};
use chassis::{ApiError, ClientOptions, Resource, Unserved, connect, resolve};
use kube::Client;
use serde_json::Value;
use units::GroupVersionKind;

/// Where the cluster is.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Connection {
    /// The kubeconfig file. Default: KUBECONFIG, then ~/.kube/config, then the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context within the kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Connection {
    /// A client; nothing is asked yet.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        let options = ClientOptions { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
        Ok(connect(&options).await?)
    }

    /// A cluster of which nothing is known yet.
    pub(crate) async fn cluster(&self) -> anyhow::Result<Cluster> {
        Ok(Cluster { client: self.client().await?, resources: HashMap::new() })
    }

    /// Whether a cluster was named, be it only in part.
    pub(crate) const fn is_given(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }
}

/// A cluster, and what it has said of its kinds so far.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    resources: HashMap<GroupVersionKind, Arc<Resource>>,
}

/// Which object a manifest is about.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) resource: Arc<Resource>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl Named {
    pub(crate) fn reference(&self) -> ObjectRef<'_> {
        ObjectRef { resource: &self.resource, namespace: self.namespace.as_deref(), name: &self.name }
    }
}

impl Cluster {
    /// What the cluster calls a kind; none if it does not serve it.
    pub(crate) async fn resource(
        &mut self,
        api_version: &str,
        kind: &str,
    ) -> anyhow::Result<Option<Arc<Resource>>> {
        let api_version = api_version.parse().with_context(|| format!("{api_version} is no API version"))?;
        self.resource_of(&GroupVersionKind { api_version, kind: kind.to_owned() }).await
    }

    /// The same of a kind that has been read already.
    pub(crate) async fn resource_of(
        &mut self,
        kind: &GroupVersionKind,
    ) -> anyhow::Result<Option<Arc<Resource>>> {
        match self.ask_for(kind).await {
            Ok(resource) => Ok(Some(resource)),
            Err(Unserved::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What the cluster calls a kind, or why it does not serve it.
    pub(crate) async fn ask_for(&mut self, kind: &GroupVersionKind) -> Result<Arc<Resource>, Unserved> {
        if let Some(known) = self.resources.get(kind) {
            return Ok(Arc::clone(known));
        }
        let resource = Arc::new(resolve(&self.client, kind).await?);
        self.resources.insert(kind.clone(), Arc::clone(&resource));
        Ok(resource)
    }

    /// Which object a manifest is about; none if the cluster does not serve its kind.
    pub(crate) async fn named(&mut self, manifest: &Value) -> anyhow::Result<Option<Named>> {
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str);
        let field = |pointer: &str| text(pointer).with_context(|| format!("a manifest has no {pointer}"));
        let name = field("/metadata/name")?.to_owned();
        let namespace = text("/metadata/namespace").map(ToOwned::to_owned);
        let resource = self.resource(field("/apiVersion")?, field("/kind")?).await?;
        Ok(resource.map(|resource| Named { resource, namespace, name }))
    }

    pub(crate) async fn look_at(&self, named: &Named) -> Result<Option<Value>, ApiError> {
        objects::look_at(&self.client, named.reference()).await
    }

    /// The plurals that are served in a group and version.
    pub(crate) async fn served(&self, api_version: &str) -> anyhow::Result<Vec<String>> {
        let api_version = api_version.parse().with_context(|| format!("{api_version} is no API version"))?;
        Ok(objects::served(&self.client, &api_version).await?)
    }
}

/// The text at a pointer, or nothing.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether an object carries a label with this value.
pub(crate) fn is_labelled(object: &Value, (key, value): (&str, &str)) -> bool {
    let labels = object.pointer("/metadata/labels");
    labels.and_then(|labels| labels.get(key)).and_then(Value::as_str) == Some(value)
}
