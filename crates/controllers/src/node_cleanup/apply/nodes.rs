//! Writes on nodes: that they get no more pods, and that they may again.

use api::node_cleanup::{
    DELETION_GUARD_LABEL, EXCLUDE_FROM_LOAD_BALANCERS_LABEL, LEAVING_TAINT, MAINTENANCE_ANNOTATION,
};
use chassis::objects::ObjectRef;
use chassis::writes::{self, Seen};
use chassis::{ApiError, Class, Classify as _};
use serde_json::{Value, json};
use views::Node;

use super::{Deeds, node_resource, uid};

/// Why a write on an object was not made.
#[derive(Debug)]
pub(in super::super) enum Overtaken {
    /// The object has changed, or is another: look again.
    Changed,
    /// It failed.
    Failed(ApiError),
}

impl From<ApiError> for Overtaken {
    fn from(error: ApiError) -> Self {
        if error.class() == Class::Conflict || error.code() == Some(404) {
            Self::Changed
        } else {
            Self::Failed(error)
        }
    }
}

impl Deeds {
    /// The node gets no more pods and no more traffic: cordon, taint and label.
    pub(in super::super) async fn close(&self, node: &Node) -> Result<(), Overtaken> {
        self.change_node(node, closing(node)).await
    }

    /// The same on behalf of a maintenance; what it puts on is written on the node, in the same request.
    pub(in super::super) async fn hold(&self, node: &Node, by: &str) -> Result<(), Overtaken> {
        self.change_node(node, holding(node, by)).await
    }

    /// A node may have pods again: what a maintenance has put on it is taken off, and no more.
    pub(in super::super) async fn give_back(&self, node: &Node) -> Result<(), Overtaken> {
        self.change_node(node, giving_back(node)).await
    }

    /// A node is held on behalf of another maintenance from now on, which takes off what the one before it had put on.
    pub(in super::super) async fn pass_on(&self, node: &Node, to: &str) -> Result<(), Overtaken> {
        self.change_node(node, passing_on(node, to)).await
    }

    /// Writes or takes off a label of a node.
    pub(in super::super) async fn label(
        &self,
        node: &Node,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), Overtaken> {
        self.change_node(node, labelling(node, key, value)).await
    }

    async fn change_node(&self, node: &Node, operations: Vec<Value>) -> Result<(), Overtaken> {
        let (Some(uid), Some(version)) = (uid(node), &node.metadata.resource_version) else { return Ok(()) };
        if operations.is_empty() {
            return Ok(());
        }
        let resource = node_resource();
        let object = ObjectRef { resource: &resource, namespace: None, name: &node.metadata.name };
        writes::change(self.client(), object, Seen { uid, version }, operations).await?;
        Ok(())
    }
}

fn closing(node: &Node) -> Vec<Value> {
    let mut operations = Vec::new();
    if !node.is_unschedulable {
        operations.push(json!({"op": "add", "path": "/spec/unschedulable", "value": true}));
    }
    if !node.taints.iter().any(|taint| *taint.key == *LEAVING_TAINT) {
        let taint = json!({"key": LEAVING_TAINT, "effect": "NoSchedule"});
        operations.push(if node.taints.is_empty() {
            json!({"op": "add", "path": "/spec/taints", "value": [taint]})
        } else {
            json!({"op": "add", "path": "/spec/taints/-", "value": taint})
        });
    }
    if node.metadata.labels.get(EXCLUDE_FROM_LOAD_BALANCERS_LABEL).is_none() {
        operations.extend(labelling(node, EXCLUDE_FROM_LOAD_BALANCERS_LABEL, Some("true")));
    }
    operations
}

/// On whose behalf a node is held, and what was put on it for that: the annotation as it is written,
/// `UID[,cordon][,taint][,label]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Held<'n> {
    /// The UID of the maintenance.
    pub(in super::super) by: &'n str,
    parts: &'n str,
}

impl<'n> Held<'n> {
    /// As a node says it; none if it is not held.
    pub(in super::super) fn of(node: &'n Node) -> Option<Self> {
        let text = node.annotations.get(MAINTENANCE_ANNOTATION)?;
        let (by, parts) = text.split_once(',').unwrap_or((text, ""));
        Some(Self { by, parts })
    }

    fn put_on(self, part: &str) -> bool {
        self.parts.split(',').any(|own| own == part)
    }

