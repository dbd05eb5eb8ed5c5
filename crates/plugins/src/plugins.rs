//! All plugins by name, and how each is asked.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use api::CleanupPlugin;
use api::node_cleanup::CleanupPluginSpec;
use chassis::{MetricName, Metrics};
use control::{CallResult, Clock};
use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use node_cleanup::contract::{Checked, Described, Executed, Planned, Task};
use node_cleanup::steps::{DRAIN_PLUGIN, Health, Outcome, PluginFacts, VOLUMES_PLUGIN};
use serde_json::{Map, Value};

use crate::builtin::{Builtin, Client, Desk, Trouble};
use crate::gate::{Gate, Shut};
use crate::invalid::InvalidPlugin;
use crate::limits::{ATTEMPT_TIMEOUT, QUESTION_TIMEOUT};
use crate::outbound::{Caller, Outbound};
use crate::secrets::Secrets;
use crate::{cmdb, declared, hook, job, log, portworx, slack};

/// What plugins work with.
#[derive(Clone)]
pub struct Means {
    /// The cluster, with the operator's own rights.
    pub client: kube::Client,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where calls are counted.
    pub metrics: Metrics,
    /// Our own namespace: the Secrets of plugins lie there, and Jobs are made there unless their step says otherwise.
    pub namespace: String,
    /// What the operator of the cluster allows.
    pub outbound: Outbound,
}

impl fmt::Debug for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client: _, clock: _, metrics: _, namespace, outbound } = self;
        f.debug_struct("Means")
            .field("namespace", namespace)
            .field("outbound", outbound)
            .finish_non_exhaustive()
    }
}

/// All plugins: those that come with us, and those that are declared. A clone is the same.
#[derive(Clone, Debug)]
pub struct Plugins(Arc<Inner>);

struct Inner {
    desk: Desk,
    metrics: Metrics,
    entries: RwLock<BTreeMap<Box<str>, Arc<Entry>>>,
}

/// One plugin. A call under way keeps the one with which it began.
#[derive(Debug)]
struct Entry {
    plugin: Arc<dyn Builtin>,
    /// None for what comes with us.
    spec: Option<CleanupPluginSpec>,
    gate: Arc<Gate>,
}

/// Why a question to a plugin has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// There is none of this name.
    #[error(
        "there is no plugin `{name}`: write one that comes with us, or create a CleanupPlugin of this name"
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// It did not answer in time.
    #[error("plugin `{name}` gave no answer within {} s", .limit.as_secs())]
    TimedOut {
        /// The name.
        name: String,
        /// How long was waited.
        limit: Duration,
    },
    /// It could not be asked, or its answer cannot be used; why, without secrets.
    #[error("{0}")]
    Failed(String),
}

/// How a call ended, as the metric has it, and what the breaker makes of it.
struct Ended {
    outcome: Outcome,
    word: &'static str,
    result: CallResult,
}

impl Plugins {
    /// Those that come with us. Calls nobody.
    pub fn new(means: Means) -> Self {
        let Means { client, clock, metrics, namespace, outbound } = means;
        let desk = Desk {
            client: Client(client.clone()),
            namespace: namespace.as_str().into(),
            caller: Caller::new(outbound),
            secrets: Secrets::new(client, &namespace, Arc::clone(&clock)),
            clock,
        };
        let entries = built_in().into_iter().map(|(name, plugin)| {
            let gate = Arc::new(Gate::new(plugin.concurrency()));
            (name.into(), Arc::new(Entry { plugin, spec: None, gate }))
        });
        let entries = RwLock::new(entries.collect());
        Self(Arc::new(Inner { desk, metrics, entries }))
    }

