//! A watch on its way to the process, line by line.
//!
//! Rules may come and go while it is open; each line meets those that hold when it arrives. Without any, the bytes pass
//! as they are. Invariant: lines about one object stay in their order, and no bookmark overtakes an event.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Bytes;
use kube::client::Body;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::calls::Call;
use super::events::{Event, EventType};
use super::exchange;
use super::fault::{Disturbance, Edit, Kind, When};
use super::reply::Cut;
use super::rules::{Engaged, Rule, Rules};
use crate::clock::Stopwatch;
use crate::limits;

pub(super) struct Stream {
    call: Arc<Call>,
    rules: Arc<Rules>,
    engaged: Engaged,
    lines: Lines,
    out: mpsc::Sender<Result<Bytes, Cut>>,
    waiting: Waiting,
    beginning: Option<Beginning>,
    /// Set by an event after which the watch shall end.
    ending: Option<Ending>,
}

/// The end of a watch, with a last line if it is no end in order.
struct Ending(Option<Bytes>);

/// The watch is over, or nobody listens any more.
struct Over;

impl Stream {
    /// Starts to read; what is let through comes out of the channel.
    pub(super) fn open(
        call: Arc<Call>,
        rules: Arc<Rules>,
        engaged: Engaged,
        body: Body,
    ) -> mpsc::Receiver<Result<Bytes, Cut>> {
        let (out, through) = mpsc::channel(limits::CHUNKS);
        let beginning = call.is_streaming_list().then(|| Beginning::by(&exchange::edits(&engaged))).flatten();
        let lines = Lines { body, read: Vec::new(), searched: 0 };
        let waiting = Waiting::default();
        let stream = Self { call, rules, engaged, lines, out, waiting, beginning, ending: None };
        Handle::current().spawn(stream.run());
        through
    }

    async fn run(mut self) {
        let mut changes = self.rules.changes();
        let mut source = Source::Open;
        loop {
            changes.borrow_and_update();
            let rules = self.rules.over(&self.call, &self.engaged);
            if is_frozen(&rules) {
                tokio::select! {
                    _ = changes.changed() => continue,
                    () = self.out.closed() => return,
                }
            }
            if self.end(&rules).await.is_err() || self.deliver_due(&rules).await.is_err() {
                return;
            }
            if self.ending.is_some() || is_frozen(&rules) {
                continue;
            }
            if source == Source::Ended && self.waiting.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = self.out.closed() => return,
                () = self.waiting.next_due() => {}
                line = self.lines.next(), if source == Source::Open && !self.waiting.is_full() => match line {
                    Ok(Some(line)) => if self.take(line, &rules).await.is_err() { return },
                    Ok(None) => source = Source::Ended,
                    Err(cut) => {
                        let _ = self.out.send(Err(cut)).await;
                        return;
                    }
                },
            }
        }
    }

    /// Ends the watch if a rule says so.
    async fn end(&mut self, rules: &[Arc<Rule>]) -> Result<(), Over> {
        let by_rule = rules.iter().find_map(|rule| match &rule.fault {
            Kind::Watch(Disturbance::Close(When::Now)) => Some((rule, Ending(None))),
            Kind::Watch(Disturbance::Fail(with, When::Now)) => {
                Some((rule, Ending(Some(with.line(&self.call)))))
            }
            _ => None,
        });
        let Ending(last) = match (self.ending.take(), by_rule) {
            (Some(last), _) => last,
            (None, Some((rule, last))) => {
                rule.act();
                last
            }
            (None, None) => return Ok(()),
        };
        if let Some(line) = last {
            self.send(line).await?;
        }
        Err(Over)
    }

    async fn take(&mut self, line: Bytes, rules: &[Arc<Rule>]) -> Result<(), Over> {
        let lines = match &mut self.beginning {
            Some(beginning) => beginning.edit(line),
            None => vec![line],
        };
        if self.beginning.as_ref().is_some_and(|beginning| beginning.is_over) {
            self.beginning = None;
        }
        for line in lines {
            self.disturb(line, rules).await?;
        }
        Ok(())
    }

    /// Drops a line, lets it wait, or delivers it.
    async fn disturb(&mut self, line: Bytes, rules: &[Arc<Rule>]) -> Result<(), Over> {
        if rules.is_empty() && self.waiting.is_empty() {
            return self.send(line).await;
        }
        let Some(event) = Event::read(&line) else { return self.send(line).await };
        let mut hold = None;
        for rule in rules {
            match &rule.fault {
                Kind::Watch(Disturbance::Drop(events)) if rule.takes(events, &event) => {
                    rule.act();
                    return Ok(());
                }
                Kind::Watch(Disturbance::Hold(events)) if rule.takes(events, &event) => {
                    rule.act();
                    hold = Some(Hold::until_lifted(rule));
                }
                Kind::Watch(Disturbance::Delay(events, by)) if rule.takes(events, &event) => {
                    rule.act();
                    hold = Some(Hold::for_time(rule, *by));
                }
                _ => {}
            }
        }
        self.waiting.push(Line { bytes: line, event, hold });
        self.deliver_due(rules).await
    }

    /// Delivers whatever need not wait (any more), unless one of them freezes or ends the watch.
    async fn deliver_due(&mut self, rules: &[Arc<Rule>]) -> Result<(), Over> {
        while self.ending.is_none() && !is_frozen(rules) {
            let Some(line) = self.waiting.next() else { break };
            self.send(line.bytes).await?;
            self.look_back(&line.event, rules);
        }
        Ok(())
    }

    /// What shall happen after an event that has been delivered.
    fn look_back(&mut self, event: &Event, rules: &[Arc<Rule>]) {
        for rule in rules {
            let Kind::Watch(disturbance) = &rule.fault else { continue };
            match disturbance {
                Disturbance::Freeze(When::After(events)) if rule.takes(events, event) => {
                    rule.act();
                    rule.trigger();
                    self.rules.tell();
                }
                Disturbance::Close(When::After(events)) if rule.takes(events, event) => {
                    rule.act();
                    self.ending = Some(Ending(None));
                }
                Disturbance::Fail(with, When::After(events)) if rule.takes(events, event) => {
                    rule.act();
                    self.ending = Some(Ending(Some(with.line(&self.call))));
                }
                _ => {}
            }
        }
    }

    async fn send(&mut self, line: Bytes) -> Result<(), Over> {
        self.out.send(Ok(line)).await.map_err(|_| Over)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Open,
    Ended,
}

