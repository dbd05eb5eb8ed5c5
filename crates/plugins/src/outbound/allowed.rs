//! A host or a network that may be called although its addresses are private.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host name (`cmdb.corp.example`), all names below one (`*.svc.cluster.local`), an address, or a network
/// (`10.20.0.0/16`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Host(Box<str>),
    /// With its leading dot.
    Below(Box<str>),
    Network {
        address: IpAddr,
        prefix: u8,
    },
}

/// The text is neither a host nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is neither a host nor a network: write `cmdb.example.com`, `*.svc.cluster.local`, `10.20.0.0/16` or `fd12::/64`"
)]
pub struct InvalidAllowed {
    /// What was written, cut to a readable length.
    pub given: String,
}

impl Allowed {
    /// Whether this address of this host is meant. `host` is in lower case.
    pub(super) fn names(&self, host: &str, address: IpAddr) -> bool {
        match &self.0 {
            Form::Host(name) => **name == *host,
            Form::Below(suffix) => host.ends_with(&**suffix) && host.len() > suffix.len(),
            Form::Network { address: network, prefix } => {
                is_within(address.to_canonical(), *network, *prefix)
            }
        }
    }
}

fn is_within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let (one, other, width) = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(one.to_bits()), u128::from(other.to_bits()), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    let differing = u32::from(width - prefix.min(width));
    (one ^ other).checked_shr(differing).unwrap_or(0) == 0
}

impl FromStr for Allowed {
    type Err = InvalidAllowed;

    fn from_str(text: &str) -> Result<Self, InvalidAllowed> {
        let form = form(text).ok_or_else(|| InvalidAllowed { given: text.chars().take(64).collect() })?;
        Ok(Self(form))
    }
}

fn form(text: &str) -> Option<Form> {
    if let Some((address, prefix)) = text.split_once('/') {
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= width)?;
        return Some(Form::Network { address, prefix });
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        return Some(Form::Network { address, prefix });
    }
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix('*') {
        Some(suffix) => {
            suffix.strip_prefix('.').filter(|name| is_host(name)).map(|_| Form::Below(suffix.into()))
        }
        None => is_host(&lower).then(|| Form::Host(lower.into())),
    }
}

fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Host(name) => f.write_str(name),
            Form::Below(suffix) => write!(f, "*{suffix}"),
            Form::Network { address, prefix } => write!(f, "{address}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_networks_name_what_they_say_and_nothing_else() {
        let rows = [
            ("cmdb.example.com", "cmdb.example.com", "10.0.0.1", true),
            ("CMDB.example.com", "cmdb.example.com", "10.0.0.1", true),
            ("cmdb.example.com", "xcmdb.example.com", "10.0.0.1", false),
            ("*.example.com", "cmdb.example.com", "10.0.0.1", true),
            ("*.example.com", "example.com", "10.0.0.1", false),
            ("*.example.com", "evilexample.com", "10.0.0.1", false),
            ("10.20.0.0/16", "any", "10.20.255.1", true),
            ("10.20.0.0/16", "any", "::ffff:10.20.255.1", true),
            ("10.20.0.0/16", "any", "10.21.0.1", false),
            ("0.0.0.0/0", "any", "10.21.0.1", true),
            ("10.0.0.7", "any", "10.0.0.7", true),
            ("10.0.0.7", "any", "10.0.0.8", false),
            ("fd12::/64", "any", "fd12::9", true),
            ("fd12::/64", "any", "fd13::9", false),
            ("::/0", "any", "fd13::9", true),
        ];
        for (allowed, host, address, wanted) in rows {
            let parsed: Allowed = allowed.parse().unwrap();
            assert_eq!(parsed.names(host, address.parse().unwrap()), wanted, "{allowed} {host} {address}");
            assert_eq!(parsed.to_string().parse::<Allowed>().unwrap(), parsed);
        }
        for wrong in
            ["", "*", "*.", "10.0.0.0/33", "a b", "http://x", "fd12::/129", "a..b", "10.0.0.0/", "*x.y"]
        {
            assert!(wrong.parse::<Allowed>().is_err(), "{wrong}");
        }
    }
}
