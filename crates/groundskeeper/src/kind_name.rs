//! An object as people name it: `configmap/report`, `jobs.batch/nightly`.

use std::str::FromStr;

/// A kind and a name, as they were written.
#[derive(Clone, Debug)]
pub(crate) struct KindName {
    /// In lower case.
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl FromStr for KindName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => {
                Ok(Self { kind: kind.to_ascii_lowercase(), name: name.to_owned() })
            }
            _ => Err("write the kind and the name, such as configmap/report".to_owned()),
        }
    }
}

impl KindName {
    /// Whether this kind is meant. Where nobody can be asked for plurals, they are formed as the API's own convention does.
    pub(crate) fn means(&self, kind: &str, group: &str) -> bool {
        let singular = kind.to_ascii_lowercase();
        self.is_one_of(&[&plural(&singular), &singular], group)
    }

    fn is_one_of(&self, names: &[&str], group: &str) -> bool {
        names.iter().any(|&name| self.kind == name || self.kind == format!("{name}.{group}"))
    }
}

/// The plural of a kind in lower case, by the convention that almost all kinds follow (apimachinery v0.36,
/// `UnsafeGuessKindToResource`).
fn plural(singular: &str) -> String {
    match singular.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if singular.ends_with('s') => format!("{singular}es"),
        None => format!("{singular}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_each_of_its_names() {
        let table = [
            ("ConfigMap", "ConfigMap", "", true),
            ("configmaps", "ConfigMap", "", true),
            ("jobs.batch", "Job", "batch", true),
            ("job.batch", "Job", "batch", true),
            ("Job", "Job", "batch", true),
            ("networkpolicies", "NetworkPolicy", "networking.k8s.io", true),
            ("ingresses", "Ingress", "networking.k8s.io", true),
            ("jobs.example.com", "Job", "batch", false),
            ("secrets", "ConfigMap", "", false),
        ];
        for (given, kind, group, expected) in table {
            let named: KindName = format!("{given}/x").parse().unwrap();
            assert_eq!(named.means(kind, group), expected, "{given} {kind}");
        }
    }

    #[test]
    fn what_is_not_a_kind_and_a_name_is_refused_with_what_to_write() {
        for text in ["", "configmap", "configmap/", "/report"] {
            assert!(text.parse::<KindName>().unwrap_err().contains("configmap/report"), "{text}");
        }
    }
}
