//! Whether the owners of objects exist, for policies that collect what its owners have left behind.
//!
//! The server itself is asked, for each object once: an owner that is gone never comes again, for its UID is its own. One
//! that is there, or of which nothing can be told, is asked for again later; until then the object stays.
//!
//! Of what cannot be told, such as for want of a right, the server is asked once, for the whole kind, and again after
//! growing pauses; meanwhile all other objects with such an owner get the same answer.

use std::collections::HashMap;
use std::future::pending;
use std::time::Duration;

use chassis::{Class, Classify as _, Unserved, is_there};
use control::Backoff;
use gc::{OwnerName, OwnerQuestion};
use jiff::Timestamp;
use kube::Client;
use tokio::task::JoinSet;
use units::GroupVersionKind;

use super::limits::{OWNER_QUESTIONS_IN_FLIGHT_MAX, OWNER_RETRY_FIRST, OWNER_RETRY_MAX, UNTELLABLE_MAX};
use super::observe::{Observed, PlotId};

/// All questions after owners, under way.
pub(super) struct Owners {
    client: Client,
    asking: JoinSet<Found>,
    untellable: Untellable,
}

/// What was found of an object's owners.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) plot: PlotId,
    pub(super) question: OwnerQuestion,
    /// Whether all of them are gone, or why that cannot be told.
    pub(super) are_gone: Result<bool, Untold>,
}

/// A kind of owners, where objects of it may lie.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct OwnerKind {
    pub(super) namespace: Box<str>,
    api_version: Box<str>,
    kind: Box<str>,
}

/// Why it cannot be told whether owners exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "whether owners of the kind {} exist cannot be told, so what they own stays: {why}{}", .of.kind,
    if *.is_denied { "; grant the right to `list` them" } else { "" }
)]
pub(super) struct Untold {
    pub(super) of: OwnerKind,
    /// For want of a right.
    pub(super) is_denied: bool,
    why: String,
}

/// The kinds of which nothing can be told, and when each is asked about again.
#[derive(Debug, Default)]
struct Untellable(HashMap<OwnerKind, Silence>);

/// A kind of which nothing can be told.
#[derive(Debug)]
struct Silence {
    untold: Untold,
    backoff: Backoff,
    again_at: Timestamp,
    /// One object asks for all.
    is_asking: bool,
}

impl Owners {
    pub(super) fn new(client: Client) -> Self {
        Self { client, asking: JoinSet::new(), untellable: Untellable::default() }
    }

    /// Asks what is to be asked.
    pub(super) fn launch(&mut self, observed: &mut Observed, now: Timestamp) {
        while self.asking.len() < OWNER_QUESTIONS_IN_FLIGHT_MAX {
            let Some((plot, question)) = observed.take_owner_question() else { return };
            let known = kinds_of(&question).find_map(|kind| self.untellable.answer(&kind, now));
            let client = self.client.clone();
            self.asking.spawn(async move {
                let are_gone = match known {
                    Some(untold) => Err(untold),
                    None => are_gone(&client, &question).await,
                };
                Found { plot, question, are_gone }
            });
        }
    }

    /// The next answer; never, while nothing has been asked.
    pub(super) async fn next_found(&mut self) -> Option<Found> {
        loop {
            if self.asking.is_empty() {
                return pending().await;
            }
            match self.asking.join_next().await? {
                Ok(found) => return Some(found),
                Err(error) => tracing::error!(%error, "a question after owners broke; please report this"),
            }
        }
    }

    /// Remembers what could not be told.
    pub(super) fn settle(&mut self, found: &Found, now: Timestamp) {
        match &found.are_gone {
            Ok(_) => kinds_of(&found.question).for_each(|kind| self.untellable.forget(&kind)),
            Err(untold) => {
                if self.untellable.learn(untold, now) {
                    tracing::info!(namespace = %untold.of.namespace, %untold, "cannot tell whether owners exist");
                }
            }
        }
    }
}

impl Untellable {
    /// What is known of a kind; none if it is to be asked about.
    fn answer(&mut self, kind: &OwnerKind, now: Timestamp) -> Option<Untold> {
        let silence = self.0.get_mut(kind)?;
        if silence.again_at > now {
            return Some(silence.untold.clone());
        }
        silence.is_asking = true;
        silence.again_at = later(now, OWNER_RETRY_FIRST);
        None
    }

