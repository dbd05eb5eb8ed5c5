//! Somebody who talks to the API server.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A user with a client certificate: a kubeconfig for programs, and clients for tests.
#[derive(Clone)]
pub struct Identity {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) config: kube::Config,
}

impl Identity {
    /// The user's name, as RBAC sees it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The groups in its certificate. The API server adds `system:authenticated`.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// A file for `kubectl`, or for a program under test. It goes with the control plane's directory.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The configuration that [`Identity::client`] uses: no retries, so that a test sees what happened.
    pub fn config(&self) -> kube::Config {
        self.config.clone()
    }

    /// A new client with connections of its own. It belongs to the async runtime that it is made in.
    pub fn client(&self) -> Result<kube::Client, kube::Error> {
        kube::Client::try_from(self.config())
    }

    /// The same user by another way: what listens at `server` has a certificate of the same CA.
    pub(crate) fn by_way_of(&self, server: &http::Uri, kubeconfig: PathBuf) -> io::Result<Self> {
        let mut document: Value = serde_json::from_slice(&fs::read(&self.kubeconfig)?)?;
        if let Some(address) = document.pointer_mut("/clusters/0/cluster/server") {
            *address = Value::from(server.to_string().trim_end_matches('/'));
        }
        crate::kubeconfig::write_private(&kubeconfig, &format!("{document:#}\n"))?;
        let mut config = self.config();
        config.cluster_url = server.clone();
        Ok(Self { kubeconfig, config, ..self.clone() })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}
