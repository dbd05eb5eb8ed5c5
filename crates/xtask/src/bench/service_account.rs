//! Who talks to the API server: a service account with a token, as every pod does.
//!
//! To check a client certificate takes the server some 70 µs for each request, a token almost nothing once it has seen it;
//! and an administrator's requests are neither authorized rule by rule nor queued. So a bare client that is to show what
//! the server can do for a program in the cluster is a service account, too.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use testbed::ControlPlane;

/// The bare client, and its only right.
pub(super) const BARE_CLIENT: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: bare-client, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bare-client}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [delete]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bare-client}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bare-client}
subjects: [{kind: ServiceAccount, name: bare-client, namespace: default}]
";

/// A service account with a token that outlasts every bench.
pub(super) struct ServiceAccount {
    kubeconfig: PathBuf,
}

impl ServiceAccount {
    /// The operator, as it is installed.
    pub(super) fn operator(cluster: &ControlPlane) -> Result<Self> {
        Self::of(cluster, "groundskeeper-system", "groundskeeper")
    }

    /// The bare client.
    pub(super) fn bare(cluster: &ControlPlane) -> Result<Self> {
        Self::of(cluster, "default", "bare-client")
    }

    /// Its token is asked for once in a control plane.
    fn of(cluster: &ControlPlane, namespace: &str, name: &str) -> Result<Self> {
        let kubeconfig = cluster.directory().join(format!("{namespace}-{name}.json"));
        if !kubeconfig.exists() {
            std::fs::write(&kubeconfig, Self::document(cluster, namespace, name)?.to_string())?;
        }
        Ok(Self { kubeconfig })
    }

    fn document(cluster: &ControlPlane, namespace: &str, name: &str) -> Result<Value> {
        let asked = Command::new(cluster.kubectl())
            .arg("--kubeconfig")
            .arg(cluster.admin().kubeconfig())
            .args(["create", "token", name, "--namespace", namespace, "--duration=6h"])
            .output()
            .context("running kubectl")?;
        ensure!(asked.status.success(), "no token: {}", String::from_utf8_lossy(&asked.stderr));
        let token = String::from_utf8(asked.stdout)?.trim().to_owned();
        let mut document: Value = serde_json::from_slice(&std::fs::read(cluster.admin().kubeconfig())?)?;
        let user = document.pointer_mut("/users/0/user").context("a kubeconfig without a user")?;
        *user = json!({ "token": token });
        Ok(document)
    }

    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(super) async fn client(&self) -> Result<Client> {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }
}