    /// Nothing can be told of a kind; returns whether that is news.
    fn learn(&mut self, untold: &Untold, now: Timestamp) -> bool {
        if self.0.len() >= UNTELLABLE_MAX {
            self.0.clear();
        }
        let is_known = self.0.contains_key(&untold.of);
        let silence = self.0.entry(untold.of.clone()).or_insert_with(|| Silence {
            untold: untold.clone(),
            backoff: Backoff::new(OWNER_RETRY_FIRST, OWNER_RETRY_MAX, &untold.of),
            again_at: now,
            is_asking: true,
        });
        silence.untold.clone_from(untold);
        if std::mem::take(&mut silence.is_asking) {
            silence.again_at = later(now, silence.backoff.after_failure());
        }
        !is_known
    }

    fn forget(&mut self, kind: &OwnerKind) {
        self.0.remove(kind);
    }
}

fn later(now: Timestamp, pause: Duration) -> Timestamp {
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

/// The kinds of the owners that are asked for.
pub(super) fn kinds_of(question: &OwnerQuestion) -> impl Iterator<Item = OwnerKind> {
    question.owners.iter().map(|owner| OwnerKind::of(owner, &question.namespace))
}

impl OwnerKind {
    fn of(owner: &OwnerName, namespace: &str) -> Self {
        Self {
            namespace: namespace.into(),
            api_version: owner.api_version.as_str().into(),
            kind: owner.kind.as_str().into(),
        }
    }
}

/// Whether all owners of an object are gone.
async fn are_gone(client: &Client, question: &OwnerQuestion) -> Result<bool, Untold> {
    for owner in &question.owners {
        if exists(client, &question.namespace, owner).await? {
            return Ok(false);
        }
    }
    Ok(!question.owners.is_empty())
}

async fn exists(client: &Client, namespace: &str, owner: &OwnerName) -> Result<bool, Untold> {
    let untold =
        |is_denied: bool, why: String| Untold { of: OwnerKind::of(owner, namespace), is_denied, why };
    let api_version = owner
        .api_version
        .parse()
        .map_err(|error: units::InvalidApiVersion| untold(false, error.to_string()))?;
    let kind = GroupVersionKind { api_version, kind: owner.kind.clone() };
    let uid = owner.uid.to_string();
    is_there(client, &kind, namespace, (&owner.name, &uid)).await.map_err(|error| {
        let is_denied = matches!(&error, Unserved::Api { source, .. } if source.class() == Class::Denied);
        untold(is_denied, error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn kind(kind: &str) -> OwnerKind {
        OwnerKind { namespace: "team".into(), api_version: "v1".into(), kind: kind.into() }
    }

    impl Untold {
        pub(in super::super) fn of_test(is_denied: bool) -> Self {
            Self { of: kind("Pod"), is_denied, why: "pods is forbidden".to_owned() }
        }
    }

    #[test]
    fn what_cannot_be_told_is_asked_once_for_the_whole_kind_and_again_after_growing_pauses() {
        let mut untellable = Untellable::default();
        let untold = Untold::of_test(true);
        assert_eq!(untellable.answer(&kind("Pod"), second(0)), None);
        assert!(untellable.learn(&untold, second(0)), "it is told once");
        // Seven others were asked at the same time.
        (0..7).for_each(|_| assert!(!untellable.learn(&untold, second(0))));
        assert_eq!(untellable.answer(&kind("Secret"), second(0)), None, "another kind is asked about");

        let (mut asked, mut last) = (Vec::new(), 0);
        for now in 0..600 {
            if untellable.answer(&kind("Pod"), second(now)).is_none() {
                assert!(untellable.answer(&kind("Pod"), second(now)).is_some(), "one object asks for all");
                untellable.learn(&untold, second(now));
                asked.push(now - last);
                last = now;
            }
        }
        let longest = i64::try_from(OWNER_RETRY_MAX.as_secs()).unwrap();
        assert!(asked.len() < 50 && asked.iter().all(|pause| *pause <= longest + 1), "{asked:?}");
        untellable.forget(&kind("Pod"));
        assert_eq!(untellable.answer(&kind("Pod"), second(600)), None);
    }

    #[test]
    fn what_cannot_be_told_says_why_and_what_to_do() {
        let text = Untold::of_test(true).to_string();
        assert!(
            text.contains("kind Pod") && text.contains("pods is forbidden; grant the right to `list`"),
            "{text}"
        );
        assert!(!Untold::of_test(false).to_string().contains("grant"));
    }
}
