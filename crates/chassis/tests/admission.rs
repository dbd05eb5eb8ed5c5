//! The admission server over real TLS, in this process: limits, malformed reviews, certificates, an orderly end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chassis::Metrics;
use chassis::admission::limits::{BODY_BYTES_MAX, CONNECTIONS_MAX, REVIEWS_IN_FLIGHT_MAX};
use chassis::admission::{
    Answer, CertificateState, ClientAuthentication, Request, Reviewer, Server, follow_directory,
    serve_reviews,
};
use control::{Clock as _, SystemClock};
use futures::future::BoxFuture;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

/// An authority of a test's own.
struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { certificate: der, pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate of this common name, and its key, as PEM.
    fn issue(&self, name: &str) -> (String, KeyPair) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key)
    }

    fn put(&self, directory: &Path, name: &str) {
        let (certificate, key) = self.issue(name);
        std::fs::write(directory.join("tls.crt"), certificate).unwrap();
        std::fs::write(directory.join("tls.key"), key.serialize_pem()).unwrap();
    }
}

/// Allows everything, but waits before it does where it is told to, and panics where it is told to.
#[derive(Default)]
struct Obedient {
    seen: AtomicUsize,
    go_on: Notify,
}

struct Obeys(Arc<Obedient>);

impl Reviewer for Obeys {
    fn path(&self) -> &'static str {
        "/validate"
    }

    fn review<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            self.0.seen.fetch_add(1, Ordering::Relaxed);
            match request.name.as_str() {
                "waits" => self.0.go_on.notified().await,
                "panics" => panic!("on purpose"),
                _ => {}
            }
            Answer::allow()
        })
    }
}

struct Site {
    address: SocketAddr,
    directory: TempDir,
    authority: Authority,
    certificates: CertificateState,
    reviewer: Arc<Obedient>,
    metrics: Metrics,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

async fn site(clients: Option<ClientAuthentication>) -> Site {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("servers"));
    authority.put(directory.path(), "first");
    let (clock, metrics, stop) = (Arc::new(SystemClock), Metrics::default(), CancellationToken::new());
    let certificates = CertificateState::new(clock.clone(), metrics.clone());
    let follow = follow_directory(directory.path().to_path_buf(), certificates.clone(), stop.clone());
    tokio::spawn(follow);
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), certificates.clone(), clients).await.unwrap();
    let (address, reviewer) = (server.address(), Arc::new(Obedient::default()));
    let reviewers: Vec<Box<dyn Reviewer>> = vec![Box::new(Obeys(Arc::clone(&reviewer)))];
    let serving = serve_reviews(server, reviewers, (clock, metrics.clone()), stop.clone());
    let server = tokio::spawn(serving);
    until("the certificate is served", || certificates.is_valid(SystemClock.now())).await;
    Site { address, directory, authority, certificates, reviewer, metrics, stop, server }
}

/// What this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Hears until the answer is dropped.
    fn hear(&self) -> DefaultGuard {
        tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
    }

    fn says(&self, text: &str) -> bool {
        self.0.lock().unwrap().iter().any(|event| event.contains(text))
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Site {
    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_as(None).await
    }

    async fn connect_as(&self, client: Option<(String, KeyPair)>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match client {
            None => config.with_no_client_auth(),
            Some((pem, key)) => {
                use rustls::pki_types::pem::PemObject as _;
                let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    async fn post(&self, body: &[u8]) -> (u16, String, Value) {
        post(&mut self.connect().await.unwrap(), "/validate?timeout=5s", body).await
    }

    fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.encode().unwrap();
        let line = text.lines().find(|line| line.starts_with(series));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.server).await.expect("it ends in time").unwrap();
    }
}

/// One request: status, head and body of the answer.
async fn post(stream: &mut TlsStream<TcpStream>, path: &str, body: &[u8]) -> (u16, String, Value) {
    try_post(stream, path, body).await.unwrap()
}

async fn try_post(
    stream: &mut TlsStream<TcpStream>,
    path: &str,
    body: &[u8],
) -> std::io::Result<(u16, String, Value)> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    read_answer(stream).await
}

async fn read_answer(stream: &mut TlsStream<TcpStream>) -> std::io::Result<(u16, String, Value)> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if read.len() >= end + 4 + length {
                let code = head.split(' ').nth(1).unwrap().parse().unwrap();
                return Ok((code, head, serde_json::from_slice(&read[end + 4..]).unwrap_or_default()));
            }
        }
        match stream.read(&mut buffer).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
}

