//! The schemas of kinds, as an API server publishes them, and how a path is followed through them.
//!
//! Keeps of an OpenAPI v3 document what says which fields there are and what they hold; documentation and paths are
//! skipped while it is read. What a schema leaves open is [`Shape::Anything`]: of that, nothing wrong can be said.

use std::collections::BTreeMap;

use serde::Deserialize;
use units::{GroupVersionKind, Segment};

use super::limits::REFERENCE_HOPS_MAX;

/// The schemas of one group and version: a document from below `/openapi/v3`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SchemaDocument {
    #[serde(default)]
    components: Components,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Components {
    #[serde(default)]
    schemas: BTreeMap<Box<str>, Schema>,
}

/// One schema; fields that say nothing of structure are not kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Schema {
    #[serde(rename = "$ref")]
    reference: Option<Box<str>>,
    #[serde(rename = "type")]
    type_: Option<Box<str>>,
    format: Option<Box<str>>,
    properties: BTreeMap<Box<str>, Schema>,
    items: Option<Box<Schema>>,
    additional_properties: Option<Additional>,
    all_of: Vec<Schema>,
    one_of: Vec<Schema>,
    any_of: Vec<Schema>,
    #[serde(rename = "enum")]
    values: Vec<Choice>,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    preserve_unknown_fields: bool,
    #[serde(rename = "x-kubernetes-int-or-string")]
    int_or_string: bool,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    list_map_keys: Vec<Box<str>>,
    #[serde(rename = "x-kubernetes-group-version-kind")]
    kinds: Vec<KindOf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Additional {
    Allowed(bool),
    Of(Box<Schema>),
}

/// One of the values that are allowed; others than texts are not compared.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Choice {
    Text(Box<str>),
    Other(serde::de::IgnoredAny),
}

#[derive(Clone, Debug, Deserialize)]
struct KindOf {
    #[serde(default)]
    group: Box<str>,
    version: Box<str>,
    kind: Box<str>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape<'d> {
    /// Fields with names that are known.
    Fields(&'d Schema),
    /// Keys that are free to choose, each with such a value.
    Map(Node<'d>),
    /// A list of such elements.
    List(Node<'d>),
    /// A text.
    Text,
    /// A text that is a moment, as RFC 3339.
    Moment,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Bool,
    /// The schema leaves it open.
    Anything,
}

impl Shape<'_> {
    /// What people call it.
    pub(super) const fn words(&self) -> &'static str {
        match self {
            Self::Fields(_) | Self::Map(_) => "a map",
            Self::List(_) => "a list",
            Self::Text => "a text",
            Self::Moment => "a moment",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Anything => "anything",
        }
    }
}

/// A place in a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'d> {
    document: &'d SchemaDocument,
    schema: &'d Schema,
    /// Whether a schema names this place, as opposed to a key of a map that is free to choose.
    pub(super) is_named: bool,
    /// Whether the schema came with Kubernetes, which says of every text that is a moment that it is one.
    pub(super) is_builtin: bool,
}

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Astray {
    /// There is no such field.
    Unknown {
        /// Where it was looked for; empty for the top.
        parent: String,
        /// What was looked for.
        name: String,
        /// The fields that are there.
        known: Vec<String>,
    },
    /// It goes on with a name where there is a list.
    Unchosen {
        /// The list.
        list: String,
        /// What the elements can be told apart by.
        key: Option<String>,
        /// How the path goes on below an element.
        rest: String,
    },
    /// It chooses an element where there is no list.
    NoList {
        /// What is no list.
        place: String,
        /// What it is.
        words: &'static str,
    },
    /// It goes on below a value that has nothing below it.
    Leaf {
        /// The value.
        place: String,
        /// What it is.
        words: &'static str,
    },
}

impl SchemaDocument {
    /// Whether it has the schema of a kind.
    pub fn describes(&self, kind: &GroupVersionKind) -> bool {
        self.kind(kind).is_some()
    }

