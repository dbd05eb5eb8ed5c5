//! What the server sends, line by line and page by page.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;
use units::ResourceVersion;

use super::frame;
use crate::client::Encoding;

/// Reads a view out of a message of protobuf.
pub type ReadProtobuf<V> = fn(message: &[u8], context: &<V as View>::Context) -> serde_json::Result<V>;

/// What a feed makes of each object.
pub trait View: Sized + Send + 'static {
    /// What it takes to read one, such as the paths that are kept: the same for all objects of a feed.
    type Context: Clone + Send + Sync + 'static;

    /// Reads an object as the server writes it.
    ///
    /// # Errors
    ///
    /// If it is not what it should be. The feed then shows it as [`FeedEvent::Unreadable`](super::FeedEvent) and goes on.
    fn read(object: &str, context: &Self::Context) -> serde_json::Result<Self>;

    /// Reads the metadata of an object as the server writes it in protobuf, and fails as `read` does; none for what is
    /// read in JSON alone.
    const PROTOBUF: Option<ReadProtobuf<Self>> = None;

    /// The version that was read, from which the watch goes on.
    fn resource_version(&self) -> Option<ResourceVersion>;
}

/// The context is what is kept of each object, besides its metadata.
impl View for views::Object {
    type Context = Arc<views::Projection>;

    fn read(object: &str, projection: &Self::Context) -> serde_json::Result<Self> {
        Self::read(object, projection)
    }

    const PROTOBUF: Option<ReadProtobuf<Self>> = Some(Self::read_protobuf);

    fn resource_version(&self) -> Option<ResourceVersion> {
        self.metadata.resource_version.clone()
    }
}

/// Kinds of ours are read whole.
macro_rules! read_whole {
    ($($kind:ty),*) => {
        $(impl View for $kind {
            type Context = ();

            fn read(object: &str, (): &()) -> serde_json::Result<Self> {
                serde_json::from_str(object)
            }

            fn resource_version(&self) -> Option<ResourceVersion> {
                self.metadata.resource_version.as_deref().map(ResourceVersion::from)
            }
        })*
    };
}

read_whole!(
    api::GarbageCollectionPolicy,
    api::NodeCleanupPolicy,
    api::NodeCleanup,
    api::NodeMaintenance,
    api::DrainRule,
    api::CleanupPlugin
);

/// Views keep what decisions read.
macro_rules! read_as_view {
    ($($view:ty),*) => {
        $(impl View for $view {
            type Context = ();

            fn read(object: &str, (): &()) -> serde_json::Result<Self> {
                serde_json::from_str(object)
            }

            fn resource_version(&self) -> Option<ResourceVersion> {
                self.metadata.resource_version.clone()
            }
        })*
    };
}

read_as_view!(views::Node, views::Pod, views::DisruptionBudget, views::VolumeAttachment);

/// One line of a watch.
#[derive(Debug)]
pub(super) enum Line<V> {
    Applied(V),
    Deleted(V),
    Unreadable { meta: Box<views::Meta>, status: Option<Box<RawValue>>, error: String },
    Bookmark { resource_version: String, initial_events_end: bool },
    Error(Box<kube::core::Status>),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
pub(super) struct Bookmark {
    metadata: BookmarkMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMeta {
    resource_version: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

impl Bookmark {
    pub(super) fn line<V>(self) -> Line<V> {
        let BookmarkMeta { resource_version, annotations } = self.metadata;
        let initial_events_end =
            annotations.get("k8s.io/initial-events-end").is_some_and(|end| end == "true");
        Line::Bookmark { resource_version, initial_events_end }
    }
}

/// Reads an event of a watch.
pub(super) fn event<V: View>(
    encoding: Encoding,
    bytes: &[u8],
    context: &V::Context,
) -> serde_json::Result<Line<V>> {
    match (encoding, V::PROTOBUF) {
        (Encoding::Json, _) => line(bytes, context),
        (Encoding::Protobuf, Some(read)) => frame::event(bytes, read, context),
        (Encoding::Protobuf, None) => Err(serde_json::Error::custom("protobuf, which was not asked for")),
    }
}

/// Reads a line of a watch.
fn line<V: View>(bytes: &[u8], context: &V::Context) -> serde_json::Result<Line<V>> {
    let envelope: Envelope<'_> = serde_json::from_slice(bytes)?;
    let object = envelope.object.get();
    match &*envelope.kind {
        "ADDED" | "MODIFIED" => view(object, context, Line::Applied),
        "DELETED" => view(object, context, Line::Deleted),
        "BOOKMARK" => serde_json::from_str(object).map(Bookmark::line),
        _ => Ok(Line::Error(serde_json::from_str(object)?)),
    }
}

/// Reads an object; one that is not what it should be is still named.
fn view<V: View>(
    object: &str,
    context: &V::Context,
    readable: impl Fn(V) -> Line<V>,
) -> serde_json::Result<Line<V>> {
    match V::read(object, context) {
        Ok(view) => Ok(readable(view)),
        Err(error) => {
            let Remains { metadata, status } = serde_json::from_str(object)?;
            Ok(Line::Unreadable { meta: Box::new(metadata), status, error: without_place(&error) })
        }
    }
}

/// What is kept of an object that cannot be understood.
#[derive(Deserialize)]
struct Remains {
    metadata: views::Meta,
    #[serde(default)]
    status: Option<Box<RawValue>>,
}

/// What is wrong, without where: that moves with every change elsewhere, such as our telling of it in the status.
pub(super) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

/// One page of a listing.
#[derive(Debug, Deserialize)]
pub(super) struct Page<'a> {
    pub(super) metadata: PageMeta,
    #[serde(borrow, default)]
    pub(super) items: Option<Vec<&'a RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PageMeta {
    pub(super) resource_version: String,
    #[serde(rename = "continue")]
    pub(super) continue_from: Option<String>,
    /// How many more there are after this page, if the server says so.
    pub(super) remaining_item_count: Option<u64>,
}

/// Reads an item of a page.
pub(super) fn item<V: View>(object: &RawValue, context: &V::Context) -> serde_json::Result<Line<V>> {
    view(object.get(), context, Line::Applied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Line<views::Object> {
        line(text.as_bytes(), &Arc::default()).unwrap()
    }

    #[test]
    fn lines_of_a_watch_are_told_apart() {
        let added = r#"{"type":"ADDED","object":{"kind":"PartialObjectMetadata","metadata":{"name":"a","resourceVersion":"7"}}}"#;
        assert!(matches!(read(added), Line::Applied(o) if &*o.metadata.name == "a"));
        assert!(matches!(read(&added.replace("ADDED", "DELETED")), Line::Deleted(_)));
        let bookmark = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        assert!(
            matches!(read(bookmark), Line::Bookmark { resource_version, initial_events_end: true } if resource_version == "9")
        );
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
        assert!(matches!(read(gone), Line::Error(status) if status.code == 410));
    }

    #[test]
    fn an_object_that_cannot_be_understood_is_still_named() {
        let odd = br#"{"type":"ADDED","object":{"metadata":{"name":"odd","namespace":"team"},"spec":{"ttl":"soon"},"status":{"matched":7}}}"#;
        let Line::Unreadable { meta, status, error } =
            line::<api::GarbageCollectionPolicy>(odd, &()).unwrap()
        else {
            panic!("it is not readable")
        };
        assert_eq!((&*meta.name, meta.namespace.as_deref()), ("odd", Some("team")));
        assert!(!error.is_empty() && !error.contains("column"), "{error}");
        assert_eq!(status.unwrap().get(), r#"{"matched":7}"#);
    }
}
