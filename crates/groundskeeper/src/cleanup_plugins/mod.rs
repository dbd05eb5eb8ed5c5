//! `groundskeeper plugins`: what the steps of departures call, and whether it answers.
//!
//! Those that come with us are always there; a `CleanupPlugin` is as ready as its status says, which the operator writes.
//! Only `test` asks a plugin itself.

mod list;
mod row;
mod status;
mod test;

use std::process::ExitCode;

/// What can be asked about plugins.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// List the plugins that steps may name: those that come with Groundskeeper, and those that are declared.
    List(list::Args),
    /// Say what is known of one plugin, and which steps name it.
    #[command(after_long_help = status::HELP)]
    Status(status::Args),
    /// Ask a plugin what it is, whether it could work, and what it would do; nothing is changed.
    #[command(after_long_help = test::HELP)]
    Test(test::Args),
}

/// Runs what was asked for.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => list::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Test(args) => test::run(args).await,
    }
}
