//! `cargo xtask bench gc`: what the garbage collector promises of its speed, each number beside its baseline.
//!
//! First the engine alone, in this process, through the decoder that watches in JSON use; then the operator against a real
//! control plane, with all that an installation has but the workload.

mod cluster;
mod engine;
mod things;

use std::path::PathBuf;

use anyhow::Result;

pub(super) use cluster::{expires, later, marks};
pub(super) use engine::{Tracked, track};

use super::{head, row};

/// What `bench gc` is told.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The share of the full sizes that is measured: less tells less, and sooner.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,

    /// Only this run. May be given again. Default: all.
    #[arg(long, value_enum)]
    only: Vec<Run>,

    /// How often what is due at once and the burst are measured, each time beside a bare client: machines that are shared change
    /// their speed, and one round says little.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,

    /// The operator to measure. Default: it is built from this repository.
    #[arg(long, value_name = "FILE")]
    operator: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Run {
    /// Bytes per tracked object, and how long a listing takes. In process.
    Memory,
    /// Objects that conditions judge in a second. In process.
    Conditions,
    /// The cost of an event beside the number of policies. In process.
    Policies,
    /// Deletions per second of what is due at once, and what the API server thinks of it.
    AtOnce,
    /// Lateness of objects that fall due together.
    Burst,
    /// What creating marked objects costs their authors.
    Authors,
    /// Time from the start or from a take-over to the first deletion.
    Start,
    /// Lateness of objects that fall due steadily among very many.
    Stream,
}

impl Run {
    const IN_PROCESS: [Self; 3] = [Self::Memory, Self::Conditions, Self::Policies];
    const IN_CLUSTER: [Self; 5] = [Self::AtOnce, Self::Burst, Self::Authors, Self::Start, Self::Stream];
}

pub(super) async fn measure(args: &Args) -> Result<()> {
    let wanted = |run: &Run| args.only.is_empty() || args.only.contains(run);
    let scaled = |full: usize| ((full as f64 * args.scale) as usize).max(100);
    head();
    row("load of the machine at the start, over 1, 5 and 15 minutes", &load_average()?, "");
    for run in Run::IN_PROCESS.into_iter().filter(wanted) {
        match run {
            Run::Memory => engine::memory(scaled(1_000_000))?,
            Run::Conditions => engine::conditions(scaled(200_000))?,
            _ => engine::policies(scaled(50_000))?,
        }
    }
    let runs: Vec<Run> = Run::IN_CLUSTER.into_iter().filter(wanted).collect();
    if runs.is_empty() {
        return Ok(());
    }
    let bench = cluster::Bench::start(args.operator.clone()).await?;
    head();
    for run in runs {
        row("load of the machine", &load_average()?, "");
        match run {
            Run::AtOnce => bench.at_once(scaled(10_000), args.rounds).await?,
            Run::Burst => bench.burst(scaled(3_000), args.rounds).await?,
            Run::Authors => bench.authors(scaled(4_000)).await?,
            Run::Start => bench.first_deletions().await?,
            _ => bench.stream(scaled(100_000), scaled(32_500)).await?,
        }
    }
    bench.stop().await;
    Ok(())
}

pub(super) fn load_average() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(", "))
}