    /// Whether the maintenance has cordoned the node itself.
    pub(in super::super) fn cordoned(self) -> bool {
        self.put_on(CORDON)
    }
}

const CORDON: &str = "cordon";
const TAINT: &str = "taint";
const LABEL: &str = "label";

/// Nothing for a node that is held already: what was put on it then would be forgotten.
fn holding(node: &Node, by: &str) -> Vec<Value> {
    if Held::of(node).is_some() {
        return Vec::new();
    }
    let mut operations = closing(node);
    let mut words = vec![by.to_owned()];
    let parts = [("/spec/unschedulable", CORDON), ("/spec/taints", TAINT), ("/metadata/labels", LABEL)];
    for (path, part) in parts {
        let puts_on = operations.iter().any(|operation| {
            operation.get("path").and_then(Value::as_str).is_some_and(|own| own.starts_with(path))
        });
        words.extend(puts_on.then(|| part.to_owned()));
    }
    let path = format!("/metadata/annotations/{}", escaped(MAINTENANCE_ANNOTATION));
    operations.extend(annotating(node, &path, &words.join(",")));
    operations
}

fn annotating(node: &Node, path: &str, value: &str) -> Vec<Value> {
    if node.has_annotations {
        vec![json!({"op": "add", "path": path, "value": value})]
    } else {
        vec![json!({"op": "add", "path": "/metadata/annotations", "value": {MAINTENANCE_ANNOTATION: value}})]
    }
}

fn passing_on(node: &Node, to: &str) -> Vec<Value> {
    let Some(held) = Held::of(node) else { return Vec::new() };
    let words: Vec<_> =
        [to].into_iter().chain(held.parts.split(',').filter(|part| !part.is_empty())).collect();
    annotating(node, &format!("/metadata/annotations/{}", escaped(MAINTENANCE_ANNOTATION)), &words.join(","))
}

fn giving_back(node: &Node) -> Vec<Value> {
    let mut operations = letting_go(node);
    if node.is_unschedulable && Held::of(node).is_some_and(Held::cordoned) {
        operations.push(json!({"op": "remove", "path": "/spec/unschedulable"}));
    }
    operations
}

/// What takes off a node that stays what we have put on it, but for its cordon; it goes into one JSON Patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Unmarking {
    /// Empty if there is nothing of ours on it.
    pub operations: Vec<Value>,
    /// Whether a maintenance had cordoned it: `kubectl uncordon` is all that it lacks then.
    pub is_cordoned: bool,
}

/// What takes our marks off a node without giving it back: nobody says any more whether it is ready for pods.
pub fn unmarking(node: &Node) -> Unmarking {
    let mut operations = letting_go(node);
    operations.extend(labelling(node, DELETION_GUARD_LABEL, None));
    let is_cordoned = node.is_unschedulable && Held::of(node).is_some_and(Held::cordoned);
    Unmarking { operations, is_cordoned }
}

