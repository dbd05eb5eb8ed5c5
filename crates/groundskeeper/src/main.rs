//! Reads the command line, runs it, and says how it went: the one place where an outcome becomes an exit status.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use groundskeeper::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::refuse(&error),
    };
    cli::run(cli).await.unwrap_or_else(|error| {
        groundskeeper::complain(&error);
        ExitCode::FAILURE
    })
}
