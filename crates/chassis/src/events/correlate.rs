//! Which events are sent, and as what: client-go's two stages, as a pure machine.
//!
//! First, equal events become one with a count (a *series*), and many that differ only in their note are combined. Then
//! a bucket per object bounds how many reach the server. Knows no server and no clock; an event that is refused leaves
//! nothing behind but a count that the next accepted one of its series tells.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use control::Steady;
use jiff::Timestamp;

use super::{Event, EventType};
use crate::limits::{
    EVENT_BURST, EVENT_NOTES_MAX, EVENT_OBJECTS_MAX, EVENT_REFILL, EVENT_SERIES_MAX, EVENT_SIMILAR_SPAN,
};

/// Said before the note of an event that stands for several notes, as client-go does.
const COMBINED: &str = "(combined from similar events): ";

/// What has been sent of late.
#[derive(Debug, Default)]
pub(super) struct Correlator {
    objects: HashMap<String, Object>,
    /// Objects by when something was last said of them.
    by_use: BTreeMap<u64, String>,
    uses: u64,
}

/// What has been sent of late about one object.
#[derive(Debug)]
struct Object {
    last_use: u64,
    /// When its bucket will be full again.
    full_at: Steady,
    series: Vec<Series>,
}

/// Equal events, of which the first was sent as a whole.
#[derive(Debug)]
struct Series {
    similar: Similar,
    note: String,
    last_seen: Steady,
    outgoing: Outgoing,
    unsent: bool,
}

/// What makes events similar, apart from the note.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Similar {
    type_: EventType,
    reason: &'static str,
    action: &'static str,
    related: Option<String>,
}

/// An event as it is to stand on the server.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    /// The event, of the first time.
    pub(super) event: Event,
    /// Its name: the same however often it is sent.
    pub(super) name: String,
    /// How often it has happened.
    pub(super) count: u32,
    /// When it happened last.
    pub(super) last: Timestamp,
}

/// What is to be done with an event.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is new.
    Create(Outgoing),
    /// It is one more of a series.
    Again(Outgoing),
    /// Too many about this object.
    RateLimited,
}

impl Correlator {
    /// Takes in an event; `name` is what it is called if it is new.
    pub(super) fn judge(&mut self, mut event: Event, now: Steady, name: impl FnOnce() -> String) -> Verdict {
        let similar = Similar::of(&event);
        let object = self.object(&event, now);
        object.series.retain(|series| now.since(series.last_seen) < EVENT_SIMILAR_SPAN);
        let alike = object.series.iter().filter(|series| series.similar == similar);
        let (notes, known) =
            alike.fold((0, false), |(count, known), series| (count + 1, known || series.note == event.note));
        let note = if known || notes < EVENT_NOTES_MAX { event.note.clone() } else { COMBINED.to_owned() };
        let found = object.series.iter().position(|series| series.similar == similar && series.note == note);
        let allowed = object.take(now);
        if let Some(series) = found.and_then(|at| object.series.get_mut(at)) {
            series.last_seen = now;
            series.outgoing.count = series.outgoing.count.saturating_add(1);
            series.outgoing.last = event.at;
            series.unsent = !allowed;
            return if allowed { Verdict::Again(series.outgoing.clone()) } else { Verdict::RateLimited };
        }
        if !allowed {
            return Verdict::RateLimited;
        }
        if note == COMBINED {
            event.note.insert_str(0, COMBINED);
        }
        let outgoing = Outgoing { last: event.at, event, name: name(), count: 1 };
        object.remember(Series { similar, note, last_seen: now, outgoing: outgoing.clone(), unsent: false });
        Verdict::Create(outgoing)
    }

    /// The series of which the server does not know the last count; each is returned once.
    pub(super) fn unsent(&mut self) -> Vec<Outgoing> {
        let series = self.objects.values_mut().flat_map(|object| &mut object.series);
        let unsent =
            series.filter_map(|series| std::mem::take(&mut series.unsent).then(|| series.outgoing.clone()));
        unsent.collect()
    }

