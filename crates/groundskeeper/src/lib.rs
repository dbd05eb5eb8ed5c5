//! The one binary, as a library: what it is asked, what it prints.
//!
//! Each subcommand is a module with its arguments and one function that runs it. Rules live in the engines, calls to a
//! cluster in the chassis; what is here reads files, asks the two, and writes answers. Manifests are functions of the
//! code alone, so that the repository can hold what they return.

#![forbid(unsafe_code)]

pub mod approve;
pub mod audit;
pub mod check;
pub mod cleanup_plugins;
pub mod cli;
mod cluster;
pub mod config;
pub mod diff;
pub mod explain;
pub mod hold;
pub mod import;
pub mod install;
mod kind_name;
mod label_selector;
pub mod limits;
pub mod manifests;
mod moment;
mod names;
pub mod nodes;
mod output;
pub mod plan;
mod progress;
pub mod run;
mod scene;
pub mod simulate;
pub mod uninstall;
pub mod webhook;
pub mod why;

pub use output::complain;
