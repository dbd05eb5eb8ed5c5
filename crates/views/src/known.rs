//! The metadata that is there of every object, as fields.
//!
//! What is kept anyway need not be projected: a label, a name or the time of creation is read from where it is.

use std::borrow::Cow;

use jiff::Timestamp;
use units::{FieldPath, KeyPath, ResourceVersion, Uid, Value};

use crate::{Fields, Labels, Meta};

/// The metadata that is there of every object, wherever it is held.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// `metadata.name`; absent if it is empty.
    pub name: &'a str,
    /// `metadata.namespace`.
    pub namespace: Option<&'a str>,
    /// `metadata.uid`.
    pub uid: Option<&'a Uid>,
    /// `metadata.resourceVersion`.
    pub resource_version: Option<&'a ResourceVersion>,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// `metadata.deletionTimestamp`.
    pub deleted: Option<Timestamp>,
    /// `metadata.labels`; absent if there are none.
    pub labels: &'a Labels,
}

impl<'a> From<&'a Meta> for Known<'a> {
    fn from(meta: &'a Meta) -> Self {
        Self {
            name: &meta.name,
            namespace: meta.namespace.as_deref(),
            uid: meta.uid.as_ref(),
            resource_version: meta.resource_version.as_ref(),
            created: meta.creation_timestamp,
            deleted: meta.deletion_timestamp,
            labels: &meta.labels,
        }
    }
}

impl Known<'_> {
    /// Whether a path leads into this metadata, so that no projection has to name it.
    pub fn has(path: &KeyPath) -> bool {
        let mut keys = path.keys().iter().map(|key| &**key);
        keys.next() == Some("metadata")
            && matches!(
                keys.next(),
                Some(
                    "name"
                        | "namespace"
                        | "uid"
                        | "resourceVersion"
                        | "creationTimestamp"
                        | "deletionTimestamp"
                        | "labels"
                )
            )
    }

    /// The value at a path, if it leads into this metadata and there is one.
    pub fn get(&self, path: &KeyPath) -> Option<Value> {
        let mut keys = path.keys().iter().map(|key| &**key);
        let ("metadata", field) = (keys.next()?, keys.next()?) else { return None };
        let text = match (field, keys.next()) {
            ("labels", None) => return self.all_labels(),
            ("labels", Some(key)) => self.labels.get(key).map(Value::from),
            ("name", None) => Some(self.name).filter(|name| !name.is_empty()).map(Value::from),
            ("namespace", None) => self.namespace.map(Value::from),
            ("uid", None) => self.uid.map(|uid| Value::from(&*uid.to_string())),
            ("resourceVersion", None) => {
                self.resource_version.map(|version| Value::from(&*version.to_string()))
            }
            ("creationTimestamp", None) => self.created.map(|time| Value::from(&*time.to_string())),
            ("deletionTimestamp", None) => self.deleted.map(|time| Value::from(&*time.to_string())),
            _ => None,
        };
        text.filter(|_| keys.next().is_none())
    }

    fn all_labels(&self) -> Option<Value> {
        let pairs: Vec<_> = self.labels.iter().map(|(key, value)| (key.into(), value.into())).collect();
        Some(pairs).filter(|pairs| !pairs.is_empty()).map(Value::map)
    }

    /// The value at a path, of what is projected or of this metadata: the one place that knows both.
    pub fn find<'f>(&self, fields: &'f Fields, path: &FieldPath) -> Option<Cow<'f, Value>> {
        if let Some(value) = fields.get(path.prefix()) {
            return path.resolve_below(value).map(Cow::Borrowed);
        }
        let value = self.get(path.prefix())?;
        path.resolve_below(&value).cloned().map(Cow::Owned)
    }

    /// The object as far as these paths lead into it, for an expression that reads no others.
    ///
    /// A value that is absent is left out, but what leads to it is there: of an object without a status,
    /// `status.phase` is absent from an empty `status`, unless `status` itself is among the paths.
    pub fn tree(&self, fields: &Fields, reads: &[KeyPath]) -> Value {
        let mut reads: Vec<&KeyPath> = reads.iter().collect();
        reads.sort_unstable();
        reads.dedup_by(|later, earlier| later.is_at_or_below(earlier));
        self.branch(fields, 0, &reads)
    }

    /// The map of what these paths lead to; they are sorted and have the same first `depth` keys.
    fn branch(&self, fields: &Fields, depth: usize, reads: &[&KeyPath]) -> Value {
        let key = |path: &KeyPath| path.keys().get(depth).cloned();
        let groups = reads.chunk_by(|a, b| a.keys().get(depth) == b.keys().get(depth));
        let pairs = groups.filter_map(|group| {
            let first = *group.first()?;
            let value = if first.len() > depth + 1 {
                self.branch(fields, depth + 1, group)
            } else {
                fields.get(first).cloned().or_else(|| self.get(first))?
            };
            Some((key(first)?, value))
        });
        Value::map(pairs.collect())
    }
}
