//! What the house needs besides the product: one subcommand, one module.
//!
//! Every subcommand works on the repository that this crate lies in, whatever the current directory. Output is for
//! people; the exit status is for machines: 0 when all is well, 1 when something has to be done.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool: its output is its work")]

mod bench;
mod demo;
mod generate;
mod repo;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::repo::Repo;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what Groundskeeper does, on a real control plane that this builds and starts by itself.
    Demo(demo::Args),
    /// Fails where the repository breaks one of its own rules; lists the largest functions and files.
    Tidy,
    /// Writes every generated file anew.
    Generate,
    /// Measures the garbage collector against a real control plane; prints a table in Markdown.
    Bench(bench::Args),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Tidy => tidy::run(&Repo::open()?),
        Command::Generate => generate::run(&Repo::open()?),
        Command::Bench(args) => bench::run(&args),
    }
}
