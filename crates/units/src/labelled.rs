//! What carries labels.

use std::collections::BTreeMap;

/// What carries labels, in whatever form it keeps them.
pub trait Labelled {
    /// The value of a label; absent if it has no such label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labelled for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}
