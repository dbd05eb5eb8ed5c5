//! Every crate root forbids unsafe code, in its own text: a reader of the file sees it.

use syn::punctuated::Punctuated;
use syn::{AttrStyle, Attribute, Path, Token};

use super::Finding;
use super::source::Source;

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let bare = sources.iter().filter(|source| is_root(&source.path) && !forbids_unsafe_code(source));
    bare.map(finding).collect()
}

fn finding(source: &Source) -> Finding {
    Finding {
        path: source.path.clone(),
        line: 1,
        wrong: "the crate root does not forbid unsafe code".into(),
        remedy: "write `#![forbid(unsafe_code)]` below the module's header".into(),
    }
}

fn is_root(path: &str) -> bool {
    matches!(
        path.split('/').collect::<Vec<_>>().as_slice(),
        ["crates", _, "src", "lib.rs" | "main.rs"]
            | ["crates", _, "src", "bin", _]
            | ["crates", _, "src", "bin", _, "main.rs"]
    )
}

fn forbids_unsafe_code(source: &Source) -> bool {
    source.syntax.attrs.iter().any(|attribute| {
        let is_inner = matches!(attribute.style, AttrStyle::Inner(_));
        is_inner && attribute.path().is_ident("forbid") && names_unsafe_code(attribute)
    })
}

fn names_unsafe_code(attribute: &Attribute) -> bool {
    let lints = attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated);
    lints.is_ok_and(|lints| lints.iter().any(|lint| lint.is_ident("unsafe_code")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::TextFile;
    use crate::tidy::source;

    fn is_found(path: &str, text: &str) -> bool {
        let source = source::parse(&TextFile { path: path.into(), text: text.into() }).unwrap();
        !check(&[source]).is_empty()
    }

    #[test]
    fn a_root_without_the_attribute_is_found() {
        let roots = [
            "crates/gc/src/lib.rs",
            "crates/groundskeeper/src/main.rs",
            "crates/testbed/src/bin/one.rs",
            "crates/testbed/src/bin/two/main.rs",
        ];
        for root in roots {
            assert!(is_found(root, "//! `#![forbid(unsafe_code)]` in words only.\n"), "{root}");
            assert!(is_found(root, "#![deny(unsafe_code)]\n"), "{root}");
            assert!(!is_found(root, "//! A crate.\n\n#![forbid(unsafe_code)]\n"), "{root}");
            assert!(!is_found(root, "#![forbid(missing_docs, unsafe_code)]\n"), "{root}");
        }
    }

    #[test]
    fn other_modules_need_no_attribute() {
        assert!(!is_found("crates/gc/src/rank.rs", "//! Ranks.\n"));
        assert!(!is_found("crates/gc/src/rank/lib.rs", "//! Ranks.\n"));
    }
}
