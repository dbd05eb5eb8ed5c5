//! How windows are written: names of days, times of day, the name of a time zone.

use std::fmt;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::{DAY_MINUTES, Window, Windows, bit};
use crate::limits::WINDOWS_MAX;

/// What is written of windows cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWindows {
    /// There is no window, so that nothing would ever be open.
    #[error("there is no window: write at least one, or leave the schedule out to have no windows at all")]
    None,
    /// More than [`WINDOWS_MAX`].
    #[error("there are {0} windows: write at most {WINDOWS_MAX}")]
    TooMany(usize),
    /// The time zone is not in the database.
    #[error("`{0}` is no time zone: write a name of the IANA database, such as `Europe/Berlin` or `UTC`")]
    Zone(String),
    /// Not a day of the week, nor a run of days.
    #[error(
        "`{0}` is no day: write `Mon`, `Tue`, `Wed`, `Thu`, `Fri`, `Sat` or `Sun`, or a run such as `Mon-Fri`"
    )]
    Day(String),
    /// Not a time of day.
    #[error(
        "`{0}` is no time of day: write hours and minutes of a 24-hour clock, such as `06:30` or `22:00`"
    )]
    Time(String),
    /// A window that begins at the end of the day.
    #[error("a window cannot begin at 24:00: write `00:00`, and the next day's name")]
    BeginsAtEnd,
    /// A window that ends when it begins.
    #[error("a window from {0} to {0} is empty or a whole day: write `00:00` to `24:00` for a whole day")]
    NoLength(String),
}

const DAYS: [(Weekday, &str); 7] = [
    (Weekday::Monday, "monday"),
    (Weekday::Tuesday, "tuesday"),
    (Weekday::Wednesday, "wednesday"),
    (Weekday::Thursday, "thursday"),
    (Weekday::Friday, "friday"),
    (Weekday::Saturday, "saturday"),
    (Weekday::Sunday, "sunday"),
];

impl Windows {
    /// These windows, by the wall clock of this zone of the IANA database.
    pub fn new(zone: &str, windows: Vec<Window>) -> Result<Self, InvalidWindows> {
        if windows.is_empty() {
            return Err(InvalidWindows::None);
        }
        if windows.len() > WINDOWS_MAX {
            return Err(InvalidWindows::TooMany(windows.len()));
        }
        let zone = TimeZone::get(zone).map_err(|_| InvalidWindows::Zone(readable(zone)))?;
        Ok(Self { zone, windows: windows.into_boxed_slice() })
    }
}

impl Window {
    /// The window on these days (none named: every day), from one time of day to another.
    ///
    /// A day is `Mon` or `Monday`, in any case, or a run such as `Mon-Fri`; a time is `HH:MM`, to which `24:00` is the
    /// end of the day. A window whose end is not after its beginning ends on the next day.
    pub fn new<D: AsRef<str>>(days: &[D], from: &str, to: &str) -> Result<Self, InvalidWindows> {
        let mut bits = 0;
        for text in days {
            bits |= days_of(text.as_ref()).ok_or_else(|| InvalidWindows::Day(readable(text.as_ref())))?;
        }
        let days = if days.is_empty() { 0b111_1111 } else { bits };
        let (from, to) = (time_of(from)?, time_of(to)?);
        if from == DAY_MINUTES {
            return Err(InvalidWindows::BeginsAtEnd);
        }
        if from == to {
            return Err(InvalidWindows::NoLength(TimeText(from).to_string()));
        }
        // The end of midnight is the end of the day before it.
        let to = if to == 0 { DAY_MINUTES } else { to };
        Ok(Self { days, from, to })
    }
}

/// The days that a name or a run of days names.
fn days_of(text: &str) -> Option<u8> {
    let Some((first, last)) = text.split_once('-') else { return day_of(text).map(bit) };
    let (first, last) = (day_of(first)?, day_of(last)?);
    let run = first.cycle_forward().take(7);
    let length = usize::try_from(first.until(last)).ok()? + 1;
    Some(run.take(length).fold(0, |days, day| days | bit(day)))
}

fn day_of(text: &str) -> Option<Weekday> {
    let text = text.trim().to_ascii_lowercase();
    let is_named = |name: &str| text == name || Some(&*text) == name.get(..3);
    DAYS.iter().find(|(_, name)| is_named(name)).map(|(day, _)| *day)
}

fn time_of(text: &str) -> Result<u16, InvalidWindows> {
    let invalid = || InvalidWindows::Time(readable(text));
    let (hour, minute) = text.split_once(':').ok_or_else(invalid)?;
    let number = |text: &str| {
        let is_number = matches!(text.len(), 1..=2) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_number)
    };
    let (hour, minute) = (number(hour).ok_or_else(invalid)?, number(minute).ok_or_else(invalid)?);
    let is_written_out = text.rsplit(':').next().is_some_and(|minute| minute.len() == 2);
    let minutes = hour * 60 + minute;
    if !is_written_out || minute >= 60 || minutes > DAY_MINUTES {
        return Err(invalid());
    }
    Ok(minutes)
}

fn readable(text: &str) -> String {
    text.chars().take(80).collect()
}

struct TimeText(u16);

impl fmt::Display for TimeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl fmt::Display for Window {
    /// `Mon Tue 22:00-06:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (day, name) in DAYS {
            let short = name.get(..3).filter(|_| self.days & bit(day) != 0);
            for (at, c) in short.unwrap_or_default().chars().enumerate() {
                let c = if at == 0 { c.to_ascii_uppercase() } else { c };
                write!(f, "{c}")?;
            }
            if short.is_some() {
                f.write_str(" ")?;
            }
        }
        write!(f, "{}-{}", TimeText(self.from), TimeText(self.to))
    }
}
