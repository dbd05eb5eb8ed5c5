use proptest::prelude::*;

use super::*;

const ZONES: [&str; 6] =
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"];

fn window(days: &[&str], from: &str, to: &str) -> Window {
    Window::new(days, from, to).unwrap()
}

fn windows(zone: &str, windows: &[Window]) -> Windows {
    Windows::new(zone, windows.to_vec()).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn opens_at(text: &str) -> WindowState {
    WindowState::Closed { opens_at: Some(at(text)) }
}

fn open_until(text: &str) -> WindowState {
    WindowState::Open { until: Some(at(text)) }
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
    // 2026-11-20 is a Friday.
    let nights = windows("UTC", &[window(&["Fri"], "22:00", "06:00")]);
    assert_eq!(nights.state(at("2026-11-20T21:59:59.999Z")), opens_at("2026-11-20T22:00:00Z"));
    assert_eq!(nights.state(at("2026-11-20T22:00:00Z")), open_until("2026-11-21T06:00:00Z"));
    assert_eq!(nights.state(at("2026-11-21T05:59:59Z")), open_until("2026-11-21T06:00:00Z"));
    assert_eq!(nights.state(at("2026-11-21T06:00:00Z")), opens_at("2026-11-27T22:00:00Z"));
    assert_eq!(nights.state(at("2026-11-21T22:30:00Z")), opens_at("2026-11-27T22:00:00Z"));
}

#[test]
fn windows_that_touch_are_one() {
    let both = windows("UTC", &[window(&["Sat"], "00:00", "24:00"), window(&["Sun"], "00:00", "12:00")]);
    assert_eq!(both.state(at("2026-11-21T10:00:00Z")), open_until("2026-11-22T12:00:00Z"));
    let always = windows("Europe/Berlin", &[window(&[], "00:00", "24:00")]);
    assert_eq!(always.state(at("2026-11-21T10:00:00Z")), WindowState::Open { until: None });
}

#[test]
fn a_window_whose_beginning_is_skipped_begins_when_the_clocks_have_skipped() {
    // In Berlin the clocks go from 02:00 to 03:00 on 2027-03-28, at 01:00 UTC.
    let half_past = windows("Europe/Berlin", &[window(&["Sun"], "02:30", "04:00")]);
    assert_eq!(half_past.state(at("2027-03-28T00:30:00Z")), opens_at("2027-03-28T01:00:00Z"));
    assert_eq!(half_past.state(at("2027-03-28T01:00:00Z")), open_until("2027-03-28T02:00:00Z"));
    // What lies in the skipped hour as a whole does not come that week.
    let skipped = windows("Europe/Berlin", &[window(&["Sun"], "02:00", "03:00")]);
    assert_eq!(skipped.state(at("2027-03-27T00:00:00Z")), opens_at("2027-04-04T00:00:00Z"));
}

#[test]
fn an_hour_that_comes_twice_is_open_twice() {
    // In Berlin the clocks go from 03:00 to 02:00 on 2027-10-31, at 01:00 UTC.
    let half = windows("Europe/Berlin", &[window(&["Sun"], "02:00", "02:30")]);
    assert_eq!(half.state(at("2027-10-31T00:10:00Z")), open_until("2027-10-31T00:30:00Z"));
    assert_eq!(half.state(at("2027-10-31T00:30:00Z")), opens_at("2027-10-31T01:00:00Z"));
    assert_eq!(half.state(at("2027-10-31T01:00:00Z")), open_until("2027-10-31T01:30:00Z"));
    let whole = windows("Europe/Berlin", &[window(&["Sun"], "01:00", "04:00")]);
    assert_eq!(whole.state(at("2027-10-30T23:00:00Z")), open_until("2027-10-31T03:00:00Z"));
}

#[test]
fn a_day_that_a_place_leaves_out_has_no_window() {
    // Apia went from Thursday 2011-12-29 to Saturday 2011-12-31.
    let fridays = windows("Pacific/Apia", &[window(&["Fri"], "08:00", "09:00")]);
    assert_eq!(fridays.state(at("2011-12-29T12:00:00Z")), opens_at("2012-01-05T18:00:00Z"));
}

#[test]
fn a_leap_day_and_the_year_2100_are_days_like_others() {
    let tuesdays = windows("UTC", &[window(&["Tue"], "10:00", "11:00")]);
    assert_eq!(tuesdays.state(at("2028-02-28T12:00:00Z")), opens_at("2028-02-29T10:00:00Z"));
    // 2100 is no leap year: 28 February is a Sunday, and Monday is 1 March.
    let mondays = windows("Europe/Berlin", &[window(&["Mon"], "10:00", "11:00")]);
    assert_eq!(mondays.state(at("2100-02-28T12:00:00Z")), opens_at("2100-03-01T09:00:00Z"));
    // Summer time is kept up: 2100-07-05 is a Monday, two hours ahead of UTC.
    assert_eq!(mondays.state(at("2100-07-05T08:30:00Z")), open_until("2100-07-05T09:00:00Z"));
}

#[test]
fn the_zones_are_in_the_binary() {
    let bundled = jiff::tz::TimeZoneDatabase::bundled();
    for zone in ZONES {
        assert_eq!(bundled.get(zone).unwrap().iana_name(), Some(zone));
    }
}

#[test]
fn the_ends_of_time_are_answered_too() {
    let nights = windows("Pacific/Apia", &[window(&["Fri"], "22:00", "06:00")]);
    for now in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
        nights.state(now);
    }
}

