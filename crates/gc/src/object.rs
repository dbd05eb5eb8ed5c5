//! What is kept of each tracked object: as little as decisions need.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use units::{FieldPath, KeyPath, ResourceVersion, Uid, Value};
use views::{Fields, Known, Labels, Meta};

/// One tracked object. Its kind is that of the [`Ground`](crate::Ground) that it lies in.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its name.
    pub name: Box<str>,
    /// Its namespace, shared by all objects in it; empty for an object of the cluster.
    pub namespace: Arc<str>,
    /// Which incarnation of that name it is; empty in a manifest that no server has seen.
    pub uid: Uid,
    /// The version that decisions are made on; empty in a manifest that no server has seen.
    pub resource_version: ResourceVersion,
    /// When it was created, if it was.
    created: Created,
    /// Its labels.
    pub labels: Labels,
    /// Its deletion has been asked for already.
    pub terminating: bool,
    /// It asks not to be deleted, by annotation.
    pub protect: bool,
    /// What is known of whether its owners exist.
    pub owners: OwnersSeen,
    /// What it holds where the policies for its kind look, besides the above.
    pub fields: Fields,
}

/// A time of creation in 12 bytes instead of 24: whole seconds, of no alignment, and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Created {
    seconds: [u8; 8],
    /// The least number for no time at all.
    nanoseconds: i32,
}

/// What is known of whether the owners that an object names exist. Nobody looks unless a policy asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnersSeen {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// Somebody is looking.
    Asked,
    /// One of them was there.
    There,
    /// All of them are gone: their UIDs will never come again.
    Gone,
}

impl Object {
    /// What is kept of a view. The caller passes the namespace, so that objects may share it.
    pub fn new(view: views::Object, namespace: Arc<str>) -> Self {
        let views::Object { metadata: meta, fields } = view;
        Self {
            name: meta.name,
            namespace,
            uid: meta.uid.unwrap_or_else(|| Uid::from("")),
            resource_version: meta.resource_version.unwrap_or_else(|| ResourceVersion::from("")),
            created: Created::new(meta.creation_timestamp),
            labels: meta.labels,
            terminating: meta.deletion_timestamp.is_some(),
            protect: meta.annotations.protect,
            owners: OwnersSeen::Unknown,
            fields,
        }
    }

    /// When it was created, if it was.
    pub fn created(&self) -> Option<Timestamp> {
        self.created.get()
    }

    /// The value at a path: from the record if that holds it, else from the projected fields.
    ///
    /// `None` where the object has none, also for an explicit `null`, and for what no projection asked for.
    pub fn value(&self, path: &FieldPath) -> Option<Cow<'_, Value>> {
        let found = self.known().find(&self.fields, path);
        found.filter(|value| **value != Value::Null)
    }

    /// The same object after it has been told now that it goes at this moment.
    #[must_use]
    pub fn told(self, now: Timestamp, deletes_at: Timestamp) -> Self {
        let note = Value::from(&*crate::notice::note(now, deletes_at));
        Self { fields: self.fields.with(crate::notice::annotation(), note), ..self }
    }

    /// Whether [`Object::value`] finds this path in every record, so that no projection has to name it.
    pub fn holds(path: &KeyPath) -> bool {
        let is_time_of_deletion = path.keys().get(1).is_some_and(|key| **key == *"deletionTimestamp");
        Known::has(path) && !is_time_of_deletion
    }

    /// The metadata that is there whatever is projected.
    pub(crate) fn known(&self) -> Known<'_> {
        Known {
            name: &self.name,
            namespace: Some(&*self.namespace).filter(|namespace| !namespace.is_empty()),
            uid: Some(&self.uid),
            resource_version: Some(&self.resource_version),
            created: self.created(),
            deleted: None,
            labels: &self.labels,
        }
    }
}

impl Created {
    fn new(at: Option<Timestamp>) -> Self {
        let (seconds, nanoseconds) = at.map_or((0, i32::MIN), |at| (at.as_second(), at.subsec_nanosecond()));
        Self { seconds: seconds.to_ne_bytes(), nanoseconds }
    }

    fn get(self) -> Option<Timestamp> {
        // The least number is no part of a second, and makes no time.
        Timestamp::new(i64::from_ne_bytes(self.seconds), self.nanoseconds).ok()
    }
}

impl From<views::Object> for Object {
    /// Takes the namespace from the view, and shares it with no other object.
    fn from(view: views::Object) -> Self {
        let namespace = view.metadata.namespace.as_deref().unwrap_or_default().into();
        Self::new(view, namespace)
    }
}

impl From<Meta> for Object {
    fn from(metadata: Meta) -> Self {
        views::Object { metadata, fields: Fields::default() }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::object;

    #[test]
    fn an_object_is_small() {
        // The budget of a tracked object is 300 bytes for everything: its name, its labels and its places take the rest.
        assert!(size_of::<Object>() <= 112, "{} bytes", size_of::<Object>());
    }

    #[test]
    fn a_time_of_creation_is_kept_exactly() {
        let created = |text: &str| {
            let json = format!(r#"{{"metadata": {{"creationTimestamp": {text}}}}}"#);
            object(&json, &[]).created().map(|at| at.to_string())
        };
        let table = [
            ("null", None),
            (r#""1970-01-01T00:00:00Z""#, Some("1970-01-01T00:00:00Z")),
            (r#""2026-11-21T04:07:00Z""#, Some("2026-11-21T04:07:00Z")),
            (r#""2026-11-21T04:07:00.000000001Z""#, Some("2026-11-21T04:07:00.000000001Z")),
            (r#""-000001-11-21T04:07:00.9Z""#, Some("-000001-11-21T04:07:00.9Z")),
        ];
        for (text, expected) in table {
            assert_eq!(created(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_value_is_found_in_the_record_and_in_the_fields() {
        let object = object(
            r#"{"metadata": {
                "name": "a", "namespace": "team", "uid": "u-1", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
                "labels": {"app.kubernetes.io/name": "web"}, "annotations": {"a/b": "c"}
            }, "status": {"phase": "Failed", "none": null, "list": [{"type": "A", "at": 1}]}}"#,
            &["metadata.annotations['a/b']", "metadata.deletionTimestamp", "status"],
        );
        let table = [
            ("metadata.name", Some("a")),
            ("metadata.namespace", Some("team")),
            ("metadata.uid", Some("u-1")),
            ("metadata.resourceVersion", Some("7")),
            ("metadata.creationTimestamp", Some("2026-01-01T00:00:00Z")),
            ("metadata.deletionTimestamp", Some("2026-01-02T00:00:00Z")),
            (r"metadata.labels.app\.kubernetes\.io/name", Some("web")),
            ("metadata.labels['app.kubernetes.io/name']", Some("web")),
            ("metadata.labels.other", None),
            ("metadata.annotations['a/b']", Some("c")),
            ("metadata.annotations.other", None),
            ("status.phase", Some("Failed")),
            ("status.none", None),
            ("status.list[?type=A].type", Some("A")),
            ("spec.missing", None),
        ];
        for (path, expected) in table {
            let value = object.value(&path.parse().unwrap());
            assert_eq!(value.as_deref().and_then(Value::as_text), expected, "{path}");
        }
    }
}