fn review(name: &str) -> Vec<u8> {
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": format!("uid-{name}"),
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "operation": "CREATE",
        "name": name,
        "userInfo": {"username": "ada"},
        "object": {"metadata": {"name": name}},
    }});
    review.to_string().into_bytes()
}

#[tokio::test]
async fn whatever_comes_gets_an_answer_and_the_server_goes_on() {
    let site = site(None).await;
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let odd = String::from_utf8(review("a")).unwrap().replace("CREATE", "PONDER");
    let old = String::from_utf8(review("a")).unwrap().replace("k8s.io/v1", "k8s.io/v1beta1");
    let table: [(&[u8], u16); 7] = [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xff", 400),
        (deep.as_bytes(), 400),
        (old.as_bytes(), 400),
        (odd.as_bytes(), 200),
        (&review("a"), 200),
    ];
    for (body, expected) in table {
        let (code, _, answer) = site.post(body).await;
        assert_eq!(code, expected, "{answer}");
        assert_eq!(answer["kind"], if code == 200 { "AdmissionReview" } else { "Status" });
    }
    let (_, _, answer) = site.post(odd.as_bytes()).await;
    assert_eq!(
        (&answer["response"]["uid"], &answer["response"]["allowed"]),
        (&json!("uid-a"), &json!(false))
    );

    let (code, _, answer) = site.post(&review("panics")).await;
    assert_eq!((code, &answer["response"]["status"]["code"]), (200, &json!(500)));
    assert!(site.metric("controller_runtime_webhook_panics_total") >= 1.0);
    let (code, _, answer) = site.post(&review("after")).await;
    assert_eq!((code, &answer["response"]["allowed"]), (200, &json!(true)));
    let series = r#"controller_runtime_webhook_requests_total{webhook="/validate",code="200"}"#;
    assert!(site.metric(series) >= 4.0);
    site.end().await;
}