    /// Takes up a plugin that is declared, as the watch shows it: from now on steps are given to it, and to no older one of
    /// its name. If it cannot be used, no one of its name is there until it is mended.
    pub fn declare(&self, plugin: &CleanupPlugin) -> Result<(), InvalidPlugin> {
        let name = plugin.metadata.name.as_deref().ok_or(InvalidPlugin::Nameless)?;
        if is_taken(name) {
            return Err(InvalidPlugin::Taken { name: name.to_owned() });
        }
        let known = self.entry(name);
        if known.as_ref().is_some_and(|known| known.spec.as_ref() == Some(&plugin.spec)) {
            return Ok(());
        }
        let made = match declared::compile(name, &plugin.spec) {
            Ok(made) => made,
            Err(fault) => {
                self.forget(name);
                return Err(fault);
            }
        };
        let gate = match known {
            Some(known) => {
                known.gate.renew(made.concurrency());
                Arc::clone(&known.gate)
            }
            None => Arc::new(Gate::new(made.concurrency())),
        };
        let entry = Entry { plugin: made, spec: Some(plugin.spec.clone()), gate };
        self.0.write().insert(name.into(), Arc::new(entry));
        Ok(())
    }

    /// Forgets a plugin that was declared. What comes with us stays.
    pub fn forget(&self, name: &str) {
        if is_taken(name) || self.0.write().remove(name).is_none() {
            return;
        }
        for call in ["describe", "check", "plan", "execute"] {
            self.0.metrics.forget(MetricName::PluginCallTime, &[("plugin", name), ("call", call)]);
            for outcome in OUTCOMES {
                let labels = [("plugin", name), ("call", call), ("outcome", outcome)];
                self.0.metrics.forget(MetricName::PluginCalls, &labels);
            }
        }
        self.0.metrics.forget(MetricName::PluginResting, &[("plugin", name)]);
    }

    /// The names of all plugins, sorted.
    pub fn names(&self) -> Vec<String> {
        self.0.read().keys().map(ToString::to_string).collect()
    }

    /// What has to be known of a plugin before a step may name it; none if there is none of this name.
    pub fn facts(&self, name: &str) -> Option<PluginFacts> {
        self.entry(name).map(|entry| PluginFacts { settings_schema: entry.plugin.schema() })
    }

    /// How many more steps a plugin may be given, and until when it is left alone because it failed too often.
    pub fn capacity(&self, name: &str) -> (u32, Option<Timestamp>) {
        let Some(entry) = self.entry(name) else { return (0, None) };
        let clock = &self.0.desk.clock;
        let (steady, now) = (clock.steady(), clock.now());
        let (free, until) = entry.gate.capacity(steady);
        let wall = |until: control::Steady| {
            let rest = SignedDuration::try_from(until.since(steady)).unwrap_or(SignedDuration::MAX);
            now.saturating_add(rest).unwrap_or(Timestamp::MAX)
        };
        (free, until.map(wall))
    }

    /// What a plugin says that it is.
    pub async fn describe(&self, name: &str) -> Result<Described, AskError> {
        let entry = self.known(name)?;
        self.question(name, "describe", async { entry.plugin.describe(&self.0.desk).await }).await
    }

    /// Whether a plugin could work now with these settings. Changes nothing.
    pub async fn check(&self, name: &str, settings: &Map<String, Value>) -> Result<Checked, AskError> {
        let entry = self.known(name)?;
        self.question(name, "check", async { entry.plugin.check(&self.0.desk, settings).await }).await
    }

    /// As [`Self::check`], in the words of the engine: what gives no answer is not healthy.
    pub async fn health(&self, name: &str, settings: &Map<String, Value>) -> Health {
        match self.check(name, settings).await {
            Ok(Checked { healthy: true, .. }) => Health::Healthy,
            Ok(Checked { message, .. }) => Health::Unhealthy(message),
            Err(error) => Health::Unhealthy(error.to_string()),
        }
    }

    /// What a plugin would do for this step, in words. Changes nothing.
    pub async fn plan(&self, name: &str, task: &Task) -> Result<Planned, AskError> {
        let entry = self.known(name)?;
        self.question(name, "plan", async { entry.plugin.plan(&self.0.desk, task).await }).await
    }

