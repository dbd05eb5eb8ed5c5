//! Whether whoever leads has seen what was done before.
//!
//! What stands in the objects that a controller reads, and what the last leader has written there, is known by watches; and
//! they may be behind: by more than it takes to come to lead. So the server is asked at the beginning of each epoch which
//! objects of some kinds it has, in which versions. Until the watches have shown them, nothing is to be done.
//!
//! Knows nothing of the objects but their metadata. What comes later is the controllers' own affair: within an epoch nobody
//! else writes what only the leader may.

use std::future::pending;

use control::Backoff;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde_json::Value;
use tokio::task::JoinSet;
use units::{NamespacedName, ResourceVersion, Uid};

use crate::discovery::Resource;
use crate::error::ApiError;
use crate::lease::Epoch;
use crate::limits::{TAKEOVER_PAUSE_FIRST, TAKEOVER_PAUSE_MAX};
use crate::objects;

/// An object as the server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where it is.
    pub key: NamespacedName,
    uid: Uid,
    version: ResourceVersion,
}

impl Written {
    /// Whether a watch that shows this has shown it, or what came of it.
    pub fn is_shown_by(&self, uid: Option<&Uid>, version: Option<&ResourceVersion>) -> bool {
        uid == Some(&self.uid) && version.is_some_and(|version| version.has_reached(&self.version))
    }
}

/// What the server has of each kind, in the order in which they were named.
pub type Answer = Result<Vec<Vec<Written>>, ApiError>;

/// What the watches have shown.
pub trait Shown {
    /// Whether they have shown that these objects are there of a kind, and no others.
    fn has_shown(&self, kind: usize, there: &[Written]) -> bool;
}

/// How far the beginning of an epoch is.
#[derive(Debug)]
enum Stage {
    /// The server is to be asked from this time on.
    ToAsk(Timestamp),
    Asking,
    /// The server had these. If they have not been shown by that time, it is asked again: one of them may be gone.
    Awaiting(Vec<Vec<Written>>, Timestamp),
    Done,
}

/// The beginning of an epoch.
pub struct Takeover {
    client: Client,
    kinds: Vec<Resource>,
    epoch: Option<u64>,
    stage: Stage,
    asking: JoinSet<Answer>,
    pauses: Backoff,
}

impl std::fmt::Debug for Takeover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Takeover")
            .field("epoch", &self.epoch)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl Takeover {
    /// Nothing is to be done in an epoch before the watches have shown what there was of these kinds when it began.
    pub fn new(client: Client, kinds: Vec<Resource>) -> Self {
        let pauses = Backoff::new(TAKEOVER_PAUSE_FIRST, TAKEOVER_PAUSE_MAX, &kinds.len());
        let stage = Stage::ToAsk(Timestamp::UNIX_EPOCH);
        Self { client, kinds, epoch: None, stage, asking: JoinSet::new(), pauses }
    }

    /// The epoch that lasts, once all has been seen that was done before it.
    pub fn done_in(&self) -> Option<u64> {
        self.epoch.filter(|_| matches!(self.stage, Stage::Done))
    }

    /// Does what is to be done for this epoch; returns whether all has been seen by now, and had not been before.
    pub fn go_on(&mut self, epoch: Option<&Epoch>, watches: &impl Shown, now: Timestamp) -> bool {
        self.follow(epoch.map(Epoch::number), watches, now)
    }

    fn follow(&mut self, epoch: Option<u64>, watches: &impl Shown, now: Timestamp) -> bool {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.stage = Stage::ToAsk(now);
            self.asking = JoinSet::new();
            self.pauses.reset();
        }
        let has_shown = |there: &[Vec<Written>]| {
            there.iter().enumerate().all(|(kind, there)| watches.has_shown(kind, there))
        };
        match &self.stage {
            _ if epoch.is_none() => {}
            Stage::Awaiting(there, _) if has_shown(there) => {
                self.stage = Stage::Done;
                return true;
            }
            Stage::ToAsk(at) | Stage::Awaiting(_, at) if is_due(*at, now) => {
                self.stage = Stage::Asking;
                self.asking.spawn(ask(self.client.clone(), self.kinds.clone()));
            }
            _ => {}
        }
        false
    }

    /// When there is something to do next, if the watches show nothing before.
    pub fn next_wake(&self) -> Option<Timestamp> {
        match &self.stage {
            Stage::ToAsk(at) | Stage::Awaiting(_, at) => self.epoch.map(|_| *at),
            Stage::Asking | Stage::Done => None,
        }
    }

    /// What the server says; never, while it is not asked.
    pub async fn next_answer(&mut self) -> Answer {
        match self.asking.join_next().await {
            None => pending().await,
            Some(answer) => answer.unwrap_or_else(|error| Err(ApiError::Garbled(error.to_string()))),
        }
    }

    /// Takes in what the server said.
    pub fn settle(&mut self, answer: Answer, now: Timestamp) {
        let again_at = now.checked_add(self.pauses.after_failure()).unwrap_or(now);
        self.stage = match answer {
            Ok(there) => Stage::Awaiting(there, again_at),
            Err(error) => {
                tracing::warn!(%error, "the server does not say what there is: nothing is done before");
                Stage::ToAsk(again_at)
            }
        };
    }
}

