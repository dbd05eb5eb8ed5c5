//! The API server itself: whether it answers, which version it is, what time it has.

use chassis::objects::{self, ServerVersion};
use control::{Clock as _, SystemClock};
use jiff::{SignedDuration, Timestamp};

use super::Verdict;
use super::report::Finding;
use super::table::Check;
use crate::cluster::Cluster;
use crate::install::{MINOR_MIN, MUTATING_POLICIES_MINOR};

/// A difference of clocks that says nothing: the answer tells whole seconds, and takes its time.
const SKEW_TOLERATED: SignedDuration = SignedDuration::from_secs(2);

/// A difference beyond which objects go noticeably early, or late.
const SKEW_FATAL: SignedDuration = SignedDuration::from_secs(30);

pub(super) async fn examine(cluster: &Cluster) -> Vec<Finding> {
    let before = SystemClock.now();
    let answer = objects::server_version(&cluster.client).await;
    let after = SystemClock.now();
    match answer {
        Err(error) => vec![Finding::new(Check::ApiReachable, Verdict::Failed(error.to_string()))],
        Ok((found, date)) => vec![
            Finding::new(Check::ApiReachable, Verdict::Passed("the API server answers".to_owned())),
            Finding::new(Check::KubernetesVersion, version(&found)),
            Finding::new(Check::ClockSkew, skew(date, before, after)),
        ],
    }
}

fn version(found: &ServerVersion) -> Verdict {
    let is_least = |minor| found.major > 1 || found.minor >= minor;
    let name = &found.name;
    if !is_least(MINOR_MIN) {
        return Verdict::Failed(format!("Kubernetes {name}; at least 1.{MINOR_MIN} is needed"));
    }
    if !is_least(MUTATING_POLICIES_MINOR) {
        return Verdict::Warned(format!(
            "Kubernetes {name}; from 1.{MUTATING_POLICIES_MINOR} on the API server itself writes the author of a policy down"
        ));
    }
    Verdict::Passed(format!("Kubernetes {name}"))
}

/// How far the server's time lies outside of the span in which it was asked.
fn skew(date: Option<Timestamp>, before: Timestamp, after: Timestamp) -> Verdict {
    let Some(date) = date else {
        return Verdict::Skipped("the API server does not tell its time".to_owned());
    };
    let ahead = before.duration_since(date).max(SignedDuration::ZERO);
    let behind = date.duration_since(after).max(SignedDuration::ZERO);
    let (apart, direction) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    let message = format!("this clock is {} s {direction} the API server's", apart.as_secs());
    if apart > SKEW_FATAL {
        Verdict::Failed(message)
    } else if apart > SKEW_TOLERATED {
        Verdict::Warned(message)
    } else {
        Verdict::Passed(format!("the clocks agree within {} s", SKEW_TOLERATED.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_are_told_apart_from_answers_that_take_their_time() {
        let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
        assert!(matches!(skew(Some(at(0)), at(0), at(9)), Verdict::Passed(_)));
        assert!(matches!(skew(Some(at(9)), at(0), at(9)), Verdict::Passed(_)));
        assert!(matches!(skew(Some(at(0)), at(2), at(2)), Verdict::Passed(_)));
        assert!(
            matches!(skew(Some(at(0)), at(3), at(3)), Verdict::Warned(message) if message.contains("3 s ahead"))
        );
        assert!(
            matches!(skew(Some(at(40)), at(0), at(1)), Verdict::Failed(message) if message.contains("39 s behind"))
        );
        assert!(matches!(skew(None, at(0), at(0)), Verdict::Skipped(_)));
    }

    #[test]
    fn old_servers_are_refused_and_those_that_need_the_webhook_are_warned_of() {
        let judge = |minor| version(&ServerVersion { major: 1, minor, name: format!("v1.{minor}.0") });
        assert!(matches!(judge(29), Verdict::Failed(_)));
        assert!(matches!(judge(30), Verdict::Warned(_)));
        assert!(matches!(judge(36), Verdict::Passed(_)));
    }
}
