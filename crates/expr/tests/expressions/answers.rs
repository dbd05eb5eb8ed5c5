//! What expressions give.

use expr::{AnswerKind, Expression};

use crate::support::shown;

fn check(table: &[(&str, &str)]) {
    for (expression, expected) in table {
        assert_eq!(shown(expression), *expected, "{expression}");
    }
}

#[test]
fn fields_are_found_by_dots_brackets_and_backticks() {
    check(&[
        ("object.metadata.name", "'report-1'"),
        ("object['metadata']['name']", "'report-1'"),
        ("object.metadata.namespace == 'team-a'", "true"),
        ("object.metadata.labels['app.kubernetes.io/name']", "'shop'"),
        ("object.metadata.labels.`app.kubernetes.io/name`", "'shop'"),
        ("object.spec.containers[1].name", "'log'"),
        ("object.spec.containers[0]['image']", "'nginx:1.25'"),
        ("object.spec.nothing", "null"),
        ("object.spec.replicas", "integer"),
        ("object.spec.containers", "list"),
        ("object.metadata.labels", "map"),
    ]);
}

#[test]
fn a_missing_field_is_an_error_and_asking_for_it_is_not() {
    check(&[
        ("object.status.reason", "error: there is no field `object.status.reason`"),
        ("object.absent.phase", "error: there is no field `object.absent.phase`"),
        ("object.spec.containers[7].name", "error: there is no field `object.spec.containers[7]`"),
        ("object.spec.containers[0].ready", "error: there is no field `object.spec.containers[0].ready`"),
        ("has(object.status.phase)", "true"),
        ("has(object.status.reason)", "false"),
        ("has(object.absent.reason.deep)", "false"),
        ("has(object.spec.nothing)", "false"),
        ("has(object.metadata.labels.app)", "true"),
        ("has(object.spec.containers[1].ready)", "true"),
        ("has(object.spec.containers[0].ready)", "false"),
        ("has(object.spec.containers[0].deep.ready)", "false"),
        ("has(object.status.reason) ? object.status.reason : 'none'", "'none'"),
        ("'app' in object.metadata.labels", "true"),
        ("'team' in object.metadata.labels", "false"),
    ]);
}

#[test]
fn optional_fields_are_empty_where_there_is_nothing() {
    check(&[
        ("object.?status.?phase", "'Failed'"),
        ("object.status.?reason", "null"),
        ("object.?absent.reason.deep", "null"),
        ("object.status.?reason.orValue('none')", "'none'"),
        ("object.status.?phase.orValue('none')", "'Failed'"),
        ("object.status.?reason.hasValue()", "false"),
        ("object.status.?phase.value()", "'Failed'"),
        ("object.status.?reason.value()", "error: there is no field `object.status.?reason`"),
        ("object.status.?reason.or(object.status.?phase).orValue('none')", "'Failed'"),
        ("object.metadata.labels[?'team'].orValue('nobody')", "'nobody'"),
        ("object.metadata.labels[?'app'].orValue('nobody')", "'web'"),
        ("object.spec.containers[?7].name.orValue('none')", "'none'"),
        ("object.spec.containers[?1].name.orValue('none')", "'log'"),
        ("object.spec.containers[0].?ready.orValue(false)", "false"),
        ("object.status.?completionTime.optMap(t, timestamp(t) + duration('24h'))", "2026-01-03T03:04:05Z"),
        ("object.status.?startTime.optMap(t, timestamp(t) + duration('24h'))", "null"),
        ("object.spec.?containers.optFlatMap(c, c[?0]).?name.orValue('none')", "'web'"),
        ("optional.none().orValue(1) == 1", "true"),
        ("optional.of(5) == optional.of(5)", "true"),
        ("has(object.?absent.reason)", "false"),
        (
            "object.spec.replicas.orValue(1)",
            "error: `object.spec.replicas`: has to be an optional, such as object.?field, not an integer",
        ),
    ]);
}

