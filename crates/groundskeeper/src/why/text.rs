//! The answer for people.

use std::fmt::Write as _;

use gc::Item;

use super::Answer;
use super::account::{Deed, Incarnation};
use super::departures;
use super::live::Live;
use crate::output::printable;

/// The answer, with nothing in it that steers a terminal.
pub(super) fn render(answer: &Answer) -> String {
    let mut lines = Vec::new();
    past(answer, &mut lines);
    departures::render(&answer.departures, &mut lines);
    lines.push(String::new());
    now(answer, &mut lines);
    let mut text = String::new();
    for line in lines {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", printable(&line));
    }
    text
}

fn past(answer: &Answer, lines: &mut Vec<String>) {
    let super::Asked { kind, namespace, name } = &answer.object;
    if let Some(unread) = &answer.ledger_unread {
        return lines.push(format!("The ledger was not asked: {unread}."));
    }
    if answer.incarnations.is_empty() {
        return lines.push(format!(
            "The ledger has no record of {kind}/{name} in namespace {namespace}: nothing was done to it, or the record is in another pod's ledger or retired."
        ));
    }
    if answer.records_left_out > 0 {
        lines.push(format!("Not shown: {} older records.", answer.records_left_out));
    }
    for (index, incarnation) in answer.incarnations.iter().enumerate() {
        if index > 0 {
            lines.push(String::new());
        }
        let Incarnation { api_version, kind, namespace, name, uid, acts } = incarnation;
        lines.push(format!("{kind} ({api_version}) {namespace}/{name}, UID {uid}"));
        acts.iter().for_each(|act| tell(act, lines));
    }
}

fn tell(act: &Deed, lines: &mut Vec<String>) {
    let outcome = match (&act.outcome, act.settled_later) {
        (None, _) => "no outcome yet".to_owned(),
        (Some(outcome), false) => outcome.clone().into_owned(),
        (Some(outcome), true) => format!("{outcome} (found out afterwards)"),
    };
    let why = [act.reason.clone(), act.message.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let why = if why.is_empty() { why } else { format!(": {why}") };
    lines.push(format!("  {}  {}: {outcome}{why}", act.time, act.act.as_deref().unwrap_or("act")));
    if let Some(rule) = &act.rule {
        let controller = act.controller.as_deref().unwrap_or("-");
        lines.push(format!(
            "    rule      {} (generation {}, UID {}), controller {controller}",
            rule.policy, rule.generation, rule.uid
        ));
    }
    let mut evidence: Vec<_> = act.evidence.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if !act.resource_version.is_empty() {
        evidence.push(format!("resourceVersion={}", act.resource_version));
    }
    if !evidence.is_empty() {
        lines.push(format!("    evidence  {}", evidence.join(", ")));
    }
    let epoch = act.epoch.map(|epoch| format!(", epoch {epoch}")).unwrap_or_default();
    let trace = act.trace.as_ref().map(|trace| format!(", trace {trace}")).unwrap_or_default();
    lines.push(format!("    by        {}{epoch}, record {}{trace}", act.instance, act.sequence));
}

fn now(answer: &Answer, lines: &mut Vec<String>) {
    let super::Asked { kind, namespace, name } = &answer.object;
    let Some(Live { at, policies, verdicts, unusable }) = &answer.now else {
        let unread = answer.cluster_unread.as_deref().unwrap_or_default();
        return lines.push(format!("The cluster was not asked: {unread}."));
    };
    match (policies, verdicts.is_empty()) {
        (0, _) => lines.push(format!("Now ({at:.0}): no policy in namespace {namespace} looks at {kind}.")),
        (_, true) => {
            lines.push(format!("Now ({at:.0}): there is no {kind}/{name} in namespace {namespace}."));
        }
        (_, false) => lines.push(format!("Now ({at:.0}), UID {}:", uid(verdicts))),
    }
    for Item { policy, verdict, reason, message, .. } in verdicts {
        lines.push(format!("  policy {policy}: {verdict}, {reason}: {message}"));
    }
    for policy in unusable {
        lines.push(format!("  policy {policy}"));
    }
}

fn uid(verdicts: &[Item]) -> String {
    verdicts.first().map(|item| item.object.uid.to_string()).unwrap_or_default()
}
