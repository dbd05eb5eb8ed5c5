use super::*;

const NODE: &str = "worker-3";
const PX: &str = "px-3";
const ISSUER: &str = "groundskeeper u-1/portworx";

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn facts() -> Facts<'static> {
    Facts { node: NODE, given: None, drains: true, issuer: ISSUER }
}

fn state(number: u8) -> NodeState {
    NodeState::numbered(number)
}

fn seen_as(name: &str, node: &str, number: u8) -> Seen {
    Seen { id: id(name), scheduler_name: node.into(), hostname: "".into(), state: state(number) }
}

/// As a healthy member sees them.
fn census(others: &[Seen]) -> Answer {
    let mut nodes = vec![seen_as("px-1", "worker-1", 2)];
    nodes.extend_from_slice(others);
    Answer::Census(Census { by: "px-1".into(), nodes })
}

/// As a member in maintenance sees them.
fn blind_census() -> Answer {
    Answer::Census(Census { by: "px-1".into(), nodes: vec![seen_as("px-1", "worker-1", 7)] })
}

fn job(state: JobState) -> Job {
    Job {
        id: id("job-1"),
        state,
        node: Some(id(PX)),
        issuer: ISSUER.into(),
        words: "volume 7 is busy".into(),
        volumes: Some((3, 7)),
    }
}

fn survey() -> Stage {
    Stage::Survey { node_id: id(PX) }
}

fn disable() -> Stage {
    Stage::Disable { node_id: id(PX) }
}

fn drain() -> Stage {
    Stage::Drain { node_id: id(PX) }
}

fn draining() -> Stage {
    Stage::Draining { node_id: id(PX), job: id("job-1") }
}

fn offline() -> Stage {
    Stage::Offline { node_id: id(PX) }
}

fn removing(idle_looks: u8) -> Stage {
    Stage::Removing { node_id: id(PX), idle_looks }
}

fn label() -> Stage {
    Stage::Label { node_id: id(PX) }
}

fn at(stage: Stage) -> Point {
    Point::At(stage)
}

fn verify(from: Stage) -> Point {
    Point::Verify { node_id: id(PX), from }
}

fn drain_anew() -> Point {
    Point::DrainAnew { node_id: id(PX) }
}

fn remove_now() -> Point {
    Point::RemoveNow { node_id: id(PX) }
}

fn inspect(number: u8) -> Answer {
    Answer::Inspect(Sighting::Listed(state(number)))
}

fn missing() -> Answer {
    Answer::Inspect(Sighting::Missing)
}

/// How a turn ended, without its words.
#[derive(Debug, PartialEq, Eq)]
enum End {
    On(Point),
    Waits(Stage),
    Done(Stage),
    Fails(Stage, Reason),
    GivesUp(Stage, Reason),
}

fn end(turn: Turn) -> End {
    match turn {
        Turn::On(point) => End::On(point),
        Turn::Over(stage, Word::Waits { .. }) => End::Waits(stage),
        Turn::Over(stage, Word::Done(_)) => End::Done(stage),
        Turn::Over(stage, Word::Failed { retryable: true, reason, .. }) => End::Fails(stage, reason),
        Turn::Over(stage, Word::Failed { retryable: false, reason, .. }) => End::GivesUp(stage, reason),
    }
}

fn check(rows: Vec<(Point, Answer, End)>) {
    for (point, answer, wanted) in rows {
        let row = format!("{point:?} and {answer:?}");
        assert_eq!(end(step(point, answer, &facts())), wanted, "{row}");
    }
}

#[test]
fn the_storage_node_is_found_by_its_object_or_by_its_name() {
    let named = |name: &str| Answer::StorageNode(Some(name.to_owned()));
    check(vec![
        (at(Stage::Find), named(PX), End::On(at(survey()))),
        (at(Stage::Find), named(""), End::On(at(Stage::Locate))),
        (at(Stage::Find), Answer::StorageNode(None), End::On(at(Stage::Locate))),
        (at(Stage::Find), named("../x"), End::Fails(Stage::Find, Reason::BadAnswer)),
        (at(Stage::Locate), census(&[seen_as(PX, NODE, 2)]), End::On(at(survey()))),
        (at(Stage::Locate), census(&[]), End::Done(Stage::Finished)),
        (at(Stage::Locate), blind_census(), End::Waits(Stage::Locate)),
        (
            at(Stage::Locate),
            census(&[seen_as(PX, NODE, 2), seen_as("px-4", NODE, 3)]),
            End::GivesUp(Stage::Find, Reason::AmbiguousNode),
        ),
    ]);
}