#[test]
fn operators_calculate_and_compare() {
    check(&[
        ("object.spec.replicas + 4 * 2 - 10 / 3 == 8", "true"),
        ("-7 / 2 == -3 && -7 % 3 == -1", "true"),
        ("object.spec.replicas * 1.5 == 4.5", "true"),
        ("object.spec.ratio > 2 && object.spec.replicas < 3.1", "true"),
        ("1 == 1.0 && 9007199254740993 > 9007199254740992.0", "true"),
        ("'a' + 'b' == 'ab' && [1] + [2] == [1, 2]", "true"),
        ("1 == '1'", "false"),
        ("null == object.spec.nothing", "true"),
        ("[1, 'a', null] == [1.0, 'a', null]", "true"),
        ("{'a': 1, 'b': [2]} == {'b': [2], 'a': 1}", "true"),
        ("{'a': 1}['a'] == 1 && {'a': 1}.a == 1", "true"),
        ("2 in [1, 2, 3] && !(4 in [1, 2, 3])", "true"),
        ("!object.spec.paused", "true"),
        ("!!object.spec.paused", "false"),
        ("--object.spec.replicas == 3", "true"),
        ("- object.spec.replicas == -3", "true"),
        ("-9223372036854775808 < 0", "true"),
        ("0x1F == 31 && 1e3 == 1000.0 && .5 == 0.5", "true"),
        ("object.spec.replicas > 2 ? 'many' : 'few'", "'many'"),
        ("false ? 1 : true ? 'b' : 'c'", "'b'"),
        ("'Z' < 'a' && 'abc' < 'abd'", "true"),
        ("true || false && false", "true"),
    ]);
}

#[test]
fn a_fault_is_forgotten_if_another_operand_decides() {
    check(&[
        ("object.absent == 1 || true", "true"),
        ("object.absent == 1 && false", "false"),
        ("true || object.absent == 1", "true"),
        ("object.absent == 1 && true", "error: there is no field `object.absent`"),
        ("object.absent == 1 || false", "error: there is no field `object.absent`"),
        ("object.spec.containers.exists(c, c.ready)", "true"),
        ("object.spec.containers.all(c, c.ready)", "error: there is no field `c.ready`"),
        ("object.spec.containers.all(c, c.name == 'log' && c.ready)", "false"),
    ]);
}

#[test]
fn loops_go_over_lists_and_the_keys_of_maps() {
    check(&[
        ("object.status.conditions.exists(c, c.type == 'Complete' && c.status == 'True')", "true"),
        ("object.spec.ports.all(p, p >= 80)", "true"),
        ("object.spec.ports.exists_one(p, p > 1000)", "true"),
        ("object.spec.ports.filter(p, p > 100) == [443, 8080]", "true"),
        ("object.spec.ports.map(p, p * 2)[0] == 160", "true"),
        ("object.spec.ports.map(p, p > 100, string(p)).join(',')", "'443,8080'"),
        ("object.spec.containers.all(c, c.env.exists(e, e.name in ['A', 'C']))", "true"),
        ("object.metadata.labels.exists(k, k.startsWith('app.'))", "true"),
        ("object.metadata.labels.exists(k, object.metadata.labels[k] == 'shop')", "true"),
        ("object.spec.empty.all(x, false) && !object.spec.empty.exists(x, true)", "true"),
        ("object.spec.ports.min() == 80 && object.spec.ports.max() == 8080", "true"),
        ("object.status.conditions.map(c, timestamp(c.lastTransitionTime)).max()", "2026-01-03T00:00:00Z"),
        ("object.spec.empty.max()", "error: `object.spec.empty.max()`: the list is empty"),
        ("object.spec.ports.map(p, [p].map(p, p + 1)[0])[0] == 81", "true"),
    ]);
}

#[test]
fn texts_are_searched_cut_and_joined() {
    check(&[
        ("size('Grüße') == 5 && 'Grüße'.size() == 5 && size(object.spec.ports) == 3", "true"),
        ("object.metadata.name.startsWith('rep') && object.metadata.name.endsWith('-1')", "true"),
        ("object.metadata.name.contains('ort')", "true"),
        ("object.metadata.name.matches('^report-[0-9]+$') && matches('a', 'b|a')", "true"),
        ("object.metadata.name.matches('port')", "true"),
        (r"'a1 _'.matches(r'^\w\d\s\S$') && !'ü'.matches(r'\w') && 'ü-'.matches(r'^\W[\D\W]$')", "true"),
        ("'ÄbC'.lowerAscii() + 'x'.upperAscii()", "'ÄbcX'"),
        ("' a '.trim()", "'a'"),
        ("'a,b,c'.split(',')[2]", "'c'"),
        ("'a,b,c'.split(',', 2)[1]", "'b,c'"),
        ("'äbc'.split('') == ['ä', 'b', 'c'] && 'abc'.split('', 2) == ['a', 'bc']", "true"),
        ("'a-b-c'.replace('-', '.')", "'a.b.c'"),
        ("'a-b-c'.replace('-', '.', 1)", "'a.b-c'"),
        ("'Grüße'.substring(2)", "'üße'"),
        ("'Grüße'.substring(2, 4)", "'üß'"),
        (
            "'Grüße'.substring(4, 9)",
            "error: `'Grüße'.substring(4, 9)`: this position is outside of the string",
        ),
        ("'Grüße'.indexOf('ß') == 3 && 'aba'.lastIndexOf('a') == 2 && 'a'.indexOf('b') == -1", "true"),
        ("'Grüße'.charAt(2)", "'ü'"),
        (r"'\u00fc\x41\101\n' + r'\n'", "'üAA\n\\n'"),
        ("'''it's''' + \"\"\"\"so\"\"\"", "'it's\"so'"),
    ]);
}

