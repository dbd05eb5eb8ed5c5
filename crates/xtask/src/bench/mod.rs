//! `cargo xtask bench`: what the garbage collector does to a real control plane, in numbers.
//!
//! Every number stands beside what a bare client reaches in the same run, for machines differ and are shared. Prints a
//! table in Markdown; what is worth keeping goes to `docs/performance.md` by hand. Nothing here is a test: no number
//! makes it fail.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "measurements are rounded anyway"
)]
#![allow(clippy::indexing_slicing, reason = "indexing JSON gives null where there is nothing")]

mod admission;
mod gc;
mod load;
mod nodes;
mod operator;
mod service_account;
mod watcher;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use control::{Clock as _, SystemClock};
use testbed::{ControlPlane, Options};

use load::{Load, evenly};
use operator::Operator;
use watcher::{Lateness, Watcher};

/// What `bench` is told.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Objects in the runs of throughput.
    #[arg(long, default_value_t = 6_000)]
    objects: usize,

    /// Objects that are tracked while memory is measured.
    #[arg(long, default_value_t = 50_000)]
    tracked: usize,

    /// Only this run. May be given again. Default: all.
    #[arg(long, value_enum)]
    only: Vec<Run>,

    /// The operator to measure. Default: it is built from this repository.
    #[arg(long, value_name = "FILE")]
    operator: Option<PathBuf>,

    #[command(subcommand)]
    suite: Option<Suite>,
}

