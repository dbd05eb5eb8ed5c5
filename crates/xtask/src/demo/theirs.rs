//! Somebody's own cluster: the current context of the kubeconfig, entered with permission only.
//!
//! Everything is created with names of our own: what `groundskeeper install` declares, and a namespace with the objects.
//! All of it is deleted in the end. The context is named in every command, so that switching it in another window
//! does not lead us elsewhere.
//!
//! Invariant: what was there before is never changed. If one of our names is taken, nothing is created at all.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use chassis::ClientOptions;
use control::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::install;
use super::leash::Leash;
use super::screen::Screen;
use super::shell::{Shell, quoted};
use super::site::{Authors, Site};

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
    /// Where the operator is at home.
    own_namespace: String,
    /// Where the objects are.
    namespace: String,
    authors: Authors,
    /// What an installation creates.
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
        let own_namespace = format!("gk-demo-{:x}", SystemClock.now().as_second() & 0xf_ffff);
        let namespace = format!("{own_namespace}-objects");
        let mut found = Self {
            screen: screen.clone(),
            shell,
            kubectl,
            context,
            own_namespace,
            namespace,
            authors: Authors::Unknown,
            names: Vec::new(),
            entered: false,
            directory,
            _sweeper: sweeper,
        };
        found.survey().await?;
        Ok(found)
    }

    /// Lets the server judge an installation, and write nothing.
    async fn survey(&mut self) -> Result<()> {
        let server = format!("{} get --raw /readyz", self.kubectl);
        self.shell.quietly(&server).await.context("your cluster does not answer")?;
        let kinds = format!("{} get --raw /apis/admissionregistration.k8s.io/v1", self.kubectl);
        if self.shell.quietly(&kinds).await?.contains("\"mutatingadmissionpolicies\"") {
            self.authors = Authors::Known;
        }
        let tried = self.shell.quietly(&format!("{} --dry-run", self.install_line())).await?;
        let (new, existing): (Vec<_>, Vec<_>) = tried.lines().partition(|line| line.contains(" created"));
        ensure!(
            existing.is_empty(),
            "Groundskeeper is in this cluster already, and the demo would delete it in the end: take another \
             cluster, or leave out --cluster. (If an earlier demo was killed: groundskeeper uninstall --namespace \
             gk-demo-…, and delete the namespace gk-demo-…-objects.) There is:\n{}",
            existing.join("\n")
        );
        self.names = new.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
        Ok(())
    }

    fn install_line(&self) -> String {
        format!(
            "{} --context {}",
            install::line(Some(&self.own_namespace), None, &install::COLLECTED),
            quoted(&self.context)
        )
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
            "and the namespace {}: 6 Jobs (image busybox:1.37), 73 ConfigMaps, 4 policies and a RoleBinding for \
             somebody who does not exist. Nothing else is touched. The operator runs on this machine, with the rights \
             of the service account groundskeeper in namespace {}.",
            self.namespace, self.own_namespace
        ));
        self.screen.gap();
        self.screen.say("Should this machine fail in between, this removes everything (groundskeeper is what was just built):");
        self.removal().iter().for_each(|line| self.screen.command(line));
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

    /// Installs what the operator needs, and mints its token.
    pub(super) async fn enter(&mut self, program: PathBuf) -> Result<Site> {
        self.entered = true;
        self.shell.show(&self.install_line()).await?;
        self.shell.show(&format!("{} create namespace {}", self.kubectl, self.namespace)).await?;
        let token = format!(
            "{} -n {} create token groundskeeper --duration={TOKEN_DURATION}",
            self.kubectl, self.own_namespace
        );
        self.screen.command(&token);
        self.screen.aside("(the token is not shown; it goes into a kubeconfig for the operator)");
        let token = self.shell.quietly(&token).await?;
        let operator_kubeconfig = self.write_operator_kubeconfig(token.trim()).await?;
        let options = ClientOptions { kubeconfig: Some(operator_kubeconfig.clone()), context: None };
        Ok(Site {
            screen: self.screen.clone(),
            shell: self.shell.clone(),
            kubectl: format!("{} -n {}", self.kubectl, self.namespace),
            context_flag: format!(" --context {}", quoted(&self.context)),
            namespace: self.namespace.clone(),
            own_namespace: self.own_namespace.clone(),
            webhook: None,
            authors: self.authors,
            flags: "",
            directory: self.directory.path().to_owned(),
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

    /// Deletes all that was created.
    pub(super) async fn leave(self) -> Result<()> {
        if !self.entered {
            return Ok(());
        }
        self.screen.gap();
        self.screen.say("Removing what was created (this may take a minute):");
        let mut left = Vec::new();
        for line in self.removal() {
            if self.shell.show(&line).await.is_err() {
                left.push(line);
            }
        }
        ensure!(
            left.is_empty(),
            "not everything could be removed; this removes the rest:\n{}",
            left.join("\n")
        );
        Ok(())
    }

    /// The lines that remove everything. The objects go first: policies must not outlive their kind.
    fn removal(&self) -> [String; 2] {
        [
            format!("{} delete namespace {} --ignore-not-found --timeout=3m", self.kubectl, self.namespace),
            format!(
                "groundskeeper uninstall --yes --delete-policies --namespace {} --context {}",
                self.own_namespace,
                quoted(&self.context)
            ),
        ]
    }
}

/// Whether there is somebody to ask.
pub(super) fn somebody_is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}
