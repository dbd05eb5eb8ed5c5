//! What the operator tells: metrics to whom may read them, logs at the level that is wanted, events as series, traces, and
//! its configuration.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use testbed::ControlPlane;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::transport::server::TcpIncoming;

use support::drafts::{config_map, policy};
use support::operator::{Launch, Operator, ask};
use support::team::Team;
use support::{eventually, groundskeeper, holds, identity, kubectl, turn};

async fn operator(cluster: &ControlPlane, flags: &[&str]) -> Operator {
    let launch = Launch::new(identity(cluster).kubeconfig()).log_level_untold().quick_lease();
    let operator = flags.iter().fold(launch, |launch, flag| launch.flag(flag)).start(cluster).await;
    operator.ready(cluster).await;
    operator
}

/// A token of a new service account.
fn token(cluster: &ControlPlane, namespace: &str, account: &str) -> String {
    kubectl(cluster, &["create", "serviceaccount", account, "-n", namespace], "");
    kubectl(cluster, &["create", "token", account, "-n", namespace], "").trim().to_owned()
}

#[tokio::test]
async fn metrics_are_read_by_who_has_the_right_and_by_nobody_else() {
    let (_turn, cluster) = turn().await;
    let namespace = cluster.namespace("scrape").await.unwrap();
    let (allowed, forbidden) =
        (token(cluster, &namespace, "allowed"), token(cluster, &namespace, "forbidden"));
    let role = format!("read-metrics-{namespace}");
    let account = format!("{namespace}:allowed");
    kubectl(cluster, &["create", "clusterrole", &role, "--verb=get", "--non-resource-url=/metrics"], "");
    let bind = ["create", "clusterrolebinding", &role, "--clusterrole", &role, "--serviceaccount", &account];
    kubectl(cluster, &bind, "");
    let operator = operator(cluster, &["--metrics-auth", "required"]).await;

    let scrape = async |authorization: String| {
        let headers = if authorization.is_empty() {
            authorization
        } else {
            format!("Authorization: {authorization}\r\n")
        };
        ask(operator.metrics_address(), "GET /metrics", &headers).await
    };
    assert_eq!(scrape(String::new()).await.0, 401);
    assert_eq!(scrape("Bearer nonsense".to_owned()).await.0, 401);
    assert_eq!(scrape(format!("Bearer {forbidden}")).await.0, 403);
    for _ in 0..20 {
        let (code, text) = scrape(format!("Bearer {allowed}")).await;
        assert_eq!(code, 200, "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    let (_, text) = scrape(format!("Bearer {allowed}")).await;
    let posts: f64 = text
        .lines()
        .filter(|line| line.starts_with("rest_client_requests_total{") && line.contains("method=\"POST\""))
        .filter(|line| line.contains("code=\"201\""))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!((4.0..15.0).contains(&posts), "two reviews for each token, not for each scrape: {posts}");
    let logs = format!("{:?}", operator.log());
    assert!(!logs.contains(&allowed) && !logs.contains(&forbidden));
    assert!(operator.stop().await.success());
}

#[tokio::test]
async fn the_log_level_is_changed_for_a_while_on_loopback_and_falls_back_by_itself() {
    let (_turn, cluster) = turn().await;
    let operator = operator(cluster, &[]).await;
    let health = operator.health_address();

    assert_eq!(ask(health, "GET /loglevel", "").await, (200, "info\n".to_owned()));
    let (code, text) = ask(health, "POST /loglevel?level=info,controllers=debug&for=2s", "").await;
    assert_eq!((code, text.as_str()), (200, "info,controllers=debug for 2 s\n"));
    for (wrong, expected) in [
        ("POST /loglevel?level=loud", "write error, warn, info, debug or trace"),
        ("POST /loglevel?level=debug&for=soon", "write 90s, 10m or 1h"),
        ("POST /loglevel", "write ?level=debug&for=10m"),
    ] {
        let (code, text) = ask(health, wrong, "").await;
        assert!(code == 400 && text.contains(expected), "{wrong}: {code} {text}");
    }
    assert_eq!(ask(health, "POST /loglevel?level=debug", "Origin: http://evil.example\r\n").await.0, 403);
    assert_eq!(ask(operator.metrics_address(), "GET /loglevel", "").await.0, 404);
    eventually(cluster, "the level falls back", async || {
        let (_, level) = ask(health, "GET /loglevel", "").await;
        holds(level == "info\n", level)
    })
    .await;
    assert!(operator.stop().await.success());
}

#[tokio::test]
async fn probes_say_what_they_look_at() {
    let (_turn, cluster) = turn().await;
    let operator = operator(cluster, &[]).await;
    let health = operator.health_address();
    assert_eq!(ask(health, "GET /livez", "").await, (200, "ok\n".to_owned()));
    assert_eq!(ask(health, "GET /healthz", "").await.0, 200);
    assert_eq!(ask(health, "GET /startupz", "").await.0, 200);
    let (_, loops) = ask(health, "GET /livez?verbose", "").await;
    assert!(loops.contains("[+] garbage collection: ok\n"), "{loops}");
    let (_, checks) = ask(health, "GET /readyz?verbose", "").await;
    assert!(checks.contains("[+] policies: ok\n"), "{checks}");
    let oversized = format!("X-Padding: {}\r\n", "x".repeat(100_000));
    let refused = ask(health, "GET /livez", &oversized).await.0;
    assert_eq!(refused, 431);
    assert!(operator.stop().await.success());
}

/// Puts a file where a ConfigMap puts it: behind a link that is swapped.
fn publish(folder: &Path, version: &str, text: &str) {
    let data = folder.join(version);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("config.yaml"), text).unwrap();
    symlink(version, folder.join("..next")).unwrap();
    fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
    if !folder.join("config.yaml").exists() {
        symlink("..data/config.yaml", folder.join("config.yaml")).unwrap();
    }
}

#[tokio::test]
async fn a_changed_file_is_taken_over_and_a_wrong_one_is_not() {
    let (_turn, cluster) = turn().await;
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), "..1", "log: {level: warn}\n");
    let file = folder.path().join("config.yaml");
    // At `warn` the operator would not say where it listens.
    publish(folder.path(), "..2", "log: {level: info}\n");
    let operator = operator(cluster, &["--config", file.to_str().unwrap()]).await;
    let level = async || ask(operator.health_address(), "GET /loglevel", "").await.1;
    let level_is = async |expected: &str| {
        eventually(cluster, &format!("the level is {expected}"), async || {
            let level = level().await;
            holds(level.trim_end() == expected, level)
        })
        .await;
    };
    let failures = async || operator.metric("groundskeeper_config_reload_failures_total", &[]).await.unwrap();

    publish(folder.path(), "..3", "log: {level: 'info,chassis=debug'}\nlimits: {deletionsInFlight: 7}\n");
    level_is("info,chassis=debug").await;
    eventually(cluster, "it says what needs a restart", async || {
        let log = operator.log();
        holds(log.iter().any(|line| line["settings"] == "limits.deletionsInFlight"), format!("{log:#?}"))
    })
    .await;

    publish(folder.path(), "..4", "log: {level: loud}\nsurprise: 1\n");
    eventually(cluster, "the failure is counted", async || {
        let failures = failures().await;
        holds((failures - 1.0).abs() < 0.1, failures)
    })
    .await;
    let log = operator.log();
    for expected in ["`loud` is not a log level: write", "surprise (file "] {
        let told = |line: &&Value| line["problem"].as_str().is_some_and(|problem| problem.contains(expected));
        assert!(log.iter().any(|line| told(&line)), "{expected}: {log:#?}");
    }
    assert_eq!(level().await, "info,chassis=debug\n");
    assert_eq!(operator.readiness().await.0, 200);

    publish(folder.path(), "..5", "log: {level: info}\n");
    level_is("info").await;
    assert!(operator.stop().await.success());
}