/// Whether that time has come, or lies farther ahead than any pause: then the clock has jumped back.
fn is_due(at: Timestamp, now: Timestamp) -> bool {
    let ahead = at.duration_since(now);
    ahead <= SignedDuration::ZERO || ahead.unsigned_abs() > TAKEOVER_PAUSE_MAX
}

async fn ask(client: Client, kinds: Vec<Resource>) -> Answer {
    let mut there = Vec::new();
    for kind in &kinds {
        there.push(match objects::read_metadata(&client, kind, |object| written(&object)).await {
            Ok(found) => found,
            // The server does not know the kind: there is none of it.
            Err(error) if error.code() == Some(404) => Vec::new(),
            Err(error) => return Err(error),
        });
    }
    Ok(there)
}

fn written(object: &Value) -> Written {
    let text = |field: &str| object.pointer(field).and_then(Value::as_str).unwrap_or_default();
    Written {
        key: NamespacedName::new(text("/metadata/namespace"), text("/metadata/name")),
        uid: Uid::from(text("/metadata/uid")),
        version: ResourceVersion::from(text("/metadata/resourceVersion")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    /// What a watch has shown: names, and the version of each.
    struct Watch(BTreeMap<&'static str, &'static str>);

    impl Shown for Watch {
        fn has_shown(&self, _: usize, there: &[Written]) -> bool {
            let is_shown = |written: &Written| {
                let version = self.0.get(&*written.key.name).map(|version| ResourceVersion::from(*version));
                written.is_shown_by(Some(&Uid::from("u")), version.as_ref())
            };
            self.0.len() == there.len() && there.iter().all(is_shown)
        }
    }

    fn object(name: &str, version: &str) -> Written {
        written(&serde_json::json!({"metadata": {"name": name, "uid": "u", "resourceVersion": version}}))
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    /// A takeover whose server is not there: its answers are put in by hand.
    fn takeover() -> Takeover {
        let config = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
        Takeover::new(Client::try_from(config).unwrap(), Vec::new())
    }

    #[tokio::test]
    async fn an_epoch_begins_once_the_watches_have_shown_what_there_was() {
        let mut takeover = takeover();
        let nothing = Watch(BTreeMap::new());
        assert!(!takeover.follow(None, &nothing, at(0)) && takeover.next_wake().is_none());
        assert!(!takeover.follow(Some(7), &nothing, at(0)));
        takeover.settle(Ok(vec![vec![object("a", "5")]]), at(1));
        for shown in [vec![], vec![("a", "4")], vec![("b", "5")], vec![("a", "5"), ("gone", "3")]] {
            assert!(!takeover.follow(Some(7), &Watch(shown.into_iter().collect()), at(2)));
            assert_eq!(takeover.done_in(), None);
        }
        let later = Watch([("a", "6")].into());
        assert!(takeover.follow(Some(7), &later, at(3)));
        assert_eq!(takeover.done_in(), Some(7));
        assert!(!takeover.follow(Some(7), &later, at(4)), "it is said once");
        assert!(!takeover.follow(Some(8), &later, at(5)), "the next epoch has a beginning of its own");
        assert_eq!(takeover.done_in(), None);
    }

    #[tokio::test]
    async fn what_is_gone_meanwhile_is_not_awaited_for_ever() {
        let mut takeover = takeover();
        let nothing = Watch(BTreeMap::new());
        takeover.follow(Some(1), &nothing, at(0));
        takeover.settle(Ok(vec![vec![object("a", "5")]]), at(0));
        let again_at = takeover.next_wake().unwrap();
        assert!(again_at > at(0) && again_at <= at(i64::try_from(TAKEOVER_PAUSE_MAX.as_millis()).unwrap()));
        assert!(!takeover.follow(Some(1), &nothing, again_at) && takeover.next_wake().is_none());
        takeover.settle(Ok(vec![vec![]]), again_at);
        assert!(takeover.follow(Some(1), &nothing, again_at));
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_asked_again_ever_more_slowly() {
        let mut takeover = takeover();
        let nothing = Watch(BTreeMap::new());
        let mut now = at(0);
        for _ in 0..20 {
            takeover.follow(Some(1), &nothing, now);
            takeover.settle(Err(ApiError::Garbled(String::new())), now);
            let next = takeover.next_wake().unwrap();
            assert!(next > now && next.duration_since(now).unsigned_abs() <= TAKEOVER_PAUSE_MAX);
            now = next;
        }
        takeover.settle(Err(ApiError::Garbled(String::new())), now);
        takeover.follow(Some(1), &nothing, at(0));
        assert!(takeover.next_wake().is_none(), "it is asked at once when the clock has jumped back");
        assert!(now.duration_since(at(0)).unsigned_abs() > Duration::from_secs(10), "{now}");
    }
}
