//! How long an answer stays as it is.

use expr::{Expression, Stays};
use jiff::Timestamp;
use proptest::prelude::*;
use units::Value;

const NOW: i64 = 1_000;

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// `object.at` is a time 100 seconds before now, `object.later` one 50 seconds after it.
fn object() -> Value {
    let text = format!(r#"{{"at": "{}", "later": "{}", "n": 3}}"#, second(NOW - 100), second(NOW + 50));
    serde_json::from_str(&text).unwrap()
}

fn stays(text: &str) -> Stays {
    Expression::compile(text).unwrap().stays(&object(), second(NOW))
}

#[test]
fn the_moment_is_told_at_which_a_comparison_with_now_turns() {
    let (at, later) = ("timestamp(object.at)", "timestamp(object.later)");
    let until = |seconds: i64| Stays::Until(second(NOW + seconds));
    let table = [
        ("object.n > 1".to_owned(), Stays::ForGood),
        (format!("now > {later}"), until(50)),
        (format!("{later} <= now"), until(50)),
        (format!("now > {at}"), Stays::ForGood),
        (format!("now - {at} > duration('130s')"), until(30)),
        (format!("now - {at} < duration('90s')"), Stays::ForGood),
        (format!("{at} + duration('2m') < now"), until(20)),
        (format!("{at} < now - duration('2m')"), until(20)),
        (format!("{later} - now < duration('10s')"), until(40)),
        (format!("now - {at} > duration('130s') || now > {later}"), until(30)),
        (format!("object.n > 5 && now > {later}"), Stays::ForGood),
        (format!("now > {later} ? timestamp(object.at) : null"), until(50)),
        (format!("[1, 2].exists(x, x == object.n || now > {later})"), until(50)),
        ("now > timestamp(object.missing)".to_owned(), Stays::ForGood),
        // Nobody can tell.
        ("now + duration('1h')".to_owned(), Stays::Unknown),
        ("now.getHours() == 3".to_owned(), Stays::Unknown),
        (format!("now == {later}"), Stays::Unknown),
        (format!("now > {later} && now.getHours() > 3"), Stays::Unknown),
        (format!("now - {at} + (now - {at}) > duration('5m')"), Stays::Unknown),
        ("string(now) > 'a'".to_owned(), Stays::Unknown),
    ];
    for (text, expected) in table {
        assert_eq!(stays(&text), expected, "{text}");
    }
}

#[test]
fn what_is_equal_now_turns_as_soon_as_it_is_not() {
    let expression = Expression::compile("now > timestamp(object.later)").unwrap();
    let Stays::Until(at) = expression.stays(&object(), second(NOW + 50)) else { panic!() };
    assert_eq!(at.duration_since(second(NOW + 50)).as_nanos(), 1);
}

proptest! {
    /// The answer is the same at every moment before the one that is told.
    #[test]
    fn nothing_changes_before_the_moment_that_is_told(
        parts in prop::collection::vec((0..4_u8, 0..4_u8, -200..200_i64, any::<bool>()), 1..4),
        passed in 0..400_i64,
    ) {
        let part = |(form, operator, seconds, is_and): &(u8, u8, i64, bool)| {
            let operator = ["<", "<=", ">", ">="][usize::from(*operator)];
            let compared = match form {
                0 => format!("now {operator} timestamp(object.at) + duration('{seconds}s')"),
                1 => format!("now - timestamp(object.at) {operator} duration('{seconds}s')"),
                2 => format!("timestamp(object.later) - now {operator} duration('{seconds}s')"),
                _ => format!("now - duration('{seconds}s') {operator} timestamp(object.later)"),
            };
            format!("({compared}) {} ", if *is_and { "&&" } else { "||" })
        };
        let text: String = parts.iter().map(part).collect();
        let text = format!("{text} object.n == 3");
        let expression = Expression::compile(&text).unwrap();
        let (object, now) = (object(), second(NOW));
        let until = match expression.stays(&object, now) {
            Stays::ForGood => Timestamp::MAX,
            Stays::Until(at) => at,
            Stays::Unknown => panic!("{text}"),
        };
        prop_assert!(until > now);
        let then = second(NOW + passed);
        if then < until {
            prop_assert_eq!(expression.evaluate(&object, then), expression.evaluate(&object, now), "{}", text);
        }
    }
}
