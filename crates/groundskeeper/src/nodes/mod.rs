//! `groundskeeper nodes`: what becomes of a node that leaves, and what people do about it.
//!
//! Asks the engine of node cleanup, about objects from files or from a cluster. What changes something writes our own kinds,
//! which the operator acts on; only `cleanup` deletes a Node, and only `release --stand-alone` takes our finalizer off one.

mod answer;
mod cleanup;
mod cluster;
mod decide;
mod drain;
mod list;
mod plan;
pub(crate) mod records;
pub(crate) mod release;
mod stock;
mod watch;
pub(crate) mod who;

use std::process::ExitCode;

use decide::Decision;

/// The version of our kinds.
pub(crate) const OURS: &str = "groundskeeper.dev/v1alpha1";

/// What can be asked and done about nodes.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Say which pods would leave a node, in which order, what stands in the way, and which steps come after.
    #[command(after_long_help = plan::HELP)]
    Plan(plan::Args),
    /// List the nodes that leave: how far they are, since when, and what stands in their way.
    #[command(after_long_help = list::HELP)]
    List(list::Args),
    /// Print a line for whatever changes of a departure, and end with it.
    #[command(after_long_help = watch::HELP)]
    Watch(watch::Args),
    /// Empty a node for a maintenance: it is cordoned, drained and held until `undrain`.
    #[command(after_long_help = drain::HELP)]
    Drain(Box<drain::Args>),
    /// Give a node back that was drained.
    #[command(after_long_help = drain::UNDRAIN_HELP)]
    Undrain(drain::UndrainArgs),
    /// Delete a Node, so that it leaves as its policy says.
    #[command(after_long_help = cleanup::HELP)]
    Cleanup(cleanup::Args),
    /// Stop a departure where it is.
    #[command(after_long_help = decide::HELP)]
    Pause(decide::Given),
    /// Let a departure go on that was paused.
    #[command(after_long_help = decide::HELP)]
    Resume(decide::Given),
    /// Leave a step of a departure out.
    #[command(after_long_help = decide::HELP)]
    SkipStep(decide::StepArgs),
    /// Try a step of a departure again that has failed.
    #[command(after_long_help = decide::HELP)]
    RetryStep(decide::StepArgs),
    /// Give a departure more time before it counts as stuck.
    #[command(after_long_help = decide::HELP)]
    Extend(decide::ExtendArgs),
    /// Let a node go at once, without what has not been done.
    #[command(after_long_help = decide::HELP)]
    Release(release::Args),
}

/// Runs what was asked for.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Plan(args) => plan::run(args).await,
        Command::List(args) => list::run(args).await,
        Command::Watch(args) => watch::run(args).await,
        Command::Drain(args) => drain::run(*args).await,
        Command::Undrain(args) => drain::undo(args).await,
        Command::Cleanup(args) => cleanup::run(args).await,
        Command::Pause(given) => decide::run((given, Decision::Pause)).await,
        Command::Resume(given) => decide::run((given, Decision::Resume)).await,
        Command::SkipStep(args) => decide::run(Decision::skip(args)).await,
        Command::RetryStep(args) => decide::run(Decision::retry(args)).await,
        Command::Extend(args) => decide::run(Decision::extend(args)).await,
        Command::Release(args) => release::run(args).await,
    }
}
