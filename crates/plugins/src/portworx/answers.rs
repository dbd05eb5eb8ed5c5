//! What Portworx and the API server say, as far as it matters.
//!
//! Knows neither how it was said nor what follows from it.

use std::fmt;

use super::stage::Id;

/// What a storage node is, to Portworx: `Status` of its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeState(u8);

/// Its names in the order of their numbers.
const STATES: [&str; 15] = [
    "NONE",
    "INIT",
    "OK",
    "OFFLINE",
    "ERROR",
    "NOT_IN_QUORUM",
    "DECOMMISSION",
    "MAINTENANCE",
    "STORAGE_DOWN",
    "STORAGE_DEGRADED",
    "NEEDS_REBOOT",
    "STORAGE_REBALANCE",
    "STORAGE_DRIVE_REPLACE",
    "NOT_IN_QUORUM_NO_STORAGE",
    "POOLMAINTENANCE",
];

/// Before the name, in JSON of the gateway.
const STATE_PREFIX: &str = "STATUS_";

/// Whether one storage node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    Listed(NodeState),
    /// Who was asked does not know it, which may be its own fault.
    Missing,
}

/// The members of a Portworx cluster, as one of them sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Census {
    /// Who answers.
    pub(super) by: Box<str>,
    pub(super) nodes: Vec<Seen>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: Id,
    /// The Node's name, if Portworx knows it.
    pub(super) scheduler_name: Box<str>,
    pub(super) hostname: Box<str>,
    pub(super) state: NodeState,
}

/// A job that detaches volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) id: Id,
    pub(super) state: JobState,
    pub(super) node: Option<Id>,
    pub(super) issuer: Box<str>,
    /// What it says of itself.
    pub(super) words: Box<str>,
    /// Volumes that were detached, and all that have to be; neither before it has counted them.
    pub(super) volumes: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobState {
    Pending,
    Running,
    Done,
    Paused,
    Cancelled,
    Failed,
}

/// What came of asking for a removal. The words are the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// No word of an error.
    Accepted,
    /// It goes on.
    Pending,
    /// There is no such storage node.
    Unknown,
    /// It is neither offline nor in maintenance.
    Online(Box<str>),
    DataLoss(Box<str>),
    Refused(Box<str>),
}

/// What came of labelling the Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Labelled {
    Yes,
    /// It is gone, or another one has its name.
    NoNode,
}

/// Why there is no answer that could be used. The words are without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Unreachable(String),
    Denied(String),
    BadAnswer(String),
    /// It knows no such call.
    Unsupported,
    /// It knows no such storage node.
    NoSuchNode,
    Error(String),
}

impl NodeState {
    pub(super) const OFFLINE: Self = Self(3);
    pub(super) const NOT_IN_QUORUM: Self = Self(5);
    pub(super) const DECOMMISSION: Self = Self(6);
    pub(super) const MAINTENANCE: Self = Self(7);
    pub(super) const NOT_IN_QUORUM_NO_STORAGE: Self = Self(13);

    pub(super) const fn numbered(number: u8) -> Self {
        Self(number)
    }

    /// By its name in the gateway's JSON, such as `STATUS_OFFLINE`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix(STATE_PREFIX)?;
        let number = STATES.iter().position(|known| *known == name)?;
        u8::try_from(number).ok().map(Self)
    }

    /// Whether Portworx takes a removal then.
    pub(super) fn is_removable(self) -> bool {
        [Self::OFFLINE, Self::MAINTENANCE, Self::DECOMMISSION].contains(&self)
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match STATES.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "in state {}", self.0),
        }
    }
}

impl Census {
    pub(super) fn of(&self, id: &Id) -> Option<&Seen> {
        self.nodes.iter().find(|seen| seen.id == *id)
    }

    /// Those that run on the Node of this name. Hostnames count only if no storage node knows the Node's name.
    pub(super) fn named(&self, node: &str) -> Vec<&Seen> {
        let by_name: Vec<&Seen> = self.nodes.iter().filter(|seen| &*seen.scheduler_name == node).collect();
        if !by_name.is_empty() {
            return by_name;
        }
        let nameless = |seen: &&Seen| seen.scheduler_name.is_empty() && &*seen.hostname == node;
        self.nodes.iter().filter(nameless).collect()
    }

    /// Whether a member that is not listed is not there: one that is not in quorum, or in maintenance, reads from a
    /// database that leaves out those under removal, and a list without its own teller is no list.
    pub(super) fn knows_all(&self) -> bool {
        const BLIND: [NodeState; 3] =
            [NodeState::NOT_IN_QUORUM, NodeState::MAINTENANCE, NodeState::NOT_IN_QUORUM_NO_STORAGE];
        let itself = self.nodes.iter().find(|seen| seen.id.as_str() == &*self.by);
        itself.is_some_and(|itself| !BLIND.contains(&itself.state))
    }
}

