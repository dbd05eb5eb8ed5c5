//! A plan for people.

use std::fmt::Write as _;

use comfy_table::{Table, presets};
use gc::{Item, ObjectName, Plan, Summary};
use jiff::Timestamp;
use units::span_text;

use crate::limits::CELL_CHARS_MAX;
use crate::output::printable;

const HEADER: [&str; 7] = ["POLICY", "KIND", "NAMESPACE/NAME", "VERDICT", "REASON", "EXPIRES", "MESSAGE"];

/// Spaces between two columns, as in `kubectl`.
const GAP: u16 = 3;

/// How much of each object a row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// What fits on a terminal.
    Narrow,
    /// The reason as a sentence, too.
    Wide,
}

impl Width {
    const fn columns(self) -> usize {
        match self {
            Self::Narrow => HEADER.len() - 1,
            Self::Wide => HEADER.len(),
        }
    }
}

/// Which objects have a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    All,
    /// Those that a policy selects.
    Selected,
}

/// The table, how much of it is hidden, and a summary. `left_out` are objects that the plan does not hold.
pub(super) fn render(plan: &Plan, left_out: u64, rows: Rows, width: Width) -> String {
    let is_shown = |item: &&Item| rows == Rows::All || item.reason != "NotSelected";
    let shown: Vec<_> = plan.items.iter().filter(is_shown).collect();
    let hidden = plan.items.len() - shown.len();
    let mut text = String::new();
    if !shown.is_empty() {
        text += &table(&shown, plan.at, width);
        text += "\n\n";
    }
    text += &footer((hidden, left_out), &plan.summary, plan.at);
    text
}

fn table(items: &[&Item], at: Timestamp, width: Width) -> String {
    let header: Vec<_> = HEADER.into_iter().take(width.columns()).collect();
    grid(&header, items.iter().map(|item| cells(item, at).into_iter().take(width.columns()).collect()))
}

/// A table for people, as `kubectl` writes it; without a line end behind it.
pub(crate) fn grid(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.trim_fmt()
}

fn cells(item: &Item, at: Timestamp) -> [String; 7] {
    let expires = item.expires_at.map_or_else(|| "-".to_owned(), |expires_at| relative(expires_at, at));
    [
        cell(&item.policy),
        cell(&item.object.kind),
        place(&item.object),
        item.verdict.to_owned(),
        item.reason.to_owned(),
        expires,
        cell(&item.message),
    ]
}

/// Namespace and name, or the name of what lies in no namespace.
pub(crate) fn place(object: &ObjectName) -> String {
    let name = if object.name.is_empty() { "<no name>" } else { &*object.name };
    if object.namespace.is_empty() { cell(name) } else { cell(&format!("{}/{name}", object.namespace)) }
}

/// A text as it fits into a cell: on one line, and not endless.
pub(crate) fn cell(text: &str) -> String {
    let mut clipped: String = text.chars().take(CELL_CHARS_MAX).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    printable(&clipped).into_owned()
}

/// A moment as seen from another: `in 5m`, `3h2m ago`, in its two largest units as `kubectl` writes ages.
pub(crate) fn relative(moment: Timestamp, from: Timestamp) -> String {
    let seconds = moment.duration_since(from).as_secs();
    if seconds > 0 { format!("in {}", span_text(seconds)) } else { format!("{} ago", span_text(-seconds)) }
}

fn footer((hidden, left_out): (usize, u64), summary: &Summary, at: Timestamp) -> String {
    let mut text = String::new();
    let all_hidden = u64::try_from(hidden).unwrap_or(u64::MAX).saturating_add(left_out);
    if all_hidden > 0 {
        // Writing to a string does not fail.
        let _ = writeln!(text, "Not shown: {all_hidden} that the policies do not select (--all shows them).");
    }
    let Summary { delete, keep, protected, unresolvable } = summary;
    let (keep, at) = (keep - hidden, whole_seconds(at));
    let _ = writeln!(
        text,
        "{delete} to delete, {keep} to keep, {protected} protected, {unresolvable} unresolvable (at {at})"
    );
    text
}

/// The time as people write it.
pub(crate) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_seen_from_another() {
        let table = [
            (0, "0s ago"),
            (1, "in 1s"),
            (-59, "59s ago"),
            (300, "in 5m"),
            (-7_320, "2h2m ago"),
            (90_061, "in 1d1h"),
        ];
        let from: Timestamp = "2026-11-21T04:00:00Z".parse().unwrap();
        for (seconds, expected) in table {
            let moment = Timestamp::from_second(from.as_second() + seconds).unwrap();
            assert_eq!(relative(moment, from), expected);
        }
    }

    #[test]
    fn the_ends_of_time_can_be_written() {
        assert!(relative(Timestamp::MAX, Timestamp::MIN).starts_with("in "));
        assert!(relative(Timestamp::MIN, Timestamp::MAX).ends_with(" ago"));
    }

    #[test]
    fn a_cell_is_one_line_of_bounded_length() {
        assert_eq!(cell("a\nb\u{1b}[2J"), "a\u{fffd}b\u{fffd}[2J");
        assert_eq!(cell(&"x".repeat(1_000_000)).chars().count(), CELL_CHARS_MAX + 1);
    }
}