    /// Asks a plugin to do a step, or how far it is with it. Comes back by the task's deadline, whatever the plugin does.
    ///
    /// A step for which the plugin has no place, and one that comes while the plugin is left alone, is answered with
    /// `progress` and a time to ask again: that is no failure of the step.
    pub async fn execute(&self, name: &str, task: Task) -> Outcome {
        let inner = &*self.0;
        let Ok(entry) = self.known(name) else {
            let unknown = AskError::Unknown { name: name.to_owned() };
            return Outcome::Unreachable(unknown.to_string());
        };
        let begun = inner.desk.clock.steady();
        let target = entry.plugin.target(&task.settings);
        let mut entered = match entry.gate.enter(&task.idempotency_key, &target, begun) {
            Ok(entered) => entered,
            Err(shut) => return later(name, shut, begun),
        };
        let left = inner.left(task.deadline);
        tracing::debug!(
            plugin = name,
            run = task.run_id,
            step = task.step_id,
            attempt = task.attempt,
            "asking a plugin"
        );
        let call = AssertUnwindSafe(async { entry.plugin.execute(&inner.desk, &task).await }).catch_unwind();
        let ended = match tokio::time::timeout(left, call).await {
            Ok(Ok(answer)) => ended(answer),
            Ok(Err(_)) => panicked(name),
            Err(_) => Ended { outcome: Outcome::TimedOut, word: "timed_out", result: CallResult::Failure },
        };
        let now = inner.desk.clock.steady();
        entered.record(ended.result, now);
        if let Outcome::Answered(Executed::Progress { retry_after_seconds, .. }) = &ended.outcome {
            entered.keep(now, Duration::from_secs(u64::from(*retry_after_seconds)));
        }
        drop(entered);
        inner.note(name, "execute", ended.word, now.since(begun));
        let resting = entry.gate.capacity(now).1.is_some();
        inner.metrics.set(MetricName::PluginResting, &[("plugin", name)], i64::from(resting));
        tracing::debug!(
            plugin = name,
            run = task.run_id,
            step = task.step_id,
            outcome = ended.word,
            "asked a plugin"
        );
        ended.outcome
    }

    async fn question<T>(
        &self,
        name: &str,
        call: &'static str,
        answer: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, AskError> {
        let begun = self.0.desk.clock.steady();
        let answer = tokio::time::timeout(QUESTION_TIMEOUT, AssertUnwindSafe(answer).catch_unwind()).await;
        let (answer, word) = match answer {
            Ok(Ok(Ok(answer))) => (Ok(answer), "done"),
            Ok(Ok(Err(trouble))) => (Err(AskError::Failed(trouble.to_string())), word(&trouble)),
            Ok(Err(_)) => (
                Err(AskError::Failed(format!("plugin `{name}` panicked, which is a fault of ours"))),
                "panicked",
            ),
            Err(_) => {
                (Err(AskError::TimedOut { name: name.to_owned(), limit: QUESTION_TIMEOUT }), "timed_out")
            }
        };
        self.0.note(name, call, word, self.0.desk.clock.steady().since(begun));
        answer
    }

    fn known(&self, name: &str) -> Result<Arc<Entry>, AskError> {
        self.entry(name).ok_or_else(|| AskError::Unknown { name: name.to_owned() })
    }

    fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        self.0.read().get(name).cloned()
    }
}

impl Inner {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Box<str>, Arc<Entry>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<Box<str>, Arc<Entry>>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long an attempt with this deadline may go on.
    fn left(&self, deadline: Option<Timestamp>) -> Duration {
        let Some(deadline) = deadline else { return ATTEMPT_TIMEOUT };
        let left = deadline.duration_since(self.desk.clock.now());
        Duration::try_from(left).unwrap_or(Duration::ZERO).min(ATTEMPT_TIMEOUT)
    }

