//! Where a call goes, checked before anything goes there.
//!
//! A path may be a secret, as that of an incoming webhook is: no way of printing shows more than scheme, host and port.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::PathAndQuery;

use crate::limits::URL_BYTES_MAX;

/// An address of HTTP or HTTPS.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    is_tls: bool,
    /// In lower case, without brackets.
    host: Box<str>,
    port: u16,
    /// As the `Host` header has it.
    authority: Box<str>,
    path: PathAndQuery,
}

/// Why a text cannot be called. Never repeats it, for it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Not an address at all.
    #[error("the url is no address: write one such as `https://cleanup.example.com/v1`")]
    Form,
    /// Neither HTTP nor HTTPS.
    #[error("the url begins with neither `https://` nor `http://`: write one of them")]
    Scheme,
    /// With somebody's name or password.
    #[error("the url names a user: leave that out, and write a header from a Secret instead")]
    User,
    /// With a fragment.
    #[error("the url has a `#`, which no server sees: leave it out")]
    Fragment,
    /// Longer than it may be.
    #[error("the url is longer than {URL_BYTES_MAX} bytes: write a shorter one")]
    TooLong,
}

impl Url {
    /// The host, in lower case and without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address, if it was written as one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn path(&self) -> &PathAndQuery {
        &self.path
    }
}

impl FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if text.len() > URL_BYTES_MAX {
            return Err(InvalidUrl::TooLong);
        }
        if text.contains('#') {
            return Err(InvalidUrl::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| InvalidUrl::Form)?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(InvalidUrl::Scheme),
        };
        let authority = uri.authority().ok_or(InvalidUrl::Form)?;
        if authority.as_str().contains('@') {
            return Err(InvalidUrl::User);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let written = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let port = match written.strip_prefix(':') {
            None => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(InvalidUrl::Form)?,
        };
        if host.is_empty() || host.contains('%') {
            return Err(InvalidUrl::Form);
        }
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { is_tls, host: host.into(), port, authority: authority.as_str().into(), path })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self}/…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused_with_what_to_write() {
        let rows = [
            ("https://a.example", Ok(("a.example", 443, "/"))),
            ("http://A.example:8080/x?y=1", Ok(("a.example", 8_080, "/x?y=1"))),
            ("http://[::1]:9/x", Ok(("::1", 9, "/x"))),
            ("ftp://a.example", Err(InvalidUrl::Scheme)),
            ("a.example", Err(InvalidUrl::Scheme)),
            ("/x", Err(InvalidUrl::Scheme)),
            ("https://u:p@a.example", Err(InvalidUrl::User)),
            ("https://a.example/#x", Err(InvalidUrl::Fragment)),
            ("https://a.example:0/", Err(InvalidUrl::Form)),
            ("https://a.example:99999/", Err(InvalidUrl::Form)),
            ("https://a.example/\r\nHost: b", Err(InvalidUrl::Form)),
            ("https:///x", Err(InvalidUrl::Form)),
            ("", Err(InvalidUrl::Form)),
        ];
        for (text, wanted) in rows {
            let read = text.parse::<Url>();
            let read = read.as_ref().map(|url| (url.host(), url.port(), url.path().as_str()));
            assert_eq!(read.map_err(|error| *error), wanted, "{text}");
        }
        let long = format!("https://a.example/{}", "x".repeat(URL_BYTES_MAX));
        assert_eq!(long.parse::<Url>().unwrap_err(), InvalidUrl::TooLong);
    }

    #[test]
    fn no_way_of_printing_shows_the_path() {
        let url: Url = "https://hooks.example/services/T0/B0/secret?token=secret".parse().unwrap();
        let printed = format!("{url} {url:?}");
        assert!(printed.contains("https://hooks.example") && !printed.contains("secret"), "{printed}");
    }
}