    /// Whether it has no schema at all, as a text has that is something else.
    pub fn is_empty(&self) -> bool {
        self.components.schemas.is_empty()
    }

    /// The schema of a kind; none if the document lacks it.
    pub(super) fn kind(&self, kind: &GroupVersionKind) -> Option<Node<'_>> {
        let is_it = |of: &KindOf| {
            *of.group == *kind.api_version.group
                && *of.version == *kind.api_version.version
                && *of.kind == *kind.kind
        };
        let (name, schema) = self
            .components
            .schemas
            .iter()
            .find(|(_, schema)| schema.kinds.len() == 1 && schema.kinds.iter().any(is_it))?;
        Some(Node { document: self, schema, is_named: true, is_builtin: name.starts_with("io.k8s.") })
    }

    /// The schema itself, or the one that it refers to.
    fn resolved<'d>(&'d self, mut schema: &'d Schema) -> Option<&'d Schema> {
        for _ in 0..REFERENCE_HOPS_MAX {
            let next = schema.reference.as_deref().or_else(|| match &*schema.all_of {
                // How Kubernetes puts documentation and defaults beside a reference.
                [only] if schema.properties.is_empty() => only.reference.as_deref(),
                _ => None,
            });
            let Some(reference) = next else { return Some(schema) };
            schema = self.components.schemas.get(reference.strip_prefix("#/components/schemas/")?)?;
        }
        None
    }
}

impl<'d> Node<'d> {
    const fn at(&self, schema: &'d Schema, is_named: bool) -> Self {
        Self { schema, is_named, ..*self }
    }