impl Job {
    /// How much is done, between these two percentages.
    pub(super) fn percent(&self, from: u8, to: u8) -> u8 {
        let Some((done, all)) = self.volumes.filter(|(_, all)| *all > 0) else { return from };
        let span = u64::from(to.saturating_sub(from));
        let share = done.min(all).saturating_mul(span).checked_div(all).unwrap_or_default();
        u8::try_from(share).map_or(to, |share| from.saturating_add(share))
    }

    /// How much is left, in words.
    pub(super) fn left(&self) -> String {
        match self.volumes {
            Some((done, all)) => format!("{done} of {all} done"),
            None => "not counted yet".to_owned(),
        }
    }
}

impl JobState {
    /// Whether it will never do what it was made for.
    pub(super) const fn is_lost(self) -> bool {
        matches!(self, Self::Cancelled | Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: &str, name: &str, hostname: &str, state: NodeState) -> Seen {
        let id = Id::new(id).unwrap();
        Seen { id, scheduler_name: name.into(), hostname: hostname.into(), state }
    }

    const OK: NodeState = NodeState::numbered(2);

    #[test]
    fn only_who_is_in_quorum_and_at_work_knows_who_is_missing() {
        let rows = [
            (OK, true),
            (NodeState::numbered(8), true),
            (NodeState::NOT_IN_QUORUM, false),
            (NodeState::MAINTENANCE, false),
            (NodeState::NOT_IN_QUORUM_NO_STORAGE, false),
        ];
        for (state, wanted) in rows {
            let census = Census { by: "a".into(), nodes: vec![seen("a", "", "", state)] };
            assert_eq!(census.knows_all(), wanted, "{state}");
        }
        let nobody = Census { by: "a".into(), nodes: Vec::new() };
        assert!(!nobody.knows_all(), "who answers is in the list, or the list is not one");
        let others = Census { by: "a".into(), nodes: vec![seen("b", "", "", OK)] };
        assert!(!others.knows_all());
    }

    #[test]
    fn a_node_is_found_by_its_name_and_only_then_by_its_hostname() {
        let nodes = vec![
            seen("a", "worker-1", "host-1", OK),
            seen("b", "", "worker-1", OK),
            seen("c", "", "host-2", OK),
            seen("d", "other", "host-2", OK),
            seen("e", "worker-3", "x", OK),
            seen("f", "worker-3", "y", OK),
        ];
        let census = Census { by: "a".into(), nodes };
        let found = |name: &str| -> Vec<String> {
            census.named(name).iter().map(|seen| seen.id.as_str().to_owned()).collect()
        };
        assert_eq!(found("worker-1"), ["a"]);
        assert_eq!(found("host-2"), ["c"], "one that knows the name of another Node is not this Node's");
        assert_eq!(found("worker-3"), ["e", "f"]);
        assert_eq!(found("worker-9"), Vec::<String>::new());
    }

    #[test]
    fn states_have_the_names_and_numbers_of_the_api() {
        let rows = [
            (3, "STATUS_OFFLINE"),
            (6, "STATUS_DECOMMISSION"),
            (7, "STATUS_MAINTENANCE"),
            (14, "STATUS_POOLMAINTENANCE"),
        ];
        for (number, name) in rows {
            assert_eq!(NodeState::named(name), Some(NodeState::numbered(number)), "{name}");
        }
        assert_eq!(NodeState::named("OFFLINE"), None);
        let removable: Vec<u8> =
            (0..=20).filter(|number| NodeState::numbered(*number).is_removable()).collect();
        assert_eq!(removable, [3, 6, 7]);
        assert_eq!(NodeState::numbered(99).to_string(), "in state 99");
    }

    #[test]
    fn percent_stays_between_its_bounds_whatever_the_job_says() {
        let rows = [
            (None, 15),
            (Some((0, 0)), 15),
            (Some((0, 4)), 15),
            (Some((2, 4)), 37),
            (Some((4, 4)), 60),
            (Some((9, 4)), 60),
            (Some((u64::MAX, u64::MAX)), 15),
        ];
        for (volumes, wanted) in rows {
            let id = Id::new("j").unwrap();
            let job = Job {
                id,
                state: JobState::Running,
                node: None,
                issuer: "".into(),
                words: "".into(),
                volumes,
            };
            assert!((15..=60).contains(&job.percent(15, 60)), "{volumes:?}");
            if volumes != Some((u64::MAX, u64::MAX)) {
                assert_eq!(job.percent(15, 60), wanted, "{volumes:?}");
            }
        }
    }
}
