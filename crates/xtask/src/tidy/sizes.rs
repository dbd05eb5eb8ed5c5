//! The longest functions and files: places to look at, never findings.

use std::cmp::Reverse;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, Signature, TraitItemFn};

use super::source::Source;

/// A function fits on a screen; more lines than this are worth a look.
const FUNCTION_LINES: usize = 70;

/// A file has one subject; more lines than this, tests apart, often mean two.
const FILE_LINES: usize = 600;

/// Places of each kind that are listed: as many as somebody may read.
const LISTED: usize = 10;

/// One line for each of the longest functions, then for each of the longest files.
pub(super) fn places(sources: &[Source]) -> Vec<String> {
    let functions = sources.iter().flat_map(long_functions).collect();
    let files = sources.iter().filter_map(long_file).collect();
    [longest(functions), longest(files)].concat()
}

/// A length in lines, and the line that says so.
type Place = (usize, String);

fn longest(mut places: Vec<Place>) -> Vec<String> {
    places.sort_by_key(|(lines, _)| Reverse(*lines));
    places.into_iter().take(LISTED).map(|(_, words)| words).collect()
}

fn long_file(source: &Source) -> Option<Place> {
    let lines = source.lines_apart_from_tests();
    (lines > FILE_LINES)
        .then(|| (lines, format!("{}:1: the file has {lines} lines, tests apart", source.path)))
}

fn long_functions(source: &Source) -> Vec<Place> {
    let mut functions = LongFunctions { source, found: Vec::new() };
    functions.visit_file(&source.syntax);
    functions.found
}

struct LongFunctions<'s> {
    source: &'s Source,
    found: Vec<Place>,
}

impl LongFunctions<'_> {
    /// Measures from the signature to the closing brace, so that documentation costs nothing.
    fn measure(&mut self, signature: &Signature, body: &Block) {
        let start = signature.span().start();
        let lines = body.span().end().line - start.line + 1;
        if lines > FUNCTION_LINES && !self.source.is_test_at(start) {
            let words =
                format!("{}:{}: `{}` has {lines} lines", self.source.path, start.line, signature.ident);
            self.found.push((lines, words));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(body) = &item.default {
            self.measure(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::TextFile;
    use crate::tidy::source;

    fn places_in(text: String) -> Vec<String> {
        places(&[source::parse(&TextFile { path: "crates/gc/src/lib.rs".into(), text }).unwrap()])
    }

    /// A function of so many lines, from its signature to its closing brace.
    fn function(name: &str, lines: usize) -> String {
        format!("fn {name}() {{\n{}}}\n", "f();\n".repeat(lines - 2))
    }

    #[test]
    fn functions_over_the_length_are_listed_with_the_longest_first() {
        let text = [function("short", 70), function("long", 71), function("longer", 72)].concat();

        let listed = places_in(format!("/// Documentation.\n{text}"));

        assert_eq!(
            listed,
            [
                "crates/gc/src/lib.rs:143: `longer` has 72 lines",
                "crates/gc/src/lib.rs:72: `long` has 71 lines",
            ]
        );
    }

    #[test]
    fn no_more_than_ten_are_listed() {
        let text = (0..12).map(|index| function(&format!("f{index}"), 71)).collect::<Vec<_>>().concat();

        let listed = places_in(text);

        assert_eq!(listed.iter().filter(|place| place.contains('`')).count(), LISTED);
    }

    #[test]
    fn tests_count_neither_as_functions_nor_for_the_file() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function("long", 800));

        assert_eq!(places_in(tests), [""; 0]);
    }

    #[test]
    fn a_file_over_the_length_is_listed() {
        assert_eq!(places_in("//\n".repeat(600)), [""; 0]);
        assert_eq!(
            places_in("//\n".repeat(601)),
            ["crates/gc/src/lib.rs:1: the file has 601 lines, tests apart"]
        );
    }
}
