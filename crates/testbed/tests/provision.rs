//! Where programs come from, with a Go that only plays.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use testbed::{Binaries, BinariesError, ControlPlane, Family, Options, Progress, Provision, Tool};

mod support;
use support::{eventually_blocking, is_alive};

const CACHE: &str = "TESTBED_ENDLESS_CACHE";
const GO: &str = "TESTBED_FAKE_GO";
const SOON: Duration = Duration::from_secs(20);

fn beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// The given Go, an empty cache, and nothing from the environment.
fn with_go(go: &str, cache: &Path) -> Provision {
    Provision::new().go(beside("fake-go").join(go)).cache(cache).given_in([""; 0])
}

fn quietly(_: &Progress) {}

#[test]
fn what_is_missing_is_built_once_and_then_kept() {
    let cache = tempfile::tempdir().unwrap();
    let provision = with_go("works", cache.path());
    let first = Binaries::ensure(&provision, &quietly).unwrap();
    let second = Binaries::ensure(&provision, &quietly).unwrap();

    for tool in Tool::ALL {
        assert!(first.path(tool).unwrap().is_file());
        assert_eq!(first.path(tool).unwrap(), second.path(tool).unwrap());
    }
    let builds = fs::read_to_string(cache.path().join("builds")).unwrap();
    assert_eq!(builds.lines().count(), Family::ALL.len(), "one for each family:\n{builds}");
    assert!(no_build_directory_in(cache.path()));
}

#[test]
fn those_who_come_at_the_same_time_wait_for_one_build() {
    let cache = tempfile::tempdir().unwrap();
    let provision = with_go("works", cache.path()).tools([Tool::Etcd]);
    let told = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let tell = |progress: &Progress| told.lock().unwrap().push(progress.to_string());
                Binaries::ensure(&provision, &tell).unwrap().path(Tool::Etcd).unwrap().metadata().unwrap()
            });
        }
    });

    assert_eq!(fs::read_to_string(cache.path().join("builds")).unwrap().lines().count(), 1);
    let told = told.into_inner().unwrap();
    let count = |words: &str| told.iter().filter(|line| line.contains(words)).count();
    assert_eq!(
        count("building etcd 3.6.16 from its Go module, once; this usually takes 20 to 90 s"),
        1,
        "{told:?}"
    );
    assert_eq!(count("built etcd 3.6.16 in 0 s"), 1, "{told:?}");
    assert!(count("waiting for another process that builds etcd 3.6.16") <= 3, "{told:?}");
}

#[test]
fn only_the_families_that_are_needed_are_built() {
    let cache = tempfile::tempdir().unwrap();
    let provision = with_go("works", cache.path()).tools([Tool::Kwok]);
    let binaries = Binaries::ensure(&provision, &quietly).unwrap();

    assert_eq!(fs::read_to_string(cache.path().join("builds")).unwrap(), "sigs.k8s.io/kwok/cmd/kwok\n");
    assert!(matches!(binaries.path(Tool::Etcd), Err(BinariesError::NotAsked { tool: Tool::Etcd })));
}

#[test]
fn a_given_program_is_used_if_its_version_fits_and_refused_with_a_note_if_not() {
    let cache = tempfile::tempdir().unwrap();
    let tools = [Tool::Etcd, Tool::Kubectl, Tool::KubeApiserver, Tool::Kwok];
    let provision =
        with_go("works", cache.path()).given_in([beside("nowhere"), beside("given")]).tools(tools);
    let told = Mutex::new(Vec::new());
    let tell = |progress: &Progress| {
        if matches!(progress, Progress::GivenRefused { .. }) {
            told.lock().unwrap().push(progress.to_string());
        }
    };
    let binaries = Binaries::ensure(&provision, &tell).unwrap();

    for (tool, is_given) in tools.into_iter().zip([true, true, false, false]) {
        assert_eq!(binaries.path(tool).unwrap().starts_with(beside("given")), is_given, "{}", tool.name());
    }
    let told = told.into_inner().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("it is version 1.35.2, and kubernetes 1.36.3 is needed"), "{told:?}");
    assert!(told[1].contains("it is of unknown version, and kwok 0.8.0 is needed"), "{told:?}");
}

#[test]
fn nothing_is_asked_of_go_when_everything_is_given() {
    let cache = tempfile::tempdir().unwrap();
    let tools = [Tool::Etcd, Tool::Kubectl];
    let provision = with_go("no-such-go", cache.path()).given_in([beside("given")]).tools(tools);
    Binaries::ensure(&provision, &quietly).unwrap();
}

