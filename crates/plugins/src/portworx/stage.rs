//! How far the removal of a storage node is, as it is recorded between two calls.
//!
//! Knows neither HTTP nor what follows on what; `flow` does. What was recorded by somebody else, or by a version that knew
//! more, is read as the beginning: every stage looks before it acts, so that going through all of them again removes
//! nothing twice.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::limits::PORTWORX_ID_BYTES_MAX;

/// What a storage node, or a job, is called in Portworx. It is a part of paths, and so of a harmless alphabet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Id(Box<str>);

/// What somebody wrote is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an id in Portworx has 1 to {PORTWORX_ID_BYTES_MAX} letters, digits, dots, dashes and underscores, and does not begin with a dot"
)]
pub(super) struct NoId;

/// How far it is. What a stage is named after has yet to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Stage {
    /// Nobody has looked yet which storage node it is.
    Find,
    /// Its name stands in no `StorageNode`: Portworx' own list may have it.
    Locate,
    /// Which state the storage node is in, and so what there is to do.
    Survey { node_id: Id },
    /// No volume may be attached to it any more.
    Disable { node_id: Id },
    /// Volumes are to be detached; a job may have been asked for, whose id never came.
    Drain { node_id: Id },
    /// Volumes are being detached.
    Draining { node_id: Id, job: Id },
    /// It may be removed as soon as it is offline or in maintenance.
    Offline { node_id: Id },
    /// It was asked for, and goes on. So many looks in a row have not shown that it has begun.
    Removing {
        node_id: Id,
        #[serde(default)]
        idle_looks: u8,
    },
    /// It is gone from Portworx; the Node is to say so, lest Portworx begins there anew.
    Label { node_id: Id },
    /// Nothing is left to do.
    Finished,
}

impl Id {
    pub(super) fn new(text: &str) -> Result<Self, NoId> {
        let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=PORTWORX_ID_BYTES_MAX).contains(&text.len()) && !text.starts_with('.');
        if fits && text.bytes().all(is_harmless) { Ok(Self(text.into())) } else { Err(NoId) }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Id {
    type Error = NoId;

    fn try_from(text: String) -> Result<Self, NoId> {
        Self::new(&text)
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0.into()
    }
}

impl Stage {
    pub(super) fn read(state: &Map<String, Value>) -> Self {
        serde_json::from_value(Value::Object(state.clone())).unwrap_or(Self::Find)
    }

    pub(super) fn write(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(state)) => state,
            // Not reached: every stage is an object.
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn id(text: &str) -> Id {
        Id::new(text).unwrap()
    }

    #[test]
    fn every_stage_is_read_as_it_was_written() {
        let node_id = || id("4a1e-px_1.x");
        let stages = [
            Stage::Find,
            Stage::Locate,
            Stage::Survey { node_id: node_id() },
            Stage::Disable { node_id: node_id() },
            Stage::Drain { node_id: node_id() },
            Stage::Draining { node_id: node_id(), job: id("job-1") },
            Stage::Offline { node_id: node_id() },
            Stage::Removing { node_id: node_id(), idle_looks: 2 },
            Stage::Label { node_id: node_id() },
            Stage::Finished,
        ];
        for stage in stages {
            let state = stage.write();
            assert!(state.contains_key("stage"), "{state:?}");
            assert_eq!(Stage::read(&state), stage);
        }
    }

    #[test]
    fn what_cannot_be_understood_is_the_beginning() {
        let rows = [
            json!({}),
            json!({"stage": "removed"}),
            json!({"stage": 3}),
            json!({"stage": "survey"}),
            json!({"stage": "offline", "nodeId": "../../v1/cluster"}),
        ];
        for row in rows {
            assert_eq!(Stage::read(row.as_object().unwrap()), Stage::Find, "{row}");
        }
    }

    #[test]
    fn an_id_cannot_lead_to_another_path() {
        for text in ["", ".", "..", ".hidden", "a/b", "a?b", "a%2fb", "a b", "ä", &"a".repeat(129)] {
            assert_eq!(Id::new(text), Err(NoId), "{text}");
        }
        for text in ["a", "fe54b1a1-77e0-4b8c-8b5c-1d5c5e6f7a8b", "10.0.0.1_x", &"a".repeat(128)] {
            assert_eq!(Id::new(text).unwrap().as_str(), text);
        }
    }
}
