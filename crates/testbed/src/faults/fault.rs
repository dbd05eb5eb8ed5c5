//! What can go wrong.

use std::time::Duration;

use super::events::Events;
use super::gate::Gate;
use super::refusal::Refusal;

/// What happens to a request, its reply, or the watch that it opens.
#[derive(Clone, Debug)]
pub struct Fault(pub(super) Kind);

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Before the request is passed on.
    Before(Step),
    /// When the server has answered: what the request asked for is done.
    After(Step),
    List(Edit),
    Watch(Disturbance),
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Delay(Duration),
    Answer(Refusal),
    Cut,
    Hold(Gate),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    Empty,
    DropLast(usize),
    EmptyLastPage,
    DropContinue,
}

#[derive(Clone, Debug)]
pub(super) enum Disturbance {
    Freeze(When),
    Close(When),
    Fail(Refusal, When),
    Drop(Events),
    Hold(Events),
    Delay(Events, Duration),
}

#[derive(Clone, Debug)]
pub(super) enum When {
    Now,
    After(Events),
}

/// Requests and replies.
impl Fault {
    /// The request is passed on that much later.
    pub fn delay(by: Duration) -> Self {
        Self(Kind::Before(Step::Delay(by)))
    }

    /// The server acts at once; its reply comes that much later.
    pub fn delay_reply(by: Duration) -> Self {
        Self(Kind::After(Step::Delay(by)))
    }

    /// The server never sees the request; this is the answer.
    pub fn refuse(with: Refusal) -> Self {
        Self(Kind::Before(Step::Answer(with)))
    }

    /// The server acts; this is the answer instead of its own.
    pub fn replace_reply(with: Refusal) -> Self {
        Self(Kind::After(Step::Answer(with)))
    }

    /// The connection is closed; the server never sees the request.
    pub fn cut_before() -> Self {
        Self(Kind::Before(Step::Cut))
    }

    /// The server acts; the connection is closed without its reply.
    pub fn cut_after() -> Self {
        Self(Kind::After(Step::Cut))
    }

    /// The request waits at the gate before the server sees it.
    pub fn hold_before(gate: &Gate) -> Self {
        Self(Kind::Before(Step::Hold(gate.clone())))
    }

    /// The server acts; its reply waits at the gate.
    pub fn hold_after(gate: &Gate) -> Self {
        Self(Kind::After(Step::Hold(gate.clone())))
    }
}

/// Lists. They are altered as JSON; what is no list stays as it is.
impl Fault {
    /// Nothing is in the list, with status 200. A streaming list has its bookmark, and nothing before it.
    pub fn empty_list() -> Self {
        Self(Kind::List(Edit::Empty))
    }

    /// The last `n` items are missing from each page, or from what a streaming list begins with.
    pub fn truncate_list(n: usize) -> Self {
        Self(Kind::List(Edit::DropLast(n)))
    }

    /// The last of several pages is empty. A list of one page, and a streaming one, stay as they are.
    pub fn empty_last_page() -> Self {
        Self(Kind::List(Edit::EmptyLastPage))
    }

    /// The page claims to be the last: it names no next one. A streaming list stays as it is.
    pub fn drop_continue() -> Self {
        Self(Kind::List(Edit::DropContinue))
    }
}

/// Watches. A rule without a count also holds for those that are open when it is added.
impl Fault {
    /// No more bytes, not even bookmarks; the connection stays open. What happened meanwhile comes when the rule is
    /// lifted.
    pub fn freeze_watch() -> Self {
        Self(Kind::Watch(Disturbance::Freeze(When::Now)))
    }

    /// The same once such an event has been delivered; from then on it holds for all watches of the rule.
    pub fn freeze_watch_after(event: Events) -> Self {
        Self(Kind::Watch(Disturbance::Freeze(When::After(event))))
    }

    /// The watch ends in order, as it does when the server's time for it is over.
    pub fn close_watch() -> Self {
        Self(Kind::Watch(Disturbance::Close(When::Now)))
    }

    /// The same whenever such an event has been delivered.
    pub fn close_watch_after(event: Events) -> Self {
        Self(Kind::Watch(Disturbance::Close(When::After(event))))
    }

    /// The watch ends with an event of type `ERROR` that holds this refusal. (With [`Fault::refuse`] it does not even
    /// begin.)
    pub fn fail_watch(with: Refusal) -> Self {
        Self(Kind::Watch(Disturbance::Fail(with, When::Now)))
    }

    /// The same whenever such an event has been delivered.
    pub fn fail_watch_after(event: Events, with: Refusal) -> Self {
        Self(Kind::Watch(Disturbance::Fail(with, When::After(event))))
    }

    /// Such events are missing; all else comes, bookmarks that claim them included.
    pub fn drop_events(events: Events) -> Self {
        Self(Kind::Watch(Disturbance::Drop(events)))
    }

    /// Such events wait until the rule is lifted. Later ones of the same object wait behind them, and so do bookmarks,
    /// so that each object's story stays in order; other objects' events overtake.
    pub fn hold_events(events: Events) -> Self {
        Self(Kind::Watch(Disturbance::Hold(events)))
    }

    /// Such events come that much later; in order as with [`Fault::hold_events`].
    pub fn delay_events(events: Events, by: Duration) -> Self {
        Self(Kind::Watch(Disturbance::Delay(events, by)))
    }
}