/// Other things to measure than what the operator does with its defaults.
#[derive(Clone, Debug, clap::Subcommand)]
enum Suite {
    /// What the garbage collector promises of its speed: in process, then against a real control plane.
    Gc(gc::Args),
    /// What the departure of very many nodes costs while the leader dies.
    Nodes(nodes::Args),
    /// One measurement of `gc`, for itself alone.
    #[command(hide = true)]
    Tracked(gc::Tracked),
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Run {
    /// Deletes per second.
    Throughput,
    /// Lateness of objects that fall due steadily.
    Stream,
    /// Lateness of objects that fall due together.
    Burst,
    /// Time from start to first deletion.
    Start,
    /// Bytes per tracked object; then CPU and writes while nothing happens.
    Memory,
    /// Time until a standby leads.
    Failover,
    /// Time that an admission review takes among many.
    Admission,
}

/// Seconds that objects of the lateness runs live.
const TTL_SECONDS: i64 = 15;

/// How long any run may take.
const RUN_TIMEOUT: Duration = Duration::from_mins(5);

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        return in_release();
    }
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match &args.suite {
        None => runtime()?.block_on(measure(args))?,
        Some(Suite::Gc(args)) => runtime()?.block_on(gc::measure(args))?,
        Some(Suite::Nodes(args)) => runtime()?.block_on(nodes::measure(args))?,
        Some(Suite::Tracked(args)) => gc::track(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Numbers of an unoptimised build say nothing: runs itself again, optimised.
fn in_release() -> Result<ExitCode> {
    println!("building optimised (minutes, the first time)…");
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--package", "xtask", "--", "bench"])
        .args(std::env::args().skip_while(|argument| argument != "bench").skip(1))
        .status()
        .context("running cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(args: &Args) -> Result<()> {
    let binary = args.operator.clone().map_or_else(operator::build, Ok)?;
    println!("starting etcd and kube-apiserver…");
    let cluster = ControlPlane::start(Options::api_server_only()).await?;
    operator::install(&cluster, &binary)?;
    operator::served(&cluster).await?;
    let bench = Bench { cluster, binary };

    head();
    let wanted = |run| args.only.is_empty() || args.only.contains(&run);
    if wanted(Run::Throughput) {
        bench.throughput(args.objects).await?;
    }
    if wanted(Run::Stream) {
        bench.lateness_of_a_stream().await?;
    }
    if wanted(Run::Burst) {
        bench.lateness_of_a_burst().await?;
    }
    if wanted(Run::Start) {
        bench.first_deletion().await?;
    }
    if wanted(Run::Memory) {
        bench.memory(args.tracked).await?;
    }
    if wanted(Run::Failover) {
        bench.failover().await?;
    }
    if wanted(Run::Admission) {
        bench.admission().await?;
    }
    drop(bench.cluster.stop().await);
    Ok(())
}

struct Bench {
    cluster: ControlPlane,
    binary: PathBuf,
}

impl Bench {
    /// Deletes per second: a bare client with so many in flight, and the operator with its limit lifted.
    async fn throughput(&self, objects: usize) -> Result<()> {
        let mut bare = Vec::new();
        for in_flight in [1, 16, 32, 64, 32] {
            let load = Load::new(&self.cluster, "bare").await?;
            // One at a time is slow: fewer objects tell as much.
            let objects = if in_flight == 1 { objects / 4 } else { objects };
            load.create("a", objects, 200).await?;
            let before = server_cpu(&self.cluster)?;
            let rate = load.delete_all("a", objects, in_flight).await?;
            let server = per_object(server_cpu(&self.cluster)? - before, objects);
            let measured = format!("{rate:.0} deletes/s ({server} of the servers' CPU each)");
            row(&format!("bare client, {in_flight} in flight"), &measured, "baseline");
            if in_flight == 32 {
                bare.push(rate);
            }
        }
        let baseline = bare.iter().sum::<f64>() / bare.len() as f64;

        let mut ours = Vec::new();
        for _ in 0..2 {
            let load = Load::new(&self.cluster, "ours").await?;
            load.create("a", objects, 200).await?;
            let operator = Operator::start(&self.cluster, &self.binary).await?;
            let before = (server_cpu(&self.cluster)?, operator.cpu()?);
            load.policy(1).await?;
            let rate = operator.deletion_rate(objects, RUN_TIMEOUT).await?;
            let server = per_object(server_cpu(&self.cluster)? - before.0, objects);
            let own = per_object(operator.cpu()? - before.1, objects);
            let measured =
                format!("{rate:.0} deletes/s ({server} of the servers' CPU and {own} of ours each)");
            row("groundskeeper, limit lifted", &measured, "");
            ours.push(rate);
        }
        let ours = ours.iter().sum::<f64>() / ours.len() as f64;
        row("ratio to the bare client with 32 in flight", &format!("{:.2}", ours / baseline), "≥ 0.8");
        Ok(())
    }

    /// 100 objects are created in every second, so 100 fall due in every second, all at its start.
    async fn lateness_of_a_stream(&self) -> Result<()> {
        self.bare_bursts().await?;
        for (per_second, goal) in [(33, "p50 < 21 ms, p99 < 87 ms"), (100, "p50 < 20 ms, p99 < 100 ms")] {
            let load = Load::new(&self.cluster, "stream").await?;
            let operator = Operator::start(&self.cluster, &self.binary).await?;
            load.policy(TTL_SECONDS).await?;
            let count = 20 * usize::try_from(per_second)?;
            load.create_steadily("a", count, per_second).await?;
            let what = format!("{per_second} per second, together at its start");
            late(&what, &operator.lateness(count, RUN_TIMEOUT).await?, goal);
        }
        self.lateness_of_an_even_stream(2_000, 100).await
    }

    /// The same, but by marks, which tell fractions of a second: each object falls due at a moment of its own.
    async fn lateness_of_an_even_stream(&self, count: usize, per_second: u32) -> Result<()> {
        let load = Load::new(&self.cluster, "even").await?;
        load.create("a", count, 200).await?;
        let moments = evenly(gc::later(0.0)?, per_second, count);
        let floor = load.delete_on_time("a", moments.into_iter().enumerate().collect(), 32).await?;
        let what = format!("bare client, {per_second} per second, evenly");
        late(&what, &Lateness::new(floor), "baseline");

        let load = Load::new(&self.cluster, "even").await?;
        let operator = Operator::start(&self.cluster, &self.binary).await?;
        load.policy_with(&gc::marks()).await?;
        let moments = evenly(gc::later(TTL_SECONDS as f64)?, per_second, count);
        load.create_marked("a", count, |number| gc::expires(moments[number])).await?;
        ensure!(SystemClock.now() < moments[0], "the objects were not there in time");
        let what = format!("{per_second} per second, evenly");
        late(&what, &operator.lateness(count, RUN_TIMEOUT).await?, "p50 < 20 ms, p99 < 100 ms");
        Ok(())
    }

    /// What a bare client needs for 100 deletions at once, again and again with a second between: the floor.
    async fn bare_bursts(&self) -> Result<()> {
        let load = Load::new(&self.cluster, "floor").await?;
        let mut seconds = Vec::new();
        for burst in 0..12 {
            let prefix = format!("b{burst}");
            load.create_steadily(&prefix, 100, 100).await?;
            seconds.extend(load.delete_at_once(&prefix, 100, 32).await?);
        }
        late("bare client, 100 at once, 32 in flight", &Lateness::new(seconds), "baseline");
        Ok(())
    }

    async fn lateness_of_a_burst(&self) -> Result<()> {
        let (count, goal) = (3_000, "p99 < 1 s");
        for another_client_watches in [false, true] {
            bare_burst(&self.cluster, count, TTL_SECONDS).await?;
            let load = Load::new(&self.cluster, "burst").await?;
            let operator = Operator::start(&self.cluster, &self.binary).await?;
            load.policy(TTL_SECONDS).await?;
            if another_client_watches {
                let watcher = Watcher::start(&self.cluster, load.namespace(), TTL_SECONDS).await?;
                let rate = load.create("a", count, 200).await?;
                let what = format!("{count} created at {rate:.0}/s, as another client's watch sees it");
                late(&what, &watcher.finish(count, RUN_TIMEOUT).await?, goal);
            } else {
                let rate = load.create("a", count, 200).await?;
                let what = format!("{count} created at {rate:.0}/s");
                late(&what, &operator.lateness(count, RUN_TIMEOUT).await?, goal);
            }
        }
        Ok(())
    }

    /// From the start of the process to the first deletion that the server shows.
    async fn first_deletion(&self) -> Result<()> {
        let load = Load::new(&self.cluster, "start").await?;
        load.create("a", 1, 200).await?;
        load.policy(1).await?;
        let watcher = Watcher::start(&self.cluster, load.namespace(), 1).await?;
        // Long enough for the object to have fallen due.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let clock = watcher::Stopwatch::start();
        let operator = Operator::spawn(&self.cluster, &self.binary)?;
        drop(watcher.finish(1, RUN_TIMEOUT).await?);
        row("start to first deletion that is due", &format!("{:.2} s", clock.seconds()), "< 3 s");
        drop(operator);
        let clock = watcher::Stopwatch::start();
        drop(Operator::start(&self.cluster, &self.binary).await?);
        row("start to ready", &format!("{:.2} s", clock.seconds()), "");
        let size = std::fs::metadata(&self.binary)?.len() as f64 / 1024.0 / 1024.0;
        row("size of the program", &format!("{size:.1} MiB"), "");
        Ok(())
    }

    /// Two replicas: the leader is killed, or asked to end; how long until the other leads.
    async fn failover(&self) -> Result<()> {
        for (terms, goal) in [(["15s", "10s", "2s"], "< 17 s"), (["4s", "3s", "1s"], "< 5 s")] {
            let flags: Vec<_> = ["duration", "renew-deadline", "retry-period"]
                .iter()
                .zip(terms)
                .map(|(term, span)| format!("--lease-{term}={span}"))
                .collect();
            let start = async || {
                let operator = Operator::spawn_with(&self.cluster, &self.binary, &flags)?;
                operator.ready().await?;
                anyhow::Ok(operator)
            };
            let mut spans = (Vec::new(), Vec::new());
            for _ in 0..3 {
                let first = start().await?;
                first.leads(RUN_TIMEOUT).await?;
                let second = start().await?;
                first.kill()?;
                let clock = watcher::Stopwatch::start();
                second.leads(RUN_TIMEOUT).await?;
                spans.0.push(clock.seconds());
                let third = start().await?;
                // A standby that has only just come has yet to look for the first time.
                tokio::time::sleep(Duration::from_secs(3)).await;
                second.stop().await?;
                let clock = watcher::Stopwatch::start();
                third.leads(RUN_TIMEOUT).await?;
                spans.1.push(clock.seconds());
                third.stop().await?;
            }
            let text = |spans: &[f64]| {
                spans.iter().map(|span| format!("{span:.2} s")).collect::<Vec<_>>().join(", ")
            };
            let terms = terms.join("/");
            row(&format!("take-over after SIGKILL of the leader, {terms}"), &text(&spans.0), goal);
            row(
                &format!("planned hand-over, after the end of the leader, {terms}"),
                &text(&spans.1),
                "< 1 s",
            );
        }
        Ok(())
    }

    async fn memory(&self, objects: usize) -> Result<()> {
        let load = Load::new(&self.cluster, "memory").await?;
        load.create("a", objects, 1_000).await?;
        let operator = Operator::start(&self.cluster, &self.binary).await?;
        let empty = operator.resident_bytes()?;
        load.policy(86_400).await?;
        operator.tracks(objects, RUN_TIMEOUT).await?;
        let full = operator.resident_bytes()?;
        ensure!(full > empty, "memory did not grow: {empty} to {full}");
        let each = (full - empty) / u64::try_from(objects)?;
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0);
        row(
            &format!("resident memory for {objects} ConfigMaps of 1 KB"),
            &format!("{each} bytes each ({} empty, {} full)", mib(empty), mib(full)),
            "≤ 40 MB + 600 B each",
        );
        self.idle(&operator).await
    }

    /// What an operator costs while nothing happens.
    async fn idle(&self, operator: &Operator) -> Result<()> {
        const SPAN: Duration = Duration::from_mins(2);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let writes = ["POST", "PATCH", "DELETE"];
        let before = (operator.cpu()?, operator.requests(&writes).await?, operator.requests(&["PUT"]).await?);
        tokio::time::sleep(SPAN).await;
        let cpu = (operator.cpu()? - before.0) / SPAN.as_secs_f64() * 100.0;
        row("CPU while idle", &format!("{cpu:.2} % of a core"), "< 0.5 %");
        let written = operator.requests(&writes).await? - before.1;
        let renewed = operator.requests(&["PUT"]).await? - before.2;
        let text = format!("{written} ({renewed} renewals of the lease besides)");
        row("API writes in two minutes, idle", &text, "0 besides leases");
        Ok(())
    }

    /// Policies that are judged in this process, 500 at a time.
    async fn admission(&self) -> Result<()> {
        let namespace = self.cluster.namespace("admission").await?;
        let client = self.cluster.admin().client()?;
        let seconds = admission::judge(client, &namespace, (500, 100)).await?;
        let measured = Lateness::new(seconds);
        let ms = |share: f64| format!("{:.3}", measured.percentile(share) * 1_000.0);
        let text = format!("p50 {} ms, p99 {} ms, most {} ms", ms(0.5), ms(0.99), ms(1.0));
        row("admission in process, 500 reviews at one time", &text, "p99 < 10 ms");
        Ok(())
    }
}

/// What a bare client makes of objects that were created as fast as the server takes them, with none but itself there: the
/// floor of a burst.
async fn bare_burst(cluster: &ControlPlane, count: usize, ttl_seconds: i64) -> Result<()> {
    let load = Load::new(cluster, "floor").await?;
    let rate = load.create("a", count, 200).await?;
    let due = load.due_after(ttl_seconds).await?;
    let seconds = load.delete_on_time("a", due, 32).await?;
    let what = format!("bare client, {count} created at {rate:.0}/s, on time, 32 in flight");
    late(&what, &Lateness::new(seconds), "baseline");
    Ok(())
}

/// Seconds of CPU that etcd and the API server have used so far.
fn server_cpu(cluster: &ControlPlane) -> Result<f64> {
    cluster.processes().iter().map(|(_, pid)| operator::cpu_of(*pid)).sum()
}

fn per_object(seconds: f64, objects: usize) -> String {
    format!("{:.0} µs", seconds * 1e6 / objects as f64)
}

fn head() {
    println!("\n| what | measured | goal |\n|---|---|---|");
}

fn row(what: &str, measured: &str, goal: &str) {
    println!("| {what} | {measured} | {goal} |");
}

fn late(what: &str, lateness: &Lateness, goal: &str) {
    let ms = |share: f64| format!("{:.0}", lateness.percentile(share) * 1_000.0);
    let measured = format!("p50 {} ms, p99 {} ms, most {} ms", ms(0.5), ms(0.99), ms(1.0));
    row(&format!("lateness, {what}"), &measured, goal);
}
