//! What a request asks for, in the words of RBAC, and which requests a rule is about.
//!
//! A request is read from its method, path, query and body alone, as the API server itself does before it authorizes.
//! Knows no rule and no connection.

use std::fmt;
use std::sync::Arc;

use http::{Method, Uri};
use hyper::body::Bytes;
use serde_json::Value;

use super::count::Count;

/// What is done to a resource, by RBAC's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// One object, or a path that is no resource.
    Get,
    /// Many objects, once.
    List,
    /// A stream of changes; also a streaming list.
    Watch,
    /// A new object.
    Create,
    /// A whole object replaced.
    Update,
    /// A part of an object, or an apply.
    Patch,
    /// One object gone.
    Delete,
    /// Many objects gone.
    DeleteCollection,
}

impl Verb {
    /// Whether it only looks.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        })
    }
}

/// One request of the process under test.
#[derive(Clone, Debug)]
pub struct Call {
    verb: Verb,
    group: String,
    resource: String,
    namespace: String,
    name: String,
    path: String,
    query: Vec<(String, String)>,
    body: Value,
    pub(super) bytes: Bytes,
}

impl Call {
    /// What is asked for.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// The API group; empty for the core group, and for what is no resource.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// `configmaps`, `pods/eviction`; empty for what is no resource, such as `/version`.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Empty for what is in no namespace, or in all.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// From the path, the body of a create, or a field selector on `metadata.name`; otherwise empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As it was sent, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A parameter of the query, decoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body, if it is JSON; otherwise null.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// Whether it changes what the server has stored: no read, no dry run, and no review of somebody's rights.
    pub fn is_write(&self) -> bool {
        let is_review = matches!(self.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io");
        !self.verb.is_read() && !is_review && self.query("dryRun").is_none()
    }

    /// Whether it lists: in pages, or as a watch that begins with what is there (`sendInitialEvents`).
    pub fn is_list(&self) -> bool {
        self.verb == Verb::List || self.is_streaming_list()
    }

    pub(super) fn is_streaming_list(&self) -> bool {
        self.verb == Verb::Watch && self.query("sendInitialEvents") == Some("true")
    }

    pub(super) fn read(method: &Method, uri: &Uri, bytes: Bytes) -> Self {
        let query = pairs(uri.query().unwrap_or_default());
        let place = Place::of(uri.path());
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        let mut call = Self {
            verb: Verb::Get,
            group: place.group,
            resource: place.resource,
            namespace: place.namespace,
            name: place.name,
            path: uri.path().to_owned(),
            query,
            body,
            bytes,
        };
        if call.name.is_empty() {
            call.name = call.name_besides_the_path();
        }
        call.verb = call.verb_of(method, place.is_collection);
        call
    }

    fn name_besides_the_path(&self) -> String {
        let selected = self.query("fieldSelector").and_then(|fields| fields.strip_prefix("metadata.name="));
        let in_body = self.body.pointer("/metadata/name").and_then(Value::as_str);
        selected.or(in_body).unwrap_or_default().to_owned()
    }

    fn verb_of(&self, method: &Method, is_collection: bool) -> Verb {
        match method.as_str() {
            "POST" => Verb::Create,
            "PUT" => Verb::Update,
            "PATCH" => Verb::Patch,
            "DELETE" if is_collection => Verb::DeleteCollection,
            "DELETE" => Verb::Delete,
            _ if self.resource.is_empty() => Verb::Get,
            _ if matches!(self.query("watch"), Some("true" | "1")) => Verb::Watch,
            _ if is_collection => Verb::List,
            _ => Verb::Get,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = if self.resource.is_empty() { &self.path } else { &self.resource };
        write!(f, "{} {resource} {}/{}", self.verb, self.namespace, self.name)
    }
}

/// What a path leads to (kube-apiserver's `RequestInfo`).
#[derive(Debug, Default, PartialEq, Eq)]
struct Place {
    group: String,
    resource: String,
    namespace: String,
    name: String,
    is_collection: bool,
}

impl Place {
    fn of(path: &str) -> Self {
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["api", _, rest @ ..] => Self::within("", rest),
            ["apis", group, _, rest @ ..] => Self::within(group, rest),
            _ => Self::default(),
        }
    }

    fn within(group: &str, parts: &[&str]) -> Self {
        let (namespace, parts) = match parts {
            // A namespace is an object in itself, and so are its parts.
            ["namespaces", namespace] | ["namespaces", namespace, "status" | "finalize"] => {
                (*namespace, parts)
            }
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            _ => ("", parts),
        };
        let (resource, name) = match parts {
            [] => return Self::default(),
            [resource] => ((*resource).to_owned(), ""),
            [resource, name] => ((*resource).to_owned(), *name),
            [resource, name, part, ..] => (format!("{resource}/{part}"), *name),
        };
        let is_collection = name.is_empty();
        Self {
            group: group.to_owned(),
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            is_collection,
        }
    }
}

pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decoded(key), decoded(&value.replace('+', " "))))
        .collect()
}

