//! The garbage collection engine: which objects a policy matches, when each expires, why, in which order they go.
//!
//! Pure: no I/O, no clock, no randomness; the caller passes objects and `now`. The controller, `groundskeeper plan` and
//! the tests all ask the same [`decide`].
//!
//! Knows neither tasks nor HTTP nor how a deletion is done. What can fail is [`Policy::compile`], and only because of what
//! the policy says; [`decide`] is total, and every refusal carries its reason.
//!
//! Invariants: nothing is due before its time; nothing protected is ever due; after a plan is carried out, the same
//! question yields an empty plan.

#![forbid(unsafe_code)]

mod approval;
mod budget;
mod condition;
mod decide;
mod finalizer;
mod ground;
mod invalid;
mod keep;
mod limits;
pub mod lint;
mod literal;
mod marks;
mod moments;
mod notice;
mod object;
mod owners;
mod place;
mod plan;
mod policy;
mod scope;
mod selectable;
mod target;
#[cfg(test)]
mod testing;
mod when;
mod which;
mod words;

pub use approval::{APPROVED_ANNOTATION, Approval, NoApproval, SpecHash};
pub use budget::BudgetRule;
pub use decide::{
    Circumstances, Ending, Gate, Keeper, KeepsBecause, Kept, Ranked, Standing, Verdict, decide, standing,
};
pub use finalizer::{Finalizer, InvalidFinalizer};
pub use ground::{
    Bucket, Counts, Due, Ground, NewlySelected, OwnerName, OwnerQuestion, Scope, Settled, Step, Ward,
};
pub use invalid::Invalid;
pub use keep::End;
pub use notice::NOTICE_ANNOTATION;
pub use object::{Object, OwnersSeen};
pub use owners::{Owner, OwnerUnwanted, owner_path, owners};
pub use plan::{Item, ObjectName, Outlook, Plan, Summary};
pub use policy::{Mode, Policy, Reach, Rule, Written, lies_in_no_namespace};
pub use target::{InvalidTarget, NamespaceRule, Selected, TargetRule, Unselected};
pub use when::{Expiry, InvalidWhen, NotDue, Unresolved, When};
pub use which::{Held, InvalidCondition, InvalidWhich, Unmet, Which};
