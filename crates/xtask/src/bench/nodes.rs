//! `cargo xtask bench nodes`: many nodes are deleted at once, and the leader of several replicas dies in the middle.
//!
//! A control plane with kwok's nodes and pods, replicas with the rights of an installation, and one step that asks a server
//! which counts. What the operators asked of the API server is read from its audit log.

mod account;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use control::{Clock as _, SystemClock};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use testbed::targets::Target;
use testbed::targets::hook::Hook;
use testbed::{ControlPlane, Options};

use super::operator::{self, Operator};
use super::watcher::Stopwatch;
use super::{head, row};
use account::Account;

/// What `bench nodes` is told.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Nodes that are deleted at once.
    #[arg(long, default_value_t = 1_000)]
    nodes: usize,

    /// Pods on each of them.
    #[arg(long, default_value_t = 2)]
    pods: usize,

    /// How many may leave at one time.
    #[arg(long, default_value_t = 50)]
    at_once: usize,

    /// Replicas of the operator, of which the first to lead is killed when a third of the nodes have gone.
    #[arg(long, default_value_t = 3)]
    replicas: usize,

    /// The operator to measure. Default: it is built from this repository.
    #[arg(long, value_name = "FILE")]
    operator: Option<PathBuf>,
}

/// How long anything may take.
const TIMEOUT: Duration = Duration::from_mins(30);

/// Requests of the bench itself that are in flight.
const IN_FLIGHT: usize = 32;

/// How often the replicas' memory is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_millis(250);

const FINALIZER: &str = "groundskeeper.dev/node-cleanup";
const AUDIT_POLICY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../groundskeeper/tests/support/audit-policy.yaml");

pub(super) async fn measure(args: &Args) -> Result<()> {
    let binary = args.operator.clone().map_or_else(operator::build, Ok)?;
    println!("starting a control plane with kwok…");
    let options = Options::new()
        .scheduler(false)
        .api_server_flag(format!("--audit-policy-file={AUDIT_POLICY}"))
        .api_server_flag("--audit-log-path=-");
    let cluster = ControlPlane::start(options).await?;
    operator::install_all(&cluster, &binary)?;
    let hook = Target::start(Hook::new()).await?;
    let run = Run { client: cluster.admin().client()?, cluster, binary, hook, args: args.clone() };
    run.play().await?;
    drop(run.cluster.stop().await);
    Ok(())
}

struct Run {
    cluster: ControlPlane,
    client: Client,
    binary: PathBuf,
    hook: Target<Hook>,
    args: Args,
}

impl Run {
    async fn play(&self) -> Result<()> {
        let replicas = self.replicas().await?;
        self.policy().await?;
        println!("{} nodes come up, each with {} pods…", self.args.nodes, self.args.pods);
        self.plant().await?;
        head();
        row("load of the machine, over 1, 5 and 15 minutes", &super::gc::load_average()?, "");
        let idle: Vec<u64> = replicas.iter().map(Operator::resident_bytes).collect::<Result<_>>()?;
        let memory = Memory::watch(&replicas);

        let begun = SystemClock.now();
        let clock = Stopwatch::start();
        self.remove_all().await?;
        let removed = clock.seconds();
        self.wait_for_left(self.args.nodes - self.args.nodes / 3).await?;
        replicas[0].kill()?;
        let killed = clock.seconds();
        self.wait_for_left(0).await?;
        let gone = clock.seconds();
        self.wait_for_records().await?;

        let most = memory.stop();
        row("all DELETEs of nodes accepted after", &format!("{removed:.1} s"), "");
        row("the leader killed after", &format!("{killed:.1} s"), "");
        row("all nodes gone after", &format!("{gone:.1} s"), "");
        for (number, (idle, most)) in idle.iter().zip(&most).enumerate() {
            let who = if number == 0 { ", which led first and was killed" } else { "" };
            let text = format!("{:.1} MiB before, {:.1} MiB at most", mib(*idle), mib(*most));
            row(&format!("resident memory of replica {number}{who}"), &text, "bounded");
        }
        self.account(begun)?;
        for replica in &replicas[1..] {
            replica.stop().await?;
        }
        Ok(())
    }

    /// The first of them leads.
    async fn replicas(&self) -> Result<Vec<Operator>> {
        let flags = [
            "--plugin-allow-loopback=true",
            "--lease-duration=4s",
            "--lease-renew-deadline=3s",
            "--lease-retry-period=1s",
        ];
        let flags = flags.map(str::to_owned);
        let mut replicas = Vec::new();
        for number in 0..self.args.replicas.max(2) {
            let replica = Operator::spawn_with(&self.cluster, &self.binary, &flags)?;
            replica.ready().await?;
            if number == 0 {
                replica.leads(TIMEOUT).await?;
            }
            replicas.push(replica);
        }
        Ok(replicas)
    }

