//! The functions, by name: how each is called, and which one was meant by a name that none has.

use crate::program::Part;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    LowerAscii,
    UpperAscii,
    Trim,
    Split,
    Replace,
    Substring,
    IndexOf,
    LastIndexOf,
    CharAt,
    Join,
    Min,
    Max,
    Int,
    Double,
    String,
    Bool,
    Dyn,
    Timestamp,
    Duration,
    Quantity,
    IsQuantity,
    IsGreaterThan,
    IsLessThan,
    CompareTo,
    OptionalOf,
    OptionalNone,
    HasValue,
    Value,
    Or,
    OrValue,
    Part(Part),
    Macro(Macro),
}

/// What looks like a call and binds a variable, or looks at what is written instead of at its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Macro {
    Has,
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    OptMap,
    OptFlatMap,
}

/// A function's name and how it is called.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) function: Function,
    /// With the target counted as an argument.
    pub(crate) arguments_min: usize,
    pub(crate) arguments_max: usize,
    style: Style,
    /// How to write it, for messages.
    pub(crate) usage: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `f(x)`
    Global,
    /// `x.f()`
    Method,
    /// Either.
    Both,
}

/// How a call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Global,
    Method,
}

impl Signature {
    pub(crate) fn allows(&self, written: Written, arguments: usize) -> bool {
        let style = match self.style {
            Style::Both => true,
            Style::Global => written == Written::Global,
            Style::Method => written == Written::Method,
        };
        style && (self.arguments_min..=self.arguments_max).contains(&arguments)
    }
}

/// The functions and macros: the name of each, and how it is written.
pub fn functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|signature| (signature.name, signature.usage))
}

pub(crate) fn find(name: &str) -> Option<&'static Signature> {
    TABLE.iter().find(|signature| signature.name == name)
}

/// What to write instead of a function that does not exist.
pub(crate) fn instead_of(name: &str) -> String {
    if let Some((_, instead)) = FOREIGN.iter().find(|(foreign, _)| foreign.eq_ignore_ascii_case(name)) {
        return format!("write {instead}");
    }
    if let Some(near) = nearest(name, TABLE.iter().map(|signature| signature.name)) {
        return format!("did you mean `{near}`?");
    }
    let names: Vec<_> = TABLE.iter().map(|signature| signature.name).collect();
    format!("there are {}", names.join(", "))
}

