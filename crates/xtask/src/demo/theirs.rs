//! Somebody's own cluster: the current context of the kubeconfig, entered with permission only.
//!
//! Everything is created with names of our own, in a new namespace apart from the CustomResourceDefinition and the
//! rights, and is deleted in the end. The context is named in every command, so that switching it in another window
//! does not lead us elsewhere.
//!
//! Invariant: what was there before is never changed. If one of our names is taken, nothing is created at all.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use chassis::ClientOptions;
use control::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::install;
use super::leash::Leash;
use super::screen::Screen;
use super::shell::{Shell, quoted};
use super::site::Site;

/// How long the operator's token is valid. A demo that stays up longer ends in refusals.
const TOKEN_DURATION: &str = "12h";

/// Whether somebody has said yes before being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    Given,
    ToBeAsked,
}

/// A cluster that is not ours, and what we have put into it.
#[derive(Debug)]
pub(super) struct TheirCluster {
    screen: Screen,
    shell: Shell,
    /// `kubectl --context …`
    kubectl: String,
    context: String,
    namespace: String,
    /// What we create outside the namespace, and the namespace, as kubectl names it.
    names: Vec<String>,
    entered: bool,
    directory: TempDir,
    _sweeper: Leash,
}

impl TheirCluster {
    /// Finds out which cluster it is, and what would be created there; changes nothing.
    pub(super) async fn look(screen: &Screen, shell: Shell) -> Result<Self> {
        ensure!(
            shell.run("kubectl version --client").await?.succeeded,
            "kubectl was not found: install it, or leave out --cluster, which needs none"
        );
        let context = shell.run("kubectl config current-context").await?;
        ensure!(context.succeeded, "your kubeconfig has no current context: {}", context.errors.trim());
        let context = context.output.trim().to_owned();
        let directory = tempfile::Builder::new().prefix("groundskeeper-demo-").tempdir();
        let directory = directory.context("making a temporary directory")?;
        let sweeper = Leash::sweep(directory.path()).context("guarding a temporary directory")?;
        let kubectl = format!("kubectl --context {}", quoted(&context));
        let namespace = format!("gk-demo-{:x}", SystemClock.now().as_second() & 0xf_ffff);
        let mut found = Self {
            screen: screen.clone(),
            shell,
            kubectl,
            context,
            namespace,
            names: Vec::new(),
            entered: false,
            directory,
            _sweeper: sweeper,
        };
        found.write_manifests().await?;
        Ok(found)
    }

    async fn write_manifests(&mut self) -> Result<()> {
        let server = format!("{} get --raw /readyz", self.kubectl);
        self.shell.quietly(&server).await.context("your cluster does not answer")?;
        let (crds, rbac) = self.manifests();
        self.shell.quietly(&format!("groundskeeper crds > {crds}")).await?;
        let rights = install::rbac_line(Some(&self.namespace));
        self.shell.quietly(&format!("{rights} > {rbac}")).await?;
        let named =
            format!("{} create --dry-run=client --validate=false -o name -f {crds} -f {rbac}", self.kubectl);
        let names = self.shell.quietly(&named).await?;
        let is_within = |name: &&str| name.starts_with("serviceaccount/");
        self.names = names.lines().filter(|name| !is_within(name)).map(str::to_owned).collect();
        let existing = format!("{} get --ignore-not-found -o name -f {crds} -f {rbac}", self.kubectl);
        let existing = self.shell.quietly(&existing).await?;
        ensure!(
            existing.trim().is_empty(),
            "Groundskeeper is in this cluster already, and the demo would delete it in the end: take another \
             cluster, or leave out --cluster. (If an earlier demo was killed, remove these, and its namespace \
             gk-demo-….) There is:\n{}",
            existing.trim()
        );
        Ok(())
    }

