//! What people mean when they write what is not there.

use units::Segment;

use super::limits::{NAMES_SHOWN_MAX, SLIPS_MAX};
use super::schema::Node;

/// What tools and people call phases, and what to write for them: kind, phase, advice.
const PHASES_MEANT: [(&str, &str, &str); 5] = [
    (
        "PersistentVolumeClaim",
        "Released",
        "write `Lost` for claims whose volume is gone; `Released` is a phase of a PersistentVolume",
    ),
    ("Pod", "Completed", "write `Succeeded`, which kubectl shows as Completed"),
    ("Pod", "Evicted", "write `Failed`, and ask that `status.reason` Equals `Evicted`"),
    ("Pod", "Error", "write `Failed`, which kubectl shows as Error"),
    ("Pod", "Terminating", "leave it out: an object that is being deleted already is left alone"),
];

/// What to write for a phase that the kind does not have, if it is a common mistake.
pub(super) fn phase_meant(kind: &str, phase: &str) -> Option<&'static str> {
    PHASES_MEANT
        .iter()
        .find(|(of, given, _)| *of == kind && given.eq_ignore_ascii_case(phase))
        .map(|(_, _, advice)| *advice)
}

/// What to write for phases of a kind that has none.
pub(super) fn instead_of_phase(root: &Node<'_>, kind: &str, phases: &[String]) -> String {
    let has_conditions = root.follow(&["status", "conditions"].map(|key| Segment::Key(key.into()))).is_ok();
    if !has_conditions {
        return "leave phase out".to_owned();
    }
    let mut types: Vec<_> = phases.iter().map(|phase| condition_for(kind, phase)).collect();
    types.dedup();
    let asks: Vec<_> = types
        .iter()
        .map(|type_| {
            format!(
                "{{fieldPath: 'status.conditions[?type={type_}].status', operator: Equals, value: 'True'}}"
            )
        })
        .collect();
    format!("ask for its conditions: `or: [{}]`", asks.join(", "))
}

/// The type of the condition that says what a phase would.
fn condition_for<'p>(kind: &str, phase: &'p str) -> &'p str {
    match (kind, phase) {
        ("Job", "Succeeded" | "Completed") => "Complete",
        (_, phase) => phase,
    }
}

/// The one of these names that was probably meant.
pub(super) fn nearest<'n>(given: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = names.map(|name| (slips(given, name), name)).min()?;
    (near.0 <= SLIPS_MAX && near.0 < given.chars().count()).then_some(near.1)
}

/// Characters that have to be put in, taken out or replaced to make one name of the other; case does not count.
fn slips(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.to_lowercase().chars().enumerate() {
        let mut left = at + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (pair, d) in row.windows(2).zip(&other) {
            let &[above_left, above] = pair else { continue };
            left = (above_left + usize::from(c != *d)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// Names in a row, cut where it gets long.
pub(super) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 if names.is_empty() => "none".to_owned(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
