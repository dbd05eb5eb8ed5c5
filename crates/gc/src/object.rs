//! What is kept of each tracked object: as little as decisions need.

use jiff::Timestamp;
use units::{ResourceVersion, Uid};
use views::{Labels, Meta};

/// One tracked object. Its kind and namespace are those of the [`Ground`](crate::Ground) that it lies in.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its name.
    pub name: Box<str>,
    /// Which incarnation of that name it is; empty in a manifest that no server has seen.
    pub uid: Uid,
    /// The version that decisions are made on; empty in a manifest that no server has seen.
    pub resource_version: ResourceVersion,
    /// When it was created, if it was.
    pub created: Option<Timestamp>,
    /// Its labels.
    pub labels: Labels,
    /// Its deletion has been asked for already.
    pub terminating: bool,
    /// It asks not to be deleted, by annotation.
    pub protect: bool,
}

impl From<Meta> for Object {
    fn from(meta: Meta) -> Self {
        Self {
            name: meta.name,
            uid: meta.uid.unwrap_or_else(|| Uid::from("")),
            resource_version: meta.resource_version.unwrap_or_else(|| ResourceVersion::from("")),
            created: meta.creation_timestamp,
            labels: meta.labels,
            terminating: meta.deletion_timestamp.is_some(),
            protect: meta.annotations.protect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_small() {
        // The budget of a tracked object is 1 KB for everything; its own record is a tenth of that.
        assert!(size_of::<Object>() <= 112, "{} bytes", size_of::<Object>());
    }
}