#[test]
fn days_and_times_may_be_written_in_several_ways() {
    let table = [
        (&["Mon-Fri"][..], "22:00", "06:00", "Mon Tue Wed Thu Fri 22:00-06:00"),
        (&["fri-MON"], "6:00", "7:30", "Mon Fri Sat Sun 06:00-07:30"),
        (&["Wednesday", "sun"], "00:00", "24:00", "Wed Sun 00:00-24:00"),
        (&["Tue-Tue"], "22:00", "00:00", "Tue 22:00-24:00"),
        (&[], "23:59", "00:01", "Mon Tue Wed Thu Fri Sat Sun 23:59-00:01"),
    ];
    for (days, from, to, printed) in table {
        assert_eq!(window(days, from, to).to_string(), printed);
    }
    assert_eq!(windows("europe/berlin", &[window(&[], "1:00", "2:00")]).zone_name(), "Europe/Berlin");
    assert_eq!(windows("UTC", &[window(&[], "1:00", "2:00")]).zone_name(), "UTC");
}

#[test]
fn what_is_not_a_window_is_refused_with_what_to_write() {
    let table = [
        (&["Mo"][..], "1:00", "2:00"),
        (&["Mon-"], "1:00", "2:00"),
        (&[""], "1:00", "2:00"),
        (&["Mon,Tue"], "1:00", "2:00"),
        (&[], "1", "2:00"),
        (&[], "1:0", "2:00"),
        (&[], "1:60", "2:00"),
        (&[], "24:01", "2:00"),
        (&[], "-1:00", "2:00"),
        (&[], "+1:00", "2:00"),
        (&[], "10pm", "2:00"),
        (&[], "1:00:00", "2:00"),
        (&[], "24:00", "2:00"),
        (&[], "2:00", "2:00"),
        (&[], "0:00", "0:00"),
        (&[], "", ""),
    ];
    for (days, from, to) in table {
        let error = Window::new(days, from, to).expect_err(&format!("{days:?} {from} {to}"));
        assert!(error.to_string().contains("write "), "{error}");
    }
    let one = window(&[], "1:00", "2:00");
    for (zone, windows) in
        [("Europe/Berln", vec![one]), ("", vec![one]), ("UTC", vec![]), ("UTC", vec![one; 33])]
    {
        let error = Windows::new(zone, windows).expect_err(zone);
        assert!(error.to_string().contains("write "), "{error}");
    }
}

/// What the wall shows as text is the oracle: `Fri 22:00`.
fn shows(zone: &TimeZone, instant: Timestamp) -> (usize, String) {
    let shown = instant.to_zoned(zone.clone()).strftime("%u %H:%M").to_string();
    let (day, time) = shown.split_once(' ').unwrap();
    (day.parse::<usize>().unwrap() - 1, time.to_owned())
}

/// A window as a test writes it: its days from Monday, and its times with two digits for the hour.
#[derive(Clone, Debug)]
struct Written {
    days: Vec<usize>,
    from: String,
    to: String,
}

const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Written {
    fn window(&self) -> Window {
        Window::new(&self.days.iter().map(|day| NAMES[*day]).collect::<Vec<_>>(), &self.from, &self.to)
            .unwrap()
    }

    fn is_open(&self, (day, time): &(usize, String)) -> bool {
        let (begins_today, began_yesterday) = (self.days.contains(day), self.days.contains(&((day + 6) % 7)));
        if self.from < self.to {
            return begins_today && *time >= self.from && *time < self.to;
        }
        (begins_today && *time >= self.from) || (began_yesterday && *time < self.to)
    }
}

