//! No edge between our crates that the table does not have.

use super::Finding;
use super::manifest::{Edge, Manifest, Stage};
use super::tiers::{self, Row};

pub(super) fn check(manifests: &[Manifest]) -> Vec<Finding> {
    manifests.iter().flat_map(check_one).collect()
}

fn check_one(manifest: &Manifest) -> Vec<Finding> {
    let Some(row) = tiers::find(&manifest.name) else {
        return vec![Finding {
            path: manifest.path.clone(),
            line: 1,
            wrong: format!("the crate `{}` has no tier", manifest.name),
            remedy: "give it a row in `crates/xtask/src/tidy/tiers.rs`".into(),
        }];
    };
    let forbidden = manifest.edges.iter().filter(|edge| !is_allowed(row, edge));
    forbidden.map(|edge| finding(manifest, edge)).collect()
}

fn is_allowed(row: &Row, edge: &Edge) -> bool {
    if tiers::find(&edge.to).is_none() {
        return true; // Not ours.
    }
    match edge.stage {
        Stage::Run | Stage::Build => row.leads_to(&edge.to),
        Stage::Test => row.may_test_with(&edge.to),
    }
}

fn finding(manifest: &Manifest, edge: &Edge) -> Finding {
    let verb = match edge.stage {
        Stage::Run => "depend on",
        Stage::Build => "build with",
        Stage::Test => "be tested with",
    };
    Finding {
        path: manifest.path.clone(),
        line: edge.line,
        wrong: format!("`{}` may not {verb} `{}`", manifest.name, edge.to),
        remedy:
            "move the code to the tier that may, or change the table in `crates/xtask/src/tidy/tiers.rs` \
                 and the architecture with it"
                .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::TextFile;
    use crate::tidy::manifest;

    /// The findings for a crate with these lines after its `[package]`, as (line, what is wrong).
    fn findings(name: &str, lines: &str) -> Vec<(usize, String)> {
        let text = format!("[package]\nname = \"{name}\"\n{lines}");
        let file = TextFile { path: format!("crates/{name}/Cargo.toml"), text };
        let found = check(&[manifest::parse(&file).unwrap()]);
        found.into_iter().map(|finding| (finding.line, finding.wrong)).collect()
    }

    #[test]
    fn an_edge_that_the_table_lacks_is_found_in_every_section() {
        let cases = [
            ("gc", "[dependencies]\nchassis.workspace = true\n", "`gc` may not depend on `chassis`"),
            ("gc", "[dependencies.chassis]\nworkspace = true\n", "`gc` may not depend on `chassis`"),
            (
                "api",
                "[build-dependencies]\nviews = { workspace = true }\n",
                "`api` may not build with `views`",
            ),
            (
                "views",
                "[dev-dependencies]\ntestbed.workspace = true\n",
                "`views` may not be tested with `testbed`",
            ),
            ("testbed", "[dependencies]\nunits.workspace = true\n", "`testbed` may not depend on `units`"),
            (
                "chassis",
                "[dependencies]\ntestbed.workspace = true\n",
                "`chassis` may not depend on `testbed`",
            ),
            (
                "groundskeeper",
                "[dependencies]\nxtask.workspace = true\n",
                "`groundskeeper` may not depend on `xtask`",
            ),
            (
                "units",
                "[target.'cfg(unix)'.dependencies]\napi.workspace = true\n",
                "`units` may not depend on `api`",
            ),
        ];
        for (name, lines, wrong) in cases {
            let found = findings(name, lines);
            assert_eq!(found.iter().map(|(_, wrong)| wrong.as_str()).collect::<Vec<_>>(), [wrong]);
        }
    }

    #[test]
    fn a_finding_names_the_line_of_the_edge() {
        let found = findings("gc", "[dependencies]\nserde = \"1\"\nchassis.workspace = true\n");

        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn a_renamed_edge_is_still_found() {
        let found = findings("gc", "[dependencies]\nx = { package = \"chassis\", path = \"../chassis\" }\n");

        assert_eq!(found.len(), 1);
    }

    #[test]
    fn edges_of_the_table_pass_and_so_does_what_they_lead_to() {
        let cases = [
            ("gc", "[dependencies]\napi.workspace = true\nserde = \"1\"\n"),
            ("chassis", "[dependencies]\nunits.workspace = true\n"),
            ("chassis", "[dev-dependencies]\ntestbed.workspace = true\n"),
            ("groundskeeper", "[dependencies]\ncontrollers.workspace = true\ngc.workspace = true\n"),
            ("xtask", "[dependencies]\ntestbed.workspace = true\ngroundskeeper.workspace = true\n"),
        ];
        for (name, lines) in cases {
            assert_eq!(findings(name, lines), []);
        }
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(findings("helpers", ""), [(1, "the crate `helpers` has no tier".to_owned())]);
    }
}
