//! What is asked next, and what follows from the answer: pure.
//!
//! Knows neither HTTP nor Kubernetes nor the clock. A turn goes from one [`Point`] to the next, question by question, and
//! ends where something was done, where something has to be waited for, or where nothing is left. What it ended at is
//! recorded before the next turn begins, so that a crash repeats questions, and at most one request that was made.
//!
//! Invariants: a removal is asked for only in the same turn in which the storage node was seen to be listed, and in a
//! state in which Portworx takes it; a node counts as gone only if a member of the cluster that knows all others does not
//! list it.

use super::answers::{Census, Job, JobState, Labelled, NodeState, Removal, Seen, Sighting, Trouble};
use super::stage::{Id, Stage};
use crate::limits::{
    PORTWORX_AFTER_ACT_SECONDS, PORTWORX_DRAIN_POLL_SECONDS, PORTWORX_IDLE_LOOKS_MAX,
    PORTWORX_OFFLINE_POLL_SECONDS, PORTWORX_REMOVAL_POLL_SECONDS, PORTWORX_UNSURE_POLL_SECONDS,
};

/// What does not change during a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// The Node's name.
    pub(super) node: &'a str,
    /// The storage node's id, if the Node's labels say it.
    pub(super) given: Option<&'a Id>,
    /// Whether volumes are detached before the storage node is removed.
    pub(super) drains: bool,
    /// What our drain jobs are signed with.
    pub(super) issuer: &'a str,
}

/// Where a turn is. The last three are never recorded: they follow from an answer that may be old the next time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Point {
    At(Stage),
    /// The storage node was not found: is it gone? If it is not, what is seen is an answer to this stage.
    Verify {
        node_id: Id,
        from: Stage,
    },
    /// There is no job of ours that could still do it.
    DrainAnew {
        node_id: Id,
    },
    /// It was seen in a state in which it may be removed.
    RemoveNow {
        node_id: Id,
    },
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Which id the `StorageNode` of the Node's name has.
    StorageNode,
    /// All storage nodes, as one of them sees them.
    Census,
    /// One storage node.
    Inspect(Id),
    /// The jobs that drain.
    Jobs,
    /// One of them.
    Job(Id),
    /// To let no volume be attached to the storage node.
    Disable(Id),
    /// To detach its volumes.
    Drain(Id),
    /// To remove it.
    Remove(Id),
    /// To label the Node.
    Label,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    StorageNode(Option<String>),
    Census(Census),
    Inspect(Sighting),
    Jobs(Vec<Job>),
    Job(Option<Job>),
    Disabled,
    Draining(Id),
    Removal(Removal),
    Labelled(Labelled),
    Trouble(Trouble),
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The next question may be asked at once.
    On(Point),
    /// The turn is over. This is recorded.
    Over(Stage, Word),
}

/// What is said at the end of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It goes on after so many seconds.
    Waits {
        percent: u8,
        message: String,
        seconds: u32,
    },
    Done(String),
    Failed {
        retryable: bool,
        reason: Reason,
        message: String,
    },
}

/// What failed, in one word for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Several storage nodes have the Node's name.
    AmbiguousNode,
    /// An answer cannot be understood.
    BadAnswer,
    /// Portworx would lose data.
    DataLoss,
    /// Portworx, or the API server, does not let us.
    Denied,
    /// Somebody cancelled the drain.
    DrainCancelled,
    /// The drain failed.
    DrainFailed,
    /// The Node could not be labelled.
    LabelFailed,
    /// This Portworx lacks a call.
    NotSupported,
    /// Portworx answers with an error.
    PortworxError,
    /// Portworx refuses the removal for a reason of its own.
    RemovalRefused,
    /// Nobody answers.
    Unreachable,
}

