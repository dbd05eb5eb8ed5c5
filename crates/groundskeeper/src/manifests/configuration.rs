//! The ConfigMap that holds the configuration file: made once, and its users' from then on.

use serde_json::{Value, json};

use super::{RbacOptions, labels};

/// The name of the ConfigMap.
pub(super) const CONFIG_MAP: &str = "groundskeeper-config";

/// The configuration file that an installation begins with: all defaults.
const FILE: &str = "\
# The configuration of Groundskeeper. What is left out has its default; `groundskeeper run --help` lists them.
# This file is yours: an installation makes it once and leaves it alone afterwards.
{}
";

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
        "data": {"config.yaml": FILE},
    })
}