fn is_frozen(rules: &[Arc<Rule>]) -> bool {
    rules.iter().filter(|rule| !rule.is_lifted()).any(|rule| match &rule.fault {
        Kind::Watch(Disturbance::Freeze(When::Now)) => true,
        Kind::Watch(Disturbance::Freeze(When::After(_))) => rule.is_triggered(),
        _ => false,
    })
}

/// A body in lines, each with its end; the last one may have none.
struct Lines {
    body: Body,
    read: Vec<u8>,
    searched: usize,
}

impl Lines {
    /// May be given up between two polls without a loss.
    async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        loop {
            let unsearched = self.read.get(self.searched..).unwrap_or_default();
            if let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(Bytes::from(std::mem::replace(&mut self.read, rest))));
            }
            self.searched = self.read.len();
            if self.read.len() > limits::EVENT_BYTES_MAX {
                return Err(Cut);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.read.extend(frame.into_data().unwrap_or_default()),
                Some(Err(_)) => return Err(Cut),
                None if self.read.is_empty() => return Ok(None),
                None => {
                    self.searched = 0;
                    return Ok(Some(Bytes::from(std::mem::take(&mut self.read))));
                }
            }
        }
    }
}

/// A line that waits, for a rule or behind another line.
struct Line {
    bytes: Bytes,
    event: Event,
    hold: Option<Hold>,
}

struct Hold {
    rule: Arc<Rule>,
    /// How long, from when on; without it until the rule is lifted.
    time: Option<(Duration, Stopwatch)>,
}

impl Hold {
    fn until_lifted(rule: &Arc<Rule>) -> Self {
        Self { rule: Arc::clone(rule), time: None }
    }

    fn for_time(rule: &Arc<Rule>, by: Duration) -> Self {
        Self { rule: Arc::clone(rule), time: Some((by, Stopwatch::start())) }
    }

    fn is_over(&self) -> bool {
        self.rule.is_lifted() || self.remaining().is_some_and(|remaining| remaining.is_zero())
    }

    fn remaining(&self) -> Option<Duration> {
        self.time.map(|(by, begun)| by.saturating_sub(begun.elapsed()))
    }
}

