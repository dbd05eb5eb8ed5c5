//! The explanation for people.

use std::fmt::Write as _;

use super::{Decider, Explanation};
use crate::kind_name::KindName;
use crate::output::printable;
use crate::plan::table::{cell, grid, place, relative, whole_seconds};

const HEADER: [&str; 5] = ["POLICY", "VERDICT", "REASON", "EXPIRES", "MESSAGE"];

/// The answer, with nothing in it that steers a terminal.
pub(super) fn render(explanation: &Explanation, asked: &KindName) -> String {
    let at = whole_seconds(explanation.at);
    let mut text = String::new();
    // Writing to a string does not fail.
    if let Some(object) = &explanation.object {
        let _ = writeln!(text, "{} {} (at {at})", printable(&object.kind), place(object));
        let row = |item: &gc::Item| {
            let expires = item.expires_at.map(|expires_at| relative(expires_at, explanation.at));
            vec![
                cell(&item.policy),
                item.verdict.to_owned(),
                item.reason.to_owned(),
                expires.unwrap_or_else(|| "-".to_owned()),
                cell(&item.message),
            ]
        };
        let _ = writeln!(text, "\n{}\n", grid(&HEADER, explanation.verdicts.iter().map(row)));
        let _ = writeln!(text, "{}", printable(&decision(explanation)));
    } else {
        let _ = writeln!(text, "No policy looks at {}.", printable(&asked.kind));
    }
    for policy in &explanation.unusable {
        let _ = writeln!(text, "Not judged by policy {}", printable(policy));
    }
    text
}

/// Which policy decides, as a sentence.
fn decision(explanation: &Explanation) -> String {
    let Some(Decider { policy, effect, expires_at }) = &explanation.decides else {
        return "No policy deletes it.".to_owned();
    };
    let when = expires_at.map(|at| relative(at, explanation.at)).unwrap_or_default();
    match *effect {
        "Keep" => format!("Policy {policy} decides: it keeps the object."),
        "Report" => format!(
            "Nothing goes: by policy {policy}, which deletes nothing as it stands, it would be due {when}."
        ),
        _ => format!("Policy {policy} decides: due {when}."),
    }
}
