//! Where things are served: the paths of the API.

use std::borrow::Cow;

use units::ApiVersion;

/// The path below which a group and version is served: `/api/v1`, `/apis/batch/v1`.
pub(crate) fn group_version(version: &ApiVersion) -> String {
    if version.group.is_empty() { format!("/api/{}", version.version) } else { format!("/apis/{version}") }
}

/// The path of a collection; without a namespace, or with an empty one, of the whole cluster's.
pub(crate) fn collection(version: &ApiVersion, plural: &str, namespace: Option<&str>) -> String {
    let base = group_version(version);
    match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{base}/namespaces/{}/{plural}", segment(namespace)),
        None => format!("{base}/{plural}"),
    }
}

/// The path of one object; one that lies in no namespace has an empty one.
pub(crate) fn object(version: &ApiVersion, plural: &str, namespace: &str, name: &str) -> String {
    format!("{}/{}", collection(version, plural, Some(namespace)), segment(name))
}

/// One segment of a path. Names of some kinds (RBAC's) may hold `:` and more; a slash or a dot-dot must not wander off.
pub(crate) fn segment(text: &str) -> Cow<'_, str> {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b':' | b'.');
    let is_a_step = matches!(text, "." | "..");
    if !is_a_step && text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        if is_plain(byte) && !is_a_step {
            safe.push(char::from(byte));
        } else {
            safe += &format!("%{byte:02X}");
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let core: ApiVersion = "v1".parse().unwrap();
        let batch: ApiVersion = "batch/v1".parse().unwrap();
        assert_eq!(collection(&core, "configmaps", Some("team")), "/api/v1/namespaces/team/configmaps");
        assert_eq!(collection(&batch, "jobs", None), "/apis/batch/v1/jobs");
        assert_eq!(object(&batch, "jobs", "team", "a.b"), "/apis/batch/v1/namespaces/team/jobs/a.b");
        assert_eq!(object(&core, "x", "team", "../y"), "/api/v1/namespaces/team/x/..%2Fy");
        assert_eq!(object(&core, "nodes", "", "n"), "/api/v1/nodes/n");
        assert_eq!(object(&core, "x", "team", ".."), "/api/v1/namespaces/team/x/%2E%2E");
    }
}
