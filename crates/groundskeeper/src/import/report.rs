//! What an import says: for people, for programs, for `kubectl`.

use std::fmt::Write as _;

use anyhow::Context as _;
use api::garbage_collection::PolicyMode;
use api::{GROUP, VERSION};
use serde_json::{Value, json};

use super::convert::Conversion;
use super::notes::{Bearing, Note};
use crate::output::printable;

/// What is true of every policy.
const REMARKS: &str = "\
Of every policy here: what is protected stays (the namespaces of the cluster itself, Helm's releases, whatever carries \
groundskeeper.dev/protect, objects that are going already); a budget of 50 objects or 10 percent in an hour, whichever \
is more, holds unless the policy has its own; maxDeletionsPerSecond is kept exactly, of which zen-gc reached about half.
`groundskeeper plan -f FILE` shows what they would do. Stop zen-gc before a policy here says `mode: Enforce`.
";

/// What became of all policies.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) accounts: Vec<Account>,
    /// Documents that are no policies of zen-gc.
    pub(super) others: usize,
}

/// What became of one policy.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) origin: String,
    /// Namespace and name that it had.
    pub(super) was: (String, String),
    pub(super) manifest: Option<Value>,
    pub(super) mode: PolicyMode,
    pub(super) notes: Vec<Note>,
}

/// How far a policy is what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Exact,
    Attention,
    NotConverted,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Exact => "Exact",
            Self::Attention => "Attention",
            Self::NotConverted => "NotConverted",
        }
    }
}

impl Account {
    fn outcome(&self) -> Outcome {
        match &self.manifest {
            None => Outcome::NotConverted,
            Some(_) if Conversion::is_exact(&self.notes) => Outcome::Exact,
            Some(_) => Outcome::Attention,
        }
    }

    fn name(&self) -> String {
        match &self.was {
            (namespace, name) if namespace.is_empty() => name.clone(),
            (namespace, name) => format!("{namespace}/{name}"),
        }
    }

    fn becomes(&self) -> String {
        let Some(manifest) = &self.manifest else { return "nothing".to_owned() };
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let namespace = match text("/metadata/namespace") {
            "" => String::new(),
            namespace => format!("{namespace}/"),
        };
        format!("{} {namespace}{}, mode {}", text("/kind"), text("/metadata/name"), text("/spec/mode"))
    }

    fn json(&self) -> Value {
        let (namespace, name) = &self.was;
        json!({
            "origin": self.origin,
            "namespace": namespace,
            "name": name,
            "outcome": self.outcome().name(),
            "mode": self.mode,
            "notes": self.notes,
            "policy": self.manifest,
        })
    }
}

impl Report {
    /// Whether every policy means what it meant.
    pub(super) fn is_exact(&self) -> bool {
        self.count(Outcome::Exact) == self.accounts.len()
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.accounts.iter().filter(|account| account.outcome() == outcome).count()
    }

    /// The policies, as a stream of YAML documents.
    pub(super) fn manifests(&self) -> anyhow::Result<String> {
        let manifests = self.accounts.iter().filter_map(|account| account.manifest.clone()).collect();
        crate::manifests::stream("Converted by `groundskeeper import zen-gc`.", manifests)
    }

    /// Everything, as JSON.
    pub(super) fn json(&self) -> anyhow::Result<String> {
        let policies: Vec<_> = self.accounts.iter().map(Account::json).collect();
        let report = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Import",
            "from": "zen-gc",
            "policies": policies,
            "summary": {
                "exact": self.count(Outcome::Exact),
                "attention": self.count(Outcome::Attention),
                "notConverted": self.count(Outcome::NotConverted),
            },
        });
        let mut text = serde_json::to_string_pretty(&report).context("cannot write JSON")?;
        text.push('\n');
        Ok(text)
    }

    /// What people are to know.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for account in &self.accounts {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{} ({}) -> {}",
                printable(&account.name()),
                printable(&account.origin),
                printable(&account.becomes())
            );
            for Note { bearing, field, message } in &account.notes {
                let field = if field.is_empty() { String::new() } else { format!("{}: ", printable(field)) };
                let _ = writeln!(text, "  {}: {field}{}", bearing.words(), printable(message));
            }
        }
        let newly =
            |account: &&Account| account.notes.iter().any(|note| note.bearing == Bearing::NewlyMatches);
        let _ = writeln!(
            text,
            "\n{}: {} as before, {} to be looked at, {} not converted; {} of them newly match.",
            counted(self.accounts.len(), "policy", "policies"),
            self.count(Outcome::Exact),
            self.count(Outcome::Attention),
            self.count(Outcome::NotConverted),
            self.accounts.iter().filter(newly).count(),
        );
        if self.others > 0 {
            let _ =
                writeln!(text, "Passed over: {}.", counted(self.others, "other document", "other documents"));
        }
        text + REMARKS
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
