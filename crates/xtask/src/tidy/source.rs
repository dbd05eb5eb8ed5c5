//! Rust sources, parsed once for all checks, with the parts that are tests marked.
//!
//! Covers `crates/*/src`. A file that only tests see (`#[cfg(test)] mod tests;`) is left out; so are the `tests` folders,
//! for they lie beside `src`.

use std::ops::Range;

use anyhow::{Context, Result};
use proc_macro2::{LineColumn, Span, TokenStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, Item, ItemFn, ItemImpl, ItemMod, Meta, Token};

use crate::repo::{Repo, TextFile, has_extension};

pub(super) struct Source {
    pub(super) path: String,
    pub(super) tokens: TokenStream,
    pub(super) syntax: syn::File,
    pub(super) lines: usize,
    /// Where the tests inside the file stand.
    tests: Vec<Range<LineColumn>>,
}

pub(super) fn read(repo: &Repo) -> Result<Vec<Source>> {
    let files = repo.read(is_source)?;
    let mut sources = files.iter().map(parse).collect::<Result<Vec<_>>>()?;
    let of_tests: Vec<String> = sources.iter().flat_map(Source::test_files).collect();
    sources.retain(|source| {
        let is_test = of_tests.iter().any(|stem| is_within(&source.path, stem));
        !is_test && !source.syntax.attrs.iter().any(is_for_tests)
    });
    Ok(sources)
}

fn is_source(path: &str) -> bool {
    has_extension(path, "rs")
        && matches!(path.split('/').collect::<Vec<_>>().as_slice(), ["crates", _, "src", ..])
}

pub(super) fn parse(file: &TextFile) -> Result<Source> {
    let parsing = || format!("parsing {}", file.path);
    let tokens: TokenStream = syn::parse_str(&file.text).with_context(parsing)?;
    let syntax: syn::File = syn::parse2(tokens.clone()).with_context(parsing)?;
    let mut tests = Tests(Vec::new());
    tests.visit_file(&syntax);
    Ok(Source { path: file.path.clone(), tokens, syntax, lines: file.text.lines().count(), tests: tests.0 })
}

/// Whether a path is the module with this stem: `stem.rs`, or below `stem/`.
fn is_within(path: &str, stem: &str) -> bool {
    path.strip_prefix(stem).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

impl Source {
    pub(super) fn crate_name(&self) -> &str {
        self.path.split('/').nth(1).unwrap_or_default()
    }

    pub(super) fn is_test_at(&self, place: LineColumn) -> bool {
        self.tests.iter().any(|range| range.contains(&place))
    }

    /// The length of the file without the tests in it.
    pub(super) fn lines_apart_from_tests(&self) -> usize {
        let of_tests: usize = self.tests.iter().map(|range| range.end.line - range.start.line + 1).sum();
        self.lines.saturating_sub(of_tests)
    }

    /// The stems of the files that this one includes for tests only.
    fn test_files(&self) -> Vec<String> {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let folder = match file {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
        };
        let module = |item: &Item| match item {
            Item::Mod(module) if module.content.is_none() && module.attrs.iter().any(is_for_tests) => {
                Some(format!("{folder}/{}", module.ident))
            }
            _ => None,
        };
        self.syntax.items.iter().filter_map(module).collect()
    }
}

/// Collects the outermost items that only tests see.
struct Tests(Vec<Range<LineColumn>>);

impl Tests {
    fn take(&mut self, attributes: &[Attribute], span: Span) -> bool {
        let is_test = attributes.iter().any(is_for_tests);
        if is_test {
            self.0.push(span.start()..span.end());
        }
        is_test
    }
}

impl<'ast> Visit<'ast> for Tests {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !self.take(&item.attrs, item.span()) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if !self.take(&item.attrs, item.span()) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !self.take(&item.attrs, item.span()) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !self.take(&item.attrs, item.span()) {
            visit::visit_impl_item_fn(self, item);
        }
    }
}

/// `#[cfg(test)]` and what implies it. `cfg(any(test, …))` does not: such code may ship.
fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<Meta>().is_ok_and(|meta| requires_test(&meta))
}

fn requires_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            parts.is_ok_and(|parts| parts.iter().any(requires_test))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        parse(&TextFile { path: path.into(), text: text.into() }).unwrap()
    }

    #[test]
    fn only_what_tests_alone_see_counts_as_tests() {
        let cases = [
            ("#[cfg(test)]\nmod tests {\n}\n", true),
            ("#[cfg(all(unix, test))]\nfn f() {\n}\n", true),
            ("impl X {\n#[cfg(test)]\nfn f() {\n}}\n", true),
            ("#[cfg(any(test, unix))]\nmod tests {\n}\n", false),
            ("#[cfg(not(test))]\nmod tests {\n}\n", false),
        ];
        for (text, is_test) in cases {
            let source = source("crates/gc/src/lib.rs", text);
            assert_eq!(source.is_test_at(LineColumn { line: 3, column: 0 }), is_test, "{text}");
        }
    }

    #[test]
    fn the_length_leaves_the_tests_out() {
        let source = source("crates/gc/src/lib.rs", "fn f() {}\n\n#[cfg(test)]\nmod tests {\n}\n");

        assert_eq!(source.lines_apart_from_tests(), 2);
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_known() {
        let cases = [
            ("crates/gc/src/lib.rs", "crates/gc/src/tests"),
            ("crates/gc/src/rank.rs", "crates/gc/src/rank/tests"),
            ("crates/gc/src/rank/mod.rs", "crates/gc/src/rank/tests"),
        ];
        for (path, stem) in cases {
            assert_eq!(source(path, "#[cfg(test)]\nmod tests;\nmod other;\n").test_files(), [stem]);
        }
    }

    #[test]
    fn a_module_is_its_file_and_its_folder_and_nothing_beside_them() {
        assert!(is_within("a/tests.rs", "a/tests"));
        assert!(is_within("a/tests/one.rs", "a/tests"));
        assert!(!is_within("a/tests_of_rank.rs", "a/tests"));
    }
}