#[test]
fn a_label_saves_looking_for_the_storage_node() {
    let given = id(PX);
    let facts = Facts { given: Some(&given), ..facts() };
    assert_eq!(begin(Stage::Find, &facts), at(survey()));
    assert_eq!(begin(removing(1), &facts), at(removing(1)), "what was found once stays");
}

#[test]
fn what_is_offline_already_is_not_drained_and_what_is_being_removed_is_not_asked_for() {
    check(vec![
        (at(survey()), inspect(2), End::On(at(disable()))),
        (at(survey()), inspect(8), End::On(at(disable()))),
        (at(survey()), inspect(3), End::On(remove_now())),
        (at(survey()), inspect(7), End::On(remove_now())),
        (at(survey()), inspect(6), End::Waits(removing(0))),
        (at(survey()), missing(), End::On(verify(survey()))),
    ]);
    let facts = Facts { drains: false, ..facts() };
    assert_eq!(end(step(at(survey()), inspect(2), &facts)), End::Waits(offline()));
}

#[test]
fn attachments_are_disabled_and_drained_before_the_node_may_go() {
    let mine = |state| Answer::Jobs(vec![job(state)]);
    let of_another = Answer::Jobs(vec![
        Job { issuer: "somebody".into(), ..job(JobState::Running) },
        Job { node: Some(id("px-9")), ..job(JobState::Running) },
        Job { node: None, ..job(JobState::Running) },
    ]);
    check(vec![
        (at(disable()), Answer::Disabled, End::Waits(drain())),
        (at(drain()), Answer::Jobs(Vec::new()), End::On(drain_anew())),
        (at(drain()), of_another, End::On(drain_anew())),
        (at(drain()), mine(JobState::Failed), End::On(drain_anew())),
        (at(drain()), mine(JobState::Cancelled), End::On(drain_anew())),
        (at(drain()), mine(JobState::Pending), End::On(at(draining()))),
        (at(drain()), mine(JobState::Paused), End::On(at(draining()))),
        (at(drain()), mine(JobState::Done), End::On(at(draining()))),
        (drain_anew(), Answer::Draining(id("job-1")), End::Waits(draining())),
        (at(draining()), Answer::Job(Some(job(JobState::Pending))), End::Waits(draining())),
        (at(draining()), Answer::Job(Some(job(JobState::Running))), End::Waits(draining())),
        (at(draining()), Answer::Job(Some(job(JobState::Paused))), End::Waits(draining())),
        (at(draining()), Answer::Job(Some(job(JobState::Done))), End::On(at(offline()))),
        (at(draining()), Answer::Job(Some(job(JobState::Failed))), End::Fails(drain(), Reason::DrainFailed)),
        (
            at(draining()),
            Answer::Job(Some(job(JobState::Cancelled))),
            End::GivesUp(drain(), Reason::DrainCancelled),
        ),
        (at(draining()), Answer::Job(None), End::Waits(drain())),
    ]);
}

#[test]
fn it_is_removed_only_when_it_was_just_seen_offline_or_in_maintenance() {
    check(vec![
        (at(offline()), inspect(2), End::Waits(offline())),
        (at(offline()), inspect(14), End::Waits(offline())),
        (at(offline()), inspect(3), End::On(remove_now())),
        (at(offline()), inspect(7), End::On(remove_now())),
        (at(offline()), inspect(6), End::Waits(removing(0))),
        (at(offline()), missing(), End::On(verify(offline()))),
    ]);
}

#[test]
fn each_answer_to_a_removal_has_its_consequence() {
    let words = || "Node Remove: no".into();
    check(vec![
        (remove_now(), Answer::Removal(Removal::Accepted), End::Waits(removing(0))),
        (remove_now(), Answer::Removal(Removal::Pending), End::Waits(removing(0))),
        (remove_now(), Answer::Removal(Removal::Unknown), End::On(verify(removing(0)))),
        (remove_now(), Answer::Removal(Removal::Online(words())), End::Waits(offline())),
        (
            remove_now(),
            Answer::Removal(Removal::DataLoss(words())),
            End::GivesUp(offline(), Reason::DataLoss),
        ),
        (
            remove_now(),
            Answer::Removal(Removal::Refused(words())),
            End::Fails(offline(), Reason::RemovalRefused),
        ),
    ]);
}

