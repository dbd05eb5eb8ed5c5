//! Which departures may begin: how many nodes leave at one time, and when none does.
//!
//! Knows the nodes of one policy and nothing of what becomes of them. A departure that has begun keeps its turn to the
//! end, whatever comes after it.
//!
//! Invariant: of departures that wait, none begins before one whose node was deleted earlier and that nothing of its own
//! holds.

use std::collections::BTreeMap;
use std::fmt;

use api::node_cleanup::Concurrency;
use control::Mutant;
use jiff::Timestamp;

use crate::limits::{LEAVING_AT_ONCE, LEAVING_AT_ONCE_MAX, STORM_BRAKE_PERCENT};
use crate::words::DepartureBlocker;

/// How many nodes leave at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnRule {
    max: usize,
    per_label: Option<(String, usize)>,
    storm_percent: u8,
}

/// One node of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node's name.
    pub name: String,
    /// The value of the label that the rule counts by, if the node has it.
    pub group: Option<String>,
    /// Whether it stays, or leaves.
    pub state: MemberState,
}

/// How it stands with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It works.
    Ready,
    /// It does not work, and has not been deleted.
    NotReady,
    /// It was deleted, and its departure waits.
    Waiting {
        /// When it was deleted.
        since: Timestamp,
    },
    /// Its departure has begun.
    Leaving,
}

/// Whether a departure may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    Begins,
    /// As many as may are leaving.
    Full {
        /// So many may.
        max: usize,
    },
    /// As many as may of those with the same value of a label are leaving.
    GroupFull {
        /// The label.
        key: String,
        /// Its value.
        value: String,
        /// So many may.
        max: usize,
    },
    /// More nodes leave or are not ready than the storm brake lets pass.
    Storm {
        /// So many.
        affected: usize,
        /// Of so many.
        nodes: usize,
        /// More than so many are too many.
        limit: usize,
    },
}

/// What holds a departure, and what would lift it.
impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins => f.write_str("it is its turn"),
            Self::Full { max } => {
                write!(f, "{max} nodes are leaving, as many as concurrency.max lets; it waits for its turn")
            }
            Self::GroupFull { key, value, max } => write!(
                f,
                "{max} nodes with {key}={value} are leaving, as many as concurrency.perLabel lets; it waits for its turn"
            ),
            Self::Storm { affected, nodes, limit } => write!(
                f,
                "{affected} of {nodes} nodes leave or are not ready, and the storm brake holds above {limit}: raise \
                 concurrency.stormBrakePercent if all of them are meant to go"
            ),
        }
    }
}

impl Turn {
    /// Why it does not begin, in one word that programs may read.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Begins => None,
            Self::Full { .. } => Some(DepartureBlocker::WaitsForTurn.name()),
            Self::GroupFull { .. } => Some(DepartureBlocker::WaitsForGroup.name()),
            Self::Storm { .. } => Some(DepartureBlocker::StormBrake.name()),
        }
    }
}

impl TurnRule {
    /// Fills in what was left out. Numbers out of bounds are taken as the nearest bound, as the schema refuses them.
    pub fn compile(concurrency: &Concurrency) -> Self {
        let bounded = |given: u32| usize::try_from(given).unwrap_or(usize::MAX).clamp(1, LEAVING_AT_ONCE_MAX);
        Self {
            max: concurrency.max.map_or(LEAVING_AT_ONCE, bounded),
            per_label: concurrency.per_label.as_ref().map(|label| (label.key.clone(), bounded(label.max))),
            storm_percent: concurrency.storm_brake_percent.unwrap_or(STORM_BRAKE_PERCENT).clamp(1, 100),
        }
    }

    /// The label by which nodes are counted.
    pub fn counts_by(&self) -> Option<&str> {
        self.per_label.as_ref().map(|(key, _)| key.as_str())
    }

    /// Whether each departure that waits may begin, by the node's name. What may begin counts for those after it, so
    /// that all of them may begin together.
    pub fn turns<'a>(&self, members: &'a [Member]) -> BTreeMap<&'a str, Turn> {
        let mut waiting: Vec<_> = members
            .iter()
            .filter_map(|member| match member.state {
                MemberState::Waiting { since } => Some((since, member)),
                _ => None,
            })
            .collect();
        waiting.sort_by(|(a, one), (b, other)| a.cmp(b).then_with(|| one.name.cmp(&other.name)));
        if let Some(storm) = self.storm(members) {
            return waiting.iter().map(|(_, member)| (member.name.as_str(), storm.clone())).collect();
        }
        let mut leaving = Leaving::of(members);
        waiting.iter().map(|(_, member)| (member.name.as_str(), self.turn(member, &mut leaving))).collect()
    }

    fn turn<'a>(&self, member: &'a Member, leaving: &mut Leaving<'a>) -> Turn {
        if leaving.all >= self.max {
            return Turn::Full { max: self.max };
        }
        if let (Some((key, max)), Some(value)) = (&self.per_label, &member.group)
            && leaving.by_group.get(value.as_str()).is_some_and(|of_it| of_it >= max)
        {
            return Turn::GroupFull { key: key.clone(), value: value.clone(), max: *max };
        }
        leaving.add(member);
        Turn::Begins
    }

    /// One node may always leave, and two of a few would else hold each other for ever.
    fn storm(&self, members: &[Member]) -> Option<Turn> {
        if Mutant::BrakeOff.is_on() {
            return None;
        }
        let nodes = members.len();
        let affected = members.iter().filter(|member| member.state != MemberState::Ready).count();
        let limit = (nodes * usize::from(self.storm_percent) / 100).max(1);
        (self.storm_percent < 100 && affected > limit).then_some(Turn::Storm { affected, nodes, limit })
    }
}

