//! Only the actuator deletes and evicts.
//!
//! Works on tokens, so that it also sees what stands inside of macros, and knows no types: any call or path that ends in
//! one of the names counts, whoever owns the method. A harmless method of that name takes another name; that is cheaper
//! than a rule with exceptions. Not a proof against intent, but nobody destroys by accident.

use proc_macro2::{Delimiter, LineColumn, TokenStream, TokenTree};

use super::Finding;
use super::source::Source;

const CALLS: [&str; 4] = ["delete", "delete_collection", "delete_opt", "evict"];

/// Functions that make an HTTP method of a string.
const METHOD_MAKERS: [&str; 4] = ["from_bytes", "from_str", "method", "try_from"];

/// The path segment that every eviction goes to.
const EVICTION: &str = "/eviction";

const ACTUATOR: [&str; 2] = ["crates/chassis/src/actuator.rs", "crates/chassis/src/actuator/"];

const METHOD: &str = "the HTTP method DELETE is used";

/// Where something is removed that no API server has, by the HTTP method that its owner wants: a storage node of Portworx.
const REMOVES_ELSEWHERE: [&str; 1] = ["crates/plugins/src/portworx/api.rs"];

/// Crates that never run beside the product.
const EXEMPT: [&str; 2] = ["testbed", "xtask"];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let checked = sources.iter().filter(|source| !may_destroy(source));
    checked.flat_map(check_one).collect()
}

fn may_destroy(source: &Source) -> bool {
    let [file, folder] = ACTUATOR;
    source.path == file || source.path.starts_with(folder) || EXEMPT.contains(&source.crate_name())
}

fn check_one(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    scan(source.tokens.clone(), &mut found);
    found.retain(|(place, what)| !source.is_test_at(*place) && !may_remove_elsewhere(source, what));
    found.into_iter().map(|(place, what)| finding(source, place, &what)).collect()
}

fn may_remove_elsewhere(source: &Source, what: &str) -> bool {
    what == METHOD && REMOVES_ELSEWHERE.contains(&&*source.path)
}

fn finding(source: &Source, place: LineColumn, what: &str) -> Finding {
    Finding {
        path: source.path.clone(),
        line: place.line,
        wrong: format!("{what} outside of `chassis::actuator`, which alone may delete and evict"),
        remedy: "hand a plan to the actuator, or give it another name if it destroys nothing in a cluster"
            .into(),
    }
}

fn scan(stream: TokenStream, found: &mut Vec<(LineColumn, String)>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        let (before, rest) = tokens.split_at(index);
        let after = rest.get(1..).unwrap_or_default();
        if let Some(what) = destruction(before, token, after) {
            found.push((token.span().start(), what));
        }
        if let TokenTree::Group(group) = token
            && !(group.delimiter() == Delimiter::Bracket && is_attribute(before))
        {
            scan(group.stream(), found);
        }
    }
}

/// What this token does that only the actuator may do, in words.
fn destruction(before: &[TokenTree], token: &TokenTree, after: &[TokenTree]) -> Option<String> {
    match token {
        TokenTree::Ident(name) => {
            let name = name.to_string();
            let name = name.trim_start_matches("r#");
            if CALLS.contains(&name) && !is_definition(before) && (is_call(after) || ends_path(before, after))
            {
                return Some(format!("`{name}` is called or named"));
            }
            let is_constant = name == "DELETE" && is_method_of(before, "Method");
            let is_made = METHOD_MAKERS.contains(&name) && takes_delete(after);
            (is_constant || is_made).then(|| METHOD.to_owned())
        }
        TokenTree::Literal(literal) if literal.to_string().contains(EVICTION) => {
            Some(format!("a literal contains `{EVICTION}`"))
        }
        _ => None,
    }
}

/// Doc comments are attributes too; they may speak of anything.
fn is_attribute(before: &[TokenTree]) -> bool {
    match before {
        [.., hash, bang] if is_punct(bang, '!') => is_punct(hash, '#'),
        [.., hash] => is_punct(hash, '#'),
        [] => false,
    }
}

fn is_definition(before: &[TokenTree]) -> bool {
    matches!(before, [.., TokenTree::Ident(keyword)] if keyword == "fn")
}

fn is_call(after: &[TokenTree]) -> bool {
    match after {
        [TokenTree::Group(arguments), ..] => arguments.delimiter() == Delimiter::Parenthesis,
        [first, second, third, ..] => is_path_separator(first, second) && is_punct(third, '<'),
        _ => false,
    }
}

/// The last segment of a path of several, as in `Api::delete`; not a module on the way to something else.
fn ends_path(before: &[TokenTree], after: &[TokenTree]) -> bool {
    let goes_on = matches!(after, [first, second, ..] if is_path_separator(first, second));
    matches!(before, [.., first, second] if is_path_separator(first, second)) && !goes_on
}

