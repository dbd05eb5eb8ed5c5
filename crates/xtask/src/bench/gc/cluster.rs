//! The operator, a process of its own with the rights of an installation, against a real control plane.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use control::{Clock as _, SystemClock};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde_json::{Value, json};
use testbed::{ControlPlane, Options};

use crate::bench::load::{Load, evenly};
use crate::bench::operator::{self, Operator};
use crate::bench::watcher::{Lateness, Stopwatch, Watcher};
use crate::bench::{bare_burst, late, per_object, row, server_cpu};

/// How long any run may take.
const RUN_TIMEOUT: Duration = Duration::from_mins(10);

/// What the API server calls the requests of ours, but for leases.
const FLOW: &str = "flow_schema=\"groundskeeper\"";

/// Deletions per second of the stream.
const STREAM_PER_SECOND: u32 = 500;

pub(super) struct Bench {
    cluster: ControlPlane,
    binary: PathBuf,
    admin: Client,
}

/// How a leader ends.
#[derive(Clone, Copy)]
enum End {
    Killed,
    Asked,
}

/// What the API server has counted of our requests.
#[derive(Clone, Copy)]
struct Served {
    dispatched: f64,
    rejected: f64,
}

impl Bench {
    pub(super) async fn start(binary: Option<PathBuf>) -> Result<Self> {
        let binary = binary.map_or_else(operator::build, Ok)?;
        println!("starting etcd and kube-apiserver…");
        let cluster = ControlPlane::start(Options::api_server_only()).await?;
        operator::install_all(&cluster, &binary)?;
        operator::served(&cluster).await?;
        let admin = cluster.admin().client()?;
        Ok(Self { cluster, binary, admin })
    }

    pub(super) async fn stop(self) {
        drop(self.cluster.stop().await);
    }

    /// Everything is due as soon as the policy is there: a bare client's rate and ours, in turns. Who is first takes turns, too,
    /// for the server becomes slower with what it has stored.
    pub(super) async fn at_once(&self, objects: usize, rounds: u16) -> Result<()> {
        let mut pairs = Vec::new();
        for round in 0..rounds {
            pairs.push(if round % 2 == 0 {
                let bare = self.bare_rate(objects).await?;
                (bare, self.own_rate(objects).await?)
            } else {
                let ours = self.own_rate(objects).await?;
                (self.bare_rate(objects).await?, ours)
            });
        }
        let ratios: Vec<_> = pairs.iter().map(|(bare, ours)| ours / bare).collect();
        let sum = |part: fn(&(f64, f64)) -> f64| pairs.iter().map(part).sum::<f64>();
        let each: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        let measured = format!(
            "{:.2} ± {} (pair by pair: {})",
            sum(|(_, ours)| *ours) / sum(|(bare, _)| *bare),
            standard_error(&ratios),
            each.join(", ")
        );
        row(
            &format!(
                "{objects} due at once, ratio to the bare client with 32 in flight, ± its standard error"
            ),
            &measured,
            "≥ 0.9",
        );
        Ok(())
    }

    async fn bare_rate(&self, objects: usize) -> Result<f64> {
        let load = Load::new(&self.cluster, "bare").await?;
        load.create("a", objects, 200).await?;
        let before = server_cpu(&self.cluster)?;
        let rate = load.delete_all("a", objects, 32).await?;
        let servers = per_object(server_cpu(&self.cluster)? - before, objects);
        let measured = format!("{rate:.0} deletes/s ({servers} of the servers' CPU each)");
        row("bare client, 32 in flight", &measured, "baseline");
        Ok(rate)
    }

    async fn own_rate(&self, objects: usize) -> Result<f64> {
        let load = Load::new(&self.cluster, "ours").await?;
        load.create("a", objects, 200).await?;
        let operator = Operator::start(&self.cluster, &self.binary).await?;
        let (before, cpu) = (self.served().await?, (server_cpu(&self.cluster)?, operator.cpu()?));
        load.policy(1).await?;
        let rate = operator.deletion_rate(objects, RUN_TIMEOUT).await?;
        let servers = per_object(server_cpu(&self.cluster)? - cpu.0, objects);
        let own = per_object(operator.cpu()? - cpu.1, objects);
        let measured = format!("{rate:.0} deletes/s ({servers} of the servers' CPU and {own} of ours each)");
        row("groundskeeper, limit lifted", &measured, "");
        self.tell_served(before, objects).await?;
        Ok(rate)
    }