/// How many are leaving.
#[derive(Default)]
struct Leaving<'a> {
    all: usize,
    by_group: BTreeMap<&'a str, usize>,
}

impl<'a> Leaving<'a> {
    fn of(members: &'a [Member]) -> Self {
        let mut leaving = Self::default();
        members
            .iter()
            .filter(|member| member.state == MemberState::Leaving)
            .for_each(|member| leaving.add(member));
        leaving
    }

    fn add(&mut self, member: &'a Member) {
        self.all += 1;
        if let Some(group) = &member.group {
            *self.by_group.entry(group).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use api::node_cleanup::LabelConcurrency;
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn member(name: &str, group: &str, state: MemberState) -> Member {
        Member { name: name.to_owned(), group: Some(group.to_owned()), state }
    }

    fn waits(name: &str, group: &str, second: i64) -> Member {
        member(name, group, MemberState::Waiting { since: at(second) })
    }

    fn ready(number: usize) -> impl Iterator<Item = Member> {
        (0..number).map(|n| member(&format!("ready-{n}"), "z", MemberState::Ready))
    }

    fn rule(max: u32, per_zone: Option<u32>, storm: u8) -> TurnRule {
        TurnRule::compile(&Concurrency {
            max: Some(max),
            per_label: per_zone.map(|max| LabelConcurrency { key: "zone".to_owned(), max }),
            storm_brake_percent: Some(storm),
        })
    }

    #[test]
    fn who_was_deleted_first_leaves_first() {
        let members: Vec<_> = [waits("b", "x", 2), waits("a", "x", 1), waits("c", "x", 3)]
            .into_iter()
            .chain(ready(20))
            .collect();
        let turns = rule(2, None, 100).turns(&members);
        assert_eq!((&turns["a"], &turns["b"]), (&Turn::Begins, &Turn::Begins));
        assert_eq!(turns["c"], Turn::Full { max: 2 });
    }

    #[test]
    fn a_zone_that_is_full_does_not_hold_another() {
        let members: Vec<_> =
            [member("gone", "x", MemberState::Leaving), waits("a", "x", 1), waits("b", "y", 2)]
                .into_iter()
                .chain(ready(20))
                .collect();
        let turns = rule(10, Some(1), 100).turns(&members);
        assert!(matches!(&turns["a"], Turn::GroupFull { value, max: 1, .. } if value == "x"));
        assert_eq!(turns["b"], Turn::Begins);
    }

    #[test]
    fn a_storm_holds_all_that_have_not_begun_and_says_what_lifts_it() {
        let members: Vec<_> = (0..4).map(|n| waits(&format!("n{n}"), "x", n)).chain(ready(6)).collect();
        let turns = rule(10, None, 30).turns(&members);
        assert!(turns.values().all(|turn| matches!(turn, Turn::Storm { affected: 4, nodes: 10, limit: 3 })));
        assert!(turns["n0"].to_string().contains("stormBrakePercent"));
        assert!(rule(10, None, 40).turns(&members).values().all(|turn| *turn == Turn::Begins));
    }

    #[test]
    fn nodes_that_are_not_ready_count_for_the_storm() {
        let members: Vec<_> = [
            waits("n", "x", 1),
            member("dead", "x", MemberState::NotReady),
            member("dead too", "x", MemberState::NotReady),
        ]
        .into_iter()
        .chain(ready(3))
        .collect();
        assert!(matches!(rule(10, None, 30).turns(&members)["n"], Turn::Storm { .. }));
    }

    #[test]
    fn one_node_of_few_may_always_leave() {
        let members: Vec<_> = [waits("n", "x", 1)].into_iter().chain(ready(1)).collect();
        assert_eq!(rule(10, None, 1).turns(&members)["n"], Turn::Begins);
    }

    proptest! {
        #[test]
        fn never_more_leave_than_may(
            states in prop::collection::vec((0u8..4, 0u8..3, 0i64..50), 0..60),
            max in 1u32..8,
            per_zone in 1u32..4,
        ) {
            let members: Vec<_> = states.iter().enumerate().map(|(n, (state, zone, second))| {
                let state = match state {
                    0 => MemberState::Ready,
                    1 => MemberState::NotReady,
                    2 => MemberState::Leaving,
                    _ => MemberState::Waiting { since: at(*second) },
                };
                member(&format!("n{n}"), &zone.to_string(), state)
            }).collect();
            let turns = rule(max, Some(per_zone), 100).turns(&members);
            let begins = |member: &Member| turns.get(member.name.as_str()) == Some(&Turn::Begins);
            let begun = members.iter().filter(|member| begins(member)).count();
            let leaving = members.iter().filter(|member| member.state == MemberState::Leaving).count();
            prop_assert!(begun == 0 || leaving + begun <= usize::try_from(max).unwrap());
            for zone in ["0", "1", "2"] {
                let of_zone = || members.iter().filter(|member| member.group.as_deref() == Some(zone));
                let begun = of_zone().filter(|member| begins(member)).count();
                let leaving = of_zone().filter(|member| member.state == MemberState::Leaving).count();
                prop_assert!(begun == 0 || leaving + begun <= usize::try_from(per_zone).unwrap());
            }
        }
    }
}
