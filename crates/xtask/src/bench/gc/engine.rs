//! The engine alone, in this process: memory of a tracked object, speed of conditions, what many policies cost.

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use gc::{Ground, Held, Object, Rule, Scope, Which};
use serde_json::{Value, json};
use units::KeyPath;

use super::things::{self, Kind, Place};
use crate::bench::operator::resident_bytes_of;
use crate::bench::row;

/// Objects that are written before they are read, so that the writing is not measured.
const WRITTEN_AT_ONCE: usize = 2_000;

/// What the memory of one sort of objects is measured with, in a process that does nothing else.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Tracked {
    #[arg(long, value_enum)]
    kind: Kind,

    #[arg(long)]
    policies: usize,

    #[arg(long)]
    objects: usize,
}

/// Tracks objects and says what that took, as JSON for the process that asked.
pub(crate) fn track(args: &Tracked) -> Result<()> {
    println!("{}", tracked(args)?);
    Ok(())
}

fn tracked(args: &Tracked) -> Result<Value> {
    let Tracked { kind, policies, objects } = *args;
    let now = things::now();
    let mut ground = Ground::default();
    let mut rules = Vec::new();
    for number in 0..policies {
        rules.push(things::rule(&things::cluster_policy(&format!("p{number}"), &kind.spec(25 + number))?)?);
    }
    let projection = things::projection(&rules);
    for rule in rules {
        ground.admit(rule, now);
    }
    let (mut texts, mut seconds) = (Vec::with_capacity(WRITTEN_AT_ONCE), 0.0);
    // What the texts take is there before and after.
    texts.extend((0..WRITTEN_AT_ONCE).map(|number| kind.text(number)));
    let before = resident_bytes()?;
    ground.begin_listing(&Scope::CLUSTER, None);
    for from in (0..objects).step_by(WRITTEN_AT_ONCE) {
        texts.clear();
        texts.extend((from..objects.min(from + WRITTEN_AT_ONCE)).map(|number| kind.text(number)));
        let cpu = Cpu::start()?;
        for text in &texts {
            ground.apply(&Scope::CLUSTER, things::read(text, &projection)?, now);
        }
        seconds += cpu.seconds()?;
    }
    ground.finish_listing(&Scope::CLUSTER, now);
    let after = resident_bytes()?;
    ensure!(ground.len() == objects, "{} objects are tracked, not {objects}", ground.len());
    Ok(json!({"before": before, "after": after, "seconds": seconds}))
}

/// Resident memory with so many objects tracked, each sort in a process of its own, for memory that was given back
/// would be taken again.
pub(super) fn memory(objects: usize) -> Result<()> {
    for (kind, policies) in [Kind::ConfigMap, Kind::Pod].into_iter().flat_map(|kind| [(kind, 1), (kind, 2)]) {
        let output = Command::new(std::env::current_exe()?)
            .args(["bench", "tracked", "--kind", if kind == Kind::Pod { "pod" } else { "config-map" }])
            .args(["--policies", &policies.to_string(), "--objects", &objects.to_string()])
            .output()
            .context("running the bench's own program")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let measured: Value = serde_json::from_slice(&output.stdout)?;
        let number = |key: &str| measured[key].as_f64().context("not a number");
        let (before, after) = (number("before")?, number("after")?);
        let plural = if policies == 1 { "policy" } else { "policies" };
        row(
            &format!("memory of {objects} {}s under {policies} {plural}, in process", kind.name()),
            &format!(
                "{:.0} bytes each; {:.0} MB in all ({:.0} MB before)",
                (after - before) / objects as f64,
                after / 1e6,
                before / 1e6,
            ),
            if policies == 1 { "≤ 300 bytes each, < 500 MB in all" } else { "" },
        );
        let rate = objects as f64 / number("seconds")?;
        row(
            &format!("listing of them: decoded, judged, put in order, {policies} {plural}"),
            &format!("{:.1} s of a core, {:.0} thousand objects/s", number("seconds")?, rate / 1e3),
            "",
        );
    }
    Ok(())
}

/// How many objects conditions judge in a second, on one core.
pub(super) fn conditions(objects: usize) -> Result<()> {
    let cel = "object.status.phase in ['Succeeded', 'Failed']";
    let cases = [
        ("one condition", json!({"conditions": {"phase": ["Succeeded", "Failed"]}})),
        (
            "three conditions",
            json!({"conditions": {
                "phase": ["Succeeded", "Failed"],
                "hasLabels": [{"key": "app", "operator": "Exists"}],
                "and": [{"fieldPath": "status.qosClass", "operator": "NotEquals", "value": "Guaranteed"}],
            }}),
        ),
        ("CEL", json!({"when": cel})),
    ];
    let cases = cases.map(|(what, spec)| anyhow::Ok((what, Case::compile(&spec)?)));
    let cases = cases.into_iter().collect::<Result<Vec<_>>>()?;
    let rules: Vec<Rule> = cases.iter().map(|(_, case)| case.rule.clone()).collect();
    let projection = things::projection(&rules);
    let objects = (0..objects).map(|number| things::read(&Kind::Pod.text(number), &projection));
    let objects: Vec<Object> = objects.collect::<Result<_>>()?;

    let path: KeyPath = "status.phase".parse::<units::FieldPath>()?.prefix().clone();
    let by_hand = |object: &Object| {
        object
            .fields
            .get(&path)
            .and_then(units::Value::as_text)
            .is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"))
    };
    row("conditions: the same by hand, one core", &rate(&objects, by_hand)?, "baseline");
    let now = things::now();
    for (what, Case { which, rule }) in &cases {
        let goal = if *what == "CEL" { "" } else { "≥ 2 million/s" };
        row(
            &format!("conditions: {what}, one core"),
            &rate(&objects, |object| holds(which, object, now))?,
            goal,
        );
        let judged = rate(&objects, |object| gc::standing(rule, object, now).is_matched())?;
        row(&format!("the whole rule: {what}, one core"), &judged, "");
    }
    Ok(())
}