/// Percent-encoding undone; what is no such encoding stays.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let encoded = after.first_chunk::<2>().filter(|_| *first == b'%');
        let byte = encoded.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

type Condition = Arc<dyn Fn(&Call) -> bool + Send + Sync>;

/// Which requests a rule is about: all conditions have to hold, and then the count decides.
///
/// ```
/// use testbed::faults::{Calls, Verb};
///
/// let third_removal = Calls::of("configmaps").verb(Verb::Delete).in_namespace("reports").nth(3);
/// let every_write_but_the_lease = Calls::writes().except("leases");
/// ```
#[derive(Clone)]
pub struct Calls {
    words: String,
    conditions: Vec<Condition>,
    pub(super) count: Count,
}

impl Calls {
    /// Every request, also for what is no resource.
    pub fn any() -> Self {
        Self { words: "any".to_owned(), conditions: Vec::new(), count: Count::Always }
    }

    /// Requests for a resource; see [`Calls::resource`].
    pub fn of(resource: impl Into<String>) -> Self {
        Self::any().resource(resource)
    }

    /// Requests with a verb.
    pub fn to(verb: Verb) -> Self {
        Self::any().verb(verb)
    }

    /// Whatever changes what is stored; see [`Call::is_write`].
    pub fn writes() -> Self {
        Self::any().when("writes", Call::is_write)
    }

    /// Lists of both forms; see [`Call::is_list`].
    pub fn lists(resource: impl Into<String>) -> Self {
        Self::of(resource).when("lists", Call::is_list)
    }

    /// Watches, also those that list first.
    pub fn watches(resource: impl Into<String>) -> Self {
        Self::of(resource).verb(Verb::Watch)
    }

    /// For this resource: `configmaps`, `pods/eviction`, `pods/*` for any part of pods. As in RBAC `pods` does not
    /// stand for its parts. It stands for every group that has such a resource; see [`Calls::in_group`].
    #[must_use]
    pub fn resource(self, resource: impl Into<String>) -> Self {
        let resource = resource.into();
        self.when(&format!("of {resource}"), move |call| is_resource(call, &resource))
    }

    /// With this verb.
    #[must_use]
    pub fn verb(self, verb: Verb) -> Self {
        self.when(&verb.to_string(), move |call| call.verb == verb)
    }

    /// With one of these verbs.
    #[must_use]
    pub fn verbs(self, verbs: impl Into<Vec<Verb>>) -> Self {
        let verbs = verbs.into();
        self.when(&format!("{verbs:?}"), move |call| verbs.contains(&call.verb))
    }

    /// In this API group; empty for the core group.
    #[must_use]
    pub fn in_group(self, group: impl Into<String>) -> Self {
        let group = group.into();
        self.when(&format!("in group {group}"), move |call| call.group == group)
    }

    /// For any other resource than this (`leases`, `events`).
    #[must_use]
    pub fn except(self, resource: impl Into<String>) -> Self {
        let resource = resource.into();
        self.when(&format!("except {resource}"), move |call| !is_resource(call, &resource))
    }

    /// In this namespace; a request over all namespaces is in none.
    #[must_use]
    pub fn in_namespace(self, namespace: impl Into<String>) -> Self {
        let namespace = namespace.into();
        self.when(&format!("in {namespace}"), move |call| call.namespace == namespace)
    }