    async fn policy(&self) -> Result<()> {
        let policy = json!({
            "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "NodeCleanupPolicy", "metadata": {"name": "bench"},
            "spec": {
                "nodeSelector": {"matchLabels": {"type": "kwok"}},
                "concurrency": {"max": self.args.at_once, "stormBrakePercent": 100},
                "steps": [{"name": "forget", "plugin": "httpHook", "settings": {"url": self.hook.url()}}],
            },
        });
        let clock = Stopwatch::start();
        let path = "/apis/groundskeeper.dev/v1alpha1/nodecleanuppolicies";
        // A kind that was just defined cannot be created for some seconds.
        while let Err(error) = self.post(path, &policy).await {
            ensure!(clock.seconds() < 60.0, "the policy is not taken: {error}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Nodes that are ready and have the finalizer, with pods that run.
    async fn plant(&self) -> Result<()> {
        let namespace = self.cluster.namespace("bench").await?;
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        stream::iter(0..self.args.nodes)
            .map(async |number| {
                let node = format!("node-{number:04}");
                self.cluster.add_kwok_node(&node).await?;
                for pod in 0..self.args.pods {
                    let pod = json!({
                        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("{node}-{pod}")},
                        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1,
                            "containers": [{"name": "a", "image": "example.invalid/a"}]},
                    });
                    self.post(&pods, &pod).await?;
                }
                anyhow::Ok(())
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<()>()
            .await?;
        let running = format!("{pods}?fieldSelector=status.phase%3DRunning");
        let clock = Stopwatch::start();
        loop {
            let finalized = self.nodes().await?;
            let finalized = finalized.iter().filter(|node| has_finalizer(node)).count();
            let pods = self.list(&running).await?.len();
            if finalized == self.args.nodes && pods == self.args.nodes * self.args.pods {
                return Ok(());
            }
            ensure!(clock.seconds() < TIMEOUT.as_secs_f64(), "{finalized} nodes, {pods} pods");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn remove_all(&self) -> Result<()> {
        stream::iter(0..self.args.nodes)
            .map(async |number| {
                let request =
                    http::Request::delete(format!("/api/v1/nodes/node-{number:04}")).body(Vec::new())?;
                self.client.request_text(request).await.map(drop).context("deleting a node")
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await
    }

    async fn wait_for_left(&self, left: usize) -> Result<()> {
        let clock = Stopwatch::start();
        loop {
            let there = self.nodes().await?.len();
            if there <= left {
                return Ok(());
            }
            ensure!(clock.seconds() < TIMEOUT.as_secs_f64(), "{there} nodes are there, {left} should be");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn wait_for_records(&self) -> Result<()> {
        let clock = Stopwatch::start();
        loop {
            let records = self.list("/apis/groundskeeper.dev/v1alpha1/nodecleanups").await?;
            let completed = records.iter().filter(|record| record["status"]["phase"] == "Completed").count();
            if completed == self.args.nodes {
                row("records that say Completed", &format!("{completed} of {}", records.len()), "all");
                return Ok(());
            }
            ensure!(clock.seconds() < 120.0, "{completed} records say Completed, of {}", records.len());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// What was done, by the server that was asked and by the API server's audit log.
    fn account(&self, since: Timestamp) -> Result<()> {
        let steps = self.hook.with(|hook| hook.steps().clone());
        let twice = steps.values().filter(|step| step.effects > 1).count();
        let never = self.args.nodes - steps.values().filter(|step| step.effects > 0).count();
        let asked: u32 = steps.values().map(|step| step.asked).sum();
        let done = format!("{twice} twice, {never} never; asked {asked} times for {} steps", steps.len());
        row("completed executions of the step", &done, "once per node");
        let server = self.cluster.server(testbed::Tool::KubeApiserver).context("no API server")?;
        let account = Account::read(&std::fs::read_to_string(server.log_path())?, since);
        account.tell(self.args.nodes, self.args.at_once)
    }

    async fn nodes(&self) -> Result<Vec<Value>> {
        self.list("/api/v1/nodes?resourceVersion=0").await
    }

    async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let request = http::Request::get(path).body(Vec::new())?;
        let list: Value = self.client.request(request).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    async fn post(&self, path: &str, object: &Value) -> Result<()> {
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(serde_json::to_vec(object)?)?;
        self.client.request_text(request).await.map(drop).with_context(|| format!("creating at {path}"))
    }
}

fn has_finalizer(node: &Value) -> bool {
    let finalizers = node["metadata"]["finalizers"].as_array();
    finalizers.into_iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// Looks at the memory of processes again and again.
struct Memory {
    most: Arc<Vec<AtomicU64>>,
    ended: Arc<AtomicBool>,
}

impl Memory {
    fn watch(replicas: &[Operator]) -> Self {
        let pids: Vec<u32> = replicas.iter().map(Operator::pid).collect();
        let most: Arc<Vec<AtomicU64>> = Arc::new(pids.iter().map(|_| AtomicU64::new(0)).collect());
        let ended = Arc::new(AtomicBool::new(false));
        let (seen, is_over) = (Arc::clone(&most), Arc::clone(&ended));
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                for (pid, most) in pids.iter().zip(seen.iter()) {
                    // One that was killed has none.
                    most.fetch_max(operator::resident_bytes_of(*pid).unwrap_or(0), Ordering::Relaxed);
                }
                std::thread::sleep(MEMORY_INTERVAL);
            }
        });
        Self { most, ended }
    }

    /// The most that each of them held.
    fn stop(self) -> Vec<u64> {
        self.ended.store(true, Ordering::Relaxed);
        self.most.iter().map(|most| most.load(Ordering::Relaxed)).collect()
    }
}
