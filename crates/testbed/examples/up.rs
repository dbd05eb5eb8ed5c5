//! Runs a control plane until Enter is pressed, or this program ends in any other way.
//!
//! `cargo run -p testbed --example up [-- api-server-only]`

#![allow(clippy::print_stdout, reason = "a program for people")]
#![allow(clippy::disallowed_methods, reason = "it says how long the start took")]

use std::io;
use std::time::Instant;

use testbed::{ControlPlane, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let options = match std::env::args().nth(1).as_deref() {
        Some("api-server-only") => Options::api_server_only(),
        _ => Options::new(),
    };
    let cluster = ControlPlane::start(options).await?;
    println!("ready after {} ms:", begun.elapsed().as_millis());
    for (name, pid) in cluster.processes() {
        println!("  {name} (process {pid})");
    }
    println!("Enter ends it. Until then:");
    println!("  export KUBECONFIG={}", cluster.admin().kubeconfig().display());
    println!("  {} get namespaces", cluster.kubectl().display());
    io::stdin().read_line(&mut String::new())?;

    let begun = Instant::now();
    let killed = cluster.stop().await;
    println!("stopped after {} ms; killed: {killed:?}", begun.elapsed().as_millis());
    Ok(())
}