impl Line {
    fn is_bookmark(&self) -> bool {
        self.event.event_type() == EventType::Bookmark
    }

    fn object(&self) -> (&str, &str) {
        (self.event.namespace(), self.event.name())
    }
}

#[derive(Default)]
struct Waiting(VecDeque<Line>);

impl Waiting {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_full(&self) -> bool {
        self.0.len() >= limits::HELD_EVENTS_MAX
    }

    fn push(&mut self, line: Line) {
        self.0.push_back(line);
    }

    /// The first line that waits for nothing. A bookmark, or an error, waits for all before it.
    fn next(&mut self) -> Option<Line> {
        let mut blocked: HashSet<(&str, &str)> = HashSet::new();
        let free = self.0.iter().position(|line| {
            let is_about_all = line.is_bookmark() || line.event.event_type() == EventType::Error;
            let waits_behind =
                if is_about_all { !blocked.is_empty() } else { blocked.contains(&line.object()) };
            let waits = waits_behind || line.hold.as_ref().is_some_and(|hold| !hold.is_over());
            if waits {
                blocked.insert(line.object());
            }
            !waits
        })?;
        self.0.remove(free)
    }

    async fn next_due(&self) {
        let due =
            self.0.iter().filter_map(|line| line.hold.as_ref()?.remaining()).filter(|left| !left.is_zero());
        match due.min() {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    }
}

/// What a streaming list begins with, altered.
struct Beginning {
    drop_last: usize,
    last: VecDeque<Bytes>,
    is_over: bool,
}

impl Beginning {
    fn by(edits: &[Edit]) -> Option<Self> {
        let dropped = edits.iter().filter_map(|edit| match edit {
            Edit::Empty => Some(usize::MAX),
            Edit::DropLast(n) => Some(*n),
            Edit::EmptyLastPage | Edit::DropContinue => None,
        });
        let drop_last = dropped.reduce(usize::saturating_add)?;
        Some(Self { drop_last, last: VecDeque::new(), is_over: false })
    }

    /// Keeps the last ones back until it is known that they are the last ones.
    fn edit(&mut self, line: Bytes) -> Vec<Bytes> {
        match Event::read(&line) {
            Some(event) if event.ends_the_beginning() => {
                self.is_over = true;
                vec![line]
            }
            Some(event) if event.event_type() == EventType::Added && self.drop_last == usize::MAX => {
                Vec::new()
            }
            Some(event) if event.event_type() == EventType::Added => {
                self.last.push_back(line);
                let early = self.last.len().saturating_sub(self.drop_last);
                self.last.drain(..early).collect()
            }
            _ => vec![line],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::calls::Calls;
    use super::super::events::Events;
    use super::super::fault::Fault;
    use super::*;

    #[test]
    fn an_events_object_waits_behind_it_and_so_does_a_bookmark() {
        let rules = Rules::default();
        let rule = rules.add(Calls::any(), Fault::hold_events(Events::any()));
        let mut waiting = Waiting::default();
        waiting.push(line("ADDED", "a", Some(Hold::until_lifted(&rule))));
        waiting.push(line("BOOKMARK", "", None));
        waiting.push(line("MODIFIED", "a", None));
        waiting.push(line("ADDED", "b", None));

        assert_eq!(through(&mut waiting), ["Added b"]);
        rules.lift(&rule);
        assert_eq!(through(&mut waiting), ["Added a", "Bookmark ", "Modified a"]);
        assert!(waiting.is_empty());
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_were_cut() {
        let body = Body::from(b"{\"a\":1}\n\n{\"b\":2}\nrest".to_vec());
        let mut lines = Lines { body, read: Vec::new(), searched: 0 };
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            seen.push(String::from_utf8(line.to_vec()).unwrap());
        }
        assert_eq!(seen, ["{\"a\":1}\n", "\n", "{\"b\":2}\n", "rest"]);
    }

    fn line(kind: &str, name: &str, hold: Option<Hold>) -> Line {
        let bytes =
            Bytes::from(json!({ "type": kind, "object": { "metadata": { "name": name } } }).to_string());
        Line { event: Event::read(&bytes).unwrap(), bytes, hold }
    }

    fn through(waiting: &mut Waiting) -> Vec<String> {
        let next = std::iter::from_fn(|| waiting.next());
        next.map(|line| format!("{:?} {}", line.event.event_type(), line.event.name())).collect()
    }
}
