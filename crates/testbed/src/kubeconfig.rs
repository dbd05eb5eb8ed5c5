//! Kubeconfig files, and the same as a client's configuration.
//!
//! A file holds its certificates itself, so it may be copied elsewhere while the control plane runs.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::authority::Credentials;

/// One cluster, one user, one context. Written as JSON, which every reader of YAML takes.
pub(crate) fn document(server: &str, ca: &str, user: &str, credentials: &Credentials) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "testbed",
            "cluster": { "server": server, "certificate-authority-data": base64(ca.as_bytes()) },
        }],
        "users": [{ "name": user, "user": authentication(credentials) }],
        "contexts": [{ "name": "testbed", "context": { "cluster": "testbed", "user": user } }],
        "current-context": "testbed",
    })
}

pub(crate) fn authentication(credentials: &Credentials) -> Value {
    json!({
        "client-certificate-data": base64(credentials.certificate.as_bytes()),
        "client-key-data": base64(credentials.key.as_bytes()),
    })
}

/// A file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
