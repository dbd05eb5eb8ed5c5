//! Which objects a policy looks at: their kind, labels, fields, names and owners, and the namespaces they lie in.
//!
//! What the API server can select by itself is also said in its syntax; it is judged here again, so that a plan made of
//! files says the same. Knows nothing of time. Whether an owner exists is for the caller to find out.

use api::garbage_collection::{NamespaceSelection, TargetResource};
use api::selector::{InvalidSelector, Selector};
use units::{FieldPath, Glob, GroupVersionKind, InvalidApiVersion, InvalidFieldPath, InvalidGlob, KeyPath};
use views::Labels;

use crate::limits::{FIELDS_MAX, NAMES_MAX, NAMES_SHOWN_MAX, SELECTOR_CHARS_MAX};
use crate::literal::Literal;
use crate::object::Object;
use crate::owners::{Owned, OwnerRule, OwnerUnwanted, is_kind, owner_path};
use crate::place::{Place, excerpt, shortened};
use crate::selectable::{self, Selectable};

/// One kind of object, and which objects of it, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetRule {
    /// The kind.
    pub kind: GroupVersionKind,
    labels: Selector,
    labels_text: String,
    fields: Box<[Field]>,
    names: Box<[Glob]>,
    exclude_names: Box<[Glob]>,
    owner: Option<OwnerRule>,
}

/// A field that must have a value.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    place: Place,
    value: Literal,
    /// Whether an object that lacks the field counts as having the value.
    is_value_if_absent: bool,
    selectable: Option<&'static Selectable>,
}

/// Whether a target selects an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// It does.
    Yes,
    /// It does if none of the object's owners ([`owners`](crate::owners)) exists any more.
    IfOwnersAreGone,
    /// It does not.
    No(Unselected),
}

/// Why a target does not select an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unselected {
    /// Its labels are not as the label selector wants them.
    Labels,
    /// A field is not as the field selector wants it.
    Field,
    /// Its name is not among the names.
    Name,
    /// Its name is among the excluded names.
    ExcludedName,
    /// Its owners are not as the owner selector wants them.
    Owner(OwnerUnwanted),
}

/// Why a target cannot be acted on, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// The `apiVersion` is not one.
    #[error("apiVersion: {0}")]
    ApiVersion(#[from] InvalidApiVersion),
    /// Not a kind.
    #[error("{field}: `{given}` is not a kind: write a name such as Job or ConfigMap")]
    Kind {
        /// The field.
        field: &'static str,
        /// What was written, shortened.
        given: Box<str>,
    },
    /// The label selector is not one.
    #[error("labelSelector: {0}")]
    Selector(#[from] InvalidSelector),
    /// The selector of namespaces is not one.
    #[error("namespaces.selector: {0}")]
    NamespaceSelector(InvalidSelector),
    /// A path in the field selector is not one.
    #[error("fieldSelector.matchFields: {0}")]
    FieldPath(#[from] InvalidFieldPath),
    /// A name is not one, nor a pattern of names.
    #[error("{field}: {fault}")]
    Name {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        fault: InvalidGlob,
    },
    /// More entries than anyone reads.
    #[error("{field} has {given} entries; at most {most} are allowed")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many there are.
        given: usize,
        /// How many are allowed.
        most: usize,
    },
    /// An owner selector that says nothing.
    #[error("owner needs `is` (Present, Absent or Gone) or `kinds`")]
    OwnerSaysNothing,
    /// No owner, but of a kind.
    #[error(
        "owner: an object without owners has no owner of a kind: leave kinds out, or write `is: Present`"
    )]
    OwnerContradicts,
}

impl TargetRule {
    /// Checks and compiles a target. The namespace that it may name is for the caller to check.
    pub fn compile(target: &TargetResource) -> Result<Self, InvalidTarget> {
        if !is_kind(&target.kind) {
            return Err(InvalidTarget::Kind { field: "kind", given: excerpt(&target.kind) });
        }
        let matched = target.field_selector.as_ref().map(|selector| &selector.match_fields);
        let given = matched.map_or(0, std::collections::BTreeMap::len);
        if given > FIELDS_MAX {
            return Err(InvalidTarget::TooMany {
                field: "fieldSelector.matchFields",
                given,
                most: FIELDS_MAX,
            });
        }
        let fields = matched.into_iter().flatten();
        let fields = fields.map(|(path, value)| Field::new(target, path, value));
        let labels = Selector::compile(target.label_selector.as_ref())?;
        Ok(Self {
            kind: GroupVersionKind { api_version: target.api_version.parse()?, kind: target.kind.clone() },
            labels_text: labels.to_string(),
            labels,
            fields: fields.collect::<Result<_, _>>()?,
            names: globs("names", &target.names)?,
            exclude_names: globs("excludeNames", &target.exclude_names)?,
            owner: target.owner.as_ref().map(OwnerRule::new).transpose()?,
        })
    }

