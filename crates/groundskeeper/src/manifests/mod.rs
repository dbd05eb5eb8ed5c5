//! What is applied to a cluster before the operator runs in it.
//!
//! Functions of the code and their arguments alone: the same input gives the same bytes, whatever features other crates
//! of the build turn on.

mod crds;
mod rbac;

pub use crds::crds_yaml;
pub use rbac::{CollectedResource, RbacOptions, rbac_yaml};

use anyhow::Context as _;
use serde_json::Value;

/// A stream of YAML documents below a comment.
fn stream(comment: &str, documents: Vec<Value>) -> anyhow::Result<String> {
    let mut text = format!("# {comment}\n");
    for mut document in documents {
        // The order of keys would else depend on a feature of serde_json that any dependency may turn on.
        document.sort_all_objects();
        text += "---\n";
        serde_saphyr::to_fmt_writer(&mut text, &document).context("cannot write YAML")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_back_equal() {
        let long = "word: of # many ".repeat(20);
        let values = [
            "true", "yes", "on", "n", "null", "~", "1", "0x1f", "1e3", "1:20", "007", "", " a ", "a: b",
            "# c",
        ];
        let more = [
            "*",
            "&a",
            "- x",
            "2026-11-21",
            "two\nlines\n",
            "three\n\n lines",
            "tab\t",
            "'",
            "\"",
            "é",
            long.trim(),
            &long,
        ];
        let document = json!({"true": values, "1": more, "empty": {"list": [], "map": {}, "null": null}, "number": 1, "yes": true});

        let text = stream("comment", vec![document.clone(), json!({"kind": "Other"})]).unwrap();

        let read: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert_eq!(read, [document, json!({"kind": "Other"})], "{text}");
    }
}