impl Reason {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AmbiguousNode => "AmbiguousNode",
            Self::BadAnswer => "BadAnswer",
            Self::DataLoss => "DataLoss",
            Self::Denied => "Denied",
            Self::DrainCancelled => "DrainCancelled",
            Self::DrainFailed => "DrainFailed",
            Self::LabelFailed => "LabelFailed",
            Self::NotSupported => "NotSupported",
            Self::PortworxError => "PortworxError",
            Self::RemovalRefused => "RemovalRefused",
            Self::Unreachable => "Unreachable",
        }
    }
}

/// Where a turn begins that was left at this stage.
pub(super) fn begin(stage: Stage, facts: &Facts<'_>) -> Point {
    match (stage, facts.given) {
        (Stage::Find, Some(id)) => Point::At(Stage::Survey { node_id: id.clone() }),
        (stage, _) => Point::At(stage),
    }
}

/// What is to be asked; nothing if all is done.
pub(super) fn ask(point: &Point) -> Option<Ask> {
    Some(match point {
        Point::At(Stage::Find) => Ask::StorageNode,
        Point::At(Stage::Locate) | Point::Verify { .. } => Ask::Census,
        Point::At(
            Stage::Survey { node_id } | Stage::Offline { node_id } | Stage::Removing { node_id, .. },
        ) => Ask::Inspect(node_id.clone()),
        Point::At(Stage::Disable { node_id }) => Ask::Disable(node_id.clone()),
        Point::At(Stage::Drain { .. }) => Ask::Jobs,
        Point::At(Stage::Draining { job, .. }) => Ask::Job(job.clone()),
        Point::At(Stage::Label { .. }) => Ask::Label,
        Point::At(Stage::Finished) => return None,
        Point::DrainAnew { node_id } => Ask::Drain(node_id.clone()),
        Point::RemoveNow { node_id } => Ask::Remove(node_id.clone()),
    })
}

/// What follows from the answer to what was asked at this point.
pub(super) fn step(point: Point, answer: Answer, facts: &Facts<'_>) -> Turn {
    match (point, answer) {
        (point, Answer::Trouble(trouble)) => troubled(point, trouble),
        (Point::At(Stage::Find), Answer::StorageNode(id)) => found(id.as_deref(), facts),
        (Point::At(Stage::Locate), Answer::Census(census)) => located(&census, facts),
        (Point::At(stage), Answer::Inspect(sighting)) => inspected(stage, sighting, facts),
        (Point::Verify { node_id, from }, Answer::Census(census)) => verified(node_id, from, &census, facts),
        (Point::At(Stage::Disable { node_id }), Answer::Disabled) => {
            acted(Stage::Drain { node_id }, 10, "no volume can be attached to the storage node any more")
        }
        (Point::At(Stage::Drain { node_id }), Answer::Jobs(jobs)) => ours(node_id, &jobs, facts),
        (Point::DrainAnew { node_id }, Answer::Draining(job)) => acted(
            Stage::Draining { node_id, job },
            15,
            "Portworx has been asked to detach the storage node's volumes",
        ),
        (Point::At(Stage::Draining { node_id, .. }), Answer::Job(job)) => drained(node_id, job),
        (Point::RemoveNow { node_id }, Answer::Removal(removal)) => removed(node_id, removal),
        (Point::At(Stage::Label { .. }), Answer::Labelled(labelled)) => finished(labelled),
        // Not reached: each question has answers of one kind.
        (point, _) => Turn::Over(point.rest(), waits(0, "an answer belongs to no question", 1)),
    }
}

impl Point {
    /// What is recorded of it.
    pub(super) fn rest(self) -> Stage {
        match self {
            Self::At(stage) | Self::Verify { from: stage, .. } => stage,
            Self::DrainAnew { node_id } => Stage::Drain { node_id },
            Self::RemoveNow { node_id } => Stage::Offline { node_id },
        }
    }
}

fn found(id: Option<&str>, facts: &Facts<'_>) -> Turn {
    match id.filter(|id| !id.is_empty()).map(Id::new) {
        None => Turn::On(Point::At(Stage::Locate)),
        Some(Ok(node_id)) => Turn::On(Point::At(Stage::Survey { node_id })),
        Some(Err(no_id)) => {
            let message =
                format!("the `status.nodeUid` of StorageNode `{}` cannot be used: {no_id}", facts.node);
            Turn::Over(Stage::Find, failed(Reason::BadAnswer, message))
        }
    }
}

