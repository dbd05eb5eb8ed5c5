//! Where the demo plays: what the play needs to know of a cluster, whosever it is.

use std::path::PathBuf;

use kube::Client;

use super::screen::Screen;
use super::shell::Shell;

pub(super) struct Site {
    pub(super) screen: Screen,
    pub(super) shell: Shell,
    /// `kubectl`, with flags where the kubeconfig alone would not lead to context and namespace.
    pub(super) kubectl: String,
    /// What `groundskeeper plan` needs for the same, with a space in front, or nothing.
    pub(super) plan_flags: String,
    /// The namespace of the objects.
    pub(super) namespace: String,
    /// For a watch of our own.
    pub(super) client: Client,
    /// The program that was built.
    pub(super) program: PathBuf,
    /// Who the operator is.
    pub(super) operator_kubeconfig: PathBuf,
}

impl Site {
    /// A kubectl line on the objects' namespace.
    pub(super) fn kubectl(&self, arguments: &str) -> String {
        format!("{} {arguments}", self.kubectl)
    }
}