#[test]
fn the_configuration_is_shown_with_the_origin_of_each_value_and_all_mistakes_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    fs::write(&file, "leases: {duration: 30s, renewDeadline: 20s}\n").unwrap();
    let file = file.to_str().unwrap();
    let shown =
        support::printed(&["config", "show", "--config", file, "--lease-retry-period", "3s", "-o", "json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["values"]["leases"]["duration"], "30s");
    assert_eq!(shown["origins"]["leases.duration"], format!("file {file}"));
    assert_eq!(shown["origins"]["leases.retryPeriod"], "flag --lease-retry-period");
    assert_eq!(shown["origins"]["log.format"], "default");

    fs::write(file, "leases: {duration: soon}\nlog: {levle: debug}\n").unwrap();
    for command in [&["config", "show"][..], &["run"]] {
        let output = groundskeeper(&[command, &["--config", file, "--metrics-auth", "perhaps"]].concat());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        for expected in [
            "leases.duration (file ",
            "log.levle (file ",
            "write one of log.level, log.format",
            "metrics.auth (flag --metrics-auth): `perhaps` is none of them: write auto or required or off",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }
}

#[tokio::test]
async fn an_event_that_happens_again_is_one_with_a_series() {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "series").await;
    let operator = operator(cluster, &[]).await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes")).await;
    for _ in 0..3 {
        team.edit(&sweep, json!({"spec": {"paused": true}})).await;
        team.ready_is(&sweep, "True", "Paused").await;
        team.edit(&sweep, json!({"spec": {"paused": false}})).await;
        team.collecting(&sweep).await;
    }
    eventually(cluster, "the third time is told", async || {
        let text =
            kubectl(cluster, &["get", "events.events.k8s.io", "-n", &team.namespace, "-o", "json"], "");
        let events: Value = serde_json::from_str(&text).unwrap();
        let paused: Vec<_> =
            events["items"].as_array().unwrap().iter().filter(|event| event["reason"] == "Paused").collect();
        assert!(paused.len() <= 1, "{paused:#?}");
        holds(paused.first().is_some_and(|event| event["series"]["count"] == 3), format!("{paused:#?}"))
    })
    .await;
    assert!(operator.stop().await.success());
}

/// An OTLP server that keeps every span.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let scopes =
            request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens on loopback until the set is dropped.
    async fn listen(&self, tasks: &mut JoinSet<()>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(self.clone()));
        tasks.spawn(async move { server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap() });
        address
    }

    /// The spans of each trace, by name.
    fn traces(&self) -> Vec<BTreeMap<String, Span>> {
        let mut traces: BTreeMap<Vec<u8>, BTreeMap<String, Span>> = BTreeMap::new();
        for span in self.0.lock().unwrap().iter() {
            traces.entry(span.trace_id.clone()).or_default().insert(span.name.clone(), span.clone());
        }
        traces.into_values().collect()
    }
}

