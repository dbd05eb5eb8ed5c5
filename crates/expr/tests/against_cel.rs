//! Our answers beside those of the `cel` crate, whose evaluation is held against CEL's own conformance tests.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::{Context, Env};
use expr::{Answer, Expression};
use proptest::prelude::*;
use support::{now, object};
use units::Value;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// What an expression gives, in words that both have; nothing if it fails.
fn ours(text: &str) -> Option<String> {
    let expression = Expression::compile(text).ok()?;
    Some(match expression.evaluate(&object(), now()).ok()? {
        Answer::Bool(value) => value.to_string(),
        Answer::Text(text) => format!("'{text}'"),
        Answer::Null => "null".to_owned(),
        other => other.type_name().to_owned(),
    })
}

fn theirs(text: &str) -> Option<String> {
    let program = ENVIRONMENT.compile(text).ok()?;
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    context.add_variable_from_value("object", foreign(&object()));
    Some(match program.execute(&context).ok()? {
        cel::Value::Bool(value) => value.to_string(),
        cel::Value::String(text) => format!("'{text}'"),
        cel::Value::Null => "null".to_owned(),
        cel::Value::Int(_) => "integer".to_owned(),
        cel::Value::Float(_) => "number".to_owned(),
        cel::Value::List(_) => "list".to_owned(),
        cel::Value::Map(_) => "map".to_owned(),
        other => format!("{other:?}"),
    })
}

fn foreign(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(text) => (&**text).into(),
        Value::List(list) => list.iter().map(foreign).collect::<Vec<_>>().into(),
        Value::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| (key.to_string(), foreign(value)))
            .collect::<HashMap<_, _>>()
            .into(),
    }
}

/// What both have to agree on, as far as CEL goes.
const EXPRESSIONS: &[&str] = &[
    "object.status.phase == 'Failed' && size(object.metadata.name) > 3",
    "object.metadata.labels['app.kubernetes.io/name']",
    "object.spec.containers[1].ready ? 'yes' : 'no'",
    "has(object.status.reason) || has(object.status.phase)",
    "object.status.reason == 'x'",
    "object.spec.ports[9]",
    "object.status.reason == 'x' || true",
    "false && object.status.reason == 'x'",
    "object.status.reason == 'x' && true",
    "object.spec.containers.all(c, c.name != '' && c.env.exists(e, e.name > 'A'))",
    "object.spec.containers.exists(c, c.ready)",
    "object.spec.containers.all(c, c.ready)",
    "object.spec.ports.exists_one(p, p % 2 == 1)",
    "object.spec.ports.filter(p, p > 80).map(p, p - 80) == [363, 8000]",
    "object.spec.ports.map(p, p > 100, p * 2) == [886, 16160]",
    "object.metadata.labels.exists(k, k == 'app')",
    "'app' in object.metadata.labels && !('x' in object.metadata.labels)",
    "443 in object.spec.ports && !('443' in object.spec.ports)",
    "[1, [2, 'a']] == [1, [2, 'a']] && {'a': 1, 'b': 2} == {'b': 2, 'a': 1}",
    "1 == 1.0 && 2.5 > 2 && 3 < 3.1",
    "1 == '1' || null == false",
    "1 < '1'",
    "-7 / 2 == -3 && -7 % 3 == -1 && 7 / -2 == -3",
    "9223372036854775807 + 1",
    "-9223372036854775808 - 1",
    "1 / 0",
    "1.0 / 0.0 > 1.0",
    "'a' + 'b' + string(3) + string(true)",
    "int('42') + int(2.9) == 44 && double('1.5') == 1.5",
    "int('x')",
    "'Grüße'.size() == 5 && size([1, 2]) == 2 && size({'a': 1}) == 1",
    "'report-1'.matches('^[a-z]+-[0-9]$') && 'a'.startsWith('') && 'abc'.contains('bc') && 'abc'.endsWith('c')",
    r"'\u00fc\x41\101\n' + r'\n' == 'üAA' + '\n\\n'",
    "0x1F == 31 && 1e3 == 1000.0 && .5 == 0.5",
    "true ? 1 : 'a'",
    "'text' ? 1 : 2",
    "!'text'",
    "-'text'",
    "'b' > 'a' && [1] + [2] == [1, 2]",
    "object.?status.?phase.orValue('none')",
    "object.status.?reason.orValue('none')",
    "object.?absent.reason.orValue('none')",
    "object.metadata.labels[?'team'].orValue('nobody')",
    "object.status.?reason.hasValue() || object.status.?phase.hasValue()",
    "object.status.?phase.optMap(p, p + '!').orValue('none')",
    "object.status.?reason.optMap(p, p + '!').orValue('none')",
    "optional.of(1).or(optional.none()).value() == 1",
    "optional.none().value()",
];

#[test]
fn both_give_the_same() {
    for text in EXPRESSIONS {
        assert_eq!(ours(text), theirs(text), "{text}");
    }
}

/// Expressions of all types, so that most fail in some part and many give an answer.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "0",
        "-3",
        "443",
        "'a'",
        "'app'",
        "''",
        "true",
        "false",
        "null",
        "[]",
        "[1, 2]",
        "{'a': 1}",
        "object.metadata.name",
        "object.metadata.labels",
        "object.spec.replicas",
        "object.spec.paused",
        "object.spec.ports",
        "object.spec.containers[1].ready",
        "object.spec.containers[0].ready",
        "object.status.none",
        "has(object.status.phase)",
        "has(object.status.none)",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec!["&&", "||", "==", "!=", "<", "<=", ">", ">=", "-", "*", "/", "%", "in"]);
        // `cel` also adds a map to a list, which no specification has.
        let added = prop::sample::select(vec!["1", "-3", "'a'", "object.spec.replicas", "size(object.spec.ports)", "true"]);
        let method = prop::sample::select(vec!["contains", "startsWith", "endsWith"]);
        let looped = prop::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
        let body = prop::sample::select(vec!["x == 1", "x > 100", "x", "x.ready", "x + 1", "true", "x in [1, 2]", "x != 'app'"]);
        prop_oneof![
            4 => (inner.clone(), operator, inner.clone()).prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            1 => (inner.clone(), added).prop_map(|(a, b)| format!("({a} + {b})")),
            1 => inner.clone().prop_map(|a| format!("!{a}")),
            1 => inner.clone().prop_map(|a| format!("size({a})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            1 => (inner.clone(), method, inner.clone()).prop_map(|(a, method, b)| format!("({a}).{method}({b})")),
            2 => (inner, looped, body).prop_map(|(a, looped, body)| format!("({a}).{looped}(x, {body})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn both_give_the_same_for_whatever_can_be_written(text in expressions()) {
        prop_assert_eq!(ours(&text), theirs(&text), "{}", text);
    }
}
