//! What people write, and what they should write instead.

use api::node_cleanup::{DrainSettings, EscalationRung};
use node_cleanup::drain::{Intent, Reason, Settings};
use serde_json::{Value, from_value, json};

fn error(settings: Value, rungs: Value) -> String {
    let settings: DrainSettings = from_value(settings).unwrap();
    let rungs: Vec<EscalationRung> = from_value(rungs).unwrap();
    let compiled =
        Settings::compile(&settings, Intent::Maintenance).and_then(|settings| settings.escalating(&rungs));
    compiled.unwrap_err().to_string()
}

#[test]
fn settings_that_cannot_be_acted_on_say_what_to_write() {
    let table = [
        (json!({"gracePeriodSeconds": 0}), "drain.gracePeriodSeconds is 0: write 1 to 86400, or -1"),
        (json!({"gracePeriodSeconds": -2}), "drain.gracePeriodSeconds is -2"),
        (
            json!({"skipWaitForDeleteTimeoutSeconds": -1}),
            "skipWaitForDeleteTimeoutSeconds is -1: write 0 to 86400",
        ),
        (json!({"timeoutSeconds": 604_801}), "timeoutSeconds is 604801: write 0 to 604800"),
        (json!({"volumePodsAtOnce": 0}), "volumePodsAtOnce is 0: write 1 to 1000"),
        (json!({"podSelector": {"matchLabels": {"a b": ""}}}), "drain.podSelector: `a b` is not a label key"),
    ];
    for (settings, expected) in table {
        let error = error(settings.clone(), json!([]));
        assert!(error.contains(expected), "{settings}: {error}");
    }
}

#[test]
fn a_ladder_that_cannot_be_climbed_says_what_to_write() {
    let rung = |after: &str, action: &str| json!({"after": after, "action": action});
    let table = [
        (json!([rung("1h", "Abandon"), rung("30m", "DeletePods")]), "escalation[1].after is not later"),
        (json!([rung("1h", "DeletePods"), rung("1h", "Abandon")]), "escalation[1].after is not later"),
        (json!([rung("soon", "Abandon")]), "escalation[0].after: `soon` is not a duration"),
        (json!([rung("8d", "Abandon")]), "escalation[0].after: `8d` is too long: write at most `7d`"),
        (
            json!([{"after": "1h", "action": "DeletePods", "gracePeriodSeconds": 5}]),
            "escalation[0].gracePeriodSeconds is for `action: TightenGrace`",
        ),
        (json!([{"after": "1h", "action": "TightenGrace", "gracePeriodSeconds": 0}]), "write 1 to 86400"),
        (Value::Array(vec![rung("1h", "Abandon"); 9]), "escalation has 9 rungs: write at most 8"),
    ];
    for (rungs, expected) in table {
        let error = error(json!({}), rungs.clone());
        assert!(error.contains(expected), "{rungs}: {error}");
    }
}

#[test]
fn each_reason_has_a_word_and_a_meaning_of_its_own() {
    let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    let meanings: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.meaning()).collect();
    assert_eq!((names.len(), meanings.len()), (Reason::ALL.len(), Reason::ALL.len()));
    assert!(Reason::ALL.is_sorted());
}