    /// Created as fast as the server takes them, due half a minute later.
    pub(super) async fn burst(&self, objects: usize, rounds: u16) -> Result<()> {
        const TTL_SECONDS: i64 = 30;
        let mut all = Vec::new();
        for _ in 0..rounds {
            bare_burst(&self.cluster, objects, TTL_SECONDS).await?;
            let load = Load::new(&self.cluster, "burst").await?;
            let operator = Operator::start(&self.cluster, &self.binary).await?;
            load.policy(TTL_SECONDS).await?;
            let rate = load.create("a", objects, 200).await?;
            let lateness = operator.lateness(objects, RUN_TIMEOUT).await?;
            late(&format!("{objects} created at {rate:.0}/s, due 30 s later"), &lateness, "p99 < 1 s");
            all.push(lateness.percentile(0.99));
        }
        let middle = format!("p99 {:.0} ms", Lateness::new(all).percentile(0.5) * 1_000.0);
        row(&format!("the round in the middle of {rounds}"), &middle, "p99 < 1 s");
        Ok(())
    }

    /// How many marked objects are created in a second, with a policy that reads marks and without, in turns.
    pub(super) async fn authors(&self, objects: usize) -> Result<()> {
        const ROUNDS: usize = 4;
        let operator = Operator::start(&self.cluster, &self.binary).await?;
        let mark = |_| json!({"groundskeeper.dev/ttl": "1h"});
        let [mut without, mut watched, mut with] = [0.0; 3];
        let mut cpu = 0.0;
        for _ in 0..ROUNDS {
            let load = Load::new(&self.cluster, "without").await?;
            without += load.create_marked("a", objects, mark).await? / ROUNDS as f64;
            let load = Load::new(&self.cluster, "watched").await?;
            let watcher = Watcher::start(&self.cluster, load.namespace(), 0).await?;
            watched += load.create_marked("a", objects, mark).await? / ROUNDS as f64;
            drop(watcher);
            let load = Load::new(&self.cluster, "with").await?;
            load.policy_with(&marks()).await?;
            let before = operator.cpu()?;
            with += load.create_marked("a", objects, mark).await? / ROUNDS as f64;
            cpu += operator.cpu()? - before;
        }
        row("creation of marked objects, no policy", &format!("{without:.0}/s"), "baseline");
        let times = |rate: f64| format!("{rate:.0}/s, {:.2} times that without", rate / without);
        row("the same with a bare client's watch of them", &times(watched), "");
        let each = per_object(cpu, ROUNDS * objects);
        row(
            "the same with a policy on marks",
            &format!("{}; {each} of our CPU each, on the same machine", times(with)),
            "1",
        );
        Ok(())
    }

    /// From the start, and from a take-over, to the first deletion that is due.
    pub(super) async fn first_deletions(&self) -> Result<()> {
        const GOAL: &str = "< 3 s (the best rival: 60 s)";
        let load = Load::new(&self.cluster, "start").await?;
        load.policy_with(&marks()).await?;
        let start = async || Operator::spawn(&self.cluster, &self.binary);
        let (seconds, operator) = self.until_first_deletion(&load, "start", start).await?;
        row("start to the first deletion that is due", &format!("{seconds:.2} s"), GOAL);
        drop(operator);
        for end in [End::Killed, End::Asked] {
            let flags = ["--lease-duration=4s", "--lease-renew-deadline=3s", "--lease-retry-period=1s"];
            let flags = flags.map(str::to_owned);
            let first = Operator::spawn_with(&self.cluster, &self.binary, &flags)?;
            first.ready().await?;
            first.leads(RUN_TIMEOUT).await?;
            let second = Operator::spawn_with(&self.cluster, &self.binary, &flags)?;
            second.ready().await?;
            // A standby that has only just come has yet to look for the first time.
            tokio::time::sleep(Duration::from_secs(3)).await;
            let (prefix, what) = match end {
                End::Killed => ("killed", "take-over after SIGKILL"),
                End::Asked => ("asked", "planned hand-over"),
            };
            match end {
                End::Killed => first.kill()?,
                End::Asked => first.stop().await?,
            }
            let take_over = async || second.leads(RUN_TIMEOUT).await;
            let (seconds, ()) = self.until_first_deletion(&load, prefix, take_over).await?;
            row(
                &format!("{what}: from leading to the first deletion that is due"),
                &format!("{seconds:.2} s"),
                GOAL,
            );
        }
        Ok(())
    }