#[test]
fn a_removal_goes_on_until_a_member_that_knows_all_does_not_list_the_node() {
    check(vec![
        (at(removing(2)), inspect(6), End::Waits(removing(0))),
        (at(removing(0)), inspect(3), End::Waits(removing(1))),
        (at(removing(1)), inspect(7), End::Waits(removing(2))),
        (at(removing(2)), inspect(3), End::Waits(offline())),
        (at(removing(0)), inspect(2), End::Waits(offline())),
        (at(removing(0)), missing(), End::On(verify(removing(0)))),
        (verify(removing(0)), census(&[]), End::On(at(label()))),
        (verify(removing(0)), blind_census(), End::Waits(removing(0))),
        (verify(removing(0)), census(&[seen_as(PX, NODE, 6)]), End::Waits(removing(0))),
        (verify(survey()), census(&[]), End::On(at(label()))),
        (verify(offline()), census(&[seen_as(PX, NODE, 3)]), End::On(remove_now())),
    ]);
}

#[test]
fn the_node_is_labelled_if_it_is_there_and_the_end_is_the_end() {
    check(vec![
        (at(label()), Answer::Labelled(Labelled::Yes), End::Done(Stage::Finished)),
        (at(label()), Answer::Labelled(Labelled::NoNode), End::Done(Stage::Finished)),
    ]);
    assert_eq!(ask(&at(Stage::Finished)), None);
}

#[test]
fn trouble_ends_the_turn_where_it_can_begin_again() {
    let unreachable = || Answer::Trouble(Trouble::Unreachable("no answer".to_owned()));
    let rows = [
        (at(Stage::Find), Stage::Find),
        (at(survey()), survey()),
        (verify(removing(1)), removing(1)),
        (at(disable()), disable()),
        (at(drain()), drain()),
        (drain_anew(), drain()),
        (at(draining()), draining()),
        (remove_now(), offline()),
    ];
    for (point, rest) in rows {
        assert_eq!(end(step(point, unreachable(), &facts())), End::Fails(rest, Reason::Unreachable));
    }
    check(vec![
        (at(label()), unreachable(), End::Fails(label(), Reason::LabelFailed)),
        (
            at(survey()),
            Answer::Trouble(Trouble::Denied("401".to_owned())),
            End::Fails(survey(), Reason::Denied),
        ),
        (
            at(survey()),
            Answer::Trouble(Trouble::BadAnswer("no JSON".to_owned())),
            End::Fails(survey(), Reason::BadAnswer),
        ),
        (
            remove_now(),
            Answer::Trouble(Trouble::Error("500".to_owned())),
            End::Fails(offline(), Reason::PortworxError),
        ),
        (at(disable()), Answer::Trouble(Trouble::Unsupported), End::GivesUp(disable(), Reason::NotSupported)),
        (drain_anew(), Answer::Trouble(Trouble::Unsupported), End::GivesUp(drain(), Reason::NotSupported)),
        (remove_now(), Answer::Trouble(Trouble::Unsupported), End::GivesUp(offline(), Reason::NotSupported)),
        (at(drain()), Answer::Trouble(Trouble::Unsupported), End::On(drain_anew())),
    ]);
}

#[test]
fn a_gateway_that_does_not_know_the_node_is_not_believed_alone() {
    let unknown = || Answer::Trouble(Trouble::NoSuchNode);
    check(vec![
        (at(disable()), unknown(), End::On(verify(disable()))),
        (drain_anew(), unknown(), End::On(verify(drain()))),
        (verify(disable()), census(&[]), End::On(at(label()))),
        (verify(disable()), census(&[seen_as(PX, NODE, 2)]), End::Waits(survey())),
        (verify(disable()), census(&[seen_as(PX, NODE, 3)]), End::Waits(survey())),
        (verify(disable()), blind_census(), End::Waits(disable())),
        (at(survey()), unknown(), End::Fails(survey(), Reason::BadAnswer)),
    ]);
}

#[test]
fn words_say_what_would_help() {
    let words = |turn| match turn {
        Turn::Over(_, Word::Waits { message, .. } | Word::Done(message) | Word::Failed { message, .. }) => {
            message
        }
        Turn::On(point) => panic!("{point:?}"),
    };
    let rows = [
        (
            at(offline()),
            inspect(2),
            "that of `worker-3` is OK: stop Portworx there (label the Node px/service=stop)",
        ),
        (at(draining()), Answer::Job(Some(job(JobState::Running))), "3 of 7 done"),
        (at(draining()), Answer::Job(Some(job(JobState::Failed))), "It says: volume 7 is busy"),
        (
            remove_now(),
            Answer::Removal(Removal::DataLoss("Node Remove: …".into())),
            "pxctl volume ha-update --repl 2",
        ),
        (at(disable()), Answer::Trouble(Trouble::Unsupported), "settings.drainAttachments to false"),
        (at(Stage::Locate), census(&[]), "knows no storage node of the name `worker-3`"),
    ];
    for (point, answer, wanted) in rows {
        let message = words(step(point, answer, &facts()));
        assert!(message.contains(wanted), "{message}");
    }
}

