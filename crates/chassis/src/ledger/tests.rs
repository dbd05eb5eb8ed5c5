//! The ledger on a real disk.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use control::SystemClock;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A directory for ledgers.
struct Shelf(TempDir);

impl Shelf {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn options(&self) -> LedgerOptions {
        LedgerOptions {
            directory: self.0.path().to_owned(),
            instance: "pod-1".into(),
            requirement: Requirement::Required,
            limits: LedgerLimits::default(),
        }
    }

    async fn open(&self) -> Open {
        open(self.options()).await.unwrap()
    }

    fn chain(&self) -> PathBuf {
        self.0.path().join("pod-1")
    }

    fn segments(&self) -> Vec<PathBuf> {
        store::segments(&self.chain()).unwrap().into_iter().map(|segment| segment.path).collect()
    }

    fn records(&self) -> Vec<Record> {
        let text: String = self.segments().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn kinds(&self) -> Vec<RecordKind> {
        self.records().into_iter().map(|record| record.body.kind).collect()
    }

    fn lines(&self) -> Vec<String> {
        let [segment] = &*self.segments() else { panic!("there is one segment") };
        fs::read_to_string(segment).unwrap().lines().map(str::to_owned).collect()
    }

    fn rewrite(&self, lines: &[String]) {
        fs::write(&self.segments()[0], lines.join("\n") + "\n").unwrap();
    }

    fn audit(&self, anchors: &Anchors) -> InstanceAudit {
        let mut audits = audit(self.0.path(), anchors).unwrap();
        assert_eq!(audits.len(), 1);
        audits.pop().unwrap()
    }
}

/// A ledger with its writer running.
struct Open {
    ledger: Ledger,
    writer: tokio::task::JoinHandle<()>,
    unsettled: Vec<UnsettledIntent>,
    metrics: Metrics,
}

impl Open {
    async fn close(self) {
        self.ledger.close().await.unwrap();
        self.writer.await.unwrap();
    }

    /// Ends as by SIGKILL: nothing more is written.
    async fn killed(self) {
        self.ledger.flush().await.unwrap();
        self.writer.abort();
        assert!(self.writer.await.unwrap_err().is_cancelled());
    }

