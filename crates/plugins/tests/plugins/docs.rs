//! The pages of the plugins: they name every setting, and what they show works.

use std::path::{Path, PathBuf};

use api::CleanupPlugin;
use api::node_cleanup::CleanupStep;
use node_cleanup::steps::Graph;
use serde_json::{Map, Value};

use crate::support::{Ground, task};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/nodes")
}

fn page(name: &str) -> String {
    let path = docs().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The YAML that stands in a page.
fn blocks(page: &str) -> Vec<Value> {
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks
        .map(|block| serde_saphyr::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}")))
        .collect()
}

fn fields(schema: &Map<String, Value>) -> Vec<String> {
    let mut all = Vec::new();
    for (name, below) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        all.push(name.clone());
        let below = below.as_object().unwrap();
        all.extend(fields(below));
        let forms = below.get("anyOf").and_then(Value::as_array).into_iter().flatten();
        all.extend(forms.flat_map(|form| fields(form.as_object().unwrap())));
    }
    all
}

const PAGES: [(&str, &str); 6] = [
    ("cmdb", "plugins/cmdb.md"),
    ("httpHook", "plugins/http-hook.md"),
    ("job", "plugins/job.md"),
    ("log", "plugins/log.md"),
    ("portworx", "plugins/portworx.md"),
    ("slack", "plugins/slack.md"),
];

#[tokio::test]
async fn every_setting_stands_on_the_page_of_its_plugin() {
    let ground = Ground::new();
    for (name, file) in PAGES {
        let text = page(file);
        for field in fields(&ground.plugins.facts(name).unwrap().settings_schema) {
            let is_named = text.contains(&format!("`{field}`")) || text.contains(&format!(".{field}`"));
            assert!(is_named, "{file} says nothing of `{field}`");
        }
    }
}

#[tokio::test]
async fn what_the_pages_show_is_taken() {
    let ground = Ground::new();
    let mut shown = 0;
    for (name, file) in PAGES {
        for block in blocks(&page(file)) {
            let steps: Vec<CleanupStep> = serde_json::from_value(block["steps"].clone()).unwrap();
            Graph::compile(&steps, &|name| ground.plugins.facts(name))
                .unwrap_or_else(|fault| panic!("{file}: {fault}"));
            for step in steps.iter().filter(|step| step.plugin == name && name != "httpHook") {
                let planned =
                    ground.plugins.plan(name, &task(&step.name, step.settings.clone().into())).await;
                planned.unwrap_or_else(|fault| panic!("{file}: {fault}"));
            }
            shown += 1;
        }
    }
    for block in blocks(&page("plugins.md")) {
        let plugin: CleanupPlugin = serde_json::from_value(block).unwrap();
        ground.plugins.declare(&plugin).unwrap();
        shown += 1;
    }
    assert_eq!(shown, 8);
}

#[test]
fn the_page_shows_the_example_that_is_run() {
    assert!(page("write-a-plugin.md").contains(&page("examples/plugin.py")));
}