fn located(census: &Census, facts: &Facts<'_>) -> Turn {
    match census.named(facts.node).as_slice() {
        [only] => Turn::On(Point::At(Stage::Survey { node_id: only.id.clone() })),
        [] if census.knows_all() => {
            let message = format!("Portworx knows no storage node of the name `{}`", facts.node);
            Turn::Over(Stage::Finished, Word::Done(message))
        }
        [] => Turn::Over(Stage::Locate, unsure(0)),
        several => {
            let ids: Vec<&str> = several.iter().take(3).map(|seen| seen.id.as_str()).collect();
            let message = format!(
                "{} storage nodes of Portworx have the name `{}` ({}): label the Node with the right one's id, and name that label in settings.nodeIdLabel",
                several.len(),
                facts.node,
                ids.join(", ")
            );
            Turn::Over(Stage::Find, hopeless(Reason::AmbiguousNode, message))
        }
    }
}

fn inspected(stage: Stage, sighting: Sighting, facts: &Facts<'_>) -> Turn {
    let node_id = match &stage {
        Stage::Survey { node_id } | Stage::Offline { node_id } | Stage::Removing { node_id, .. } => {
            node_id.clone()
        }
        _ => return Turn::Over(stage, waits(0, "an answer belongs to no question", 1)),
    };
    match sighting {
        Sighting::Missing => Turn::On(Point::Verify { node_id, from: stage }),
        Sighting::Listed(state) => seen(&stage, node_id, state, facts),
    }
}

fn verified(node_id: Id, from: Stage, census: &Census, facts: &Facts<'_>) -> Turn {
    let drains = matches!(from, Stage::Disable { .. } | Stage::Drain { .. } | Stage::Draining { .. });
    match census.of(&node_id) {
        Some(_) if drains => {
            let message = "Portworx lists the storage node, but its gateway says that it does not know it";
            Turn::Over(Stage::Survey { node_id }, waits(5, message, PORTWORX_UNSURE_POLL_SECONDS))
        }
        Some(Seen { state, .. }) => seen(&from, node_id, *state, facts),
        None if census.knows_all() => Turn::On(Point::At(Stage::Label { node_id })),
        None => Turn::Over(from, unsure(80)),
    }
}

/// The storage node is there, in this state.
fn seen(stage: &Stage, node_id: Id, state: NodeState, facts: &Facts<'_>) -> Turn {
    match stage {
        Stage::Removing { idle_looks, .. } => under_removal(node_id, *idle_looks, state),
        _ if state == NodeState::DECOMMISSION => {
            let message = "Portworx removes the storage node";
            Turn::Over(
                Stage::Removing { node_id, idle_looks: 0 },
                waits(80, message, PORTWORX_REMOVAL_POLL_SECONDS),
            )
        }
        // Who is not there, or has let go of its drives, has nothing attached that could be detached in peace.
        _ if state.is_removable() => Turn::On(Point::RemoveNow { node_id }),
        Stage::Survey { .. } if facts.drains => Turn::On(Point::At(Stage::Disable { node_id })),
        _ => Turn::Over(
            Stage::Offline { node_id },
            waits(65, &still_online(facts.node, state), PORTWORX_OFFLINE_POLL_SECONDS),
        ),
    }
}

fn under_removal(node_id: Id, idle_looks: u8, state: NodeState) -> Turn {
    let idle_looks = idle_looks.saturating_add(1);
    if state == NodeState::DECOMMISSION {
        let message = "Portworx removes the storage node";
        return Turn::Over(
            Stage::Removing { node_id, idle_looks: 0 },
            waits(80, message, PORTWORX_REMOVAL_POLL_SECONDS),
        );
    }
    if !state.is_removable() || idle_looks >= PORTWORX_IDLE_LOOKS_MAX {
        let message =
            format!("Portworx took the removal, but the storage node is {state}: it is asked again");
        return Turn::Over(Stage::Offline { node_id }, waits(65, &message, PORTWORX_OFFLINE_POLL_SECONDS));
    }
    let message = format!("Portworx took the removal; the storage node is still {state}");
    Turn::Over(Stage::Removing { node_id, idle_looks }, waits(75, &message, PORTWORX_REMOVAL_POLL_SECONDS))
}