fn is_method_of(before: &[TokenTree], owner: &str) -> bool {
    match before {
        [.., TokenTree::Ident(name), first, second] => name == owner && is_path_separator(first, second),
        _ => false,
    }
}

fn takes_delete(after: &[TokenTree]) -> bool {
    let Some(TokenTree::Group(arguments)) = after.first() else { return false };
    let Some(TokenTree::Literal(first)) = arguments.stream().into_iter().next() else { return false };
    matches!(first.to_string().as_str(), r#""DELETE""# | r#"b"DELETE""#)
}

fn is_path_separator(first: &TokenTree, second: &TokenTree) -> bool {
    is_punct(first, ':') && is_punct(second, ':')
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::TextFile;
    use crate::tidy::source;

    const SHELL: &str = "crates/controllers/src/gc/apply.rs";

    /// The lines with findings.
    fn lines(path: &str, text: &str) -> Vec<usize> {
        let source = source::parse(&TextFile { path: path.into(), text: text.into() }).unwrap();
        check(&[source]).into_iter().map(|finding| finding.line).collect()
    }

    fn in_a_function(statement: &str) -> String {
        format!("//! A module.\nasync fn f() {{\n    {statement}\n}}\n")
    }

    const DESTRUCTIVE: [&str; 14] = [
        r#"api.delete("name", &params).await?;"#,
        "api.delete_collection(&params, &list).await?;",
        "let gone = pods.evict(name, &params);",
        "api.delete_opt(name);",
        "let act = Api::delete;",
        "let act = <Api<Pod>>::delete;",
        "Request::new(url).delete(name, &params)?;",
        "Request::delete(&request, name)?;",
        "let method = http::Method::DELETE;",
        "let request = Request::builder().method(\"DELETE\");",
        "let method = Method::from_bytes(b\"DELETE\")?;",
        r#"let url = format!("{pod}/eviction");"#,
        "tokio::select! { done = api.delete(name) => done, }",
        "map.r#delete::<u8>(key);",
    ];

    #[test]
    fn a_delete_or_an_eviction_outside_of_the_actuator_is_found() {
        for statement in DESTRUCTIVE {
            assert_eq!(lines(SHELL, &in_a_function(statement)).len(), 1, "{statement}");
        }
    }

    #[test]
    fn the_actuator_and_the_crates_that_never_ship_may_destroy() {
        let paths = [
            "crates/chassis/src/actuator.rs",
            "crates/chassis/src/actuator/evictions.rs",
            "crates/testbed/src/lib.rs",
            "crates/xtask/src/demo.rs",
        ];
        for path in paths {
            for statement in DESTRUCTIVE {
                assert_eq!(lines(path, &in_a_function(statement)), [0; 0], "{path}: {statement}");
            }
        }
    }

    #[test]
    fn what_removes_from_another_system_may_use_the_method_and_nothing_else() {
        let path = "crates/plugins/src/portworx/api.rs";
        assert_eq!(lines(path, &in_a_function("let method = Method::DELETE;")), [0; 0]);
        assert_eq!(lines(path, &in_a_function("api.delete(name);")), [3]);
        assert_eq!(
            lines("crates/plugins/src/portworx/cluster.rs", &in_a_function("let m = Method::DELETE;")),
            [3]
        );
    }

    #[test]
    fn a_file_whose_name_only_begins_like_the_actuators_may_not() {
        assert_eq!(lines("crates/chassis/src/actuator_notes.rs", &in_a_function("api.delete(name);")), [3]);
    }

    #[test]
    fn tests_may_destroy() {
        let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() { api.delete(name); }\n}\n";

        assert_eq!(lines(SHELL, text), [0; 0]);
    }

    #[test]
    fn code_after_the_tests_is_checked_again() {
        let text = "#[cfg(test)]\nmod tests {}\nfn f() { api.delete(name); }\n";

        assert_eq!(lines(SHELL, text), [3]);
    }

    #[test]
    fn what_only_looks_alike_passes() {
        let harmless = [
            "let verdict = Verdict::Delete { since };",
            "index.remove(&key);",
            "let kept = plan.delete;",
            "let plan = Plan { delete: 3 };",
            "fn delete(key: &Key) {}",
            "/// Posts to pods/x/eviction, as `Api::delete` would.\nlet documented = 1;",
            r#"let verbs = ["get", "DELETE"];"#,
            "let verb = Verb::DELETE;",
            "use crate::delete::Order;",
        ];
        for statement in harmless {
            assert_eq!(lines(SHELL, &in_a_function(statement)), [0; 0], "{statement}");
        }
    }
}
