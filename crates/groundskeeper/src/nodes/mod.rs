//! `groundskeeper nodes`: what becomes of a node that leaves.
//!
//! Asks the engine of node cleanup, about objects from files or from a cluster. Changes nothing.

mod answer;
mod cluster;
mod plan;
mod stock;

use std::process::ExitCode;

/// What can be asked about nodes.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Say which pods would leave a node, in which order, what stands in the way, and which steps come after.
    #[command(after_long_help = plan::HELP)]
    Plan(plan::Args),
}

/// Runs what was asked for.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Plan(args) => plan::run(args).await,
    }
}
