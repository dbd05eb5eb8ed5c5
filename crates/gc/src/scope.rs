//! What an expression sees of an object.

use expr::{Answer, Expression, Fields, Stays};
use jiff::Timestamp;
use units::{KeyPath, Value};

use crate::object::Object;

/// What has to be projected for this expression.
pub(crate) fn reads(expression: &Expression) -> impl Iterator<Item = KeyPath> {
    expression.reads().iter().filter(|path| !Object::holds(path)).cloned()
}

/// What an expression gives for an object, or in words why nothing.
pub(crate) fn evaluate(expression: &Expression, object: &Object, now: Timestamp) -> Result<Answer, String> {
    let scope = Scope::new(expression, object);
    expression.evaluate(&scope, now).map_err(|error| {
        if expression.reads().iter().any(is_confidential) {
            "it fails on this object; why is not shown, for it reads data that may be secret".to_owned()
        } else {
            error.to_string()
        }
    })
}

/// How long what an expression gives for an object stays as it is.
pub(crate) fn stays(expression: &Expression, object: &Object, now: Timestamp) -> Stays {
    if !expression.uses_now() {
        return Stays::ForGood;
    }
    expression.stays(&Scope::new(expression, object), now)
}

fn is_confidential(path: &KeyPath) -> bool {
    path.keys().first().is_some_and(|key| matches!(&**key, "data" | "stringData"))
}

/// An object's fields, and as values what its record holds and the expression reads.
struct Scope<'a> {
    object: &'a Object,
    held: Vec<(&'a KeyPath, Value)>,
}

impl<'a> Scope<'a> {
    fn new(expression: &'a Expression, object: &'a Object) -> Self {
        let known = object.known();
        let held = expression.reads().iter().filter(|path| Object::holds(path));
        Self { object, held: held.filter_map(|path| Some((path, known.get(path)?))).collect() }
    }
}

impl Fields for Scope<'_> {
    fn field(&self, path: &KeyPath) -> Option<&Value> {
        let Some((held, value)) = self.held.iter().find(|(held, _)| path.is_at_or_below(held)) else {
            return self.object.fields.get(path);
        };
        path.keys().iter().skip(held.len()).try_fold(value, |value, key| value.get(key))
    }
}
