//! A label selector as `kubectl` takes it on the command line: `app=web,tier!=cache,zone in (a, b),!spot`.

use anyhow::{Context as _, bail, ensure};
use api::garbage_collection::{LabelOperator, LabelRequirement, LabelSelector};
use api::selector::Selector;

/// Reads a selector. What no label can have is refused.
pub(crate) fn parse(text: &str) -> anyhow::Result<LabelSelector> {
    let mut selector = LabelSelector::default();
    for term in terms(text) {
        ensure!(
            !term.is_empty(),
            "`{text}` is no label selector: write terms such as app=web, with commas between"
        );
        put(&mut selector, term).with_context(|| format!("`{text}` is no label selector"))?;
    }
    Selector::compile(Some(&selector)).with_context(|| format!("`{text}` is no label selector"))?;
    Ok(selector)
}

/// What stands between the commas, those in brackets apart.
fn terms(text: &str) -> Vec<&str> {
    let (mut terms, mut begin, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, char) in text.char_indices() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.extend(text.get(begin..at).map(str::trim));
                begin = at + 1;
            }
            _ => {}
        }
    }
    terms.extend(text.get(begin..).map(str::trim));
    terms
}

fn put(selector: &mut LabelSelector, term: &str) -> anyhow::Result<()> {
    let requirement =
        |key: &str, operator, values| LabelRequirement { key: key.trim().to_owned(), operator, values };
    if let Some(key) = term.strip_prefix('!') {
        selector.match_expressions.push(requirement(key, LabelOperator::DoesNotExist, Vec::new()));
    } else if let Some((key, value)) = term.split_once("!=") {
        let values = vec![value.trim().to_owned()];
        selector.match_expressions.push(requirement(key, LabelOperator::NotIn, values));
    } else if let Some((key, value)) = term.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value).trim();
        let before = selector.match_labels.insert(key.trim().to_owned(), value.to_owned());
        ensure!(before.is_none_or(|before| before == value), "{} has two values at once", key.trim());
    } else if let Some((key, operator, values)) = set_of(term) {
        selector.match_expressions.push(requirement(key, operator, values));
    } else if term.contains([' ', '(', ')']) {
        bail!(
            "`{term}` is no term: write app=web, app!=web, app in (web, api), app notin (web), app, or !app"
        );
    } else {
        selector.match_expressions.push(requirement(term, LabelOperator::Exists, Vec::new()));
    }
    Ok(())
}

/// `KEY in (A, B)` and `KEY notin (A, B)`.
fn set_of(term: &str) -> Option<(&str, LabelOperator, Vec<String>)> {
    let (key, rest) = term.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (operator, rest) = match rest.strip_prefix("notin") {
        Some(rest) => (LabelOperator::NotIn, rest),
        None => (LabelOperator::In, rest.strip_prefix("in")?),
    };
    let values = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some((key, operator, values.split(',').map(|value| value.trim().to_owned()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Value {
        serde_json::to_value(parse(text).unwrap()).unwrap()
    }

    #[test]
    fn a_selector_is_read_as_kubectl_reads_it() {
        let table = [
            ("app=web", json!({"matchLabels": {"app": "web"}})),
            ("app == web , px/enabled=", json!({"matchLabels": {"app": "web", "px/enabled": ""}})),
            (
                "tier!=cache,!spot,zone",
                json!({"matchExpressions": [
                    {"key": "tier", "operator": "NotIn", "values": ["cache"]},
                    {"key": "spot", "operator": "DoesNotExist"},
                    {"key": "zone", "operator": "Exists"},
                ]}),
            ),
            (
                "zone in (a, b),x notin (c)",
                json!({"matchExpressions": [
                    {"key": "zone", "operator": "In", "values": ["a", "b"]},
                    {"key": "x", "operator": "NotIn", "values": ["c"]},
                ]}),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in ["", "a=b,", "a=b,a=c", "a b", "zone in a", "a=b c", "-x", "zone in ()x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