#[test]
fn conversions_say_what_they_cannot_read() {
    check(&[
        ("int(object.spec.number) == 42 && int(2.9) == 2 && int('-7') == -7", "true"),
        ("double('1.5') == 1.5 && double(2) == 2.0", "true"),
        ("string(3) + string(true) + string(1.5) + string(duration('90m'))", "'3true1.55400s'"),
        ("string(timestamp('2026-01-01T01:00:00+01:00'))", "'2026-01-01T00:00:00Z'"),
        ("bool('true') && dyn(true)", "true"),
        ("int('many')", "error: `int('many')`: 'many' is not an integer of 64 bits"),
        ("int(object.spec.ports)", "error: `int(object.spec.ports)`: this list is not an integer of 64 bits"),
        ("int(1e300)", "error: `int(1e300)`: this number is not an integer of 64 bits"),
        ("string(object.spec.ports)", "error: `string(object.spec.ports)`: this list is not a string"),
    ]);
}

#[test]
fn quantities_compare_by_what_they_mean() {
    check(&[
        ("quantity(object.spec.size) < quantity('1Gi')", "true"),
        ("quantity('1Gi').isGreaterThan(quantity(object.spec.size))", "true"),
        (
            "quantity('1024Mi') == quantity('1Gi') && quantity('1024Mi').compareTo(quantity('1Gi')) == 0",
            "true",
        ),
        ("quantity('500m').isLessThan(quantity(object.spec.replicas))", "true"),
        ("isQuantity(object.spec.size) && !isQuantity('large')", "true"),
        (
            "quantity(object.metadata.name)",
            "error: `quantity(object.metadata.name)`: 'report-1' is not a quantity, such as 500m or 1Gi",
        ),
    ]);
}

#[test]
fn times_and_durations_calculate() {
    check(&[
        ("timestamp(object.status.completionTime) + duration('24h')", "2026-01-03T03:04:05Z"),
        ("duration('1d') + timestamp(object.metadata.creationTimestamp)", "2026-01-02T00:00:00Z"),
        ("now - timestamp(object.metadata.creationTimestamp)", "777600s"),
        ("now - timestamp(object.metadata.creationTimestamp) > duration('168h')", "true"),
        ("now - timestamp(object.metadata.creationTimestamp) > duration('10d')", "false"),
        ("now - duration(object.metadata.annotations['example.com/ttl'])", "2026-01-08T12:00:00Z"),
        ("duration('1h30m') - duration('90m') == duration('0')", "true"),
        ("timestamp(0)", "1970-01-01T00:00:00Z"),
        ("int(timestamp('1970-01-01T00:01:00Z')) == 60", "true"),
        ("object.metadata.annotations.expires", "'2026-02-01T00:00:00Z'"),
        ("now.getDayOfWeek() == 6 && now.getHours() == 0 && now.getFullYear() == 2026", "true"),
        (
            "now.getMonth() == 0 && now.getDate() == 10 && now.getDayOfMonth() == 9 && now.getDayOfYear() == 9",
            "true",
        ),
        ("now.getHours('Europe/Berlin') == 1 && now.getHours('America/New_York') == 19", "true"),
        (
            "now.getHours('+05:30') == 5 && now.getMinutes('+05:30') == 30 && now.getDate('-01:00') == 9",
            "true",
        ),
        ("timestamp('2026-01-01T00:00:01.250Z').getMilliseconds() == 250", "true"),
        ("duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90", "true"),
        (
            "timestamp(object.metadata.name)",
            "error: `timestamp(object.metadata.name)`: 'report-1' is not a timestamp, such as 2026-01-31T22:00:00Z",
        ),
        (
            "timestamp(object.spec.nothing)",
            "error: `timestamp(object.spec.nothing)`: this null is not a timestamp, such as 2026-01-31T22:00:00Z",
        ),
        (
            "object.metadata.creationTimestamp < now",
            "error: `object.metadata.creationTimestamp < now`: a string cannot be compared with a timestamp; write timestamp(…) around the string, or duration('…')",
        ),
        (
            "now - object.metadata.creationTimestamp",
            "error: `now - object.metadata.creationTimestamp`: this cannot be calculated with a timestamp and a string; write timestamp(…) around the string, or duration('…')",
        ),
        (
            "object.metadata.creationTimestamp.getHours()",
            "error: `object.metadata.creationTimestamp`: a string has no such part; write timestamp(…) around it",
        ),
    ]);
}

