//! An event of a watch in protobuf.
//!
//! The numbers are those of `generated.proto` in `k8s.io/apimachinery` (`meta/v1.WatchEvent`, `runtime.RawExtension`),
//! which never change.

use std::sync::Arc;

use serde::Deserialize as _;
use serde::de::Error as _;
use views::protobuf::{self, Message};

use super::decode::{Bookmark, Line, ReadProtobuf, View, without_place};
use crate::client::{content, status};

type Error = serde_json::Error;

/// Reads an event of a watch.
pub(super) fn event<V: View>(
    frame: &[u8],
    read: ReadProtobuf<V>,
    context: &V::Context,
) -> Result<Line<V>, Error> {
    let event = Message::new(frame);
    let kind = event.bytes(1).map_err(Error::custom)?.unwrap_or_default();
    let object = Message::new(event.bytes(2).map_err(Error::custom)?.unwrap_or_default());
    let object =
        object.bytes(1).and_then(|object| content(object.unwrap_or_default())).map_err(Error::custom)?;
    let view = |readable: fn(V) -> Line<V>| match read(object, context) {
        Ok(view) => Ok(readable(view)),
        Err(error) => {
            // One that is not what it should be is still named.
            let remains = views::Object::read_protobuf(object, &Arc::default())?;
            let (meta, error) = (Box::new(remains.metadata), without_place(&error));
            Ok(Line::Unreadable { meta, status: None, error })
        }
    };
    match kind {
        b"ADDED" | b"MODIFIED" => view(Line::Applied),
        b"DELETED" => view(Line::Deleted),
        b"BOOKMARK" => Bookmark::deserialize(protobuf::object(object)).map(Bookmark::line),
        _ => Ok(Line::Error(Box::new(status(object).map_err(Error::custom)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 0x80, "one byte says how long it is");
        [&[field << 3 | 2, length], content].concat()
    }

    fn enveloped(message: &[u8]) -> Vec<u8> {
        let about = [bytes(1, b"meta.k8s.io/v1"), bytes(2, b"PartialObjectMetadata")].concat();
        [b"k8s\0".to_vec(), bytes(1, &about), bytes(2, message)].concat()
    }

    fn read(kind: &str, message: &[u8]) -> Result<Line<views::Object>, Error> {
        let event = [bytes(1, kind.as_bytes()), bytes(2, &bytes(1, &enveloped(message)))].concat();
        super::event::<views::Object>(&event, views::Object::PROTOBUF.unwrap(), &Arc::default())
    }

    #[test]
    fn events_are_told_apart() {
        let object = bytes(1, &[bytes(1, b"a"), bytes(6, b"7")].concat());
        assert!(matches!(read("ADDED", &object), Ok(Line::Applied(object)) if &*object.metadata.name == "a"));
        assert!(matches!(read("MODIFIED", &object), Ok(Line::Applied(_))));
        assert!(matches!(read("DELETED", &object), Ok(Line::Deleted(_))));
        let end = [bytes(1, b"k8s.io/initial-events-end"), bytes(2, b"true")].concat();
        let meta = bytes(1, &[bytes(6, b"9"), bytes(12, &end)].concat());
        assert!(
            matches!(read("BOOKMARK", &meta), Ok(Line::Bookmark { resource_version, initial_events_end: true }) if resource_version == "9")
        );
        assert!(matches!(
            read("BOOKMARK", &bytes(1, &bytes(6, b"9"))),
            Ok(Line::Bookmark { initial_events_end: false, .. })
        ));
    }

    #[test]
    fn an_error_is_told_apart_too() {
        let gone = [bytes(4, b"Expired"), vec![6 << 3, 0x9a, 3]].concat();
        assert!(
            matches!(read("ERROR", &gone), Ok(Line::Error(status)) if (status.code, &*status.reason) == (410, "Expired"))
        );
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for frame in [&b"\xff"[..], b"\x0a\x05ADDED\x12\x03\x0a\x01x", b"\x0a\x05ADDED"] {
            let read =
                super::event::<views::Object>(frame, views::Object::PROTOBUF.unwrap(), &Arc::default());
            assert!(read.is_err(), "{frame:?}");
        }
    }
}
