//! What objects hold alike, held once: of a million pods, the phase is one of five.
//!
//! Remembers only what has lately been seen, so it takes no more memory however many values there are.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use views::Fields;

use crate::limits::ALIKE_MAX;

/// The fields that were seen last, each where its hash puts it.
#[derive(Debug, Default)]
pub(super) struct Alike {
    seen: Vec<Fields>,
    hasher: RandomState,
}

impl Alike {
    /// These fields, or equal ones that others hold too.
    pub(super) fn share(&mut self, fields: Fields) -> Fields {
        if fields.projection().is_none() || !fields.is_plain() {
            return fields;
        }
        if self.seen.is_empty() {
            self.seen.resize_with(ALIKE_MAX, Fields::default);
        }
        let at = self.hasher.hash_one(&fields) % ALIKE_MAX as u64;
        let Some(seen) = usize::try_from(at).ok().and_then(|at| self.seen.get_mut(at)) else { return fields };
        if *seen != fields {
            *seen = fields;
        }
        seen.clone()
    }
}

#[cfg(test)]
mod tests {
    use units::FieldPath;

    use super::*;
    use crate::testing::object;

    #[test]
    fn objects_share_what_they_hold_alike_and_nothing_else() {
        let mut alike = Alike::default();
        let path = "status.phase".parse::<FieldPath>().unwrap().prefix().clone();
        let mut held = |phase: &str| {
            let object = object(&format!(r#"{{"status": {{"phase": "{phase}"}}}}"#), &["status.phase"]);
            let fields = alike.share(object.fields);
            let text = fields.get(&path).and_then(units::Value::as_text).unwrap();
            assert_eq!(text, phase);
            text.as_ptr()
        };
        let first = held("Running");
        assert_eq!(first, held("Running"));
        assert_ne!(first, held("Failed"));
    }
}
