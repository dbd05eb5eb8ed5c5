use proptest::prelude::*;

use super::*;

fn path(text: &str) -> FieldPath {
    text.parse().unwrap()
}

fn key(name: &str) -> Segment {
    Segment::Key(name.into())
}

fn filter(key: &str, value: &str) -> Segment {
    Segment::Where { key: key.into(), value: value.into() }
}

#[test]
fn a_path_may_be_written_in_several_ways() {
    let ttl = || vec![key("metadata"), key("annotations"), key("example.com/ttl")];
    let table = [
        ("status.phase", vec![key("status"), key("phase")]),
        (".status.phase", vec![key("status"), key("phase")]),
        (r"metadata.annotations.example\.com/ttl", ttl()),
        ("metadata.annotations['example.com/ttl']", ttl()),
        (r#"metadata.annotations["example.com/ttl"]"#, ttl()),
        (r"['metadata'].annotations['example\.com/ttl']", ttl()),
        ("spec.list[0].a", vec![key("spec"), key("list"), Segment::Index(0), key("a")]),
        ("a[1][2]", vec![key("a"), Segment::Index(1), Segment::Index(2)]),
        ("c[?type=Complete].status", vec![key("c"), filter("type", "Complete"), key("status")]),
        ("c[?type = 'a b]']", vec![key("c"), filter("type", "a b]")]),
        (r#"c[?"k.k"="it's"]"#, vec![key("c"), filter("k.k", "it's")]),
        (r"c[?example\.com/k=1.2]", vec![key("c"), filter("example.com/k", "1.2")]),
        (r"c[?k=1\.2]", vec![key("c"), filter("k", "1.2")]),
        ("c[?k='']", vec![key("c"), filter("k", "")]),
        ("a.0", vec![key("a"), key("0")]),
    ];
    for (text, segments) in table {
        assert_eq!(path(text).segments(), segments, "{text}");
    }
}

#[test]
fn a_path_is_written_in_one_way() {
    let table = [
        (".a.b", "a.b"),
        (r"metadata.annotations.example\.com/ttl", "metadata.annotations['example.com/ttl']"),
        (r#"c[? "type" = "Complete" ]["x"]"#, "c[?type=Complete].x"),
        (r#"["it's"]"#, r"['it\'s']"),
        ("c[?v=1.2]", "c[?v=1.2]"),
        ("c[?v='']", "c[?v='']"),
    ];
    for (text, written) in table {
        assert_eq!(path(text).to_string(), written);
    }
}

#[test]
fn what_is_not_a_path_is_refused_with_what_to_write() {
    let long = format!("a.{}", "b".repeat(512));
    let deep = ["a"; 33].join(".");
    let table = [
        ("", "such as `status.phase`"),
        (".", "such as `status.phase`"),
        (&*long, "more than 512 bytes"),
        (&*deep, "more than 32 steps"),
        ("a..b", "a name is missing at byte 2"),
        ("a.", "a name is missing at byte 2"),
        ("a.['b']", "a name is missing at byte 2"),
        ("a['']", "a name is missing at byte 2"),
        ("[0].a", "start with a field's name"),
        ("[?a=b]", "start with a field's name"),
        ("$.a", "without `$`"),
        ("{.a}", "without `$`"),
        (r#"a[?(@.type=="b")]"#, "such as `status.conditions[?type=Complete]"),
        ("a[*].b", "write an index such as `[0]`"),
        ("a.*.b", "write an index such as `[0]`"),
        ("a[-1]", "write `[0]`"),
        ("a[b]", "`['name']`"),
        ("a[4294967296]", "write `[0]`"),
        ("a[0", "opens at byte 1"),
        ("a['b", "opens at byte 2"),
        ("a[?b=c", "opens at byte 1"),
        ("a[?b", "opens at byte 1"),
        ("a[?b]", "write `[?key=value]`"),
        ("a[?b!=c]", "write `[?key=value]`"),
        ("a[?b==c]", "with one `=`"),
        ("a[?b=]", "write `[?key=value]`"),
        ("a[?=c]", "write `[?key=value]`"),
        ("a[?b.c=d]", r"write a dot that belongs to its name as `\.`"),
        ("a[0]b", "a dot is missing at byte 4"),
        ("a b", "` ` at byte 1 has to be quoted"),
        ("a]b", "`]` at byte 1 has to be quoted"),
        ("a[?b=c d]", "`[?key='a value']`"),
        (r"a\b", "the backslash at byte 1"),
        ("a\\", "the backslash at byte 1"),
        ("a\nb", "control character at byte 1"),
        ("a['\0']", "control character at byte 3"),
    ];
    for (text, expected) in table {
        let error = text.parse::<FieldPath>().expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_path_leads_to_its_value() {
    let job: Value = serde_json::from_value(serde_json::json!({
        "metadata": {"annotations": {"example.com/ttl": "1h"}},
        "spec": {"list": [{"a": 1}, {"a": null}]},
        "status": {"conditions": [
            {"type": "Suspended", "status": "False", "at": "1"},
            {"type": "Complete", "status": "True", "count": 3, "ready": true, "at": "2"},
            {"type": "Complete", "at": "3"},
        ]},
    }))
    .unwrap();
    let table = [
        (r"metadata.annotations.example\.com/ttl", Some(Value::from("1h"))),
        ("spec.list[0].a", Some(Value::Int(1))),
        ("spec.list[1].a", Some(Value::Null)),
        ("spec.list[2].a", None),
        ("spec.list.a", None),
        ("spec.list[0][0]", None),
        ("status.conditions[?type=Complete].at", Some(Value::from("2"))),
        ("status.conditions[?count=3].at", Some(Value::from("2"))),
        ("status.conditions[?ready=true].at", Some(Value::from("2"))),
        ("status.conditions[?type=Failed].at", None),
        ("status[?type=Failed]", None),
    ];
    for (text, expected) in table {
        let path = path(text);
        assert_eq!(path.resolve(&job), expected.as_ref(), "{text}");
        let below = path.prefix().resolve(&job).and_then(|value| path.resolve_below(value));
        assert_eq!(below, expected.as_ref(), "{text} below its prefix");
    }
}

#[test]
fn the_prefix_is_the_run_of_keys_at_the_start() {
    let table = [
        ("status.phase", "status.phase"),
        ("status.conditions[?type=Complete].status", "status.conditions"),
        ("a['b.c'][0].d", "a['b.c']"),
    ];
    for (text, prefix) in table {
        assert_eq!(path(text).prefix().to_string(), prefix);
    }
}

#[test]
fn key_paths_are_told_apart_by_their_keys() {
    let of = |text: &str| path(text).prefix().clone();
    assert_eq!(of("a.b"), of("['a']['b']"));
    assert_ne!(of("a.b"), of("['a.b']"));
    assert_ne!(of("a.b"), of("ab"));
    assert_ne!(of("a.bc"), of("ab.c"));
    assert_eq!(of("a.b.c").fingerprints()[1], of("a.b").fingerprint());
    assert!(of("a.b.c").is_at_or_below(&of("a.b")) && of("a.b").is_at_or_below(&of("a.b")));
    assert!(!of("a.b").is_at_or_below(&of("a.b.c")) && !of("a.bc").is_at_or_below(&of("a.b")));
    assert!(of("a.b") < of("a.b.c") && of("a.b") < of("a.c"));
}

fn word() -> impl Strategy<Value = Box<str>> {
    // Mostly what has a meaning in a path.
    "[a-zé0-9 .\\[\\]'\"?=*$@{}/\\\\-]{1,8}".prop_map(Box::from)
}

fn segment() -> impl Strategy<Value = Segment> {
    prop_oneof![
        word().prop_map(Segment::Key),
        any::<u32>().prop_map(Segment::Index),
        (word(), prop_oneof![word(), Just("".into())]).prop_map(|(key, value)| Segment::Where { key, value }),
    ]
}

proptest! {
    #[test]
    fn every_path_is_read_as_it_was_written(
        first in word(),
        rest in proptest::collection::vec(segment(), 0..8),
    ) {
        let segments = std::iter::once(Segment::Key(first)).chain(rest).collect::<Vec<_>>();
        let path = FieldPath::new(segments);
        prop_assert_eq!(path.to_string().parse::<FieldPath>(), Ok(path));
    }

    #[test]
    fn any_text_is_refused_or_written_in_a_form_that_is_read_as_the_same(
        text in "[a-c0-9 .\\[\\]'\"?=*$\\\\\u{0}é]{0,24}|\\PC{0,40}",
    ) {
        if let Ok(path) = text.parse::<FieldPath>() {
            prop_assert_eq!(path.to_string().parse::<FieldPath>(), Ok(path));
        }
    }
}