    /// What stands here.
    pub(super) fn shape(&self) -> Shape<'d> {
        let Some(schema) = self.document.resolved(self.schema) else { return Shape::Anything };
        let is_open = schema.int_or_string || !schema.one_of.is_empty() || !schema.any_of.is_empty();
        match (schema.type_.as_deref(), schema.format.as_deref()) {
            (_, Some("int-or-string")) => Shape::Anything,
            _ if is_open => Shape::Anything,
            (Some("array"), _) => {
                schema.items.as_deref().map_or(Shape::Anything, |items| Shape::List(self.at(items, true)))
            }
            (Some("string"), Some("date-time")) => Shape::Moment,
            (Some("string"), _) => Shape::Text,
            (Some("integer"), _) => Shape::Integer,
            (Some("number"), _) => Shape::Number,
            (Some("boolean"), _) => Shape::Bool,
            _ if !schema.properties.is_empty() => Shape::Fields(schema),
            _ => match &schema.additional_properties {
                Some(Additional::Of(values)) => Shape::Map(self.at(values, false)),
                _ => Shape::Anything,
            },
        }
    }

    /// The texts that may stand here, if only some may.
    pub(super) fn choices(&self) -> Vec<&'d str> {
        let Some(schema) = self.document.resolved(self.schema) else { return Vec::new() };
        let texts: Vec<_> = schema
            .values
            .iter()
            .filter_map(|choice| match choice {
                Choice::Text(text) => Some(&**text),
                Choice::Other(_) => None,
            })
            .collect();
        if texts.len() == schema.values.len() { texts } else { Vec::new() }
    }

    /// Follows a path.
    pub(super) fn follow(&self, path: &[Segment]) -> Result<Self, Astray> {
        let mut node = *self;
        for (at, segment) in path.iter().enumerate() {
            let (before, rest) = path.split_at(at);
            node = node.step(segment, &Place::of(before), rest)?;
        }
        Ok(node)
    }

    /// The names of the fields here that hold moments.
    pub(super) fn moments(&self) -> Vec<String> {
        let Shape::Fields(schema) = self.shape() else { return Vec::new() };
        let is_moment = |schema: &Schema| matches!(self.at(schema, true).shape(), Shape::Moment);
        let moments = schema.properties.iter().filter(|(_, schema)| is_moment(schema));
        moments.map(|(name, _)| name.to_string()).collect()
    }

    /// The names of the fields here.
    fn fields(&self) -> Vec<String> {
        match self.shape() {
            Shape::Fields(schema) => schema.properties.keys().map(ToString::to_string).collect(),
            _ => Vec::new(),
        }
    }

    fn step(&self, segment: &Segment, place: &Place, rest: &[Segment]) -> Result<Self, Astray> {
        let shape = self.shape();
        match (segment, shape) {
            (_, Shape::Anything) => Ok(*self),
            (Segment::Key(name), Shape::Fields(schema)) => self.named(schema, name, place),
            (Segment::Key(_), Shape::Map(values)) => Ok(values),
            (Segment::Key(_), Shape::List(items)) => Err(Astray::Unchosen {
                list: place.to_string(),
                key: items.discerning_key(self),
                rest: Place::of(rest).to_string(),
            }),
            (Segment::Key(_), leaf) => Err(Astray::Leaf { place: place.to_string(), words: leaf.words() }),
            (Segment::Index(_), Shape::List(items)) => Ok(items),
            (Segment::Where { key, .. }, Shape::List(items)) => items.filtered(key, place),
            (Segment::Index(_) | Segment::Where { .. }, other) => {
                Err(Astray::NoList { place: place.to_string(), words: other.words() })
            }
        }
    }

    fn named(&self, schema: &'d Schema, name: &str, place: &Place) -> Result<Self, Astray> {
        if let Some(property) = schema.properties.get(name) {
            return Ok(self.at(property, true));
        }
        match &schema.additional_properties {
            Some(Additional::Of(values)) => return Ok(self.at(values, false)),
            Some(Additional::Allowed(true)) => return Ok(self.at(&OPEN, false)),
            _ if schema.preserve_unknown_fields => return Ok(self.at(&OPEN, false)),
            _ => {}
        }
        let known = schema.properties.keys().map(ToString::to_string).collect();
        Err(Astray::Unknown { parent: place.to_string(), name: name.to_owned(), known })
    }

    /// An element that is chosen by one of its fields.
    fn filtered(&self, key: &str, place: &Place) -> Result<Self, Astray> {
        match self.shape() {
            Shape::Fields(schema) => {
                self.named(schema, key, &place.element())?;
                Ok(*self)
            }
            Shape::Anything | Shape::Map(_) => Ok(*self),
            other => Err(Astray::Leaf { place: place.element().to_string(), words: other.words() }),
        }
    }

    /// The field by which an element of `list` is told from the others.
    fn discerning_key(&self, list: &Self) -> Option<String> {
        let list = self.document.resolved(list.schema)?;
        let fields = self.fields();
        let by_schema = list.list_map_keys.first().map(ToString::to_string);
        by_schema.or_else(|| ["type", "name"].map(str::to_owned).into_iter().find(|key| fields.contains(key)))
    }
}

/// The schema that leaves everything open.
static OPEN: Schema = Schema {
    reference: None,
    type_: None,
    format: None,
    properties: BTreeMap::new(),
    items: None,
    additional_properties: None,
    all_of: Vec::new(),
    one_of: Vec::new(),
    any_of: Vec::new(),
    values: Vec::new(),
    preserve_unknown_fields: true,
    int_or_string: false,
    list_map_keys: Vec::new(),
    kinds: Vec::new(),
};

/// How far a path has come, in words.
#[derive(Clone, Debug, Default)]
struct Place(String);

impl Place {
    fn of(segments: &[Segment]) -> Self {
        let mut place = Self::default();
        segments.iter().for_each(|segment| place.enter(segment));
        place
    }

    fn enter(&mut self, segment: &Segment) {
        match segment {
            Segment::Key(key) => {
                if !self.0.is_empty() {
                    self.0.push('.');
                }
                self.0 += &key.replace('.', "\\.");
            }
            Segment::Index(index) => self.0 += &format!("[{index}]"),
            Segment::Where { key, value } => self.0 += &format!("[?{key}={value}]"),
        }
    }

    fn element(&self) -> Self {
        Self(format!("{}[]", self.0))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