    async fn delete(&self, name: &str) {
        let id = self.ledger.intent(intent(name)).await.unwrap();
        self.ledger.outcome(id, deleted()).await;
    }
}

#[allow(clippy::disallowed_methods, reason = "a test's task")]
async fn open(options: LedgerOptions) -> Result<Open, LedgerError> {
    let metrics = Metrics::default();
    let Opened { ledger, writer, unsettled } =
        Ledger::open(options, Arc::new(SystemClock), metrics.clone()).await?;
    Ok(Open { ledger, writer: tokio::spawn(writer), unsettled, metrics })
}

fn intent(object: &str) -> Intent {
    Intent {
        controller: "gc",
        act: "delete",
        rule: Rule { policy: "team/sweep".into(), uid: "p-1".into(), generation: 3 },
        object: Subject {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: "team".into(),
            name: object.into(),
            uid: format!("uid-of-{object}"),
            resource_version: "7".into(),
        },
        epoch: Some(4),
        evidence: Evidence::default().with("expiresAt", "2026-11-21T04:00:00Z").with("ttlSeconds", 3_600),
    }
}

fn deleted() -> Outcome {
    Outcome { outcome: "deleted", message: None }
}

fn anchored(head: Head) -> Anchors {
    let text =
        format!(r#"{{"sequence":{},"hash":"{}","time":"2026-11-21T04:00:00Z"}}"#, head.sequence, head.hash);
    Anchors::parse([("pod-1", &*text)]).unwrap()
}

// Writing.

#[tokio::test]
async fn an_intent_is_on_the_disk_before_it_is_answered() {
    let shelf = Shelf::new();
    let open = shelf.open().await;

    let id = open.ledger.intent(intent("a")).await.unwrap();

    assert_eq!(id.sequence(), Some(2));
    assert_eq!(shelf.kinds(), [RecordKind::Start, RecordKind::Intent]);
    open.ledger.outcome(id, deleted()).await;
    open.close().await;
    assert_eq!(shelf.kinds(), [RecordKind::Start, RecordKind::Intent, RecordKind::Outcome, RecordKind::Stop]);
    let outcome = &shelf.records()[2];
    assert_eq!((outcome.body.intent, outcome.body.outcome.as_deref()), (Some(2), Some("deleted")));
    assert_eq!(outcome.body.object.as_ref().unwrap().name, "a");
    assert_eq!(shelf.audit(&Anchors::default()).fault, None);
}

#[tokio::test]
async fn what_waits_together_is_written_in_one_chain() {
    let shelf = Shelf::new();
    let open = shelf.open().await;
    let names: Vec<_> = (0..200).map(|number| format!("object-{number}")).collect();
    futures::future::join_all(names.iter().map(|name| open.delete(name))).await;
    open.close().await;

    let audit = shelf.audit(&Anchors::default());
    assert_eq!((audit.records, audit.fault), (402, None));
}

#[tokio::test]
async fn a_closed_ledger_refuses_what_comes_later() {
    let shelf = Shelf::new();
    let open = shelf.open().await;
    let ledger = open.ledger.clone();
    open.close().await;
    assert_eq!(ledger.intent(intent("late")).await.unwrap_err().reason, CLOSED);
    assert_eq!(ledger.state().head.sequence, 2);
}

#[tokio::test]
async fn without_a_ledger_everything_may_be_done() {
    let shelf = Shelf::new();
    let open = open(LedgerOptions { requirement: Requirement::Off, ..shelf.options() }).await.unwrap();
    let id = open.ledger.intent(intent("a")).await.unwrap();
    assert_eq!(id.sequence(), None);
    open.ledger.outcome(id, deleted()).await;
    open.ledger.flush().await.unwrap();
    assert!(!shelf.chain().exists());
}

#[tokio::test]
async fn two_processes_never_write_one_chain() {
    let shelf = Shelf::new();
    let first = shelf.open().await;
    assert!(matches!(open(shelf.options()).await.err(), Some(LedgerError::Locked { .. })));
    first.close().await;
    shelf.open().await.close().await;
}

#[tokio::test]
async fn nothing_of_an_objects_content_can_make_a_second_line() {
    let shelf = Shelf::new();
    let open = shelf.open().await;
    let mut odd = intent("a\nb\u{1b}[2J\u{2028}");
    odd.evidence = odd.evidence.with("label", "x\r\n{\"sequence\":9}");
    let refusal = Refusal { intent: odd, reason: "Protected".into(), message: "no\nway".into() };
    open.ledger.refusal(refusal).await;
    open.close().await;
    assert_eq!(shelf.lines().len(), 3);
    assert!(shelf.lines().iter().all(|line| !line.contains(char::is_control)));
}

#[tokio::test]
async fn the_largest_record_fits_a_line() {
    let shelf = Shelf::new();
    let open = shelf.open().await;
    let worst = "\u{1}".repeat(100_000);
    let mut evidence = Evidence::default();
    for number in 0..100 {
        evidence = evidence.with(format!("{number}{worst}"), &worst);
    }
    let object = Subject {
        api_version: worst.clone(),
        kind: worst.clone(),
        namespace: worst.clone(),
        name: worst.clone(),
        uid: worst.clone(),
        resource_version: worst.clone(),
    };
    let rule = Rule { policy: worst.clone(), uid: worst.clone(), generation: i64::MIN };
    let intent = Intent { rule, object, evidence, ..intent("a") };
    open.ledger.refusal(Refusal { intent, reason: worst.clone(), message: worst }).await;
    open.close().await;
    let longest = shelf.lines().iter().map(String::len).max().unwrap() as u64;
    assert!(longest > 20_000 && longest < crate::limits::LEDGER_LINE_BYTES_MAX, "{longest}");
    assert_eq!(shelf.audit(&Anchors::default()).fault, None);
}

// What an earlier process has left.

#[tokio::test]
async fn an_intent_without_an_outcome_is_handed_out_until_it_is_settled() {
    let shelf = Shelf::new();
    let open = shelf.open().await;
    open.delete("done").await;
    let id = open.ledger.intent(intent("open")).await.unwrap();
    open.killed().await;

    for _ in 0..2 {
        let open = shelf.open().await;
        let names: Vec<_> = open.unsettled.iter().map(|intent| &*intent.object.name).collect();
        assert_eq!(names, ["open"]);
        assert_eq!(Some(open.unsettled[0].sequence), id.sequence());
        open.killed().await;
    }
    let open = shelf.open().await;
    open.ledger.settle(&open.unsettled[0], Settled::Done, Evidence::default().with("found", "gone")).await;
    open.close().await;
    let open = shelf.open().await;
    assert_eq!(open.unsettled, []);
    open.close().await;
    assert_eq!(shelf.audit(&Anchors::default()).fault, None);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_told() {
    let shelf = Shelf::new();
    let open = shelf.open().await;
    open.delete("a").await;
    open.killed().await;
    let segment = &shelf.segments()[0];
    let whole = fs::read(segment).unwrap();
    for torn in [&b"{\"sequence\":4,\"prev\""[..], b"\0\0\0\0", b"{"] {
        fs::write(segment, [&whole, torn].concat()).unwrap();
        assert_eq!(shelf.audit(&Anchors::default()).torn_bytes, Some(torn.len() as u64));

        shelf.open().await.killed().await;

        let records = shelf.records();
        let told: Vec<_> =
            records[3].body.evidence.iter().filter(|(key, _)| *key == "tornBytesCut").collect();
        assert_eq!(told, [("tornBytesCut", &*torn.len().to_string())]);
        assert_eq!(shelf.audit(&Anchors::default()).fault, None);
    }
}

#[tokio::test]
async fn damage_is_refused_or_told_but_never_cut_off() {
    let shelf = Shelf::new();
    let open_before = shelf.open().await;
    open_before.delete("a").await;
    open_before.close().await;
    let mut lines = shelf.lines();
    lines[1] = lines[1].replace("\"name\":\"a\"", "\"name\":\"b\"");
    shelf.rewrite(&lines);

    let error = open(shelf.options()).await.err().unwrap().to_string();
    assert!(
        error.contains("line 2: it is not what was written") && error.contains("groundskeeper audit verify"),
        "{error}"
    );

    let lenient = LedgerOptions { requirement: Requirement::BestEffort, ..shelf.options() };
    let open = open(lenient).await.unwrap();
    open.delete("c").await;
    open.close().await;
    assert_eq!(fs::read_to_string(&shelf.segments()[0]).unwrap().lines().count(), lines.len());
    let start = &shelf.records()[lines.len()];
    assert_eq!(start.sequence, lines.len() as u64 + 1);
    assert!(start.body.message.as_ref().unwrap().contains("damage"), "{start:?}");
    assert_eq!(shelf.audit(&Anchors::default()).fault.unwrap().sequence, 2);
}

// Size.

#[tokio::test]
async fn the_oldest_segments_go_and_the_chain_says_so() {
    let shelf = Shelf::new();
    let limits = LedgerLimits { segment_bytes_max: 2_000, segments_max: 3 };
    let small = || LedgerOptions { limits, ..shelf.options() };
    let first = open(small()).await.unwrap();
    for number in 0..40 {
        first.delete(&format!("object-{number}")).await;
    }
    first.close().await;

    assert_eq!(shelf.segments().len(), 3);
    let records = shelf.records();
    assert!(records[0].sequence > 1);
    let retired = records.iter().rfind(|record| record.body.kind == RecordKind::Retired).unwrap();
    let before = Head { sequence: records[0].sequence - 1, hash: records[0].prev };
    assert_eq!(retired.body.head, Some(before));
    let found = shelf.audit(&anchored(before));
    assert_eq!((found.fault, found.anchors_retired), (None, 1));

    let again = open(small()).await.unwrap();
    again.delete("later").await;
    again.close().await;
    assert_eq!(shelf.audit(&Anchors::default()).fault, None);
    fs::remove_file(&shelf.segments()[0]).unwrap();
    assert_eq!(shelf.audit(&Anchors::default()).fault.unwrap().finding, Finding::Removed);
}

// A disk that fails.

/// Runs one test of this file in a process of its own, in which a file that grows too large fails instead of killing.
fn in_a_process_of_its_own(test: &str) {
    let program = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact --ignored --nocapture \"$1\""])
        .arg(program)
        .arg(format!("ledger::tests::{test}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// No file of this process grows beyond this.
fn let_files_grow_to(bytes: Option<u64>) {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Fsize);
    limit.current = bytes;
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    #[allow(clippy::disallowed_methods, reason = "bounds a failure")]
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn while_the_disk_is_full_no_intent_is_answered_well_and_no_outcome_is_lost() {
    in_a_process_of_its_own("the_disk_is_full_and_required");
}

#[tokio::test]
#[ignore = "limits its process; the test above runs it in one of its own"]
async fn the_disk_is_full_and_required() {
    let shelf = Shelf::new();
    let open = shelf.open().await;
    let id = open.ledger.intent(intent("before")).await.unwrap();
    let length = fs::metadata(&shelf.segments()[0]).unwrap().len();
    // There is room for a part of a record: it is torn.
    let_files_grow_to(Some(length + 100));

    let error = open.ledger.intent(intent("refused")).await.unwrap_err();
    assert!(error.reason.starts_with("the ledger cannot be written: "), "{error}");
    assert_eq!(open.ledger.state().unavailable, Some(error.reason));
    open.ledger.outcome(id, deleted()).await;
    assert!(open.ledger.flush().await.is_err());
    assert!(open.ledger.intent(intent("refused")).await.is_err());
    assert!(open.metrics.encode().unwrap().contains("groundskeeper_ledger_unavailable{} 1"));
    assert_eq!(shelf.kinds(), [RecordKind::Start, RecordKind::Intent]);

    let_files_grow_to(None);
    until("it is available again", || open.ledger.state().unavailable.is_none()).await;
    open.delete("after").await;
    open.close().await;
    let kinds = [
        RecordKind::Start,
        RecordKind::Intent,
        // It tells of the gap.
        RecordKind::Start,
        RecordKind::Outcome,
        RecordKind::Intent,
        RecordKind::Outcome,
        RecordKind::Stop,
    ];
    assert_eq!(shelf.kinds(), kinds);
    assert_eq!(shelf.audit(&Anchors::default()).fault, None);
}

#[test]
fn with_best_effort_a_full_disk_holds_nothing_up_and_what_is_lost_is_counted() {
    in_a_process_of_its_own("the_disk_is_full_and_best_effort");
}

#[tokio::test]
#[ignore = "limits its process; the test above runs it in one of its own"]
async fn the_disk_is_full_and_best_effort() {
    let shelf = Shelf::new();
    let options = LedgerOptions { requirement: Requirement::BestEffort, ..shelf.options() };
    let open = open(options).await.unwrap();
    open.delete("before").await;
    open.ledger.flush().await.unwrap();
    let length = fs::metadata(&shelf.segments()[0]).unwrap().len();
    let_files_grow_to(Some(length));

    let id = open.ledger.intent(intent("unrecorded")).await.unwrap();
    assert_eq!(id.sequence(), None);
    open.ledger.outcome(id, deleted()).await;
    assert!(open.ledger.flush().await.is_err());
    let metrics = open.metrics.encode().unwrap();
    assert!(metrics.contains("groundskeeper_ledger_dropped_total{} 2"), "{metrics}");

    let_files_grow_to(None);
    until("it is available again", || open.ledger.state().unavailable.is_none()).await;
    open.close().await;
    let gap = &shelf.records()[3];
    assert!(gap.body.evidence.iter().any(|entry| entry == ("dropped", "1")), "{gap:?}");
    assert_eq!(shelf.audit(&Anchors::default()).fault, None);
}

// Verification.

/// A chain of five deletions, and its lines.
async fn written() -> (Shelf, Vec<String>, Head) {
    let shelf = Shelf::new();
    let open = shelf.open().await;
    for name in ["a", "b", "c", "d", "e"] {
        open.delete(name).await;
    }
    let ledger = open.ledger.clone();
    open.close().await;
    let lines = shelf.lines();
    assert_eq!(lines.len(), 12);
    (shelf, lines, ledger.state().head)
}

/// A line with something replaced, and a hash that fits.
fn forged(line: &str, from: &str, to: &str) -> String {
    assert!(line.contains(from), "{line}");
    let record: Record = serde_json::from_str(&line.replace(from, to)).unwrap();
    line::sealed(&record).0.trim_end().to_owned()
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a table")]
async fn each_kind_of_tampering_is_named_with_its_record() {
    type Tamper = fn(&mut Vec<String>);
    let table: [(&str, Tamper, Finding, u64, u64); 13] = [
        (
            "a changed name",
            |lines| lines[3] = lines[3].replace("ConfigMap", "Configmap"),
            Finding::Altered,
            4,
            4,
        ),
        (
            "a changed hash",
            |lines| {
                let end = lines[3].len() - 3;
                lines[3].replace_range(end..=end, "x");
            },
            Finding::Altered,
            4,
            4,
        ),
        (
            "a changed name with a hash that fits",
            |lines| lines[3] = forged(&lines[3], "ConfigMap", "Secret"),
            Finding::Altered,
            4,
            4,
        ),
        (
            "the same at the beginning",
            |lines| lines[0] = forged(&lines[0], "Start", "Stop"),
            Finding::Altered,
            1,
            1,
        ),
        ("garbage in its place", |lines| lines[5] = "garbage".into(), Finding::Altered, 6, 6),
        (
            "a removed record",
            |lines| {
                lines.remove(6);
            },
            Finding::Removed,
            7,
            7,
        ),
        (
            "the first removed",
            |lines| {
                lines.drain(..2);
            },
            Finding::Removed,
            1,
            1,
        ),
        (
            "three removed",
            |lines| {
                lines.drain(4..7);
            },
            Finding::Removed,
            5,
            5,
        ),
        ("two swapped", |lines| lines.swap(4, 5), Finding::Reordered, 5, 6),
        (
            "one moved to the end",
            |lines| {
                let line = lines.remove(2);
                lines.push(line);
            },
            Finding::Reordered,
            3,
            4,
        ),
        (
            "a copy",
            |lines| {
                let line = lines[2].clone();
                lines.insert(8, line);
            },
            Finding::Inserted,
            9,
            3,
        ),
        (
            "a new record that fits",
            |lines| {
                let line = forged(&lines[4], "delete", "evict");
                lines.insert(4, line);
            },
            Finding::Inserted,
            5,
            5,
        ),
        ("a line of garbage", |lines| lines.insert(4, "garbage".into()), Finding::Inserted, 5, 5),
    ];
    let (shelf, lines, head) = written().await;
    for (what, tamper, finding, line, sequence) in table {
        let mut changed = lines.clone();
        tamper(&mut changed);
        shelf.rewrite(&changed);
        let fault = shelf.audit(&Anchors::default()).fault.expect(what);
        assert_eq!(
            (&fault.finding, fault.line, fault.sequence),
            (&finding, line, sequence),
            "{what}: {fault}"
        );
    }
    shelf.rewrite(&lines);
    assert_eq!(shelf.audit(&anchored(head)).fault, None);
}

#[tokio::test]
async fn an_anchor_shows_what_the_chain_alone_cannot() {
    let (shelf, lines, head) = written().await;
    shelf.rewrite(&lines[..9]);
    assert_eq!(shelf.audit(&Anchors::default()).fault, None, "a chain that ends sooner is a chain");
    let fault = shelf.audit(&anchored(head)).fault.unwrap();
    assert_eq!((&fault.finding, fault.line, fault.sequence), (&Finding::Unanchored, 9, 10), "{fault}");

    let mut record: Vec<Record> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    record[3].body.object.as_mut().unwrap().name = "nothing".into();
    let (mut prev, mut anew) = (RecordHash::NONE, Vec::new());
    for record in &mut record {
        record.prev = prev;
        let (line, hash) = line::sealed(record);
        anew.push(line.trim_end().to_owned());
        prev = hash;
    }
    shelf.rewrite(&anew);
    assert_eq!(shelf.audit(&Anchors::default()).fault, None, "a chain made anew is a chain");
    let fault = shelf.audit(&anchored(head)).fault.unwrap();
    assert_eq!((&fault.finding, fault.sequence), (&Finding::Unanchored, 12), "{fault}");
}

#[tokio::test]
async fn a_missing_segment_is_named_by_its_records() {
    let shelf = Shelf::new();
    let limits = LedgerLimits { segment_bytes_max: 1_000, segments_max: 100 };
    let open = open(LedgerOptions { limits, ..shelf.options() }).await.unwrap();
    for number in 0..20 {
        open.delete(&format!("object-{number}")).await;
    }
    open.close().await;
    let segments = store::segments(&shelf.chain()).unwrap();
    let (missing, next) = (&segments[3], &segments[4]);
    let text = fs::read(&missing.path).unwrap();
    fs::remove_file(&missing.path).unwrap();
    let fault = shelf.audit(&Anchors::default()).fault.unwrap();
    assert_eq!((&fault.finding, fault.sequence), (&Finding::Removed, missing.first), "{fault}");
    assert!(next.path.ends_with(&fault.segment), "{fault}");

    let wrong = missing.path.with_file_name(format!("ledger-{:020}.jsonl", missing.first + 1));
    fs::write(&wrong, text).unwrap();
    assert_eq!(shelf.audit(&Anchors::default()).fault.unwrap().finding, Finding::Renamed);
}

/// One way to tamper with a file.
#[derive(Clone, Debug)]
enum Tampering {
    Flip(prop::sample::Index, u8),
    RemoveLine(prop::sample::Index),
    CopyLine(prop::sample::Index, prop::sample::Index),
    MoveLine(prop::sample::Index, prop::sample::Index),
    Truncate(prop::sample::Index),
    Put(prop::sample::Index, Vec<u8>),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    use prop::sample::Index;
    prop_oneof![
        (any::<Index>(), 1..=255_u8).prop_map(|(at, mask)| Tampering::Flip(at, mask)),
        any::<Index>().prop_map(Tampering::RemoveLine),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Tampering::CopyLine(from, to)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Tampering::MoveLine(from, to)),
        any::<Index>().prop_map(Tampering::Truncate),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..100))
            .prop_map(|(at, bytes)| Tampering::Put(at, bytes)),
    ]
}

fn tampered(original: &[u8], tampering: &Tampering) -> Vec<u8> {
    let mut lines: Vec<_> = original.split_inclusive(|&byte| byte == b'\n').collect();
    let mut bytes = original.to_vec();
    match tampering {
        Tampering::Flip(at, mask) => {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            return bytes;
        }
        Tampering::Truncate(at) => return bytes[..at.index(bytes.len())].to_vec(),
        Tampering::Put(at, more) => {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, more.iter().copied());
            return bytes;
        }
        Tampering::RemoveLine(at) => drop(lines.remove(at.index(lines.len()))),
        Tampering::CopyLine(from, to) => {
            let line = lines[from.index(lines.len())];
            lines.insert(to.index(lines.len() + 1), line);
        }
        Tampering::MoveLine(from, to) => {
            let line = lines.remove(from.index(lines.len()));
            lines.insert(to.index(lines.len() + 1), line);
        }
    }
    lines.concat()
}

#[test]
fn no_tampering_passes_an_anchored_chain() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (shelf, lines, head) = runtime.block_on(written());
    let anchors = anchored(head);
    let original: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
    let segment = shelf.segments()[0].clone();
    proptest!(ProptestConfig::with_cases(1_000), |(tampering in tampering())| {
        let changed = tampered(&original, &tampering);
        fs::write(&segment, &changed).unwrap();
        let found = shelf.audit(&anchors);
        // Bytes behind the last record, without an end, are what a crash leaves; they are told, and hide nothing.
        let only_torn = changed.starts_with(&original) && !changed[original.len()..].contains(&b'\n');
        prop_assert_eq!(
            found.fault.is_none() && found.torn_bytes.is_none(),
            changed == original,
            "{:?}", found
        );
        prop_assert!(found.fault.is_some() || changed == original || only_torn, "{found:?}");
    });
}