    /// An event did not reach the server: the next one like it is a new one.
    pub(super) fn lost(&mut self, outgoing: &Outgoing) {
        if let Some(object) = self.objects.get_mut(&key(&outgoing.event)) {
            object.series.retain(|series| series.outgoing.name != outgoing.name);
        }
    }

    /// What is remembered of an event's object; the one that was silent for longest is forgotten for a new one.
    fn object(&mut self, event: &Event, now: Steady) -> &mut Object {
        let key = key(event);
        self.uses += 1;
        if let Some(known) = self.objects.get(&key) {
            self.by_use.remove(&known.last_use);
        } else if self.objects.len() >= EVENT_OBJECTS_MAX
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.objects.remove(&oldest);
        }
        self.by_use.insert(self.uses, key.clone());
        let object =
            self.objects.entry(key).or_insert(Object { last_use: 0, full_at: now, series: Vec::new() });
        object.last_use = self.uses;
        object
    }
}

impl Object {
    /// Takes a token, if there is one.
    fn take(&mut self, now: Steady) -> bool {
        let owed: Duration = self.full_at.since(now) + EVENT_REFILL;
        let most = EVENT_REFILL * EVENT_BURST;
        if owed > most {
            return false;
        }
        self.full_at = now.after(owed);
        true
    }

    fn remember(&mut self, series: Series) {
        if self.series.len() >= EVENT_SERIES_MAX {
            let oldest = self.series.iter().enumerate().min_by_key(|(_, series)| series.last_seen);
            if let Some((oldest, _)) = oldest {
                self.series.swap_remove(oldest);
            }
        }
        self.series.push(series);
    }
}

impl Similar {
    fn of(event: &Event) -> Self {
        let related = event.related.as_ref().map(|related| related.uid.clone());
        Self { type_: event.type_, reason: event.reason, action: event.action, related }
    }
}

