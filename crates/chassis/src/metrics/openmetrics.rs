//! A strict reader of the OpenMetrics text format, for tests: says what is wrong with an exposition.
//!
//! Checks what the specification (version 1.0.0) demands of the parts that we write: counters, gauges, histograms and
//! exemplars, without timestamps, units and created-series.

use std::collections::{BTreeMap, BTreeSet};

/// Whether a text is a whole and valid exposition; else the first fault.
pub(super) fn check(text: &str) -> Result<(), String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end with `# EOF`")?;
    let mut exposition = Exposition::default();
    for (number, line) in body.lines().enumerate() {
        let fault = |what: String| format!("line {}: {what}: {line}", number + 1);
        exposition.line(line).map_err(fault)?;
    }
    exposition.finish_family()
}

#[derive(Default)]
struct Exposition {
    seen: BTreeSet<String>,
    family: Option<Family>,
}

struct Family {
    name: String,
    type_: Option<String>,
    series: BTreeSet<String>,
    /// Of each histogram series: bounds with counts, in the order in which they were written.
    buckets: BTreeMap<String, Vec<(f64, f64)>>,
    counts: BTreeMap<String, f64>,
    sums: BTreeSet<String>,
}

impl Exposition {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').ok_or("a HELP without a text")?;
            return self.begin_family(name);
        }
        if let Some(type_) = line.strip_prefix("# TYPE ") {
            let (name, type_) = type_.split_once(' ').ok_or("a TYPE without a type")?;
            let family = self.family.as_mut().filter(|family| family.name == name);
            let family = family.ok_or("a TYPE apart from its HELP")?;
            if !["counter", "gauge", "histogram"].contains(&type_) || family.type_.is_some() {
                return Err("an unknown or second TYPE".to_owned());
            }
            family.type_ = Some(type_.to_owned());
            return Ok(());
        }
        if line.starts_with('#') || line.is_empty() {
            return Err("neither metadata nor a sample".to_owned());
        }
        self.family.as_mut().ok_or("a sample before any family")?.sample(line)
    }

    fn begin_family(&mut self, name: &str) -> Result<(), String> {
        self.finish_family()?;
        let first = name.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        if !first || !name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') {
            return Err("not a name".to_owned());
        }
        if !self.seen.insert(name.to_owned()) {
            return Err("a family for the second time".to_owned());
        }
        self.family = Some(Family {
            name: name.to_owned(),
            type_: None,
            series: BTreeSet::new(),
            buckets: BTreeMap::new(),
            counts: BTreeMap::new(),
            sums: BTreeSet::new(),
        });
        Ok(())
    }

    fn finish_family(&mut self) -> Result<(), String> {
        self.family.take().map_or(Ok(()), Family::finish)
    }
}

impl Family {
    fn sample(&mut self, line: &str) -> Result<(), String> {
        let type_ = self.type_.clone().ok_or("a sample before its TYPE")?;
        let name_end = line.find(['{', ' ']).ok_or("a sample without a value")?;
        let (name, rest) = line.split_at(name_end);
        let suffix = name.strip_prefix(&*self.name).ok_or("a sample of another family")?;
        let (labels, rest) = if rest.starts_with('{') { labels(rest)? } else { (Vec::new(), rest) };
        let rest = rest.strip_prefix(' ').ok_or("no space before the value")?;
        let (value, exemplar) = match rest.split_once(" # ") {
            Some((value, exemplar)) => (value, Some(exemplar)),
            None => (rest, None),
        };
        let value: f64 = value.parse().map_err(|_| "the value is no number")?;
        if !self.series.insert(format!("{name}{labels:?}")) {
            return Err("a series for the second time".to_owned());
        }
        let allowed = match type_.as_str() {
            "counter" => suffix == "_total",
            "gauge" => suffix.is_empty(),
            _ => ["_bucket", "_sum", "_count"].contains(&suffix),
        };
        if !allowed {
            return Err(format!("a {type_} has no {suffix:?}"));
        }
        if type_ != "gauge" && (value < 0.0 || value.is_nan()) {
            return Err("it is negative or no number".to_owned());
        }
        if let Some(exemplar) = exemplar {
            check_exemplar(exemplar, suffix)?;
        }
        self.remember(suffix, labels, value)
    }

