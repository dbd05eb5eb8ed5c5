//! No text, however odd, and no object, however large, does harm.

use crate::support::{now, object};
use expr::{EvaluationError, Expression, HEIGHT_MAX};
use proptest::prelude::*;
use units::Value;

/// Half of what threads have.
const SMALL_STACK_BYTES: usize = 1024 * 1024;

/// An object whose `list` has so many numbers, and whose `text` so many letters.
fn large(length: usize) -> Value {
    let numbers = (0..i64::try_from(length).expect("a small length")).map(Value::Int).collect();
    Value::map(vec![
        ("list".into(), Value::List(numbers)),
        ("text".into(), Value::Text("a".repeat(length).into_boxed_str())),
    ])
}

fn evaluate(text: &str, object: &Value) -> Result<(), EvaluationError> {
    let expression = Expression::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    expression.evaluate(object, now()).map(|_| ())
}

#[test]
fn loops_over_long_lists_end_early() {
    for text in [
        "object.list.all(x, object.list.all(y, x + y >= 0))",
        "object.list.map(x, object.list.map(y, y)) == []",
        "object.list.exists(x, x == -1 && object.list.exists(y, y == x)) || object.list.all(x, x in object.list)",
        "object.list.filter(x, object.list == object.list) == []",
    ] {
        assert_eq!(evaluate(text, &large(2_000)), Err(EvaluationError::TooDear), "{text}");
        assert_eq!(evaluate(text, &large(20)), Ok(()), "{text}");
    }
    assert_eq!(evaluate("object.list.all(x, x >= 0)", &large(10_000)), Ok(()));
}

#[test]
fn long_texts_cost_what_they_take() {
    let doubled = format!("object.?text{}.value() == ''", ".optMap(t, t + t)".repeat(40));
    let nested = format!("optional.of([1]){}.value() == [2]", ".optMap(t, [t, t])".repeat(40));
    let compared =
        format!("{} == {}", nested.split(".value()").next().unwrap_or_default(), "optional.none()");
    for text in [
        &doubled,
        "object.list.all(x, object.text.matches('b|a$'))",
        "object.list.all(x, object.text.contains('b') || true)",
        "object.text.replace('', object.text) == ''",
        "object.list.map(x, object.text).join('') == ''",
        "object.list.all(x, size(object.text) > 0)",
    ] {
        assert_eq!(evaluate(text, &large(5_000)), Err(EvaluationError::TooDear), "{text}");
    }
    // What is shared is not copied.
    assert_eq!(evaluate(&compared, &large(1)), Ok(()));
    let equal = format!("{0} == {0}", nested.split(".value()").next().unwrap_or_default());
    assert_eq!(evaluate(&equal, &large(1)), Err(EvaluationError::TooDear));
}

#[test]
fn running_out_of_steps_is_not_forgotten_by_another_operand() {
    let dear = "object.list.all(x, object.list.all(y, x + y >= 0))";
    for text in [format!("{dear} || true"), format!("{dear} && false"), format!("has({dear}.a)")] {
        assert_eq!(evaluate(&text, &large(2_000)), Err(EvaluationError::TooDear), "{text}");
    }
    assert_eq!(evaluate(&format!("true || {dear}"), &large(2_000)), Ok(()));
}

#[test]
fn the_highest_tree_fits_on_a_small_stack() {
    let height = usize::from(HEIGHT_MAX);
    let around = |open: &str, inside: &str, close: &str, times: usize| {
        open.repeat(times) + inside + &close.repeat(times)
    };
    let texts = [
        around("(", "1", ")", height - 1),
        around("[", "1", "]", height - 2),
        around("{'a': ", "1", "}", height - 2),
        around("size(", "'a'", ")", height - 2),
        around("'a'.replace(", "'a'", ", 'b')", height - 2),
        around("[1][", "0", "]", height - 2),
        around("!(-(", "1", "))", height / 2 - 2),
        around("true ? ", "1", " : 2", 1),
        "false ? 1 : ".repeat(height - 2) + "1",
        vec!["1"; height - 1].join(" + "),
        format!("optional.of(1){}", ".optMap(t, [t])".repeat(height - 2)),
        format!("{0} == {0}", format!("optional.of(1){}", ".optMap(t, [t])".repeat(height - 3))),
        format!("{{'a': 1}}{}", ".a".repeat(height - 2)),
        format!("object{}", ".a".repeat(height - 1)),
        format!("object.spec.ports{}", ".map(x, x + 1)".repeat(height - 3)),
        around("true && (true || (", "true", "))", (height - 2) / 2),
        around("optional.none().orValue(", "1", ")", height - 2),
    ];
    let thread = std::thread::Builder::new().stack_size(SMALL_STACK_BYTES).spawn(move || {
        for text in texts {
            let expression = Expression::compile(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            // Answers and faults are both fine; an overflow ends the process.
            drop(expression.clone().evaluate(&object(), now()));
        }
    });
    thread.expect("a thread").join().expect("no panic");
}

#[test]
fn the_deepest_objects_are_compared_on_a_small_stack() {
    /// As deep as parsers of JSON allow.
    const DEPTH: usize = 126;
    let text = format!(r#"{{"a": {0}{1}, "b": {0}{1}}}"#, "[".repeat(DEPTH), "]".repeat(DEPTH));
    let object: Value = serde_json::from_str(&text).expect("JSON");
    let thread = std::thread::Builder::new().stack_size(SMALL_STACK_BYTES);
    let thread = thread.spawn(move || assert_eq!(evaluate("object.a == object.b", &object), Ok(())));
    thread.expect("a thread").join().expect("no panic");
}

/// Pieces of expressions, right and wrong.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "object",
        ".metadata",
        ".name",
        ".spec",
        ".containers",
        ".?status",
        "['a']",
        "[0]",
        "[?1]",
        "now",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        " && ",
        " || ",
        "!",
        "-",
        " + ",
        " * ",
        " % ",
        " == ",
        " < ",
        " in ",
        "'x'",
        "''",
        "1",
        "2.5",
        "9223372036854775807",
        "true",
        "null",
        "has(",
        "size(",
        "timestamp(",
        "duration('1h')",
        ".all(x, ",
        ".map(x, x",
        ".exists(c, c.name",
        ".orValue(",
        ".optMap(v, v",
        ".matches('a+')",
        ".getHours()",
        ".split(",
        ".substring(",
        ".replace('a', ",
        "r'\\d'",
        "'\\",
        "\"",
        "`a`",
        "// x\n",
        "é",
        "\u{0}",
        "x",
        "c",
        "v",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(text in any::<String>()) {
        drop(Expression::compile(&text));
    }

    #[test]
    fn no_expression_makes_an_evaluation_panic(text in pieces()) {
        if let Ok(expression) = Expression::compile(&text) {
            drop(expression.evaluate(&object(), now()));
            drop(expression.evaluate(&Value::Null, now()));
            drop(expression.evaluate(&large(1_000), now()));
        }
    }

    #[test]
    fn a_message_is_one_short_line(text in pieces()) {
        if let Err(error) = Expression::compile(&text) {
            let message = error.to_string();
            prop_assert!(!message.contains('\n') && message.chars().count() < 800, "{message}");
        }
    }
}