/// A job of ours that runs, or has run to its end, is not asked for again: its id may have been lost on the way.
fn ours(node_id: Id, jobs: &[Job], facts: &Facts<'_>) -> Turn {
    let mine = |job: &&Job| job.node.as_ref() == Some(&node_id) && &*job.issuer == facts.issuer;
    let mut usable = jobs.iter().filter(mine).filter(|job| !job.state.is_lost());
    match usable.next() {
        Some(job) => Turn::On(Point::At(Stage::Draining { node_id, job: job.id.clone() })),
        None => Turn::On(Point::DrainAnew { node_id }),
    }
}

fn drained(node_id: Id, job: Option<Job>) -> Turn {
    let Some(job) = job else {
        let message = "Portworx does not know the drain any more: it is looked for";
        return Turn::Over(Stage::Drain { node_id }, waits(15, message, PORTWORX_DRAIN_POLL_SECONDS));
    };
    let left = job.left();
    match job.state {
        JobState::Done => Turn::On(Point::At(Stage::Offline { node_id })),
        JobState::Pending | JobState::Running | JobState::Paused => {
            let by = if job.state == JobState::Paused { " (somebody paused the job)" } else { "" };
            let message = format!("Portworx detaches volumes: {left}{by}");
            let stage = Stage::Draining { node_id, job: job.id.clone() };
            Turn::Over(stage, waits(job.percent(15, 60), &message, PORTWORX_DRAIN_POLL_SECONDS))
        }
        JobState::Cancelled => {
            let message = format!(
                "somebody cancelled job `{}`, which detached the storage node's volumes ({left}): `groundskeeper nodes retry-step` begins another",
                job.id.as_str()
            );
            Turn::Over(Stage::Drain { node_id }, hopeless(Reason::DrainCancelled, message))
        }
        JobState::Failed => {
            let message = format!(
                "job `{}`, which detaches the storage node's volumes, failed ({left}){}",
                job.id.as_str(),
                quoted(&job.words)
            );
            Turn::Over(Stage::Drain { node_id }, failed(Reason::DrainFailed, message))
        }
    }
}

fn removed(node_id: Id, removal: Removal) -> Turn {
    match removal {
        Removal::Accepted => {
            acted(Stage::Removing { node_id, idle_looks: 0 }, 75, "Portworx took the removal")
        }
        Removal::Pending => Turn::Over(
            Stage::Removing { node_id, idle_looks: 0 },
            waits(80, "Portworx removes the storage node", PORTWORX_REMOVAL_POLL_SECONDS),
        ),
        Removal::Unknown => Turn::On(Point::Verify {
            node_id: node_id.clone(),
            from: Stage::Removing { node_id, idle_looks: 0 },
        }),
        Removal::Online(words) => {
            let message = format!("Portworx does not remove the storage node yet{}", quoted(&words));
            Turn::Over(Stage::Offline { node_id }, waits(65, &message, PORTWORX_OFFLINE_POLL_SECONDS))
        }
        Removal::DataLoss(words) => {
            let message = format!(
                "Portworx would lose data, for volumes have their only replica there: raise their replication (`pxctl volume ha-update --repl 2`), move or remove them, then `groundskeeper nodes retry-step`{}",
                quoted(&words)
            );
            Turn::Over(Stage::Offline { node_id }, hopeless(Reason::DataLoss, message))
        }
        Removal::Refused(words) => {
            let message = format!("Portworx refuses to remove the storage node{}", quoted(&words));
            Turn::Over(Stage::Offline { node_id }, failed(Reason::RemovalRefused, message))
        }
    }
}