    /// An object is made that is due; then this begins; seconds from there to the object's deletion.
    async fn until_first_deletion<T>(
        &self,
        load: &Load,
        prefix: &str,
        begin: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<(f64, T)> {
        let past = later(-1.0)?;
        let watcher = Watcher::start(&self.cluster, load.namespace(), 0).await?;
        load.create_marked(prefix, 1, |_| expires(past)).await?;
        let begun = begin().await?;
        let clock = Stopwatch::start();
        drop(watcher.finish(1, RUN_TIMEOUT).await?);
        Ok((clock.seconds(), begun))
    }

    /// Very many live objects, of which some fall due at an even pace.
    pub(super) async fn stream(&self, live: usize, due: usize) -> Result<()> {
        let load = Load::new(&self.cluster, "floor").await?;
        let floor = due.min(5_000);
        load.create("a", floor, 200).await?;
        let moments = evenly(later(0.0)?, STREAM_PER_SECOND, floor).into_iter().enumerate();
        let floor = load.delete_on_time("a", moments.collect(), 64).await?;
        late(
            &format!("bare client, {STREAM_PER_SECOND} per second on time"),
            &Lateness::new(floor),
            "baseline",
        );

        let load = Load::new(&self.cluster, "stream").await?;
        let operator = Operator::start(&self.cluster, &self.binary).await?;
        let empty = operator.resident_bytes()?;
        load.policy_with(&marks()).await?;
        let far = later(30.0 * 86_400.0)?;
        let rate = load.create_marked("kept", live - due, |_| expires(far)).await?;
        // The last is created before the first falls due, also if the server becomes slower.
        let first = later(10.0 + due as f64 / rate * 1.7)?;
        let moments = evenly(first, STREAM_PER_SECOND, due);
        load.create_marked("a", due, |number| expires(moments[number])).await?;
        let spare = first.duration_since(SystemClock.now()).as_secs_f64();
        let before = self.served().await?;
        let full = operator.resident_bytes()?;
        let what = format!(
            "{live} live (created at {rate:.0}/s), {due} due at {STREAM_PER_SECOND} per second, all there {spare:.0} s before"
        );
        late(&what, &operator.lateness(due, RUN_TIMEOUT).await?, "p99 < 300 ms");
        self.tell_served(before, due).await?;
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0);
        row(
            &format!("resident memory, empty and with {live} live"),
            &format!("{}, {}", mib(empty), mib(full)),
            "",
        );
        drop(operator);

        let start = async || Operator::spawn(&self.cluster, &self.binary);
        let (seconds, operator) = self.until_first_deletion(&load, "past", start).await?;
        let what = format!("start among {} live ones to the first deletion that is due", live - due);
        row(&what, &format!("{seconds:.2} s"), "< 3 s (the best rival: 60 s)");
        drop(operator);
        Ok(())
    }

    async fn served(&self) -> Result<Served> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = self.admin.request_text(request).await.context("reading the API server's metrics")?;
        let sum = |name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(FLOW));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        Ok(Served {
            dispatched: sum("apiserver_flowcontrol_dispatched_requests_total{"),
            rejected: sum("apiserver_flowcontrol_rejected_requests_total{"),
        })
    }

    /// What the API server has counted since.
    async fn tell_served(&self, before: Served, deletions: usize) -> Result<()> {
        let now = self.served().await?;
        let requests = now.dispatched - before.dispatched;
        let each = format!("{:.3} ({requests} in all)", requests / deletions as f64);
        row("requests that the API server served us, for each deletion", &each, "≤ 1.1");
        let rejected = format!("{}", now.rejected - before.rejected);
        row("requests of ours that priority and fairness rejected", &rejected, "0");
        Ok(())
    }
}

/// The standard error of the mean, in words; one value alone tells of none.
fn standard_error(values: &[f64]) -> String {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    if values.len() < 2 { "?".to_owned() } else { format!("{:.2}", (squares / (count - 1.0) / count).sqrt()) }
}

pub(in crate::bench) fn later(seconds: f64) -> Result<Timestamp> {
    Ok(SystemClock.now().checked_add(SignedDuration::try_from_secs_f64(seconds)?)?)
}

/// A `ttl` by which objects say themselves when they go.
pub(in crate::bench) fn marks() -> Value {
    json!({"marks": {"sources": ["Groundskeeper"]}})
}

/// Annotations of an object that goes at this moment.
pub(in crate::bench) fn expires(at: Timestamp) -> Value {
    json!({"groundskeeper.dev/expires": at.to_string()})
}