#[test]
fn what_does_not_fit_is_an_error_and_never_a_panic() {
    let table = [
        ("9223372036854775807 + 1", "the result does not fit into 64 bits"),
        ("-(-9223372036854775808)", "the result does not fit into 64 bits"),
        ("-9223372036854775808 / -1", "the result does not fit into 64 bits"),
        ("-9223372036854775808 % -1", "the result does not fit into 64 bits"),
        ("9223372036854775807 * 2", "the result does not fit into 64 bits"),
        ("1 / 0", "this divides by zero"),
        ("1 % 0", "this divides by zero"),
        ("now + duration('87660000h')", "this time is not between the years 1 and 9999"),
        (
            "timestamp('0001-01-01T00:00:00Z') - duration('1s')",
            "this time is not between the years 1 and 9999",
        ),
        ("duration('87660000h') + duration('1ns')", "10,000 years"),
        ("timestamp(9223372036854775807)", "is not a timestamp"),
        ("1.5 % 1.0", "only integers have a remainder"),
    ];
    for (expression, expected) in table {
        let shown = shown(expression);
        assert!(shown.starts_with("error: ") && shown.contains(expected), "{expression}: {shown}");
    }
    assert_eq!(shown("1.0 / 0.0 > 1e300"), "true");
}

#[test]
fn types_are_checked_where_they_meet() {
    check(&[
        (
            "object.metadata.name && true",
            "error: `object.metadata.name`: has to be true or false here, not a string",
        ),
        (
            "object.spec.replicas ? 1 : 2",
            "error: `object.spec.replicas`: has to be true or false here, not an integer",
        ),
        (
            "object.spec.replicas < '5'",
            "error: `object.spec.replicas < '5'`: an integer cannot be compared with a string; write int(…) or double(…) around the string, or string(…) around the number",
        ),
        (
            "'ort' in object.metadata.name",
            "error: `'ort' in object.metadata.name`: `in` looks into a list or a map, not into a string; write text.contains('part')",
        ),
        (
            "object.spec.replicas.startsWith('3')",
            "error: `object.spec.replicas`: has to be a string here, not an integer; write string(…) around it",
        ),
        (
            "object.metadata.name.all(c, true)",
            "error: `object.metadata.name`: has to be a list or a map here, not a string",
        ),
        ("object.spec.ports['a']", "error: there is no field `object.spec.ports['a']`"),
        (
            "object.spec.ports[object.metadata.name]",
            "error: `object.metadata.name`: the index of a list is an integer, not a string",
        ),
        ("object.metadata.name[0]", "error: `object.metadata.name[0]`: nothing can be indexed in a string"),
        (
            "size(object.spec.replicas)",
            "error: `object.spec.replicas`: only strings, lists and maps have a size, not an integer",
        ),
        ("{'a': 1, 'a': 2}", "error: `{'a': 1, 'a': 2}`: a map cannot have the same key twice"),
    ]);
}

#[test]
fn what_an_expression_can_give_is_known_without_an_object() {
    use AnswerKind::{Bool, Null, Other, Span, Text, Time};
    let table: &[(&str, &[AnswerKind])] = &[
        ("object.a > 3", &[Bool]),
        ("object.a.exists(x, x) && has(object.b)", &[Bool]),
        ("now + duration('24h')", &[Time]),
        ("timestamp(object.a) + duration(object.b)", &[Time]),
        ("now - timestamp(object.a)", &[Span]),
        ("now - object.a", &[Time, Span]),
        ("has(object.a) ? timestamp(object.a) : null", &[Time, Null]),
        ("object.?a.optMap(a, timestamp(a))", &[Time, Null, Other]),
        ("object.?a.optMap(a, timestamp(a)).orValue(now)", &[Time, Null, Other]),
        ("object.a", &[Bool, Time, Span, Text, Null, Other]),
        ("'a' + object.a", &[Text]),
        ("size(object.a) * 2", &[Other]),
        ("object.a.map(x, x)", &[Other]),
    ];
    for (text, expected) in table {
        let expression = Expression::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        for kind in [Bool, Time, Span, Text, Null, Other] {
            assert_eq!(expression.can_give(kind), expected.contains(&kind), "{text}: {kind:?}");
        }
    }
}