fn written(days: &[usize], from: &str, to: &str) -> Written {
    Written { days: days.to_vec(), from: from.to_owned(), to: to.to_owned() }
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Walks by minutes, and compares the state and each change with what the wall shows.
fn compare(zone: &str, written: &[Written], start: Timestamp, minutes: usize) {
    let windows = windows(zone, &written.iter().map(Written::window).collect::<Vec<_>>());
    let zone = TimeZone::get(zone).unwrap();
    let instants: Vec<Timestamp> =
        std::iter::successors(Some(start), |at| Some(*at + MINUTE)).take(minutes).collect();
    let open: Vec<bool> = instants
        .iter()
        .map(|at| {
            let shown = shows(&zone, *at);
            written.iter().any(|window| window.is_open(&shown))
        })
        .collect();
    let mut next_change = None;
    for index in (0..minutes).rev() {
        let now = instants[index];
        assert_eq!(windows.is_open(now), open[index], "{now} in {zone:?} with {written:?}");
        let is_edge = next_change.is_some_and(|next| instants[index] + MINUTE == next) || index % 211 == 0;
        if is_edge && let Some(next) = next_change {
            let expected = if open[index] {
                WindowState::Open { until: Some(next) }
            } else {
                WindowState::Closed { opens_at: Some(next) }
            };
            assert_eq!(windows.state(now), expected, "{now} in {zone:?} with {written:?}");
        }
        if index > 0 && open[index] != open[index - 1] {
            next_change = Some(now);
        }
    }
}

#[test]
fn around_every_change_of_the_clocks_of_two_years_windows_are_what_the_wall_shows() {
    let sets = [
        vec![written(&[0, 1, 2, 3, 4], "22:00", "06:00")],
        vec![written(&[5, 6], "02:00", "02:30"), written(&[6], "01:45", "03:15")],
        vec![written(&[0, 1, 2, 3, 4, 5, 6], "02:15", "02:00")],
    ];
    for zone in ZONES {
        let from =
            if zone == "Pacific/Apia" { at("2010-12-30T00:00:00Z") } else { at("2026-11-21T00:00:00Z") };
        let end = from + SignedDuration::from_hours(2 * 366 * 24);
        let time_zone = TimeZone::get(zone).unwrap();
        let mut changes: Vec<_> =
            time_zone.following(from).map(|change| change.timestamp()).take_while(|at| *at < end).collect();
        // Where the clocks are never changed any day will do.
        changes.push(at("2028-02-29T00:00:00Z"));
        for change in changes {
            let start = change - SignedDuration::from_hours(26);
            sets.iter().for_each(|set| compare(zone, set, start, 52 * 60));
        }
    }
}

fn any_window() -> impl Strategy<Value = Written> {
    let time = || (0..24_u8, 0..60_u8).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"));
    let days = proptest::collection::vec(0..7_usize, 1..4);
    (days, time(), time())
        .prop_filter("a window has a length", |(_, from, to)| from != to)
        .prop_map(|(days, from, to)| Written { days, from, to })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_windows_are_what_the_wall_shows(
        zone in 0..ZONES.len(),
        set in proptest::collection::vec(any_window(), 1..4),
        day in 0..40_000_i64,
    ) {
        let start = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day);
        compare(ZONES[zone], &set, start, 26 * 60);
    }

    #[test]
    fn a_change_is_a_change_and_nothing_changes_before_it(
        zone in 0..ZONES.len(),
        set in proptest::collection::vec(any_window(), 1..4),
        second in 0..4_200_000_000_i64,
    ) {
        let windows = windows(ZONES[zone], &set.iter().map(Written::window).collect::<Vec<_>>());
        let now = Timestamp::from_second(second).unwrap();
        let is_open = windows.is_open(now);
        let change = match windows.state(now) {
            WindowState::Open { until } if is_open => until,
            WindowState::Closed { opens_at } if !is_open => opens_at,
            other => panic!("{other:?} at {now}"),
        };
        if let Some(change) = change {
            prop_assert!(change > now);
            prop_assert_eq!(windows.is_open(change), !is_open);
            prop_assert_eq!(windows.is_open(change - SignedDuration::from_nanos(1)), is_open);
        }
    }

    #[test]
    fn any_text_is_a_window_or_is_refused(day in "\\PC{0,8}|[A-z-]{0,8}", from in "[0-9:]{0,6}", to in "\\PC{0,6}|[0-9:]{5}") {
        let _ = Window::new(&[&day], &from, &to);
        let _ = Windows::new(&day, vec![window(&[], "1:00", "2:00")]);
    }
}
