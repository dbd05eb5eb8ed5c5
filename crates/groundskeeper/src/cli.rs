//! What can be asked of the program.
//!
//! Exit statuses: 0 is success, 1 any error, also one in the command line itself; a subcommand may give others a
//! meaning, and says so in its help.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    approve, audit, check, cleanup_plugins, config, diff, explain, hold, import, install, manifests, nodes,
    plan, run, simulate, uninstall, why,
};

/// Keeps a Kubernetes cluster's grounds: deletes objects when their time is up, by policies.
#[derive(Clone, Debug, Parser)]
#[command(name = "groundskeeper", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Run the operator, until SIGTERM or SIGINT.
    Run(Box<run::Args>),
    /// Install into a cluster: kinds, rights, guards, the operator itself. May be repeated.
    #[command(after_long_help = install::HELP)]
    Install(Box<install::Args>),
    /// Take out of a cluster all that `install` put there.
    #[command(after_long_help = uninstall::HELP)]
    Uninstall(uninstall::Args),
    /// Look whether a cluster can be installed into, or whether what is installed is sound.
    #[command(after_long_help = check::HELP)]
    Check(check::Args),
    /// Print the CustomResourceDefinitions as YAML, for `kubectl apply --server-side -f -`.
    Crds,
    /// Print the namespace, the service account and its rights as YAML, for `kubectl apply -f -`.
    Rbac(manifests::RbacOptions),
    /// Ask about the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show what policies would do, without a change to anything.
    #[command(after_long_help = plan::HELP)]
    Plan(plan::Args),
    /// Convert what another system was told, and say what is done otherwise.
    #[command(subcommand)]
    Import(import::Command),
    /// Say what every policy makes of an object now, when it goes, and which policy decides.
    #[command(after_long_help = explain::HELP)]
    Explain(explain::Args),
    /// Say what would go when, from one moment to another, without a change to anything.
    #[command(after_long_help = simulate::HELP)]
    Simulate(simulate::Args),
    /// Compare two sets of policies: what they newly match, no longer match, or let go at another time.
    #[command(after_long_help = diff::HELP)]
    Diff(diff::Args),
    /// Let a policy go on that waits for an approval, or one run through its budget.
    #[command(after_long_help = approve::HELP)]
    Approve(approve::Args),
    /// Keep an object, whatever policies say.
    #[command(after_long_help = hold::HELP)]
    Hold(hold::HoldArgs),
    /// Let an object go again that was held.
    #[command(after_long_help = hold::HELP)]
    Unhold(hold::UnholdArgs),
    /// Ask about nodes that leave, and decide about them.
    #[command(subcommand)]
    Nodes(nodes::Command),
    /// Ask about the plugins that departures of nodes call.
    #[command(subcommand)]
    Plugins(cleanup_plugins::Command),
    /// Check what the ledger holds.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Say what was done to an object and why, or why not, from the ledger; and what policies make of it now.
    #[command(after_long_help = why::HELP)]
    Why(why::Args),
}

#[derive(Clone, Debug, Subcommand)]
enum ConfigCommand {
    /// Print what `run` would have with the same flags, file and environment, and where each value comes from.
    Show(Box<config::ShowArgs>),
}

/// Runs what was asked for.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run(args) => return run::run(*args).await,
        Command::Install(args) => return install::run(*args).await,
        Command::Uninstall(args) => return uninstall::run(args).await,
        Command::Check(args) => return check::run(args).await,
        Command::Crds => crate::output::print(&manifests::crds_yaml()?),
        Command::Rbac(options) => crate::output::print(&manifests::rbac_yaml(&options)?),
        Command::Config(ConfigCommand::Show(args)) => return config::show(&args),
        Command::Plan(args) => return plan::run(args).await,
        Command::Import(command) => return import::run(command).await,
        Command::Explain(args) => return explain::run(args).await,
        Command::Simulate(args) => return simulate::run(args).await,
        Command::Diff(args) => return diff::run(args).await,
        Command::Approve(args) => return approve::run(args).await,
        Command::Hold(args) => return hold::hold(args).await,
        Command::Unhold(args) => return hold::unhold(args).await,
        Command::Nodes(command) => return nodes::run(command).await,
        Command::Plugins(command) => return cleanup_plugins::run(command).await,
        Command::Audit(command) => return audit::run(command).await,
        Command::Why(args) => return why::run(args).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Answers a command line that asks for nothing that can be run: help and version, or a mistake.
///
/// A mistake is status 1 as any other error, not clap's 2: that means "something would be deleted" to `plan`.
pub fn refuse(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told if this fails.
    drop(error.print());
    if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_argument_is_explained() {
        let mut command = Cli::command();
        command.build();
        for subcommand in command.get_subcommands() {
            assert!(subcommand.get_about().is_some(), "{}", subcommand.get_name());
            for argument in subcommand.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", subcommand.get_name(), argument.get_id());
            }
        }
    }

    #[test]
    fn help_and_version_succeed_and_mistakes_fail() {
        let table = [
            ("--help", ExitCode::SUCCESS),
            ("--version", ExitCode::SUCCESS),
            ("--wrong", ExitCode::FAILURE),
            ("wrong", ExitCode::FAILURE),
        ];
        for (argument, expected) in table {
            let error = Cli::try_parse_from(["groundskeeper", argument]).unwrap_err();
            assert_eq!(refuse(&error), expected, "{argument}");
        }
    }
}
