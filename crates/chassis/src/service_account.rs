//! A service account by its name, as whom something may be done.
//!
//! Always holds: both parts are names that the API server would take, so that no account can be spelled as another one.

use std::collections::BTreeMap;
use std::fmt;

use crate::access::Subject;

/// The header that says as whom a request is made.
pub(crate) const IMPERSONATE_USER: &str = "impersonate-user";

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceAccountName {
    namespace: String,
    name: String,
}

/// The text is not the name of a service account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a service account: write a name of 1 to 253 lower-case letters, digits, dashes and dots that begins and ends with a letter or a digit, in a namespace of 1 to 63 without dots"
)]
pub struct InvalidServiceAccount {
    /// What was given, cut to a readable length.
    given: String,
}

impl ServiceAccountName {
    /// The account of this name in this namespace. Whether it exists is for the API server to say.
    ///
    /// # Errors
    ///
    /// If a part is not a name that the API server would take.
    pub fn new(namespace: &str, name: &str) -> Result<Self, InvalidServiceAccount> {
        let is_name = |text: &str, bytes_max: usize, others: &[char]| {
            let ends = |end: Option<char>| end.is_some_and(is_plain);
            text.len() <= bytes_max
                && ends(text.chars().next())
                && ends(text.chars().next_back())
                && text.chars().all(|c| is_plain(c) || others.contains(&c))
        };
        if is_name(namespace, 63, &['-']) && is_name(name, 253, &['-', '.']) {
            return Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() });
        }
        Err(InvalidServiceAccount { given: format!("{namespace}/{name}").chars().take(80).collect() })
    }

    /// Where it lies.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What RBAC takes it for: its user name and groups.
    pub fn subject(&self) -> Subject {
        let groups = [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{}", self.namespace),
            "system:authenticated".to_owned(),
        ];
        Subject { user: self.to_string(), uid: None, groups: groups.into(), extra: BTreeMap::new() }
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Its user name: `system:serviceaccount:NAMESPACE:NAME`.
impl fmt::Display for ServiceAccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_named_as_rbac_names_it() {
        let account = ServiceAccountName::new("team", "robot.v1").unwrap();
        let subject = account.subject();
        assert_eq!(subject.user, "system:serviceaccount:team:robot.v1");
        let groups = ["system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated"];
        assert_eq!(subject.groups, groups);
    }

    #[test]
    fn what_could_be_read_as_another_account_is_none() {
        let long = "a".repeat(254);
        let table = [
            ("", "robot"),
            ("team", ""),
            ("team:robot", "x"),
            ("team", "x:y"),
            ("team", "robot\r\nImpersonate-Group: system:masters"),
            ("te.am", "robot"),
            ("team", ".robot"),
            ("team", "Robot"),
            ("team", &long),
        ];
        for (namespace, name) in table {
            let error = ServiceAccountName::new(namespace, name).unwrap_err().to_string();
            assert!(error.contains("write a name") && error.len() < 400, "{error}");
        }
    }
}