fn finished(labelled: Labelled) -> Turn {
    let message = match labelled {
        Labelled::Yes => "the storage node is gone from Portworx; the Node has the label px/enabled=remove",
        Labelled::NoNode => "the storage node is gone from Portworx",
    };
    Turn::Over(Stage::Finished, Word::Done(message.to_owned()))
}

fn troubled(point: Point, trouble: Trouble) -> Turn {
    let labels = matches!(point, Point::At(Stage::Label { .. }));
    let drains = matches!(
        point,
        Point::At(Stage::Disable { .. } | Stage::Drain { .. } | Stage::Draining { .. })
            | Point::DrainAnew { .. }
    );
    let word = match trouble {
        Trouble::Unsupported if matches!(point, Point::At(Stage::Drain { .. })) => {
            return match point.rest() {
                Stage::Drain { node_id } => Turn::On(Point::DrainAnew { node_id }),
                // Not reached: it is that stage.
                stage => Turn::Over(stage, waits(0, "an answer belongs to no question", 1)),
            };
        }
        Trouble::NoSuchNode => return lost(point),
        Trouble::Unsupported if drains => hopeless(
            Reason::NotSupported,
            "this Portworx cannot detach volumes through its gateway: set settings.drainAttachments to false, and detach them in another step".to_owned(),
        ),
        Trouble::Unsupported => hopeless(
            Reason::NotSupported,
            "this Portworx lacks a call that is needed: see whether settings.gatewayUrl and settings.managementUrl are the right ones".to_owned(),
        ),
        Trouble::Denied(words) => failed(Reason::Denied, words),
        Trouble::Unreachable(words) if labels => failed(Reason::LabelFailed, words),
        Trouble::Unreachable(words) => failed(Reason::Unreachable, words),
        Trouble::BadAnswer(words) => failed(Reason::BadAnswer, words),
        Trouble::Error(words) if labels => failed(Reason::LabelFailed, words),
        Trouble::Error(words) => failed(Reason::PortworxError, words),
    };
    Turn::Over(point.rest(), word)
}

/// The gateway does not know the storage node that it was asked to do something with.
fn lost(point: Point) -> Turn {
    let is_verified = matches!(point, Point::Verify { .. });
    let stage = point.rest();
    match &stage {
        Stage::Disable { node_id } | Stage::Drain { node_id } | Stage::Draining { node_id, .. }
            if !is_verified =>
        {
            Turn::On(Point::Verify { node_id: node_id.clone(), from: stage })
        }
        _ => {
            let message = "Portworx says that it knows no such node, but was not asked about one".to_owned();
            Turn::Over(stage, failed(Reason::BadAnswer, message))
        }
    }
}

fn still_online(node: &str, state: NodeState) -> String {
    format!(
        "Portworx removes a storage node only when it is offline or in maintenance, and that of `{node}` is {state}: stop Portworx there (label the Node px/service=stop), or `pxctl service maintenance --enter`"
    )
}

fn unsure(percent: u8) -> Word {
    let message = "the member of the Portworx cluster that answers does not know all others itself (it is not in quorum, or in maintenance): another is asked";
    waits(percent, message, PORTWORX_UNSURE_POLL_SECONDS)
}

/// Something was done: nothing else is, before it has been recorded.
fn acted(stage: Stage, percent: u8, message: &str) -> Turn {
    Turn::Over(stage, waits(percent, message, PORTWORX_AFTER_ACT_SECONDS))
}

fn waits(percent: u8, message: &str, seconds: u32) -> Word {
    Word::Waits { percent, message: message.to_owned(), seconds }
}

const fn failed(reason: Reason, message: String) -> Word {
    Word::Failed { retryable: true, reason, message }
}

const fn hopeless(reason: Reason, message: String) -> Word {
    Word::Failed { retryable: false, reason, message }
}

fn quoted(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(". It says: {words}") }
}

#[cfg(test)]
mod tests;