#[tokio::test]
async fn what_is_too_large_or_of_another_form_is_refused_before_it_is_read() {
    let site = site(None).await;
    let head = |method: &str, type_: &str, length: usize| {
        format!(
            "{method} /validate HTTP/1.1\r\nHost: a\r\nContent-Type: {type_}\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let json = "application/json";
    let table = [
        (head("POST", json, BODY_BYTES_MAX + 1), 413),
        (head("POST", "text/plain", 0), 415),
        (head("GET", json, 0), 405),
        ("POST /elsewhere HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".to_owned(), 404),
        (format!("POST /validate HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000)), 431),
    ];
    for (request, expected) in table {
        let mut stream = site.connect().await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let (code, ..) = read_answer(&mut stream).await.unwrap();
        assert_eq!(code, expected, "{}", &request[..60]);
    }
    // A body without a length is cut off at the limit.
    let mut stream = site.connect().await.unwrap();
    let chunked = "POST /validate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(chunked.as_bytes()).await.unwrap();
    let piece = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
    for _ in 0..8 {
        if stream.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
    }
    // The answer may be lost in the closing of the connection; what counts is that nothing more was taken.
    if let Ok((code, ..)) = read_answer(&mut stream).await {
        assert_eq!(code, 413);
    }
    site.end().await;
}

#[tokio::test]
async fn reviews_beyond_the_limit_are_turned_away_at_once_and_the_others_are_answered() {
    let site = Arc::new(site(None).await);
    let mut waiting = JoinSet::new();
    for _ in 0..REVIEWS_IN_FLIGHT_MAX {
        let site = Arc::clone(&site);
        waiting.spawn(async move {
            let mut stream = site.connect().await.unwrap();
            post(&mut stream, "/validate?timeout=30s", &review("waits")).await
        });
    }
    until("all are in flight", || site.reviewer.seen.load(Ordering::Relaxed) >= REVIEWS_IN_FLIGHT_MAX).await;

    let begun = Instant::now();
    let (code, head, _) = site.post(&review("one-too-many")).await;
    assert_eq!(code, 503);
    assert!(head.to_lowercase().contains("retry-after: 1"), "{head}");
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(site.metric(r#"groundskeeper_webhook_shed_total{limit="reviews"}"#) >= 1.0);

    site.reviewer.go_on.notify_waiters();
    while let Some(answered) = waiting.join_next().await {
        assert_eq!(answered.unwrap().0, 200);
    }
    assert_eq!(site.post(&review("later")).await.0, 200);
    Arc::into_inner(site).unwrap().end().await;
}

#[tokio::test]
async fn a_caller_is_answered_before_it_stops_waiting() {
    let site = site(None).await;
    let mut stream = site.connect().await.unwrap();
    let begun = Instant::now();
    let (code, _, answer) = post(&mut stream, "/validate?timeout=1s", &review("waits")).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!((code, &answer["response"]["status"]["code"]), (200, &json!(504)));
    assert_eq!(answer["response"]["allowed"], false);
    site.end().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_counted() {
    let site = site(None).await;
    let mut held = Vec::new();
    for _ in 0..=CONNECTIONS_MAX {
        held.push(TcpStream::connect(site.address).await.unwrap());
    }
    until("one is turned away", || {
        site.metric(r#"groundskeeper_webhook_shed_total{limit="connections"}"#) >= 1.0
    })
    .await;
    drop(held);
    until("there is room again", || site.metric("groundskeeper_webhook_handshake_failures_total") >= 1.0)
        .await;
    site.end().await;
}

#[tokio::test]
async fn a_certificate_that_is_put_in_place_is_served_without_a_restart() {
    let site = site(None).await;
    let shown = async || {
        let stream = site.connect().await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let (first, expires) = (shown().await, site.certificates.expires_at());
    assert!(expires.is_some());
    // A connection that is open goes on.
    let mut open = site.connect().await.unwrap();
    site.authority.put(site.directory.path(), "second");
    let begun = Instant::now();
    while shown().await == first {
        assert!(begun.elapsed() < Duration::from_secs(15), "it is not taken over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(post(&mut open, "/validate", &review("open")).await.0, 200);

    // Half of a pair is not.
    let second = shown().await;
    let log = Log::default();
    let _heard = log.hear();
    let (third, _) = site.authority.issue("third");
    std::fs::write(site.directory.path().join("tls.crt"), third).unwrap();
    until("it is read and refused", || log.says("the mounted certificate cannot be used")).await;
    assert_eq!(shown().await, second);
    site.end().await;
}

#[tokio::test]
async fn callers_must_show_a_certificate_of_the_right_authority_and_name() {
    let (clients, strangers) = (Authority::new("clients"), Authority::new("strangers"));
    let directory = tempfile::tempdir().unwrap();
    let authorities = directory.path().join("ca.crt");
    std::fs::write(&authorities, &clients.pem).unwrap();
    let common_names = vec!["kube-apiserver".to_owned()];
    let rule = ClientAuthentication { authorities: authorities.clone(), common_names };
    let site = site(Some(rule)).await;
    let ask = async |client: Option<(String, KeyPair)>| {
        let mut stream = site.connect_as(client).await?;
        try_post(&mut stream, "/validate", &review("a")).await
    };
    assert_eq!(ask(Some(clients.issue("kube-apiserver"))).await.unwrap().0, 200);
    assert!(ask(None).await.is_err());
    assert!(ask(Some(strangers.issue("kube-apiserver"))).await.is_err());
    assert!(ask(Some(clients.issue("somebody"))).await.is_err());
    assert_eq!(site.reviewer.seen.load(Ordering::Relaxed), 1);

    // The authorities change without a restart.
    std::fs::write(&authorities, &strangers.pem).unwrap();
    let begun = Instant::now();
    while ask(Some(strangers.issue("kube-apiserver"))).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(15), "they are not taken over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(ask(Some(clients.issue("kube-apiserver"))).await.is_err());
    site.end().await;
}

#[tokio::test]
async fn the_end_waits_for_reviews_in_flight_and_takes_no_more() {
    let site = Arc::new(site(None).await);
    let idle = site.connect().await.unwrap();
    let asking = {
        let site = Arc::clone(&site);
        tokio::spawn(async move { site.post(&review("waits")).await })
    };
    until("it is in flight", || site.reviewer.seen.load(Ordering::Relaxed) == 1).await;
    site.stop.cancel();
    until("no more are taken", || std::net::TcpStream::connect(site.address).is_err()).await;
    assert!(!site.server.is_finished());
    site.reviewer.go_on.notify_waiters();
    assert_eq!(asking.await.unwrap().0, 200);
    drop(idle);
    Arc::into_inner(site).unwrap().end().await;
}