/// Every answer that a question may have, as far as it matters.
fn answers(ask: &Ask) -> Vec<Answer> {
    let troubles = [
        Trouble::Unreachable(String::new()),
        Trouble::Denied(String::new()),
        Trouble::BadAnswer(String::new()),
        Trouble::Unsupported,
        Trouble::NoSuchNode,
        Trouble::Error(String::new()),
    ];
    let states = [
        JobState::Pending,
        JobState::Running,
        JobState::Done,
        JobState::Paused,
        JobState::Cancelled,
        JobState::Failed,
    ];
    let good: Vec<Answer> = match ask {
        Ask::StorageNode => [None, Some(String::new()), Some(PX.to_owned()), Some("/".to_owned())]
            .into_iter()
            .map(Answer::StorageNode)
            .collect(),
        Ask::Census => {
            let listed = (0..16).map(|number| census(&[seen_as(PX, NODE, number)]));
            let two = census(&[seen_as(PX, NODE, 2), seen_as("px-4", NODE, 2)]);
            listed.chain([census(&[]), blind_census(), two]).collect()
        }
        Ask::Inspect(_) => (0..16).map(inspect).chain([missing()]).collect(),
        Ask::Jobs => states
            .map(|state| Answer::Jobs(vec![job(state)]))
            .into_iter()
            .chain([Answer::Jobs(Vec::new())])
            .collect(),
        Ask::Job(_) => {
            states.map(|state| Answer::Job(Some(job(state)))).into_iter().chain([Answer::Job(None)]).collect()
        }
        Ask::Disable(_) => vec![Answer::Disabled],
        Ask::Drain(_) => vec![Answer::Draining(id("job-1"))],
        Ask::Remove(_) => [
            Removal::Accepted,
            Removal::Pending,
            Removal::Unknown,
            Removal::Online("".into()),
            Removal::DataLoss("".into()),
            Removal::Refused("".into()),
        ]
        .into_iter()
        .map(Answer::Removal)
        .collect(),
        Ask::Label => vec![Answer::Labelled(Labelled::Yes), Answer::Labelled(Labelled::NoNode)],
    };
    good.into_iter().chain(troubles.into_iter().map(Answer::Trouble)).collect()
}

/// Goes every way from a point; returns the length of the longest one in questions, and notes where turns end.
fn longest(point: &Point, asked: &[Ask], ends: &mut Vec<Stage>) -> usize {
    let Some(ask) = ask(point) else { return 0 };
    assert!(asked.len() < crate::limits::PORTWORX_QUESTIONS_MAX, "a turn does not end: {asked:?}");
    let changes = |ask: &Ask| matches!(ask, Ask::Disable(_) | Ask::Drain(_) | Ask::Remove(_));
    if changes(&ask) {
        assert!(!asked.iter().any(changes), "two changes without a record between them: {asked:?}, {ask:?}");
    }
    if matches!(ask, Ask::Remove(_)) {
        let seen = asked.last().is_some_and(|before| matches!(before, Ask::Inspect(_) | Ask::Census));
        assert!(seen, "removed without being looked at just before: {asked:?}");
    }
    let path: Vec<Ask> = asked.iter().cloned().chain([ask.clone()]).collect();
    let lengths = answers(&ask).into_iter().map(|answer| match step(point.clone(), answer, &facts()) {
        Turn::On(next) => 1 + longest(&next, &path, ends),
        Turn::Over(stage, _) => {
            if !ends.contains(&stage) {
                ends.push(stage);
            }
            1
        }
    });
    lengths.max().unwrap_or(1)
}

#[test]
fn every_turn_ends_and_changes_one_thing_at_most_from_every_stage_that_is_ever_recorded() {
    let mut known = vec![Stage::Find];
    let (mut next, mut length) = (0, 0);
    while let Some(stage) = known.get(next).cloned() {
        length = length.max(longest(&at(stage), &[], &mut known));
        next += 1;
    }
    assert_eq!(length, 7, "the limit speaks of it");
    assert!(known.contains(&Stage::Finished), "{known:?}");
    assert!(known.len() >= 9, "{known:?}");
}
