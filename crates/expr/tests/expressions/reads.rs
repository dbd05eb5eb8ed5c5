//! Which fields an expression says that it reads.

use expr::Expression;

fn reads(text: &str) -> Vec<String> {
    let expression = Expression::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    expression.reads().iter().map(|path| path.keys().join("/")).collect()
}

#[test]
fn the_longest_chain_of_keys_is_read() {
    let table: &[(&str, &[&str])] = &[
        ("object.status.phase == 'Failed'", &["status/phase"]),
        (
            "object.metadata.labels['a'] == object.metadata.labels.b",
            &["metadata/labels/a", "metadata/labels/b"],
        ),
        ("object['metadata']['labels']['a.b/c']", &["metadata/labels/a.b/c"]),
        ("has(object.a.b)", &["a/b"]),
        ("object.?a.?b.orValue(1)", &["a/b"]),
        ("object.metadata.labels[?'a'].orValue('')", &["metadata/labels/a"]),
        ("object.spec.containers[0].image", &["spec/containers"]),
        ("object.metadata.labels[object.spec.key]", &["metadata/labels", "spec/key"]),
        ("'a' in object.metadata.labels", &["metadata/labels"]),
        ("object.a.b == 1 && object.a == null", &["a"]),
        ("object.a.exists(x, x.b == object.c.d)", &["a", "c/d"]),
        ("object.a.map(x, x.b, x.c)", &["a"]),
        ("object.?a.optMap(x, x.b + object.c).orValue(object.d)", &["a", "c", "d"]),
        ("object.a.matches('x') ? timestamp(object.b) : now + duration(object.c)", &["a", "b", "c"]),
        ("[object.a, {'k': object.b}.k]", &["a", "b"]),
        ("!object.a || -object.b < 1", &["a", "b"]),
        ("timestamp(object.a).getHours('UTC') == 1", &["a"]),
        ("true", &[]),
    ];
    for (text, expected) in table {
        assert_eq!(reads(text), *expected, "{text}");
    }
}

#[test]
fn only_what_names_now_uses_it() {
    let uses = |text| Expression::compile(text).is_ok_and(|expression| expression.uses_now());
    assert!(uses("object.a.exists(x, timestamp(x) < now)"));
    assert!(!uses("object.now == 'now'"));
    assert!(!uses("has(object.a.now)"));
}

#[test]
fn an_expression_is_shared_between_threads() {
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<Expression>();
}
