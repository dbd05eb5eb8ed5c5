//! Where the demo plays: what the play needs to know of a cluster, whosever it is.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use kube::Client;

use super::screen::Screen;
use super::shell::{Shell, quoted};

pub(super) struct Site {
    pub(super) screen: Screen,
    pub(super) shell: Shell,
    /// `kubectl`, with flags where the kubeconfig alone would not lead to context and namespace.
    pub(super) kubectl: String,
    /// What `groundskeeper` needs for the same cluster, with a space in front, or nothing.
    pub(super) context_flag: String,
    /// The namespace of the objects.
    pub(super) namespace: String,
    /// The namespace that the operator counts as its own.
    pub(super) own_namespace: String,
    /// Where the API server reaches a webhook of ours; none if it runs elsewhere.
    pub(super) webhook: Option<SocketAddr>,
    /// Who writes down who wrote a policy.
    pub(super) authors: Authors,
    /// Further flags of the operator, with a space in front, or nothing.
    pub(super) flags: &'static str,
    /// A directory of ours that goes in the end.
    pub(super) directory: PathBuf,
    /// For a watch of our own.
    pub(super) client: Client,
    /// The program that was built.
    pub(super) program: PathBuf,
    /// Who the operator is.
    pub(super) operator_kubeconfig: PathBuf,
}

/// Whether the cluster notes down who wrote a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authors {
    /// It does, by a MutatingAdmissionPolicy, or by a webhook of ours.
    Known,
    /// It cannot: it is older than Kubernetes 1.36, and does not reach us.
    Unknown,
}

impl Site {
    /// A kubectl line on the objects' namespace.
    pub(super) fn kubectl(&self, arguments: &str) -> String {
        format!("{} {arguments}", self.kubectl)
    }

    /// Creates so many ConfigMaps, `prefix-1` and on, with a label that has no value.
    pub(super) async fn create_config_maps(&self, prefix: &str, label: &str, count: usize) -> Result<()> {
        let mut text = String::new();
        for number in 1..=count {
            writeln!(
                text,
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {prefix}-{number}, labels: {{{label}: \"\"}}}}"
            )?;
        }
        let file = self.directory.join(format!("{prefix}.yaml"));
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        let line = format!("create -f {} | wc -l", shown(&file));
        let created = self.shell.show(&self.kubectl(&line)).await?;
        ensure!(created.trim() == count.to_string(), "not all were created");
        Ok(())
    }

    /// Where the ledgers of all replicas lie.
    pub(super) fn ledger(&self) -> PathBuf {
        self.directory.join("ledger")
    }

    /// The flag that names the operator's own namespace to a command, with a space in front, or nothing.
    pub(super) fn own_namespace_flag(&self, flag: &str) -> String {
        match self.own_namespace.as_str() {
            api::DEFAULT_NAMESPACE => String::new(),
            other => format!(" {flag} {other}"),
        }
    }
}

/// A path as a shell takes it.
pub(super) fn shown(path: &Path) -> String {
    quoted(&path.display().to_string())
}