    fn remember(&mut self, suffix: &str, labels: Vec<(String, String)>, value: f64) -> Result<(), String> {
        let (bounds, others): (Vec<_>, Vec<_>) = labels.into_iter().partition(|(name, _)| name == "le");
        let series = format!("{others:?}");
        match (suffix, bounds.first()) {
            ("_bucket", Some((_, bound))) => {
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().map_err(|_| "le")? };
                self.buckets.entry(series).or_default().push((bound, value));
            }
            ("_bucket", None) => return Err("a bucket without le".to_owned()),
            (_, Some(_)) => return Err("le on what is no bucket".to_owned()),
            ("_count", None) => drop(self.counts.insert(series, value)),
            ("_sum", None) => drop(self.sums.insert(series)),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<(), String> {
        let type_ = self.type_.ok_or_else(|| format!("{} has no TYPE", self.name))?;
        if type_ != "histogram" {
            return Ok(());
        }
        for (series, buckets) in &self.buckets {
            let rising = buckets.is_sorted_by(|(bound, count), (next, later)| bound < next && count <= later);
            let last = buckets
                .last()
                .is_some_and(|(bound, count)| bound.is_infinite() && self.counts.get(series) == Some(count));
            if !rising || !last || !self.sums.contains(series) {
                return Err(format!("{}{series}: the buckets do not add up", self.name));
            }
        }
        Ok(())
    }
}

fn check_exemplar(exemplar: &str, suffix: &str) -> Result<(), String> {
    if !["_bucket", "_total"].contains(&suffix) {
        return Err("an exemplar where there can be none".to_owned());
    }
    let (labels, rest) = labels(exemplar)?;
    let length: usize = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    if length > 128 {
        return Err("an exemplar's labels are longer than 128 characters".to_owned());
    }
    rest.trim_start().parse::<f64>().map(drop).map_err(|_| "the exemplar's value is no number".to_owned())
}

/// A label, name and value.
type Label = (String, String);

/// Reads `{a="x",b="y"}` and returns what comes after it.
fn labels(text: &str) -> Result<(Vec<Label>, &str), String> {
    let mut rest = text.strip_prefix('{').ok_or("no labels")?;
    let mut labels = Vec::new();
    while !rest.starts_with('}') {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        if name.is_empty() || !name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') {
            return Err(format!("not a label's name: {name}"));
        }
        let (value, after) = quoted(after)?;
        if labels.iter().any(|(known, _)| known == name) {
            return Err(format!("a label for the second time: {name}"));
        }
        labels.push((name.to_owned(), value));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Ok((labels, rest.get(1..).unwrap_or_default()))
}

/// Reads up to the closing quote.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                Some((_, 'n')) => value.push('\n'),
                _ => return Err("an unknown escape".to_owned()),
            },
            other => value.push(other),
        }
    }
    Err("a value without an end".to_owned())
}

#[test]
fn the_reader_tells_right_from_wrong() {
    let right = "# HELP a b\n# TYPE a counter\na_total{x=\"1\"} 1\n# EOF\n";
    assert_eq!(check(right), Ok(()));
    for (from, to) in [
        ("a_total", "a"),
        ("# EOF\n", ""),
        ("x=", "x-y="),
        (" 1\n#", " one\n#"),
        ("# TYPE a counter\n", ""),
        ("{x=\"1\"} 1\n", "{x=\"1\"} 1\na_total{x=\"1\"} 1\n"),
        ("\"1\"", "\"1\"2\""),
    ] {
        assert!(check(&right.replacen(from, to, 1)).is_err(), "{from} {to}");
    }
}
