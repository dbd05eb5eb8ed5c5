//! Links between our own pages lead somewhere.
//!
//! Follows what GitHub does: a path is relative to its page or, with a leading `/`, to the root; an anchor is a heading's
//! slug or an `id` in HTML. Other sites are not asked. A link to a file that git ignores is dead, for a clone lacks it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pulldown_cmark::{BrokenLink, Event, LinkType, Options, Parser, Tag, TagEnd};

use super::{Finding, line_at};
use crate::repo::TextFile;

pub(super) fn check(pages: &[TextFile], paths: &BTreeSet<String>) -> Vec<Finding> {
    let outlines: Vec<Outline> = pages.iter().map(|page| outline(&page.text)).collect();
    let anchors =
        pages.iter().zip(&outlines).map(|(page, outline)| (page.path.as_str(), &outline.anchors)).collect();
    let site = Site { paths, anchors };
    let mut findings = Vec::new();
    for (page, outline) in pages.iter().zip(&outlines) {
        for link in &outline.links {
            findings.extend(site.fault(&page.path, link).map(|fault| finding(page, link, &fault)));
        }
    }
    findings
}

fn finding(page: &TextFile, link: &Link, fault: &Fault) -> Finding {
    Finding {
        path: page.path.clone(),
        line: line_at(&page.text, link.offset),
        wrong: format!("the link to `{}` is dead: {}", link.to, fault.wrong),
        remedy: fault.remedy.to_owned(),
    }
}

/// What a page offers to links, and what it links to.
#[derive(Debug, Default)]
struct Outline {
    anchors: BTreeSet<String>,
    links: Vec<Link>,
}

#[derive(Debug)]
struct Link {
    to: String,
    /// In bytes from the start of the page.
    offset: usize,
    /// Whether it is `[text][label]` with a label that the page does not define.
    is_undefined: bool,
}

fn outline(text: &str) -> Outline {
    let mut undefined = Vec::new();
    let note_undefined = |link: BrokenLink<'_>| {
        // `[text]` alone is ordinary text where nothing defines it.
        if matches!(link.link_type, LinkType::Reference | LinkType::Collapsed) {
            undefined.push(Link {
                to: link.reference.to_string(),
                offset: link.span.start,
                is_undefined: true,
            });
        }
        None
    };
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_TASKLISTS;
    let parser = Parser::new_with_broken_link_callback(text, options, Some(note_undefined));
    let mut reading = Reading::default();
    for (event, span) in parser.into_offset_iter() {
        reading.take(event, &span);
    }
    let mut outline = reading.outline;
    outline.links.extend(undefined);
    outline
}

#[derive(Debug, Default)]
struct Reading {
    outline: Outline,
    /// The text of the heading that is being read.
    heading: Option<String>,
    /// How often each slug was seen: the second gets `-1`.
    slugs: BTreeMap<String, usize>,
}

impl Reading {
    fn take(&mut self, event: Event<'_>, span: &Range<usize>) {
        match event {
            Event::Start(Tag::Heading { .. }) => self.heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => self.end_heading(),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut self.heading {
                    heading.push_str(&text);
                }
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                self.link(&dest_url, span.start);
            }
            Event::Html(html) | Event::InlineHtml(html) => self.html(&html, span.start),
            _ => {}
        }
    }

    fn end_heading(&mut self) {
        let slug = slug(&self.heading.take().unwrap_or_default());
        let seen = self.slugs.entry(slug.clone()).or_default();
        let anchor = if *seen == 0 { slug } else { format!("{slug}-{seen}") };
        *seen += 1;
        self.outline.anchors.insert(anchor);
    }

    fn link(&mut self, to: &str, offset: usize) {
        self.outline.links.push(Link { to: to.to_owned(), offset, is_undefined: false });
    }

    fn html(&mut self, html: &str, offset: usize) {
        if html.trim_start().starts_with("<!--") {
            return;
        }
        for name in ["id", "name"] {
            self.outline.anchors.extend(attributes(html, name).map(|(_, value)| value.to_owned()));
        }
        for name in ["href", "src"] {
            for (at, value) in attributes(html, name) {
                self.link(value, offset + at);
            }
        }
    }
}

/// The values of an attribute in a piece of HTML, with where they start.
fn attributes<'h>(html: &'h str, name: &str) -> impl Iterator<Item = (usize, &'h str)> {
    let opening = format!(" {name}=\"");
    let length = opening.len();
    let starts: Vec<usize> = html.match_indices(&opening).map(|(at, _)| at + length).collect();
    starts.into_iter().filter_map(|start| Some((start, html.get(start..)?.split('"').next()?)))
}

/// The anchor that GitHub gives to a heading.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

/// Everything that a link may lead to.
struct Site<'s> {
    paths: &'s BTreeSet<String>,
    anchors: BTreeMap<&'s str, &'s BTreeSet<String>>,
}

/// Why a link is dead.
struct Fault {
    wrong: &'static str,
    remedy: &'static str,
}