/// What takes off a node that a maintenance holds what that has put on it, but for the cordon.
fn letting_go(node: &Node) -> Vec<Value> {
    let Some(held) = Held::of(node) else { return Vec::new() };
    let path = format!("/metadata/annotations/{}", escaped(MAINTENANCE_ANNOTATION));
    let mut operations = vec![json!({"op": "remove", "path": path})];
    let place = node.taints.iter().position(|taint| *taint.key == *LEAVING_TAINT);
    if let Some(place) = place.filter(|_| held.put_on(TAINT)) {
        let path = format!("/spec/taints/{place}");
        operations.push(json!({"op": "test", "path": format!("{path}/key"), "value": LEAVING_TAINT}));
        operations.push(json!({"op": "remove", "path": path}));
    }
    if held.put_on(LABEL) {
        operations.extend(labelling(node, EXCLUDE_FROM_LOAD_BALANCERS_LABEL, None));
    }
    operations
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn labelling(node: &Node, key: &str, value: Option<&str>) -> Vec<Value> {
    let labels = &node.metadata.labels;
    let path = format!("/metadata/labels/{}", escaped(key));
    match (labels.get(key), value) {
        (None, None) => Vec::new(),
        (Some(there), Some(wanted)) if there == wanted => Vec::new(),
        (Some(_), None) => vec![json!({"op": "remove", "path": path})],
        (_, Some(wanted)) if labels.iter().next().is_none() => {
            vec![json!({"op": "add", "path": "/metadata/labels", "value": {key: wanted}})]
        }
        (_, Some(wanted)) => vec![json!({"op": "add", "path": path, "value": wanted})],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(value: Value) -> Node {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_node_that_is_left_alone_keeps_its_cordon_alone() {
        let held = node(json!({"metadata": {"name": "a", "uid": "u",
                "annotations": {"groundskeeper.dev/maintenance": "m-1,cordon,taint"},
                "labels": {"groundskeeper.dev/deletion-guard": "last-of-its-pool"}},
            "spec": {"unschedulable": true, "taints": [{"key": "groundskeeper.dev/leaving", "effect": "NoSchedule"}]}}));
        let Unmarking { operations, is_cordoned } = unmarking(&held);
        let removed = operations.iter().filter(|operation| operation["op"] == "remove");
        let paths: Vec<_> = removed.map(|operation| operation["path"].as_str().unwrap()).collect();
        let (note, label) = ("groundskeeper.dev~1maintenance", "groundskeeper.dev~1deletion-guard");
        assert_eq!(
            paths,
            [
                &format!("/metadata/annotations/{note}"),
                "/spec/taints/0",
                &*format!("/metadata/labels/{label}")
            ]
        );
        assert!(is_cordoned);
        let bare = unmarking(&node(json!({"metadata": {"name": "a"}, "spec": {"unschedulable": true}})));
        assert!(bare.operations.is_empty() && !bare.is_cordoned);
    }

    #[test]
    fn a_node_is_closed_by_what_it_lacks_and_no_more() {
        let bare = node(json!({"metadata": {"name": "a", "uid": "u"}}));
        let paths: Vec<_> = closing(&bare).iter().map(|op| op["path"].as_str().unwrap().to_owned()).collect();
        assert_eq!(paths, ["/spec/unschedulable", "/spec/taints", "/metadata/labels"]);
        let tainted = node(json!({"metadata": {"name": "a", "uid": "u", "labels": {"pool": "web"}},
            "spec": {"unschedulable": true, "taints": [{"key": "other", "effect": "NoSchedule"}]}}));
        let paths: Vec<_> =
            closing(&tainted).iter().map(|op| op["path"].as_str().unwrap().to_owned()).collect();
        let label = "/metadata/labels/node.kubernetes.io~1exclude-from-external-load-balancers";
        assert_eq!(paths, ["/spec/taints/-", label]);
    }

    /// A node that was cordoned by somebody else before a maintenance held it.
    #[test]
    fn what_is_taken_off_is_what_was_put_on() {
        let given = node(json!({"metadata": {"name": "a", "uid": "u", "annotations": {"x": "y"}},
            "spec": {"unschedulable": true, "taints": [{"key": "other", "effect": "NoSchedule"}]}}));
        let operations = holding(&given, "m-1");
        let note = operations.last().unwrap();
        assert_eq!(note["path"], "/metadata/annotations/groundskeeper.dev~1maintenance");
        assert_eq!(note["value"], "m-1,taint,label");
        let held = node(json!({"metadata": {"name": "a", "uid": "u",
                "annotations": {"groundskeeper.dev/maintenance": "m-1,taint,label"},
                "labels": {"node.kubernetes.io/exclude-from-external-load-balancers": "true"}},
            "spec": {"unschedulable": true, "taints": [{"key": "other", "effect": "NoSchedule"},
                {"key": "groundskeeper.dev/leaving", "effect": "NoSchedule"}]}}));
        assert_eq!(Held::of(&held).map(|held| (held.by, held.cordoned())), Some(("m-1", false)));
        assert_eq!(
            holding(&held, "m-1"),
            Vec::<Value>::new(),
            "a turn that has not seen it yet forgets nothing"
        );
        assert_eq!(
            passing_on(&held, "m-2")[0]["value"],
            "m-2,taint,label",
            "it takes off what is on by then"
        );
        let unmarked = unmarking(&held);
        assert!(unmarked.operations == giving_back(&held) && !unmarked.is_cordoned);
        let paths: Vec<_> =
            giving_back(&held).iter().map(|op| op["path"].as_str().unwrap().to_owned()).collect();
        let label = "/metadata/labels/node.kubernetes.io~1exclude-from-external-load-balancers";
        let note = "/metadata/annotations/groundskeeper.dev~1maintenance";
        assert_eq!(paths, [note, "/spec/taints/1/key", "/spec/taints/1", label]);
    }
}
