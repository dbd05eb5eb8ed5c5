//! Pods are asked to leave, each by its UID.

use std::sync::Arc;

use api::NodeCleanup;
use chassis::actuator::{Act, Manner, Outcome, Purpose, Target};
use chassis::lease::Epoch;
use chassis::ledger::Evidence;
use chassis::{ApiError, MetricName};
use futures::StreamExt as _;
use futures::stream;
use node_cleanup::drain::{Answer, By, Eviction};
use units::Uid;

use super::super::limits::{EVICTIONS_IN_FLIGHT, EVICTIONS_PER_TURN};
use super::{Deeds, Word, pod_resource};

/// What came of asking pods to leave.
#[derive(Debug, Default)]
pub(in super::super) struct Asked {
    /// What the server answered, by the pods' UIDs.
    pub(in super::super) answers: Vec<(Uid, Answer)>,
    /// Whether some were not asked, for want of a slot.
    pub(in super::super) has_more: bool,
    /// Whether the server did not answer at all.
    pub(in super::super) was_unheard: bool,
}

impl Deeds {
    /// Asks the pods of a node that is deleted.
    pub(in super::super) async fn ask_pods(
        &self,
        pods: Vec<Eviction>,
        record: &NodeCleanup,
        epoch: &Epoch,
    ) -> Asked {
        self.ask(pods, &Word::of(record), &record.spec.node_name, epoch).await
    }

    /// Asks pods to leave a node, on somebody's word.
    pub(in super::super) async fn ask(
        &self,
        pods: Vec<Eviction>,
        word: &Word,
        node: &str,
        epoch: &Epoch,
    ) -> Asked {
        let mut asked = Asked { has_more: pods.len() > EVICTIONS_PER_TURN, ..Asked::default() };
        let outcomes = stream::iter(pods.into_iter().take(EVICTIONS_PER_TURN))
            .map(|eviction: Eviction| async move {
                let outcome = self.ask_one(&eviction, word, node, epoch).await;
                (eviction.uid, outcome)
            })
            .buffer_unordered(EVICTIONS_IN_FLIGHT);
        let mut outcomes = std::pin::pin!(outcomes);
        while let Some((uid, outcome)) = outcomes.next().await {
            self.metrics.count(MetricName::NodeEvictions, &[("outcome", outcome.label())]);
            asked.was_unheard |= was_unheard(&outcome);
            match answer(outcome) {
                Some(answer) => asked.answers.push((uid, answer)),
                None => asked.has_more = true,
            }
        }
        asked
    }

    async fn ask_one(&self, eviction: &Eviction, word: &Word, node: &str, epoch: &Epoch) -> Outcome {
        let target = Target {
            resource: Arc::new(pod_resource()),
            namespace: eviction.namespace.to_string(),
            name: eviction.name.clone(),
            uid: eviction.uid.clone(),
            resource_version: None,
            act_as: None,
        };
        let grace_period_seconds = eviction.grace_seconds;
        let act = match eviction.by {
            By::Eviction => Act::Evict { grace_period_seconds },
            By::Deletion => Act::Delete(Manner { propagation: "Background", grace_period_seconds }),
        };
        let evidence = Evidence::default().with("leaves", format!("node {node}"));
        self.carry_out(target, word.clone().grounds(Purpose::Departure, evidence), act, epoch).await
    }
}

fn was_unheard(outcome: &Outcome) -> bool {
    let (Outcome::Failed(error) | Outcome::FoundDone(error)) = outcome else { return false };
    matches!(error, ApiError::TimedOut(_) | ApiError::Unreachable(_))
}

/// What the engine remembers of an answer; none if the pod was not asked.
fn answer(outcome: Outcome) -> Option<Answer> {
    match outcome {
        Outcome::Accepted | Outcome::FoundDone(_) | Outcome::Gone | Outcome::Changed => {
            Some(Answer::Accepted)
        }
        Outcome::Blocked { retry_after, .. } => {
            Some(Answer::TooManyRequests { retry_after: Some(retry_after), budget: None })
        }
        Outcome::Throttled(_) | Outcome::Fenced | Outcome::CutOff => None,
        Outcome::Denied(error) => {
            let message = error.to_string();
            Some(if message.contains("being terminated") {
                Answer::NamespaceTerminating
            } else {
                Answer::Denied { message }
            })
        }
        Outcome::Failed(error) => {
            let message = error.to_string();
            let is_refused = matches!(error, ApiError::Refused { code: 400..=499, .. });
            Some(if message.contains("more than one PodDisruptionBudget") {
                Answer::SeveralBudgets
            } else if is_refused {
                Answer::Denied { message }
            } else {
                Answer::Failed { message }
            })
        }
        Outcome::Unrecorded(message) => Some(Answer::Failed { message }),
        Outcome::Refused(refused) => Some(Answer::Denied { message: refused.to_string() }),
    }
}