    fn note(&self, plugin: &str, call: &'static str, outcome: &'static str, took: Duration) {
        let labels = [("plugin", plugin), ("call", call), ("outcome", outcome)];
        self.metrics.count(MetricName::PluginCalls, &labels);
        let labels = [("plugin", plugin), ("call", call)];
        self.metrics.observe_with(MetricName::PluginCallTime, &labels, took.as_secs_f64());
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugins")
            .field("desk", &self.desk)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

/// What comes with us, a row each.
fn built_in() -> Vec<(&'static str, Arc<dyn Builtin>)> {
    vec![
        ("cmdb", Arc::new(cmdb::Cmdb)),
        ("httpHook", Arc::new(hook::HttpHook)),
        ("job", Arc::new(job::JobHook)),
        ("log", Arc::new(log::Log)),
        ("portworx", Arc::new(portworx::Portworx)),
        ("slack", Arc::new(slack::Slack)),
    ]
}

/// Whether a name belongs to us.
fn is_taken(name: &str) -> bool {
    node_cleanup::BUILT_IN_PLUGINS.contains(&name) || [DRAIN_PLUGIN, VOLUMES_PLUGIN].contains(&name)
}

/// How calls end, as the metric has it.
const OUTCOMES: [&str; 8] =
    ["done", "progress", "failed", "refused", "unreachable", "garbage", "timed_out", "panicked"];

fn word(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Settings(_) | Trouble::Secret(_) => "refused",
        Trouble::Unreachable(_) => "unreachable",
        Trouble::Garbage(_) => "garbage",
    }
}

fn ended(answer: Result<Executed, Trouble>) -> Ended {
    let (word, result) = match &answer {
        Ok(Executed::Done { .. }) => ("done", CallResult::Success),
        Ok(Executed::Progress { .. }) => ("progress", CallResult::Success),
        Ok(Executed::Failed { .. }) => ("failed", CallResult::Success),
        // What we did not even say tells nothing of the other side.
        Err(trouble @ (Trouble::Settings(_) | Trouble::Secret(_))) => (word(trouble), CallResult::Success),
        Err(trouble) => (word(trouble), CallResult::Failure),
    };
    let failed = |retryable: bool, reason: &str, message: String| {
        Outcome::Answered(Executed::Failed { retryable, reason: reason.to_owned(), message, state: None })
    };
    let outcome = match answer {
        Ok(answer) => Outcome::Answered(answer),
        Err(Trouble::Settings(message)) => failed(false, "InvalidSettings", message),
        Err(Trouble::Secret(error)) => failed(true, "SecretUnreadable", error.to_string()),
        Err(Trouble::Unreachable(why)) => Outcome::Unreachable(why),
        Err(Trouble::Garbage(fault)) => Outcome::Garbage(fault),
    };
    Ended { outcome, word, result }
}

fn panicked(name: &str) -> Ended {
    tracing::error!(plugin = name, "a plugin panicked");
    let message = format!("plugin `{name}` panicked, which is a fault of ours");
    let answer =
        Executed::Failed { retryable: true, reason: "PluginPanicked".to_owned(), message, state: None };
    Ended { outcome: Outcome::Answered(answer), word: "panicked", result: CallResult::Failure }
}

/// A step that is not given to its plugin now.
fn later(name: &str, shut: Shut, now: control::Steady) -> Outcome {
    let (message, seconds) = match shut {
        Shut::Full => (
            format!("plugin `{name}` has as many steps as it is given at one time"),
            node_cleanup::limits::RETRY_AFTER_SECONDS_DEFAULT,
        ),
        Shut::Resting { until } => {
            let seconds = u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            (format!("plugin `{name}` failed too often of late, and is left alone for a while"), seconds)
        }
    };
    let seconds = seconds.min(node_cleanup::limits::RETRY_AFTER_SECONDS_MAX);
    Outcome::Answered(Executed::Progress {
        percent: None,
        message,
        retry_after_seconds: seconds,
        state: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::{healthy, ours, planned};
    use control::SystemClock;
    use futures::future::BoxFuture;
    use node_cleanup::settings::SettingsSchema;

    /// What it does when it is asked to do something.
    #[derive(Clone, Copy, Debug)]
    enum Odd {
        Panics,
        NeverAnswers,
    }

    impl Builtin for Odd {
        fn schema(&self) -> Map<String, Value> {
            Map::new()
        }

        fn describe<'a>(&'a self, _: &'a Desk) -> BoxFuture<'a, Result<Described, Trouble>> {
            async { Ok(ours("odd", self.schema())) }.boxed()
        }

        fn check<'a>(
            &'a self,
            _: &'a Desk,
            _: &'a Map<String, Value>,
        ) -> BoxFuture<'a, Result<Checked, Trouble>> {
            async { Ok(healthy("")) }.boxed()
        }

        fn plan<'a>(&'a self, _: &'a Desk, _: &'a Task) -> BoxFuture<'a, Result<Planned, Trouble>> {
            async { Ok(planned([String::new()])) }.boxed()
        }

