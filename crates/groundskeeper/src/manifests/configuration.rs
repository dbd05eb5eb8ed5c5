//! The ConfigMap that holds the configuration file: made once, and its users' from then on.

use serde_json::{Value, json};

use super::{RbacOptions, labels};
use crate::config::SETTINGS;

/// The name of the ConfigMap.
pub(super) const CONFIG_MAP: &str = "groundskeeper-config";

/// The file within it, where `--config` looks in a pod.
pub(super) const FILE: &str = "config.yaml";

/// What stands at the head of the file that an installation begins with.
const HEAD: &str = "\
# The configuration of Groundskeeper. What is left out has its default, as below.
# This file is yours: an installation makes it once and leaves it alone afterwards.
# What the Deployment says by a flag, such as addresses, cannot be said here.
";

/// The file that an installation begins with: every setting with its default, as comments.
fn file() -> String {
    let mut text = HEAD.to_owned();
    let mut section = "";
    for setting in SETTINGS {
        let default = setting.default_text();
        let default = default.as_deref().map_or_else(String::new, |default| format!(" {default}"));
        match setting.path.split_once('.') {
            Some((above, name)) => {
                if above != section {
                    text += &format!("# {above}:\n");
                    section = above;
                }
                text += &format!("#   {name}:{default}\n");
            }
            None => text += &format!("# {}:{default}\n", setting.path),
        }
    }
    text + "{}\n"
}

/// The annotation of an object that an installation makes but never changes.
pub(crate) const SEED: &str = "groundskeeper.dev/made-once";

pub(super) fn config_map(options: &RbacOptions) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "annotations": {SEED: "true"},
            "labels": labels(),
            "name": CONFIG_MAP,
            "namespace": options.namespace,
        },
        "data": {FILE: file()},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, layer};

    fn is_sound(text: String) {
        let sources = Sources { file: Some((FILE.into(), text)), ..Sources::default() };
        if let Err(problems) = layer(&sources) {
            panic!("{problems:?}");
        }
    }

    #[test]
    fn the_file_is_taken_as_it_is_and_with_every_default_written_out() {
        is_sound(file());
        // A setting without a default is left out, and so is a section of such settings.
        let written_out = |line: &str| {
            let line = line.strip_prefix("# ")?;
            let is_left_out = line == "cluster:" || (line.starts_with(' ') && line.ends_with(':'));
            (!is_left_out).then(|| format!("{line}\n"))
        };
        let body = file().replace(HEAD, "");
        let text: String = body.lines().filter_map(written_out).collect();
        assert!(text.contains("renewDeadline: 10s"), "{text}");
        is_sound(text);
    }
}
