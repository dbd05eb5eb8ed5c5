//! What there is to try while the demo stays up. Every line works as it stands.

use std::path::Path;

use super::site::Site;

/// What it shows, and the lines of kubectl that show it.
pub(super) type Thing = (&'static str, &'static [&'static str]);

/// After the demo of garbage collection.
pub(super) const COLLECTION: [Thing; 4] = [
    (
        "1. A ConfigMap that lives for 12 seconds:",
        &[
            "create configmap try-me",
            "label configmap try-me example.com/preview=45",
            "wait --for=delete configmap/try-me --timeout=30s",
        ],
    ),
    (
        "2. Take away a protection; the ConfigMap's time is long up, so it goes at once:",
        &["annotate configmap preview-44 groundskeeper.dev/protect-", "get configmaps"],
    ),
    (
        "3. Widen the budget, so that the next leftover of CI goes as well:",
        &[
            r#"patch gcp ci-leftovers --type merge -p '{"spec":{"budget":{"count":20}}}'"#,
            "create configmap ci-9",
            "label configmap ci-9 example.com/ci-run=",
            "wait --for=delete configmap/ci-9 --timeout=30s",
        ],
    ),
    ("4. Read what a policy can say, and write one:", &["explain gcp.spec --recursive", "edit gcp previews"]),
];

/// After the demo of nodes.
pub(super) const NODES: [Thing; 3] = [
    (
        "1. Empty a node that comes back, and give it back:",
        &[
            "apply -f examples/nodes/maintenance.yaml",
            "wait --for=condition=Drained nm/new-disk --timeout=60s",
            "get nm,nodes",
            "delete nm new-disk",
        ],
    ),
    (
        "2. Delete all that is left: the storm brake holds both, until it is raised; then the budget does, for its pods have \
         nowhere to go, until it is gone:",
        &[
            "delete node --all --wait=false",
            "get nc",
            r#"patch ncp workers --type merge -p '{"spec":{"concurrency":{"stormBrakePercent":100}}}'"#,
            "get nc",
            "delete pdb web",
            "get nc --watch",
        ],
    ),
    ("3. Read what a policy can say:", &["explain ncp.spec --recursive"]),
];

/// Says how to look around.
pub(super) fn invite(site: &Site, things: &[Thing], exports: &[String], logs: &[String]) {
    let screen = &site.screen;
    screen.title("Now it is yours. It all stays up until Ctrl-C.");
    if !exports.is_empty() {
        screen.gap();
        screen.say("In another terminal:");
        screen.gap();
        exports.iter().for_each(|line| screen.verbatim(&format!("  {line}")));
    }
    for (what, lines) in things {
        screen.gap();
        screen.say(what);
        lines.iter().for_each(|line| screen.verbatim(&format!("  {}", site.kubectl(line))));
    }
    screen.gap();
    screen.aside(&format!("The ledgers: {}", site.ledger().display()));
    screen.aside(&format!("The operator's log: {}", logs.join(", ")));
}

/// The lines that lead another terminal to the cluster and the programs of the demo.
pub(super) fn exports(kubeconfig: &Path, kubectl: &Path, program: &Path) -> Vec<String> {
    let directory = |program: &Path| program.parent().unwrap_or(Path::new("")).display().to_string();
    vec![
        format!("export KUBECONFIG={}", kubeconfig.display()),
        format!("export PATH={}:{}:$PATH", directory(kubectl), directory(program)),
    ]
}