        fn execute<'a>(&'a self, _: &'a Desk, _: &'a Task) -> BoxFuture<'a, Result<Executed, Trouble>> {
            match self {
                Self::Panics => panic!("on purpose"),
                Self::NeverAnswers => std::future::pending().boxed(),
            }
        }
    }

    fn plugins() -> Plugins {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        Plugins::new(Means {
            client: kube::Client::try_from(nowhere).unwrap(),
            clock: Arc::new(SystemClock),
            metrics: Metrics::default(),
            namespace: "grounds".to_owned(),
            outbound: Outbound::default(),
        })
    }

    fn with(plugin: Odd) -> Plugins {
        let plugins = plugins();
        let entry = Entry { plugin: Arc::new(plugin), spec: None, gate: Arc::new(Gate::new(1)) };
        plugins.0.write().insert("odd".into(), Arc::new(entry));
        plugins
    }

    #[tokio::test]
    async fn a_panic_is_a_failed_attempt_and_gives_the_place_up() {
        let plugins = with(Odd::Panics);
        let outcome = plugins.execute("odd", Task::default()).await;
        let Outcome::Answered(Executed::Failed { retryable: true, reason, .. }) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(reason, "PluginPanicked");
        assert_eq!(plugins.capacity("odd"), (1, None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_answers_ends_with_its_attempt_and_at_last_by_itself() {
        let plugins = with(Odd::NeverAnswers);
        let soon = Some(SystemClock.now() + SignedDuration::from_secs(3));
        for (deadline, limit) in [(None, ATTEMPT_TIMEOUT), (soon, Duration::from_secs(3))] {
            let asked = plugins.execute("odd", Task { deadline, ..Task::default() });
            let outcome = tokio::time::timeout(limit + Duration::from_secs(1), asked).await;
            assert_eq!(outcome, Ok(Outcome::TimedOut), "within {limit:?}");
        }
        assert_eq!(plugins.capacity("odd"), (1, None));
    }

    /// The fields of an object's schema, and those of the objects below.
    fn described(schema: &Map<String, Value>, at: &str) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        for (name, property) in properties {
            let at = format!("{at}.{name}");
            let property = property.as_object().unwrap();
            assert!(
                property.get("description").is_some_and(|text| text.as_str().unwrap().len() > 10),
                "{at}"
            );
            described(property, &at);
            for one in property.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
                described(one.as_object().unwrap(), &at);
            }
        }
    }

    #[tokio::test]
    async fn what_comes_with_us_says_what_each_of_its_settings_means_and_refuses_all_others() {
        let plugins = plugins();
        for name in plugins.names() {
            let facts = plugins.facts(&name).unwrap();
            SettingsSchema::compile(&facts.settings_schema).unwrap_or_else(|fault| panic!("{name}: {fault}"));
            assert_eq!(
                facts.settings_schema.get("additionalProperties"),
                Some(&Value::Bool(false)),
                "{name}"
            );
            described(&facts.settings_schema, &name);
            assert!(is_taken(&name), "{name} is ours");
        }
    }
}