impl Site<'_> {
    fn fault(&self, page: &str, link: &Link) -> Option<Fault> {
        if link.is_undefined {
            return Some(Fault {
                wrong: "nothing defines this label",
                remedy: "add `[label]: target` to the page",
            });
        }
        if is_elsewhere(&link.to) {
            return None;
        }
        let (path, anchor) = link.to.split_once('#').unwrap_or((&link.to, ""));
        let path = decode(path.split('?').next().unwrap_or_default());
        let Some(target) = resolve(page, &path) else {
            return Some(Fault { wrong: "it leaves the repository", remedy: "write the whole address" });
        };
        if !self.has(&target) {
            return Some(Fault {
                wrong: "no such file or folder",
                remedy: "correct the path or add the file",
            });
        }
        if !anchor.is_empty() && self.lacks_anchor(&target, &decode(anchor)) {
            return Some(Fault {
                wrong: "no such heading",
                remedy: "write the heading's anchor as GitHub makes it",
            });
        }
        None
    }

    fn has(&self, target: &str) -> bool {
        let folder = format!("{target}/");
        let is_folder =
            || self.paths.range(folder.clone()..).next().is_some_and(|next| next.starts_with(&folder));
        target.is_empty() || self.paths.contains(target) || is_folder()
    }

    /// Anchors of what is not a page (`#L10` of a source) are GitHub's own.
    fn lacks_anchor(&self, target: &str, anchor: &str) -> bool {
        self.anchors.get(target).is_some_and(|anchors| !anchors.contains(anchor))
    }
}

/// Whether the link has a scheme (`https:`, `mailto:`) or names a host.
fn is_elsewhere(to: &str) -> bool {
    let has_scheme = to.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    });
    has_scheme || to.starts_with("//")
}

/// The path from the root; `None` if it climbs above it.
fn resolve(page: &str, to: &str) -> Option<String> {
    if to.is_empty() {
        return Some(page.to_owned());
    }
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let base = if to.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(to.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Undoes `%20` and its like; what is no valid escape stays as it is.
fn decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let (byte, after) = escape(rest).unwrap_or((*first, tail));
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The byte that a leading escape stands for, and what follows it.
fn escape(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, after @ ..] = bytes else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4 | digit(low)?, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with the links of this page, which lies in `docs/` of a small repository.
    fn wrongs(text: &str) -> Vec<String> {
        found(text).into_iter().map(|finding| finding.wrong).collect()
    }

    fn found(text: &str) -> Vec<Finding> {
        let page = |path: &str, text: &str| TextFile { path: path.into(), text: text.into() };
        let pages =
            [page("README.md", "# Ground rules\n\n## `gc` & *more*, at 100%\n"), page("docs/page.md", text)];
        let paths = ["README.md", "docs/page.md", "docs/a b.md", "crates/gc/src/lib.rs"];
        let mut findings = check(&pages, &paths.map(str::to_owned).into());
        findings.retain(|finding| finding.path == "docs/page.md");
        findings
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let good = [
            "[up](../README.md)",
            "[root](/README.md)",
            "[folder](../crates/gc) and [again](../crates/gc/)",
            "[escaped](a%20b.md) and [bracketed](<a b.md>)",
            "[heading](../README.md#ground-rules)",
            "[code, emphasis, punctuation](../README.md#gc--more-at-100)",
            "[lines of a source](../crates/gc/src/lib.rs#L10-L20)",
            "# Here\n\n[here](#here)",
            "# Twice\n\n# Twice\n\n[one](#twice) [two](#twice-1)",
            "Größe\n=====\n\n[one](#größe) [two](#gr%C3%B6%C3%9Fe)",
            "<a id=\"spot\"></a>\n\n[spot](#spot)",
            "[elsewhere](https://example.com/none.md#x) <mailto:a@example.com> [host](//example.com/x)",
            "[label][up] [up][] [up]\n\n[up]: ../README.md",
            "![image](/README.md)",
            "An [aside] that nothing defines, and an array[index].",
        ];
        for text in good {
            assert_eq!(wrongs(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let bad = [
            ("[x](none.md)", "the link to `none.md` is dead: no such file or folder"),
            ("[x](README.md)", "the link to `README.md` is dead: no such file or folder"),
            ("[x](../readme.md)", "the link to `../readme.md` is dead: no such file or folder"),
            ("[x](../../README.md)", "the link to `../../README.md` is dead: it leaves the repository"),
            ("[x](#nowhere)", "the link to `#nowhere` is dead: no such heading"),
            (
                "[x](../README.md#Ground-Rules)",
                "the link to `../README.md#Ground-Rules` is dead: no such heading",
            ),
            ("![x](none.png)", "the link to `none.png` is dead: no such file or folder"),
            ("[x][label]", "the link to `label` is dead: nothing defines this label"),
            ("[x][label]\n\n[label]: none.md", "the link to `none.md` is dead: no such file or folder"),
            ("Text <img src=\"none.svg\"> text", "the link to `none.svg` is dead: no such file or folder"),
            ("| a |\n|---|\n| [x](none.md) |", "the link to `none.md` is dead: no such file or folder"),
        ];
        for (text, wrong) in bad {
            assert_eq!(wrongs(text), [wrong], "{text}");
        }
    }

    #[test]
    fn code_holds_no_links() {
        let code = [
            "`[x](none.md)`",
            "```text\n[x](none.md)\n[y][z]\n```",
            "~~~\n[x](none.md)\n~~~",
            "    [x](none.md)",
            "<!-- [x](none.md) <img src=\"none.svg\"> -->",
        ];
        for text in code {
            assert_eq!(wrongs(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_comment_line_in_a_code_fence_is_no_heading() {
        assert_eq!(wrongs("```sh\n# Build\n```\n\n[build](#build)").len(), 1);
    }

    #[test]
    fn a_finding_names_the_line_of_the_link() {
        let lines: Vec<usize> =
            found("# Page\n\ntext\n[x](none.md)\n").iter().map(|found| found.line).collect();

        assert_eq!(lines, [4]);
    }
}