    /// What has to be projected of each object.
    pub fn reads(&self) -> Vec<KeyPath> {
        let fields = self.fields.iter().filter_map(|field| field.place.reads().cloned());
        fields.chain(self.owner.iter().map(|_| owner_path().clone())).collect()
    }

    /// Whether nothing but the kind is asked for, so that all objects of the kind are selected.
    pub fn is_unselective(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty() && is_any(&self.names) && self.owner.is_none()
    }

    /// The labels that it demands, as text; empty for all.
    pub(crate) fn labels_text(&self) -> &str {
        &self.labels_text
    }

    /// The label selector.
    pub const fn labels(&self) -> &Selector {
        &self.labels
    }

    /// Whether an object of which nothing but labels and name is known may be selected.
    pub(crate) fn may_select(&self, object: &Object) -> bool {
        self.labels.matches(&object.labels) && self.unselected_by_name(object).is_none()
    }

    /// Whether an object of the kind is selected.
    pub fn selects(&self, object: &Object) -> Selected {
        if !self.labels.matches(&object.labels) {
            return Selected::No(Unselected::Labels);
        }
        if let Some(why) = self.unselected_by_name(object) {
            return Selected::No(why);
        }
        if !self.fields.iter().all(|field| field.holds(object)) {
            return Selected::No(Unselected::Field);
        }
        match self.owner.as_ref().map(|owner| owner.judge(object)) {
            None | Some(Owned::AsWanted) => Selected::Yes,
            Some(Owned::IfGone) => Selected::IfOwnersAreGone,
            Some(Owned::Unwanted(why)) => Selected::No(Unselected::Owner(why)),
        }
    }

    fn unselected_by_name(&self, object: &Object) -> Option<Unselected> {
        let is_one_of = |names: &[Glob]| names.iter().any(|name| name.matches(&object.name));
        if !self.names.is_empty() && !is_one_of(&self.names) {
            return Some(Unselected::Name);
        }
        is_one_of(&self.exclude_names).then_some(Unselected::ExcludedName)
    }

    /// Why an object is not selected, in words; nothing of one that is, or may be.
    pub(crate) fn why_unselected(&self, object: &Object) -> Box<str> {
        let Selected::No(why) = self.selects(object) else { return "".into() };
        let selector = || term(self.labels.unmet(&object.labels));
        match &why {
            Unselected::Labels => format!("its labels do not meet `{}` of labelSelector", selector()).into(),
            Unselected::Name => format!("its name is not among names: {}", some_of(&self.names)).into(),
            Unselected::ExcludedName => {
                let by = self.exclude_names.iter().filter(|name| name.matches(&object.name));
                format!("its name is among excludeNames, by {}", some_of(by)).into()
            }
            Unselected::Field => {
                let field = self.fields.iter().find(|field| !field.holds(object));
                field.map(|field| field.why_not(object)).unwrap_or_default()
            }
            Unselected::Owner(why) => why.to_string().into(),
        }
    }

    /// The label selector and the field selector that the API server may be asked with, in its syntax.
    ///
    /// They select at least what this rule selects; what they let through is judged here nevertheless.
    pub fn pushed(&self) -> (Option<String>, Option<String>) {
        let labels = Some(self.labels.to_string()).filter(|labels| !labels.is_empty());
        let mut terms: Vec<String> = self.fields.iter().filter_map(Field::pushed).collect();
        if let [name] = &*self.names {
            terms.extend(name.literal().map(|name| selectable::term("metadata.name", name)));
        }
        terms.sort();
        terms.dedup();
        (labels, Some(terms.join(",")).filter(|fields| !fields.is_empty()))
    }
}

impl Field {
    fn new(target: &TargetResource, field: &str, value: &str) -> Result<Self, InvalidTarget> {
        let plain = field.strip_prefix('.').unwrap_or(field);
        let selectable = selectable::find(&target.api_version, &target.kind, plain);
        let path: FieldPath = selectable.map_or(field, |selectable| selectable.path).parse()?;
        Ok(Self {
            place: Place::new(path),
            value: Literal::text(value),
            is_value_if_absent: value == selectable.map_or("", |selectable| selectable.absent),
            selectable,
        })
    }

    fn holds(&self, object: &Object) -> bool {
        self.place.find(object).map_or(self.is_value_if_absent, |found| self.value.equals(&found))
    }