/// Which incarnation an event is about; by name where it has no UID.
fn key(event: &Event) -> String {
    let of = &event.regarding;
    if of.uid.is_empty() { format!("{}/{}/{}", of.kind, of.namespace, of.name) } else { of.uid.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Regarding;

    fn event(uid: &str, note: &str) -> Event {
        Event {
            regarding: Regarding {
                api_version: "v1".into(),
                kind: "K".into(),
                namespace: "n".into(),
                name: "x".into(),
                uid: uid.into(),
            },
            related: None,
            type_: EventType::Normal,
            reason: "R",
            action: "A",
            note: note.into(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn at(seconds: u64) -> Steady {
        Steady::at(Duration::from_secs(seconds))
    }

    /// A correlator that names what it creates by number.
    #[derive(Default)]
    struct Bench {
        correlator: Correlator,
        named: u32,
    }

    impl Bench {
        /// `create 1`, `again 1 x2`, `limited`.
        fn say(&mut self, event: Event, now: Steady) -> String {
            let mut named = self.named;
            let verdict = self.correlator.judge(event, now, || {
                named += 1;
                named.to_string()
            });
            self.named = named;
            match verdict {
                Verdict::Create(new) => format!("create {}", new.name),
                Verdict::Again(one) => format!("again {} x{}", one.name, one.count),
                Verdict::RateLimited => "limited".to_owned(),
            }
        }
    }

    #[test]
    fn equal_events_are_one_with_a_count() {
        let mut bench = Bench::default();
        assert_eq!(bench.say(event("u", "same"), at(0)), "create 1");
        assert_eq!(bench.say(event("u", "same"), at(1)), "again 1 x2");
        assert_eq!(bench.say(event("u", "same"), at(599)), "again 1 x3");
    }

    #[test]
    fn events_that_differ_in_anything_that_matters_are_events_of_their_own() {
        let mut bench = Bench::default();
        assert_eq!(bench.say(event("u", "same"), at(0)), "create 1");
        let related = Some(Regarding { uid: "r".into(), ..event("u", "").regarding });
        for other in [
            event("v", "same"),
            event("u", "other"),
            Event { reason: "S", ..event("u", "same") },
            Event { action: "B", ..event("u", "same") },
            Event { type_: EventType::Warning, ..event("u", "same") },
            Event { related, ..event("u", "same") },
        ] {
            let shown = format!("{other:?}");
            assert!(bench.say(other, at(1)).starts_with("create"), "{shown}");
        }
    }

    #[test]
    fn a_series_ends_after_ten_minutes_of_silence() {
        let mut bench = Bench::default();
        assert_eq!(bench.say(event("u", "same"), at(0)), "create 1");
        assert_eq!(bench.say(event("u", "same"), at(600)), "create 2");
    }

    #[test]
    fn the_eleventh_note_and_all_that_follow_are_combined_and_a_known_note_is_not() {
        let mut bench = Bench::default();
        for number in 1..=10 {
            assert_eq!(bench.say(event("u", &format!("note {number}")), at(0)), format!("create {number}"));
        }
        let verdict = bench.correlator.judge(event("u", "note 11"), at(1), || "c".into());
        let Verdict::Create(combined) = verdict else { panic!("{verdict:?}") };
        assert_eq!(combined.event.note, "(combined from similar events): note 11");
        assert_eq!(bench.say(event("u", "note 12"), at(2)), "again c x2");
        assert_eq!(bench.say(event("u", "note 3"), at(2)), "again 3 x2");
        assert_eq!(bench.say(Event { reason: "S", ..event("u", "note 12") }, at(2)), "create 11");
    }

    #[test]
    fn an_object_gets_a_burst_and_then_one_in_five_minutes_and_the_count_is_not_lost() {
        let mut bench = Bench::default();
        assert_eq!(bench.say(event("u", "same"), at(0)), "create 1");
        for count in 2..=25 {
            assert_eq!(bench.say(event("u", "same"), at(0)), format!("again 1 x{count}"));
        }
        assert_eq!(bench.say(event("u", "same"), at(1)), "limited");
        assert_eq!(bench.say(event("u", "new"), at(1)), "limited");
        assert_eq!(bench.say(event("other", "same"), at(1)), "create 2");
        assert_eq!(bench.say(event("u", "same"), at(299)), "limited");
        assert_eq!(bench.say(event("u", "same"), at(300)), "again 1 x28");
        assert_eq!(bench.say(event("u", "same"), at(301)), "limited");
        let unsent = bench.correlator.unsent();
        assert_eq!(unsent.iter().map(|series| series.count).collect::<Vec<_>>(), [29]);
        assert!(bench.correlator.unsent().is_empty());
    }

    #[test]
    fn an_event_that_was_lost_is_a_new_one_the_next_time() {
        let mut bench = Bench::default();
        let Verdict::Create(lost) = bench.correlator.judge(event("u", "same"), at(0), || "a".into()) else {
            panic!()
        };
        bench.correlator.lost(&lost);
        assert_eq!(bench.say(event("u", "same"), at(1)), "create 1");
    }

    #[test]
    fn memory_is_bounded_and_the_most_silent_object_is_forgotten_first() {
        let mut bench = Bench::default();
        for number in 0..EVENT_OBJECTS_MAX {
            bench.say(event(&format!("u{number}"), "same"), at(0));
        }
        assert_eq!(bench.say(event("u0", "same"), at(1)), "again 1 x2");
        bench.say(event("one too many", "same"), at(1));
        assert_eq!(bench.say(event("u0", "same"), at(1)), "again 1 x3");
        assert!(bench.say(event("u1", "same"), at(1)).starts_with("create"));
        assert_eq!(bench.correlator.objects.len(), EVENT_OBJECTS_MAX);
        assert_eq!(bench.correlator.by_use.len(), EVENT_OBJECTS_MAX);
    }
}
