//! The limits of linting, each with its reason.

/// References that are followed from one schema to the next: Kubernetes has one; more would be a circle.
pub(super) const REFERENCE_HOPS_MAX: usize = 16;

/// Names that are listed when none is near to what was written: a line of them helps, more do not.
pub(super) const NAMES_SHOWN_MAX: usize = 8;

/// Changes of a character by which one name is taken for a slip of the other: a letter too many and one too few.
pub(super) const SLIPS_MAX: usize = 2;

/// Warnings for one policy: kubectl prints them all; somebody who has mended so many asks again.
pub(super) const WARNINGS_MAX: usize = 20;
