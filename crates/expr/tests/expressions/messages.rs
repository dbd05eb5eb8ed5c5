//! What is no expression, and what its author is told.

use crate::support::shown;
use expr::{Expression, InvalidExpression};

fn check(table: &[(&str, &str)]) {
    for (expression, expected) in table {
        let shown = shown(expression);
        assert_eq!(shown, format!("invalid: {expected}"), "{expression}");
        assert!(!shown.contains('\n'), "{expression}");
    }
}

#[test]
fn faults_of_syntax_have_a_place_and_say_what_to_write() {
    check(&[
        (
            "",
            "expected an expression, such as `object.status.phase == 'Failed'` (line 1, column 1, at the end)",
        ),
        (
            "object.status.phase = 'Failed'",
            "`=` does not compare: write `==` (line 1, column 21, at `= 'Failed'`)",
        ),
        (
            "now > now and true",
            "expected an operator, or the end; and is written `&&` (line 1, column 11, at `and true`)",
        ),
        ("object.a == 'b' && (object.c == 'd'", "expected `)` (line 1, column 36, at the end)"),
        (
            "object.a ==",
            "expected a value: a field, a text in quotes, a number or a call (line 1, column 12, at the end)",
        ),
        ("object.a &\nobject.b", "write `&&` for and (line 1, column 10, at `&`)"),
        ("object.a ==\n  'b", "the text never ends: a ' is missing (line 2, column 3, at `'b`)"),
        (
            "object.a == ‘b’",
            "text stands between straight quotes: write 'text' (line 1, column 13, at `‘b’`)",
        ),
        ("object.labels.app-name == 'x", "the text never ends: a ' is missing (line 1, column 27, at `'x`)"),
        ("object.é", "`é` means nothing here (line 1, column 8, at `é`)"),
        (
            "size(object.a, ",
            "expected a value: a field, a text in quotes, a number or a call (line 1, column 16, at the end)",
        ),
        ("[1, 2", "expected `,` or `]` (line 1, column 6, at the end)"),
        (
            "object.a > 5Gi",
            "`G` cannot follow a number; quantities and spans are texts: '500Mi', '72h' (line 1, column 12, at `5Gi`)",
        ),
        (
            "99999999999999999999",
            "this number is too large or not complete (line 1, column 1, at `99999999999999999999`)",
        ),
        (
            "9223372036854775808",
            "this integer does not fit into 64 bits (line 1, column 1, at `9223372036854775808`)",
        ),
        (
            r"'\d'",
            "`\\d` is no escape: write `\\\\d`, or r'…' for a regular expression (line 1, column 1, at `'\\d'`)",
        ),
        ("object.a ? 1", "expected `:` and what holds otherwise (line 1, column 13, at the end)"),
        (
            "Pod{name: 'a'}",
            "objects cannot be made here: Kubernetes fields are maps, written {'key': value} (line 1, column 4, at `{name: 'a'}`)",
        ),
        (
            "1u == 1",
            "Kubernetes objects hold no unsigned integers: leave out the `u` after the number (line 1, column 1, at `1u == 1`)",
        ),
        (
            "b'x'",
            "Kubernetes objects hold no bytes: leave out the `b` before the text (line 1, column 1, at `b'x'`)",
        ),
    ]);
}

#[test]
fn unknown_names_are_answered_with_what_was_meant() {
    check(&[
        (
            "self.metadata.name",
            "there is no variable `self`: the object is called `object` (line 1, column 1, at `self.metadata.name`)",
        ),
        (
            "status.phase == 'x'",
            "there is no variable `status`: write `object.status` (line 1, column 1, at `status.phase == 'x'`)",
        ),
        ("objct.a", "there is no variable `objct`: did you mean `object`? (line 1, column 1, at `objct.a`)"),
        (
            "object.a == Failed",
            "there is no variable `Failed`: there are `object` and `now`; a text stands in quotes: 'Failed' (line 1, column 13, at `Failed`)",
        ),
        (
            "object.a.exists(x, y.b)",
            "there is no variable `y`: there are `object` and `now`; a text stands in quotes: 'y' (line 1, column 20, at `y.b)`)",
        ),
        (
            "object.a.startswith('b')",
            "there is no function `startswith`: did you mean `startsWith`? (line 1, column 9, at `.startswith('b')`)",
        ),
        ("len(object.a)", "there is no function `len`: write size(x) (line 1, column 1, at `len(object.a)`)"),
        (
            "startsWith(object.a, 'b')",
            "`startsWith` is not called like this: write text.startsWith('prefix') (line 1, column 1, at `startsWith(object.a, 'b')`)",
        ),
        (
            "object.a.contains()",
            "`contains` is not called like this: write text.contains('part') (line 1, column 9, at `.contains()`)",
        ),
        (
            "object.a.exists(x)",
            "`exists` is not called like this: write list.exists(x, x > 0) (line 1, column 9, at `.exists(x)`)",
        ),
        (
            "object.a.exists(x.y, true)",
            "`exists` is not called like this: write list.exists(x, x > 0) (line 1, column 17, at `x.y, true)`)",
        ),
        (
            "object.a.exists(object, true)",
            "`exists` is not called like this: write list.exists(x, x > 0) (line 1, column 17, at `object, true)`)",
        ),
        ("now()", "there is no function `now`: write `now` without brackets (line 1, column 1, at `now()`)"),
        (
            "has(object['a'])",
            "has() asks for a field after a dot: write `'a' in object` (line 1, column 5, at `object['a'])`)",
        ),
    ]);
}