#[test]
fn every_failure_says_in_one_sentence_what_to_do() {
    let cases = [
        (
            "no-such-go",
            "Go 1.26 or newer is needed to build etcd 3.6.16, and `",
            "was not found: install Go, or name",
        ),
        ("too-old", "Go 1.26 or newer is needed to build etcd 3.6.16, and this is Go 1.25.9: update Go", ""),
        (
            "offline",
            "the module proxy must be reachable (GOPROXY is `https://proxy.invalid`)",
            "no such host",
        ),
        ("broken", "building etcd 3.6.16 failed (the whole log is ", "a.go:31:1: wrong\n"),
    ];
    for (go, words, more_words) in cases {
        let cache = tempfile::tempdir().unwrap();
        let error = Binaries::ensure(&with_go(go, cache.path()).tools([Tool::Etcd]), &quietly).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(words) && said.contains(more_words), "{go}: {said}");
        assert!(!said.contains("a.go:30:"), "more than the last lines: {said}");
        if let BinariesError::Build { log, .. } = &error {
            assert_eq!(fs::read_to_string(log).unwrap().lines().count(), 50);
        }
        assert!(no_build_directory_in(cache.path()), "{go}");
    }
}

#[test]
fn a_build_ends_with_its_runner() {
    let cache = tempfile::tempdir().unwrap();
    let mut runner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "endless_build", "--nocapture"])
        .env(CACHE, cache.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pids = cache.path().join("pids");
    eventually_blocking(SOON, "the build runs", || pids.exists());
    let pids = fs::read_to_string(pids).unwrap();
    let pids: Vec<u32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| is_alive(*pid)));

    runner.kill().unwrap();
    runner.wait().unwrap();

    eventually_blocking(SOON, "the build is gone", || !pids.iter().any(|pid| is_alive(*pid)));
    eventually_blocking(SOON, "its directory is gone", || no_build_directory_in(cache.path()));
    let rest = with_go("works", cache.path()).tools([Tool::Etcd]);
    Binaries::ensure(&rest, &quietly).unwrap();
}

#[test]
fn the_environment_may_name_directories_of_programs_and_ours_comes_first() {
    let [strong, weak] = testbed::GIVEN_BY;
    let (given, nowhere) = (beside("given"), beside("nowhere"));
    for environment in [[(strong, &given), (weak, &nowhere)], [(strong, &nowhere), (weak, &given)]] {
        let told = told(Command::new("no-such-go").envs(environment));
        assert!(
            told.ends_with(&format!("found {}", given.join("etcd").display())),
            "{environment:?}: {told}"
        );
    }
}

#[test]
fn a_build_that_would_fill_the_disk_is_refused_before_it_begins() {
    let path = format!("{}:{}", beside("fake-df").display(), env::var("PATH").unwrap());
    let told = told(Command::new("works").env("PATH", path));
    assert!(told.contains("building etcd 3.6.16 needs about 1 GiB of free disk space, and "), "{told}");
    assert!(told.contains(" has 100 MiB: free some"), "{told}");
    assert!(!told.contains("once; this usually takes"), "{told}");
}

#[test]
fn a_build_is_announced_on_the_real_standard_error() {
    let told = told(&Command::new("offline"));
    assert!(
        told.contains("testbed: building etcd 3.6.16 from its Go module, once; this usually takes"),
        "{told}"
    );
}

/// What a runner writes to standard error, where the test harness does not capture it, when it starts a control plane
/// with the Go that `settings` names, in the environment of `settings`.
fn told(settings: &Command) -> String {
    let cache = tempfile::tempdir().unwrap();
    let mut runner = Command::new(env::current_exe().unwrap());
    runner.args(["--exact", "start_with_a_fake_go"]).env(CACHE, cache.path()).env(GO, settings.get_program());
    for variable in testbed::GIVEN_BY {
        runner.env_remove(variable);
    }
    runner.envs(settings.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = runner.output().unwrap();
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// The body of the runner above; a test that does nothing when run as one.
#[tokio::test]
async fn start_with_a_fake_go() {
    let (Some(cache), Ok(go)) = (env::var_os(CACHE), env::var(GO)) else { return };
    let provision = Provision::new().go(beside("fake-go").join(go)).cache(cache);
    let result = match Binaries::ensure(&provision.clone().tools([Tool::Etcd]), &quietly) {
        Ok(binaries) => format!("found {}", binaries.path(Tool::Etcd).unwrap().display()),
        Err(_) => ControlPlane::start(Options::new().provision(provision)).await.unwrap_err().to_string(),
    };
    writeln!(std::io::stderr(), "{result}").unwrap();
}

/// The body of the runner above; a test that does nothing when run as one.
#[test]
fn endless_build() {
    let (Some(cache), None) = (env::var_os(CACHE).map(PathBuf::from), env::var_os(GO)) else { return };
    let _ = Binaries::ensure(&with_go("endless", &cache).tools([Tool::Etcd]), &quietly);
}

fn no_build_directory_in(cache: &Path) -> bool {
    let entries = fs::read_dir(cache).unwrap();
    !entries.into_iter().any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(".building-"))
}
