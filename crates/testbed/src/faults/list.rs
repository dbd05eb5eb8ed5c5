//! A list that lies.

use hyper::body::Bytes;
use serde_json::Value;

use super::calls::Call;
use super::fault::Edit;

/// The altered list; `None` if there is nothing to alter.
pub(super) fn altered(call: &Call, body: &[u8], edits: &[Edit]) -> Option<Bytes> {
    let mut list: Value = serde_json::from_slice(body).ok()?;
    if !list.get("items")?.is_array() {
        return None;
    }
    let changed = edits.iter().filter(|edit| alter(call, &mut list, **edit) == Altered::Yes).count();
    (changed > 0).then(|| Bytes::from(list.to_string()))
}

#[derive(Debug, PartialEq, Eq)]
enum Altered {
    Yes,
    No,
}

fn alter(call: &Call, list: &mut Value, edit: Edit) -> Altered {
    match edit {
        Edit::Empty => {
            forget_next_page(list);
            keep(list, |_| 0)
        }
        Edit::DropLast(n) => keep(list, |length| length.saturating_sub(n)),
        Edit::EmptyLastPage if is_last_of_several(call, list) => keep(list, |_| 0),
        Edit::EmptyLastPage => Altered::No,
        Edit::DropContinue => forget_next_page(list),
    }
}

fn keep(list: &mut Value, how_many: impl Fn(usize) -> usize) -> Altered {
    let Some(items) = list.get_mut("items").and_then(Value::as_array_mut) else { return Altered::No };
    items.truncate(how_many(items.len()));
    Altered::Yes
}

fn forget_next_page(list: &mut Value) -> Altered {
    let Some(metadata) = list.get_mut("metadata").and_then(Value::as_object_mut) else { return Altered::No };
    metadata.remove("remainingItemCount");
    match metadata.remove("continue") {
        Some(_) => Altered::Yes,
        None => Altered::No,
    }
}

fn is_last_of_several(call: &Call, list: &Value) -> bool {
    let next = list.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default();
    next.is_empty() && call.query("continue").is_some_and(|token| !token.is_empty())
}
