//! `groundskeeper plugins list`.

use std::process::ExitCode;

use serde::Serialize;

use super::row::{self, Row};
use crate::cluster::Connection;
use crate::nodes::OURS;
use crate::output::{self, Form};
use crate::plan::table::{cell, grid};

/// What `plugins list` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    #[command(flatten)]
    connection: Connection,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_version: &'static str,
    kind: &'static str,
    plugins: Vec<Row>,
    warnings: Vec<String>,
}

/// Lists plugins.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connection.cluster().await?;
    let (plugins, warnings) = row::all(&mut cluster).await?;
    match args.output {
        Form::Json => {
            output::print_json(&Answer { api_version: OURS, kind: "Plugins", plugins, warnings })?;
        }
        Form::Table => {
            for warning in &warnings {
                output::tell(&format!("warning: {}\n", output::printable(warning)));
            }
            let cells = |row: &Row| {
                let or_none = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), cell);
                vec![
                    cell(&row.name),
                    row.reached.name().to_owned(),
                    row.readiness().to_owned(),
                    or_none(&row.reason),
                    or_none(&row.describes_itself_as),
                ]
            };
            let header = ["PLUGIN", "TYPE", "READY", "REASON", "CALLS ITSELF"];
            output::print(&(grid(&header, plugins.iter().map(cells)) + "\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