/// Conditions by themselves, and with all that belongs to a rule.
struct Case {
    which: Which,
    rule: Rule,
}

impl Case {
    fn compile(more: &Value) -> Result<Self> {
        let mut spec = Kind::Pod.spec(1);
        for key in ["conditions", "when"] {
            spec[key] = more[key].clone();
        }
        let parsed: api::garbage_collection::GarbageCollectionPolicySpec =
            serde_json::from_value(spec.clone())?;
        let which = Which::compile(parsed.conditions.as_ref(), parsed.when.as_deref())?;
        Ok(Self { which, rule: things::rule(&things::cluster_policy("p", &spec)?)? })
    }
}

fn holds(which: &Which, object: &Object, now: jiff::Timestamp) -> bool {
    matches!(which.judge(object, now), Held::Yes)
}

/// Objects in a second of a core, over many rounds.
fn rate(objects: &[Object], judge: impl Fn(&Object) -> bool) -> Result<String> {
    const SECONDS: f64 = 0.5;
    let (cpu, mut judged) = (Cpu::start()?, 0);
    while cpu.seconds()? < SECONDS {
        black_box(objects.iter().filter(|object| judge(black_box(object))).count());
        judged += objects.len();
    }
    Ok(format!("{:.2} million objects/s", judged as f64 / cpu.seconds()? / 1e6))
}

/// By which labels a policy selects.
#[derive(Clone, Copy)]
enum Selector {
    /// One label, which no other policy demands: the index finds the policy by it.
    Demanding,
    /// All labels but some that nobody has: every policy selects every object.
    Tolerant,
}

impl Selector {
    /// Of the policy of this number.
    fn of(self, number: usize) -> Value {
        match self {
            Self::Demanding => json!({"matchLabels": {"app": format!("report-{number}")}}),
            Self::Tolerant => {
                let other = format!("other-{number}");
                json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [other]}]})
            }
        }
    }
}

/// What an event costs while so many policies look at its namespace, each with a label of its own.
pub(super) fn policies(objects: usize) -> Result<()> {
    for selector in [Selector::Demanding, Selector::Tolerant] {
        let mut first = None;
        for count in [1, 10, 100, 1_000] {
            // What no selector narrows is judged by all policies: fewer objects tell as much.
            let (what, objects) = match selector {
                Selector::Demanding => ("each demands a label of its own", objects),
                Selector::Tolerant => ("all of them select it", (objects / count).max(100)),
            };
            let micros = event_cost(count, objects, selector)? * 1e6;
            let first = *first.get_or_insert(micros);
            row(
                &format!("an event with {count} policies on its namespace; {what}"),
                &format!("{micros:.2} µs, {:.2} times that of one", micros / first),
                if count == 1 { "baseline" } else { "less than linear" },
            );
        }
    }
    Ok(())
}

/// Seconds that one change of an object takes: decoded and judged.
fn event_cost(policies: usize, objects: usize, selector: Selector) -> Result<f64> {
    let now = things::now();
    let mut ground = Ground::default();
    for number in 0..policies {
        let mut spec = Kind::ConfigMap.spec(25);
        spec["targetResource"]["labelSelector"] = selector.of(number);
        ground.admit(things::rule(&things::policy("team-0", &format!("p{number}"), &spec)?)?, now);
    }
    let projection = Arc::default();
    // All in one namespace, and of as many apps as there are policies.
    let place = |number| Place { namespace: 0, app: number % policies };
    let texts =
        |version| (0..objects).map(move |number| Kind::ConfigMap.text_of(number, place(number), version));
    for text in texts(0) {
        ground.apply(&Scope::CLUSTER, things::read(&text, &projection)?, now);
    }
    let texts: Vec<String> = texts(1).collect();
    let cpu = Cpu::start()?;
    for text in &texts {
        ground.apply(&Scope::CLUSTER, things::read(text, &projection)?, now);
    }
    Ok(cpu.seconds()? / objects as f64)
}

fn resident_bytes() -> Result<u64> {
    resident_bytes_of(std::process::id())
}

/// Time that this thread has on a core: what others do on a shared machine does not count.
struct Cpu(f64);

impl Cpu {
    fn start() -> Result<Self> {
        Ok(Self(Self::used()?))
    }

    fn seconds(&self) -> Result<f64> {
        Ok(Self::used()? - self.0)
    }

    fn used() -> Result<f64> {
        let text =
            std::fs::read_to_string("/proc/thread-self/schedstat").context("reading the time on a core")?;
        let nanoseconds: f64 = text.split(' ').next().context("no time on a core")?.parse()?;
        Ok(nanoseconds / 1e9)
    }
}