    fn why_not(&self, object: &Object) -> Box<str> {
        let found = self.place.find(object).map(|found| self.place.excerpt(&found));
        let found = found.map_or_else(|| "missing".to_owned(), |found| format!("`{found}`"));
        let (path, wanted) = (excerpt(&self.place.to_string()), excerpt(self.value.as_text()));
        format!("{path} is {found}, not `{wanted}` (fieldSelector)").into()
    }

    fn pushed(&self) -> Option<String> {
        Some(selectable::term(self.selectable?.label, self.value.as_text()))
    }
}

fn globs(field: &'static str, names: &[String]) -> Result<Box<[Glob]>, InvalidTarget> {
    if names.len() > NAMES_MAX {
        return Err(InvalidTarget::TooMany { field, given: names.len(), most: NAMES_MAX });
    }
    let glob = |name: &String| name.parse().map_err(|fault| InvalidTarget::Name { field, fault });
    names.iter().map(glob).collect()
}

/// A selector's term as messages repeat it.
fn term(term: Option<String>) -> Box<str> {
    term.map(|term| shortened(&term, SELECTOR_CHARS_MAX)).unwrap_or_default()
}

/// Whether every name is among these.
fn is_any(names: &[Glob]) -> bool {
    names.is_empty() || names.iter().any(|name| name.as_str().bytes().all(|byte| byte == b'*'))
}

/// The first of a list of names, and how many more there are.
fn some_of<'g>(names: impl IntoIterator<Item = &'g Glob>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| excerpt(&name.to_string())).collect();
    let shown = names.iter().take(NAMES_SHOWN_MAX).map(|name| &**name).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}

/// The namespaces that a policy looks at, compiled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamespaceRule {
    names: Box<[Glob]>,
    exclude: Box<[Glob]>,
    selector: Selector,
}

impl NamespaceRule {
    /// Checks and compiles a selection; none covers every namespace. Those of the cluster itself are kept by a rail.
    pub fn compile(selection: Option<&NamespaceSelection>) -> Result<Self, InvalidTarget> {
        let Some(selection) = selection else { return Ok(Self::default()) };
        Ok(Self {
            names: globs("namespaces.names", &selection.names)?,
            exclude: globs("namespaces.exclude", &selection.exclude)?,
            selector: Selector::compile(selection.selector.as_ref())
                .map_err(InvalidTarget::NamespaceSelector)?,
        })
    }

    /// Whether the policy looks at the namespace of this name. One whose labels are not known is not covered by a rule
    /// that [needs](Self::needs_labels) them.
    pub fn covers(&self, name: &str, labels: Option<&Labels>) -> bool {
        let selected = || match labels {
            Some(labels) => self.selector.matches(labels),
            None => !self.needs_labels(),
        };
        self.may_cover(name) && selected()
    }

    /// Why the policy does not look at a namespace, in words; nothing of one at which it does.
    pub(crate) fn why_uncovered(&self, name: &str, labels: Option<&Labels>) -> Box<str> {
        if self.covers(name, labels) {
            return "".into();
        }
        let is_one_of = |names: &[Glob]| names.iter().any(|glob| glob.matches(name));
        let why = if is_one_of(&self.exclude) {
            let by = self.exclude.iter().filter(|glob| glob.matches(name));
            format!("is among namespaces.exclude, by {}", some_of(by))
        } else if !self.names.is_empty() && !is_one_of(&self.names) {
            format!("is not among namespaces.names: {}", some_of(&self.names))
        } else if let Some(labels) = labels {
            let unmet = term(self.selector.unmet(labels));
            format!("has no labels that meet `{unmet}` of namespaces.selector")
        } else {
            "has labels that are not known, and namespaces.selector asks for some".to_owned()
        };
        format!("namespace {} {why}", excerpt(name)).into()
    }

    /// Whether the policy looks at the namespace of this name if its labels are as wanted.
    pub(crate) fn may_cover(&self, name: &str) -> bool {
        let named = self.names.is_empty() || self.names.iter().any(|glob| glob.matches(name));
        named && !self.exclude.iter().any(|glob| glob.matches(name))
    }

    /// Whether it depends on the namespaces' labels.
    pub fn needs_labels(&self) -> bool {
        !self.selector.is_empty()
    }

    /// Whether every namespace is covered.
    pub fn is_everything(&self) -> bool {
        self.is_unselective() && self.exclude.is_empty()
    }

    /// Whether every namespace is covered, but for those that are excluded by name.
    pub fn is_unselective(&self) -> bool {
        is_any(&self.names) && !self.needs_labels()
    }
}

#[cfg(test)]
mod tests;