/// The candidate that is written most like a name, if any is at all.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let distance_max = (name.chars().count() / 3).min(3);
    candidates
        .map(|candidate| (distance(&name, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many characters have to be put in, taken out or replaced to make one name of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (to, (above_left, above)) in b.chars().zip(row.iter().zip(row.iter().skip(1))) {
            let left = next.last().copied().unwrap_or(i + 1);
            next.push((above + 1).min(left + 1).min(above_left + usize::from(from != to)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// What people write who know other languages or other dialects of CEL.
const FOREIGN: &[(&str, &str)] = &[
    ("len", "size(x)"),
    ("length", "size(x)"),
    ("count", "size(list.filter(x, …))"),
    ("any", "list.exists(x, …)"),
    ("every", "list.all(x, …)"),
    ("lower", "text.lowerAscii()"),
    ("toLower", "text.lowerAscii()"),
    ("toLowerCase", "text.lowerAscii()"),
    ("upper", "text.upperAscii()"),
    ("toUpper", "text.upperAscii()"),
    ("hasPrefix", "text.startsWith('…')"),
    ("hasSuffix", "text.endsWith('…')"),
    ("includes", "text.contains('…'), or x in list"),
    ("regex", "text.matches('…')"),
    ("match", "text.matches('…')"),
    ("find", "text.matches('…')"),
    ("age", "now - timestamp(object.metadata.creationTimestamp)"),
    ("now", "`now` without brackets"),
    ("time", "timestamp('2026-01-31T22:00:00Z')"),
    ("date", "timestamp('2026-01-31T00:00:00Z')"),
    ("days", "duration('7d')"),
    ("hours", "duration('72h')"),
    ("minutes", "duration('90m')"),
    ("float", "double(x)"),
    ("uint", "int(x)"),
    ("str", "string(x)"),
    ("exists_all", "list.all(x, …)"),
    ("type", "has(object.field), or nothing: fields have the types of their kind"),
    ("bind", "the value itself where it is used"),
    ("isEmpty", "size(x) == 0"),
    ("default", "object.?field.orValue(…)"),
];

pub(crate) const TABLE: &[Signature] = &[
    both("size", Function::Size, 1, "size(x) or x.size()"),
    method("contains", Function::Contains, [2, 2], "text.contains('part')"),
    method("startsWith", Function::StartsWith, [2, 2], "text.startsWith('prefix')"),
    method("endsWith", Function::EndsWith, [2, 2], "text.endsWith('suffix')"),
    both("matches", Function::Matches, 2, "text.matches('^[a-z]+$')"),
    method("lowerAscii", Function::LowerAscii, [1, 1], "text.lowerAscii()"),
    method("upperAscii", Function::UpperAscii, [1, 1], "text.upperAscii()"),
    method("trim", Function::Trim, [1, 1], "text.trim()"),
    method("split", Function::Split, [2, 3], "text.split(',') or text.split(',', most)"),
    method(
        "replace",
        Function::Replace,
        [3, 4],
        "text.replace('old', 'new') or text.replace('old', 'new', most)",
    ),
    method("substring", Function::Substring, [2, 3], "text.substring(from) or text.substring(from, before)"),
    method("indexOf", Function::IndexOf, [2, 2], "text.indexOf('part')"),
    method("lastIndexOf", Function::LastIndexOf, [2, 2], "text.lastIndexOf('part')"),
    method("charAt", Function::CharAt, [2, 2], "text.charAt(0)"),
    method("join", Function::Join, [1, 2], "list.join() or list.join(',')"),
    method("min", Function::Min, [1, 1], "list.min()"),
    method("max", Function::Max, [1, 1], "list.max()"),
    global("int", Function::Int, 1, "int(x)"),
    global("double", Function::Double, 1, "double(x)"),
    global("string", Function::String, 1, "string(x)"),
    global("bool", Function::Bool, 1, "bool(x)"),
    global("dyn", Function::Dyn, 1, "dyn(x)"),
    global("timestamp", Function::Timestamp, 1, "timestamp(object.metadata.creationTimestamp)"),
    global("duration", Function::Duration, 1, "duration('72h')"),
    global("quantity", Function::Quantity, 1, "quantity('500Mi')"),
    global("isQuantity", Function::IsQuantity, 1, "isQuantity(x)"),
    method("isGreaterThan", Function::IsGreaterThan, [2, 2], "quantity(x).isGreaterThan(quantity('1Gi'))"),
    method("isLessThan", Function::IsLessThan, [2, 2], "quantity(x).isLessThan(quantity('1Gi'))"),
    method("compareTo", Function::CompareTo, [2, 2], "quantity(x).compareTo(quantity('1Gi')) < 0"),
    part(
        "getFullYear",
        Part::FullYear,
        "timestamp(x).getFullYear() or timestamp(x).getFullYear('Europe/Berlin')",
    ),
    part("getMonth", Part::Month, "timestamp(x).getMonth() or timestamp(x).getMonth('Europe/Berlin')"),
    part("getDate", Part::Date, "timestamp(x).getDate() or timestamp(x).getDate('Europe/Berlin')"),
    part(
        "getDayOfMonth",
        Part::DayOfMonth,
        "timestamp(x).getDayOfMonth() or timestamp(x).getDayOfMonth('Europe/Berlin')",
    ),
    part(
        "getDayOfWeek",
        Part::DayOfWeek,
        "timestamp(x).getDayOfWeek() or timestamp(x).getDayOfWeek('Europe/Berlin')",
    ),
    part(
        "getDayOfYear",
        Part::DayOfYear,
        "timestamp(x).getDayOfYear() or timestamp(x).getDayOfYear('Europe/Berlin')",
    ),
    part("getHours", Part::Hours, "timestamp(x).getHours() or timestamp(x).getHours('Europe/Berlin')"),
    part(
        "getMinutes",
        Part::Minutes,
        "timestamp(x).getMinutes() or timestamp(x).getMinutes('Europe/Berlin')",
    ),
    part(
        "getSeconds",
        Part::Seconds,
        "timestamp(x).getSeconds() or timestamp(x).getSeconds('Europe/Berlin')",
    ),
    part(
        "getMilliseconds",
        Part::Milliseconds,
        "timestamp(x).getMilliseconds() or timestamp(x).getMilliseconds('Europe/Berlin')",
    ),
    method("hasValue", Function::HasValue, [1, 1], "object.?field.hasValue()"),
    method("value", Function::Value, [1, 1], "object.?field.value()"),
    method("or", Function::Or, [2, 2], "object.?field.or(object.?other)"),
    method("orValue", Function::OrValue, [2, 2], "object.?field.orValue('default')"),
    global("has", Function::Macro(Macro::Has), 1, "has(object.field)"),
    method("all", Function::Macro(Macro::All), [3, 3], "list.all(x, x > 0)"),
    method("exists", Function::Macro(Macro::Exists), [3, 3], "list.exists(x, x > 0)"),
    method("exists_one", Function::Macro(Macro::ExistsOne), [3, 3], "list.exists_one(x, x > 0)"),
    method("existsOne", Function::Macro(Macro::ExistsOne), [3, 3], "list.existsOne(x, x > 0)"),
    method("map", Function::Macro(Macro::Map), [3, 4], "list.map(x, x.name) or list.map(x, x.ready, x.name)"),
    method("filter", Function::Macro(Macro::Filter), [3, 3], "list.filter(x, x > 0)"),
    method("optMap", Function::Macro(Macro::OptMap), [3, 3], "object.?field.optMap(x, x + 1)"),
    method("optFlatMap", Function::Macro(Macro::OptFlatMap), [3, 3], "object.?field.optFlatMap(x, x.?name)"),
];

const fn global(name: &'static str, function: Function, arguments: usize, usage: &'static str) -> Signature {
    Signature {
        name,
        function,
        arguments_min: arguments,
        arguments_max: arguments,
        style: Style::Global,
        usage,
    }
}

const fn both(name: &'static str, function: Function, arguments: usize, usage: &'static str) -> Signature {
    Signature {
        name,
        function,
        arguments_min: arguments,
        arguments_max: arguments,
        style: Style::Both,
        usage,
    }
}

const fn method(
    name: &'static str,
    function: Function,
    arguments: [usize; 2],
    usage: &'static str,
) -> Signature {
    let [arguments_min, arguments_max] = arguments;
    Signature { name, function, arguments_min, arguments_max, style: Style::Method, usage }
}

const fn part(name: &'static str, part: Part, usage: &'static str) -> Signature {
    Signature {
        name,
        function: Function::Part(part),
        arguments_min: 1,
        arguments_max: 2,
        style: Style::Method,
        usage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_the_table_once() {
        for signature in TABLE {
            assert_eq!(
                TABLE.iter().filter(|other| other.name == signature.name).count(),
                1,
                "{}",
                signature.name
            );
        }
    }

    #[test]
    fn a_name_that_is_almost_right_is_found() {
        let table = [
            ("startswith", "startsWith"),
            ("timestmap", "timestamp"),
            ("exist", "exists"),
            ("lowerAsci", "lowerAscii"),
        ];
        for (written, meant) in table {
            assert_eq!(instead_of(written), format!("did you mean `{meant}`?"));
        }
    }

    #[test]
    fn what_other_languages_call_it_is_known() {
        assert_eq!(instead_of("len"), "write size(x)");
    }
}