    /// Shows what would happen, and asks.
    pub(super) async fn ask(&self, consent: Consent) -> Result<()> {
        let line =
            format!("{} config view --minify -o jsonpath='{{.clusters[0].cluster.server}}'", self.kubectl);
        let server = self.shell.quietly(&line).await?;
        self.screen.say(&format!("context  {}", self.context));
        self.screen.say(&format!("server   {}", server.trim()));
        self.screen.gap();
        self.screen.say("This would be created, and deleted in the end, also on Ctrl-C:");
        self.names.iter().for_each(|name| self.screen.output(&format!("  {name}")));
        self.screen.say(&format!(
            "and in the new namespace {}: a service account, 5 Jobs (image busybox:1.37), 5 ConfigMaps and 2 \
             policies. Nothing else is touched. The operator runs on this machine, with the rights of that service \
             account.",
            self.namespace
        ));
        self.screen.gap();
        self.screen.say("Should this machine fail in between, this removes everything:");
        self.screen.command(&self.removal());
        if consent == Consent::Given {
            self.screen.gap();
            self.screen.holds("--yes was given");
            return Ok(());
        }
        self.screen.ask("Type yes to go on:");
        let answer = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            io::stdin().read_line(&mut line).map(|_| line)
        });
        let answer = answer.await.context("nobody answered")?.context("reading the answer")?;
        if answer.trim() != "yes" {
            bail!("not confirmed: nothing was changed");
        }
        Ok(())
    }

    /// Installs the operator's kind and rights, and mints its token.
    pub(super) async fn enter(&mut self, program: PathBuf) -> Result<Site> {
        let (crds, rbac) = self.manifests();
        self.entered = true;
        self.shell.show(&format!("{} create -f {crds} -f {rbac}", self.kubectl)).await?;
        let within = format!("{} -n {}", self.kubectl, self.namespace);
        let token = format!("{within} create token groundskeeper --duration={TOKEN_DURATION}");
        self.screen.command(&token);
        self.screen.aside("(the token is not shown; it goes into a kubeconfig for the operator)");
        let token = self.shell.quietly(&token).await?;
        let operator_kubeconfig = self.write_operator_kubeconfig(token.trim()).await?;
        let options = ClientOptions { kubeconfig: Some(operator_kubeconfig.clone()), context: None };
        Ok(Site {
            screen: self.screen.clone(),
            shell: self.shell.clone(),
            kubectl: within,
            plan_flags: format!(" --context {} -n {}", quoted(&self.context), self.namespace),
            namespace: self.namespace.clone(),
            client: chassis::connect(&options).await?,
            program,
            operator_kubeconfig,
        })
    }

    /// The cluster as the user's kubeconfig has it, with the token in place of the user.
    async fn write_operator_kubeconfig(&self, token: &str) -> Result<PathBuf> {
        let line = format!("{} config view --minify --raw --flatten -o json", self.kubectl);
        let config: Value =
            serde_json::from_str(&self.shell.quietly(&line).await?).context("reading the kubeconfig")?;
        let cluster = config.pointer("/clusters/0/cluster").context("the context names no cluster")?;
        let document = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "cluster", "cluster": cluster }],
            "users": [{ "name": "groundskeeper", "user": { "token": token } }],
            "contexts": [{ "name": "demo", "context": { "cluster": "cluster", "user": "groundskeeper" } }],
            "current-context": "demo",
        });
        let path = self.directory.path().join("groundskeeper.yaml");
        let file = fs::File::options().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.context("writing the operator's kubeconfig")?;
        file.write_all(format!("{document:#}\n").as_bytes()).context("writing the operator's kubeconfig")?;
        Ok(path)
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Deletes all that was created.
    pub(super) async fn leave(self) -> Result<()> {
        if !self.entered {
            return Ok(());
        }
        self.screen.gap();
        self.screen.say("Removing what was created (this may take a minute):");
        let (crds, rbac) = self.manifests();
        let mut left = Vec::new();
        // The namespace goes first, with everything in it: what is of our kind must not outlive its definition.
        for file in [rbac, crds] {
            let line = format!("{} delete --ignore-not-found --timeout=3m -f {file}", self.kubectl);
            if self.shell.show(&line).await.is_err() {
                left.push(line);
            }
        }
        ensure!(
            left.is_empty(),
            "not everything could be removed; this removes the rest:\n{}",
            self.removal()
        );
        Ok(())
    }

    /// The line that removes everything, without our files.
    fn removal(&self) -> String {
        format!("{} delete {} --ignore-not-found", self.kubectl, self.names.join(" "))
    }

    fn manifests(&self) -> (String, String) {
        let quoted_path = |name: &str| quoted(&self.directory.path().join(name).display().to_string());
        (quoted_path("crds.yaml"), quoted_path("rbac.yaml"))
    }
}

/// Whether there is somebody to ask.
pub(super) fn somebody_is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}