    /// For the object of this name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.when(&format!("named {name}"), move |call| call.name == name)
    }

    /// A list's second page and those after it: with a continue token.
    #[must_use]
    pub fn continued(self) -> Self {
        self.when("continued", |call| call.query("continue").is_some_and(|token| !token.is_empty()))
    }

    /// Where this holds, of the path, the query or the body.
    #[must_use]
    pub fn that(self, holds: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Self {
        self.when("that ...", holds)
    }

    /// Only the n-th one (from 1) that begins after the rule was added.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.count = Count::Nth(n);
        self
    }

    /// Only the first `n` that begin after the rule was added.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.count = Count::First(n);
        self
    }

    /// All but the first `n` - 1 that begin after the rule was added.
    #[must_use]
    pub fn from_nth(mut self, n: u64) -> Self {
        self.count = Count::From(n);
        self
    }

    /// Only watches that are open when the rule is added; those that take their place are spared.
    #[must_use]
    pub fn already_open(mut self) -> Self {
        self.count = Count::Before;
        self
    }

    pub(super) fn match_call(&self, call: &Call) -> bool {
        self.conditions.iter().all(|holds| holds(call))
    }

    fn when(mut self, words: &str, holds: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Self {
        self.words = format!("{}, {words}", self.words);
        self.conditions.push(Arc::new(holds));
        self
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls({}; {:?})", self.words, self.count)
    }
}

fn is_resource(call: &Call, pattern: &str) -> bool {
    let Some(whole) = pattern.strip_suffix("/*") else { return call.resource == pattern };
    call.resource.split_once('/').is_some_and(|(resource, _)| resource == whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_rbac_reads_it() {
        let rows = [
            ("GET", "/api/v1/namespaces/a/configmaps", "list", "", "configmaps", "a", ""),
            ("GET", "/api/v1/configmaps?limit=500", "list", "", "configmaps", "", ""),
            ("GET", "/api/v1/namespaces/a/configmaps?watch=true", "watch", "", "configmaps", "a", ""),
            (
                "GET",
                "/api/v1/configmaps?watch=1&fieldSelector=metadata.name%3Db",
                "watch",
                "",
                "configmaps",
                "",
                "b",
            ),
            ("GET", "/api/v1/namespaces/a/configmaps/b", "get", "", "configmaps", "a", "b"),
            ("GET", "/api/v1/namespaces", "list", "", "namespaces", "", ""),
            ("DELETE", "/api/v1/namespaces/a", "delete", "", "namespaces", "a", "a"),
            ("PUT", "/api/v1/namespaces/a/finalize", "update", "", "namespaces/finalize", "a", "a"),
            ("POST", "/api/v1/namespaces/a/pods/b/eviction", "create", "", "pods/eviction", "a", "b"),
            (
                "PATCH",
                "/apis/apps/v1/namespaces/a/deployments/b/status",
                "patch",
                "apps",
                "deployments/status",
                "a",
                "b",
            ),
            (
                "DELETE",
                "/apis/apps/v1/namespaces/a/deployments",
                "deletecollection",
                "apps",
                "deployments",
                "a",
                "",
            ),
            (
                "GET",
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "get",
                "rbac.authorization.k8s.io",
                "clusterroles",
                "",
                "system:node",
            ),
            ("GET", "/apis/apps/v1", "get", "", "", "", ""),
            ("GET", "/version", "get", "", "", "", ""),
        ];
        for (method, uri, verb, group, resource, namespace, name) in rows {
            let call = Call::read(&method.parse().unwrap(), &uri.parse().unwrap(), Bytes::new());
            let read = (call.verb.to_string(), call.group(), call.resource(), call.namespace(), call.name());
            assert_eq!(read, (verb.to_owned(), group, resource, namespace, name), "{method} {uri}");
        }
    }

    #[test]
    fn what_stores_nothing_is_no_write() {
        let rows = [
            ("POST", "/api/v1/namespaces/a/configmaps", true),
            ("POST", "/api/v1/namespaces/a/configmaps?dryRun=All", false),
            ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", false),
            ("DELETE", "/api/v1/namespaces/a/configmaps/b", true),
            ("GET", "/api/v1/namespaces/a/configmaps/b", false),
        ];
        for (method, uri, is_write) in rows {
            let call = Call::read(&method.parse().unwrap(), &uri.parse().unwrap(), Bytes::new());
            assert_eq!(call.is_write(), is_write, "{method} {uri}");
        }
    }
}