#[tokio::test]
async fn a_deletion_is_one_trace_from_what_caused_it_to_the_call() {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "traced").await;
    let (collector, mut tasks) = (Collector::default(), JoinSet::new());
    let endpoint = format!("http://{}", collector.listen(&mut tasks).await);
    let operator = operator(cluster, &["--otlp-endpoint", &endpoint]).await;
    team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.gone(&object).await;

    let trace = eventually(cluster, "the trace arrives", async || {
        let traces = collector.traces();
        let whole = |trace: &&BTreeMap<String, Span>| {
            ["object due", "decide", "apply", "api call"].iter().all(|name| trace.contains_key(*name))
        };
        traces.iter().find(whole).cloned().ok_or_else(|| format!("{traces:?}"))
    })
    .await;
    assert_eq!(trace["decide"].parent_span_id, trace["object due"].span_id);
    assert_eq!(trace["apply"].parent_span_id, trace["object due"].span_id);
    assert_eq!(trace["api call"].parent_span_id, trace["apply"].span_id);
    assert!(trace["object due"].parent_span_id.is_empty());

    let id =
        trace["object due"].trace_id.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let log = operator.log();
    let deleted = log.iter().find(|line| line["message"] == "deleted" && line["trace_id"] == id);
    let deleted = deleted.unwrap_or_else(|| panic!("{log:#?}"));
    assert_eq!(deleted["controller"], "gc");
    assert_eq!(deleted["key"], format!("{}/sweep", team.namespace));
    assert!(deleted["correlation_id"].as_str().is_some_and(|id| id.len() == 16), "{deleted}");
    let exemplar = format!("# {{trace_id=\"{id}\"}}");
    let metrics = operator.metrics().await;
    assert!(metrics.contains(&exemplar), "{metrics}");
    assert!(operator.stop().await.success());
    tasks.abort_all();
}
