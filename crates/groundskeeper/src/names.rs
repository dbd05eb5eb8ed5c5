//! Names that are written on the command line, checked before anything is done with them.

/// A namespace: a DNS label.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err("a namespace has 1 to 63 lower-case letters, digits and dashes, and begins and ends with a letter or digit".into())
}

/// A service account with its namespace.
pub(crate) fn account(text: &str) -> Result<units::NamespacedName, String> {
    let (of, name) = text.split_once('/').ok_or("write NAMESPACE/NAME, such as team-a/cleaner")?;
    Ok(units::NamespacedName::new(namespace(of)?, service_account(name)?))
}

/// A service account: a DNS subdomain.
pub(crate) fn service_account(text: &str) -> Result<String, String> {
    if is_dns_subdomain(text) {
        return Ok(text.to_owned());
    }
    Err("a service account's name has 1 to 253 lower-case letters, digits, dashes and dots, and begins and ends with a letter or digit".into())
}

/// A Secret: a DNS subdomain.
pub(crate) fn secret(text: &str) -> Result<String, String> {
    if is_dns_subdomain(text) {
        return Ok(text.to_owned());
    }
    Err("a Secret's name has 1 to 253 lower-case letters, digits, dashes and dots, and begins and ends with a letter or digit".into())
}

pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

pub(crate) fn is_dns_label(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edges = (text.bytes().next(), text.bytes().last());
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !matches!(edges, (Some(b'-'), _) | (_, Some(b'-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_an_api_server_takes() {
        let long = "a".repeat(64);
        let table = [("team", true), ("a", true), ("a-1", true), ("", false), ("-a", false), ("a-", false)];
        for (text, expected) in table.into_iter().chain([("Team", false), ("a b", false), (&long, false)]) {
            assert_eq!(namespace(text).is_ok(), expected, "{text}");
            assert_eq!(service_account(text).is_ok(), expected, "{text}");
        }
        assert!(
            namespace("a.b").is_err() && service_account("a.b").is_ok() && service_account("a..b").is_err()
        );
    }
}