// How fast it is.

/// Run with `cargo test -p chassis --lib ledger -- --ignored --nocapture how_fast`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints numbers of the disk that it runs on"]
#[allow(clippy::disallowed_methods, reason = "measures")]
async fn how_fast_intents_become_durable() {
    let shelf = std::env::var_os("LEDGER_BENCH_DIR")
        .map_or_else(Shelf::new, |path| Shelf(TempDir::new_in(Path::new(&path)).unwrap()));
    // In flight at one time, and how long each rests after an intent: 48 with 96 ms are 500 in a second.
    for (in_flight, rest) in [(1_usize, 0), (48, 0), (256, 0), (48, 96)] {
        let open = shelf.open().await;
        let (begun, rounds) = (Instant::now(), 6_000 / in_flight.max(12));
        let mut workers = tokio::task::JoinSet::new();
        for worker in 0..in_flight {
            let ledger = open.ledger.clone();
            workers.spawn(async move {
                let mut waits = Vec::new();
                let mut pace = tokio::time::interval(Duration::from_millis(rest.max(1)));
                for round in 0..rounds {
                    if rest > 0 {
                        pace.tick().await;
                    }
                    let asked = Instant::now();
                    let id = ledger.intent(intent(&format!("object-{worker}-{round}"))).await.unwrap();
                    waits.push(asked.elapsed());
                    ledger.outcome(id, deleted()).await;
                }
                waits
            });
        }
        let mut waits: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
        let took = begun.elapsed();
        waits.sort_unstable();
        let at = |share: usize| waits[(waits.len() - 1) * share / 100];
        #[allow(clippy::cast_precision_loss, reason = "a number for people")]
        let rate = waits.len() as f64 / took.as_secs_f64();
        println!(
            "{in_flight} in flight, each every {rest} ms: {rate:.0} intents/s (and as many outcomes), p50 {:?}, p99 {:?}, max {:?}",
            at(50),
            at(99),
            at(100)
        );
        open.close().await;
    }
}

/// Run with `cargo test -p chassis --lib ledger -- --ignored --nocapture how_long`.
#[tokio::test]
#[ignore = "prints numbers of the machine that it runs on"]
#[allow(clippy::disallowed_methods, reason = "measures")]
async fn how_long_a_start_takes_to_read_what_is_there() {
    let shelf = Shelf::new();
    let open = shelf.open().await;
    for chunk in 0..50 {
        let names: Vec<_> = (0..500).map(|number| format!("object-{chunk}-{number}")).collect();
        futures::future::join_all(names.iter().map(|name| open.delete(name))).await;
    }
    open.close().await;
    let bytes: u64 = shelf.segments().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let begun = Instant::now();
    shelf.open().await.close().await;
    println!(
        "50,000 records, {} KiB ({} bytes each): opened in {:?}",
        bytes / 1024,
        bytes / 50_000,
        begun.elapsed()
    );
}