#[test]
fn the_whole_object_is_refused_with_what_to_write() {
    for text in [
        "object",
        "size(object)",
        "object == null",
        "object[now]",
        "'a' in object",
        "[object]",
        "object.all(k, true)",
    ] {
        let refused = matches!(Expression::compile(text), Err(InvalidExpression::WholeObject { .. }));
        assert!(refused, "{text}");
    }
    check(&[(
        "'a' in object",
        "`object` can only be read by fields that are named here: write `object.metadata.labels['app']` or `object.spec` \
         (line 1, column 8, at `object`)",
    )]);
}

#[test]
fn constants_are_read_when_the_expression_is_compiled() {
    check(&[
        (
            "timestamp('tomorrow')",
            "'tomorrow' is not a timestamp, such as '2026-01-31T22:00:00Z' (line 1, column 11, at `'tomorrow')`)",
        ),
        (
            "now - duration('3 days')",
            "'3 days' is not a duration, such as '72h', '1h30m' or '7d' (line 1, column 16, at `'3 days')`)",
        ),
        (
            "quantity('much')",
            "'much' is not a quantity, such as '500m' or '1Gi' (line 1, column 10, at `'much')`)",
        ),
        (
            "now.getHours('Mars/Base')",
            "a time zone is a constant text such as 'Europe/Berlin', 'UTC' or '+02:00' (line 1, column 14, at `'Mars/Base')`)",
        ),
        (
            "now.getHours(object.zone)",
            "a time zone is a constant text such as 'Europe/Berlin', 'UTC' or '+02:00' (line 1, column 14, at `object.zone)`)",
        ),
    ]);
}

#[test]
fn regular_expressions_are_constant_and_small() {
    check(&[
        (
            "object.a.matches('(')",
            "the regular expression is wrong: unclosed group (line 1, column 18, at `'(')`)",
        ),
        (
            "object.a.matches('(a{1000}){1000}')",
            "the regular expression grows beyond 256 KiB when compiled: use smaller repetitions (line 1, column 18, at `'(a{1000}){1000}')`)",
        ),
        (
            "object.a.matches('((a{100}){100}){100}')",
            "the regular expression grows beyond 256 KiB when compiled: use smaller repetitions (line 1, column 18, at `'((a{100}){100}){100}')`)",
        ),
        (
            "object.a.matches(object.b)",
            "a regular expression has to be a constant text: it is compiled and measured once (line 1, column 18, at `object.b)`)",
        ),
        (
            "object.a.matches('a' + 'b')",
            "a regular expression has to be a constant text: it is compiled and measured once (line 1, column 18, at `'a' + 'b')`)",
        ),
    ]);
    let long = format!("object.a.matches('{}')", "a".repeat(2_000));
    assert!(matches!(Expression::compile(&long), Err(InvalidExpression::Pattern { .. })));
    let many = vec!["object.a.matches('a')"; 17].join(" || ");
    assert!(matches!(Expression::compile(&many), Err(InvalidExpression::Pattern { .. })));
    for text in [
        r"object.a.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        r"object.a.matches(r'^\w([\w.-]{0,61}\w)?$')",
    ] {
        assert!(Expression::compile(text).is_ok(), "{text}");
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_held() {
    let table = [
        (
            format!("'{}'", "a".repeat(9_000)),
            "the expression has 9002 bytes, at most 8192 are allowed: write several policies",
        ),
        (vec!["1"; 1_500].join("||"), "the expression has more than 1000 parts: write several policies"),
        (
            "(".repeat(100) + "1",
            "more than 48 brackets or operators inside of each other (line 1, column 49, at `((((((((((((((((((((((((((((((…`)",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(shown(&text), format!("invalid: {expected}"));
    }
    for text in [
        vec!["1"; 100].join("+"),
        format!("object{}", ".a".repeat(100)),
        "1?1:".repeat(100) + "1",
        "!(-(".repeat(25) + "1" + &"))".repeat(25),
    ] {
        assert!(matches!(Expression::compile(&text), Err(InvalidExpression::TooHigh { .. })), "{text}");
    }
    assert!(Expression::compile(&vec!["object.a == 1"; 200].join(" || ")).is_ok());
}

#[test]
fn at_most_two_loops_are_inside_of_each_other() {
    let two = "object.a.exists(x, x.b.exists(y, y == x.c))";
    assert!(Expression::compile(two).is_ok());
    assert!(Expression::compile(&format!("{two} && {two}")).is_ok());
    let three = "object.a.exists(x, x.b.exists(y, y.c.exists(z, z == 1)))";
    assert!(matches!(Expression::compile(three), Err(InvalidExpression::TooManyLoops { .. })));
}
