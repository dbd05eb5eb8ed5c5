//! What a step may say.

use std::collections::BTreeMap;

use api::node_cleanup::SecretKey;
use schemars::JsonSchema;
use serde::Deserialize;

use super::stage::Id;
use crate::builtin::Trouble;
use crate::outbound::{InvalidBundle, Reach, Trust};

/// The settings of the plugin `portworx`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Settings {
    /// Where the REST gateway of Portworx' SDK is, without a path: port 9021 of the Service `portworx-api`, such as
    /// `http://portworx-api.kube-system.svc:9021`.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://[^/?#@]+(/[^?#]*)?$"))]
    pub(super) gateway_url: String,
    /// Where Portworx' management interface is, without a path: port 9001 of the Service `portworx-api`, such as
    /// `http://portworx-api.kube-system.svc:9001`.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://[^/?#@]+(/[^?#]*)?$"))]
    pub(super) management_url: String,
    /// The key of a Secret in the operator's namespace that holds a token of Portworx with the right to manage nodes, without
    /// `Bearer`. Left out: no token is sent, as a Portworx without authorization wants it.
    #[serde(default)]
    pub(super) token_from: Option<SecretKey>,
    /// Whether both may have private addresses, or addresses of the cluster, as the Service `portworx-api` has. Default: false.
    #[serde(default)]
    pub(super) allow_private_addresses: bool,
    /// The certificates that vouch for both, as PEM. Left out: those of the system.
    #[serde(default)]
    #[schemars(length(max = 65_536))]
    pub(super) ca_bundle: Option<String>,
    /// The label of the Node whose value is the storage node's id. Nodes without it, and all if this is left out, are looked
    /// up: in the `StorageNode` of the Node's name, then in Portworx' own list.
    #[serde(default)]
    #[schemars(length(min = 1, max = 317))]
    pub(super) node_id_label: Option<String>,
    /// Whether attachments are disabled and volumes detached before the storage node is removed. False is for a Portworx
    /// whose gateway has no such calls. Default: true.
    #[serde(default = "yes")]
    pub(super) drain_attachments: bool,
}

const fn yes() -> bool {
    true
}

impl Settings {
    pub(super) fn reach(&self) -> Reach {
        if self.allow_private_addresses { Reach::Private } else { Reach::Listed }
    }

    pub(super) fn trust(&self) -> Result<Option<Trust>, Trouble> {
        let unusable = |error: InvalidBundle| Trouble::Settings(format!("settings.caBundle: {error}"));
        self.ca_bundle.as_deref().map(Trust::bundle).transpose().map_err(unusable)
    }

    /// The storage node's id, if the Node's labels say it.
    pub(super) fn given_id(&self, labels: &BTreeMap<String, String>) -> Result<Option<Id>, Trouble> {
        let Some(label) = &self.node_id_label else { return Ok(None) };
        let unusable =
            |error| Trouble::Settings(format!("the Node's label `{label}` (settings.nodeIdLabel): {error}"));
        labels.get(label).map(|value| Id::new(value)).transpose().map_err(unusable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};

    fn read(settings: &Value) -> Result<Settings, String> {
        let settings: Map<String, Value> = settings.as_object().cloned().unwrap();
        crate::settings::read(&settings).map_err(|trouble| trouble.to_string())
    }

    fn urls() -> Value {
        json!({"gatewayUrl": "http://portworx-api.kube-system.svc:9021", "managementUrl": "https://px:9001/"})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut settings = urls();
        settings[name] = value;
        settings
    }

    #[test]
    fn settings_are_read_with_their_defaults() {
        let settings = read(&urls()).unwrap();
        assert!(settings.drain_attachments);
        assert_eq!(settings.reach(), Reach::Listed);
        assert!(settings.trust().unwrap().is_none());
        let private = read(&with("allowPrivateAddresses", json!(true))).unwrap();
        assert_eq!(private.reach(), Reach::Private);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_name() {
        let rows = [
            (json!({"gatewayUrl": "http://px:9021"}), "settings.managementUrl is missing"),
            (with("gatewayUrl", json!("px:9021")), "settings.gatewayUrl does not match"),
            (with("gatewayUrl", json!("http://u:p@px:9021")), "settings.gatewayUrl does not match"),
            (with("managementUrl", json!("http://px/v1?x=1")), "settings.managementUrl does not match"),
            (with("maintenance", json!(true)), "settings.maintenance is not known to the plugin"),
            (with("drainAttachments", json!("yes")), "settings.drainAttachments is a text"),
        ];
        for (settings, wanted) in rows {
            let fault = read(&settings).unwrap_err();
            assert!(fault.contains(wanted), "{fault}");
        }
        let bundle = read(&with("caBundle", json!("no PEM"))).unwrap();
        assert!(bundle.trust().unwrap_err().to_string().contains("settings.caBundle: "));
    }

    #[test]
    fn an_id_comes_from_the_label_if_the_node_has_it() {
        let settings = read(&with("nodeIdLabel", json!("px/node-id"))).unwrap();
        let labels = |value: &str| BTreeMap::from([("px/node-id".to_owned(), value.to_owned())]);
        assert_eq!(settings.given_id(&labels("px-3")).unwrap().unwrap().as_str(), "px-3");
        assert_eq!(settings.given_id(&BTreeMap::new()).unwrap(), None);
        assert!(settings.given_id(&labels("..")).unwrap_err().to_string().contains("px/node-id"));
        assert_eq!(read(&urls()).unwrap().given_id(&labels("px-3")).unwrap(), None);
    }
}
