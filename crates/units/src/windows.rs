//! Weekly windows of time, by the wall clock of a place: weekdays from 22:00 to 06:00 in Berlin.
//!
//! An instant is open exactly if the clock on the wall shows a time within a window then, whatever the clocks were put
//! to before. A window that begins where the clocks skip begins when they have skipped; an hour that comes twice is open
//! twice. Knows no present: the caller passes `now`.

mod parse;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

pub use parse::InvalidWindows;

/// Windows that come again each week, in one time zone. There is at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    zone: TimeZone,
    windows: Box<[Window]>,
}

/// One window. It belongs to the days on which it begins; it may end on the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// A bit for each weekday, from Monday.
    days: u8,
    /// Minutes from midnight, below 1,440.
    from: u16,
    /// Minutes from midnight, 1 to 1,440. What is not after `from` is on the next day.
    to: u16,
}

/// Whether a moment lies in a window, and until when that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowState {
    /// It lies in a window.
    Open {
        /// The first moment that does not; `None` if there is none within three weeks.
        until: Option<Timestamp>,
    },
    /// It lies in none.
    Closed {
        /// The first moment that does; `None` if there is none within three weeks.
        opens_at: Option<Timestamp>,
    },
}

/// How far ahead a change is looked for, in days. Nearly all come within two; a window of one day comes within eight,
/// and when the clocks skip it, within a week more.
const DAYS_AHEAD: [i64; 3] = [2, 9, 23];

const DAY_MINUTES: u16 = 24 * 60;

impl Windows {
    /// Whether this moment lies in a window.
    pub fn is_open(&self, at: Timestamp) -> bool {
        let wall = self.zone.to_datetime(at);
        self.windows.iter().any(|window| window.contains(wall))
    }

    /// Whether `now` lies in a window, and when that changes next.
    pub fn state(&self, now: Timestamp) -> WindowState {
        let is_open = self.is_open(now);
        let change = DAYS_AHEAD.iter().find_map(|days| self.next_change(now, *days, is_open));
        if is_open { WindowState::Open { until: change } } else { WindowState::Closed { opens_at: change } }
    }

    /// The first moment within these days at which it is no longer as it is now.
    fn next_change(&self, now: Timestamp, days: i64, is_open: bool) -> Option<Timestamp> {
        let horizon = now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX);
        let mut edges = self.edges(now, days);
        // Where the clocks are put forward or back, the wall shows another time at once.
        let clock_changes = self.zone.following(now).map(|change| change.timestamp());
        edges.extend(clock_changes.take_while(|at| *at <= horizon));
        edges.retain(|at| (now..=horizon).contains(at) && *at != now);
        edges.sort_unstable();
        // Between two edges the clock runs evenly, so that nothing changes there.
        edges.into_iter().find(|at| self.is_open(*at) != is_open)
    }

    /// All moments around these days at which the wall shows the beginning or the end of a window.
    fn edges(&self, now: Timestamp, days: i64) -> Vec<Timestamp> {
        let today = self.zone.to_datetime(now).date();
        // The wall may jump by a day at most.
        let dates = (-2..=days + 2).filter_map(|day| today.checked_add(day.days()).ok());
        let walls = dates.flat_map(|date| {
            self.windows
                .iter()
                .flat_map(move |window| [wall(date, window.from), wall(date, window.to)])
                .flatten()
        });
        let mut edges = Vec::new();
        for wall in walls {
            // The wall shows a time twice where the clocks are put back.
            let moments = self.zone.to_ambiguous_timestamp(wall);
            edges.extend([moments.earlier(), moments.later()].into_iter().flatten());
        }
        edges
    }

    /// The name of the time zone, such as `Europe/Berlin`.
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }
}

impl Window {
    fn contains(self, wall: DateTime) -> bool {
        let begins_on = |day: Weekday| self.days & bit(day) != 0;
        let minute = minute_of(wall.time());
        let today = wall.date().weekday();
        if self.from < self.to {
            return begins_on(today) && (self.from..self.to).contains(&minute);
        }
        (begins_on(today) && minute >= self.from) || (begins_on(today.previous()) && minute < self.to)
    }
}

fn bit(day: Weekday) -> u8 {
    1 << day.to_monday_zero_offset()
}

fn minute_of(time: Time) -> u16 {
    let minute = i16::from(time.hour()) * 60 + i16::from(time.minute());
    minute.unsigned_abs()
}

/// The wall's time so many minutes after the midnight that this day begins with.
fn wall(date: Date, minutes: u16) -> Option<DateTime> {
    let (date, minutes) = if minutes == DAY_MINUTES { (date.tomorrow().ok()?, 0) } else { (date, minutes) };
    let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
    Some(date.to_datetime(Time::new(hour, minute, 0, 0).ok()?))
}

#[cfg(test)]
mod tests;
