//! The fields by which an API server can select objects.
//!
//! `metadata.name` of every kind, `metadata.namespace` of nearly every kind, and a few more of some built-in kinds
//! (`conversion.go` and `strategy.go` of each in Kubernetes 1.36.3). Asked for any other field, the server refuses the
//! whole request. It compares texts, and has a text also where the field is missing.

/// A field that the server selects by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selectable {
    kinds: &'static [(&'static str, &'static str)],
    /// As the server calls it.
    pub(crate) label: &'static str,
    /// Where it is in the object.
    pub(crate) path: &'static str,
    /// What the server takes it for where it is missing.
    pub(crate) absent: &'static str,
}

const EVERY_KIND: &[(&str, &str)] = &[];
const EVENT: &[(&str, &str)] = &[("v1", "Event")];
const JOB: &[(&str, &str)] = &[("batch/v1", "Job")];
const NAMESPACE: &[(&str, &str)] = &[("v1", "Namespace")];
const NODE: &[(&str, &str)] = &[("v1", "Node")];
const POD: &[(&str, &str)] = &[("v1", "Pod")];
const REPLICAS: &[(&str, &str)] = &[("v1", "ReplicationController")];
const REQUEST: &[(&str, &str)] = &[("certificates.k8s.io/v1", "CertificateSigningRequest")];
const SECRET: &[(&str, &str)] = &[("v1", "Secret")];
const SERVICE: &[(&str, &str)] = &[("v1", "Service")];

const TABLE: &[Selectable] = &[
    same(EVERY_KIND, "metadata.name"),
    same(EVERY_KIND, "metadata.namespace"),
    same(POD, "spec.nodeName"),
    same(POD, "spec.restartPolicy"),
    same(POD, "spec.schedulerName"),
    same(POD, "spec.serviceAccountName"),
    Selectable { absent: "false", ..same(POD, "spec.hostNetwork") },
    same(POD, "status.phase"),
    same(POD, "status.podIP"),
    same(POD, "status.nominatedNodeName"),
    same(SECRET, "type"),
    same(EVENT, "involvedObject.kind"),
    same(EVENT, "involvedObject.namespace"),
    same(EVENT, "involvedObject.name"),
    same(EVENT, "involvedObject.uid"),
    same(EVENT, "involvedObject.apiVersion"),
    same(EVENT, "involvedObject.resourceVersion"),
    same(EVENT, "involvedObject.fieldPath"),
    same(EVENT, "reason"),
    same(EVENT, "reportingComponent"),
    same(EVENT, "type"),
    // The server's name for it is not that of the field.
    Selectable { label: "status.successful", absent: "0", ..same(JOB, "status.succeeded") },
    Selectable { absent: "0", ..same(REPLICAS, "status.replicas") },
    same(NAMESPACE, "status.phase"),
    Selectable { absent: "false", ..same(NODE, "spec.unschedulable") },
    same(SERVICE, "spec.clusterIP"),
    same(SERVICE, "spec.type"),
    same(REQUEST, "spec.signerName"),
];

/// Kinds whose list of selectable fields lacks `metadata.namespace`, by their groups.
const WITHOUT_NAMESPACE: [(&str, &str); 6] = [
    ("", "Node"),
    ("", "Namespace"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("certificates.k8s.io", "ClusterTrustBundle"),
    ("certificates.k8s.io", "PodCertificateRequest"),
    ("resource.k8s.io", "ResourceSlice"),
];

const fn same(kinds: &'static [(&'static str, &'static str)], path: &'static str) -> Selectable {
    Selectable { kinds, label: path, path, absent: "" }
}

/// How the server selects this kind by a field, which may be given by its path or by the server's name for it.
pub(crate) fn find(api_version: &str, kind: &str, field: &str) -> Option<&'static Selectable> {
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let lacks = |field: &str| field == "metadata.namespace" && WITHOUT_NAMESPACE.contains(&(group, kind));
    let of_kind = |row: &Selectable| row.kinds.is_empty() || row.kinds.contains(&(api_version, kind));
    TABLE.iter().find(|row| (row.path == field || row.label == field) && of_kind(row) && !lacks(field))
}

/// A field selector's term, in the API server's syntax.
pub(crate) fn term(label: &str, value: &str) -> String {
    let mut term = format!("{label}=");
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            term.push('\\');
        }
        term.push(c);
    }
    term
}
