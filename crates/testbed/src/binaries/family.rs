//! The tools, the Go modules that they come from, and what building them costs.
//!
//! One Go module per family: they pin different releases of the same libraries. The modules' files are compiled in,
//! so that the library works wherever its sources are. Changing a version: `go get` in `go/<family>`, and the constant
//! here; a test holds the two together.

use std::fmt;

/// The least Go release that the pinned modules accept, as they say in their `go` line.
pub(super) const GO_MINOR_MIN: GoMinor = GoMinor { major: 1, minor: 26 };

/// A Go release without its patch level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GoMinor {
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl fmt::Display for GoMinor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// One program of the test bed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    /// The store of the API server.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// The built-in controllers: deployments, jobs, garbage collection, namespaces, service accounts.
    KubeControllerManager,
    /// The scheduler.
    KubeScheduler,
    /// The command line client.
    Kubectl,
    /// The simulator of nodes and of what their kubelets do with pods.
    Kwok,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 6] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubectl,
        Self::Kwok,
    ];

    /// The program's file name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
        }
    }

    /// The module that it is built from.
    pub const fn family(self) -> Family {
        match self {
            Self::Etcd => Family::Etcd,
            Self::KubeApiserver | Self::KubeControllerManager | Self::KubeScheduler | Self::Kubectl => {
                Family::Kubernetes
            }
            Self::Kwok => Family::Kwok,
        }
    }

    /// The arguments that make it print its version, and nothing else.
    pub(super) const fn version_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kubectl => &["version", "--client"],
            _ => &["--version"],
        }
    }
}

/// Tools that are built together from one Go module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// etcd alone.
    Etcd,
    /// The Kubernetes servers and kubectl.
    Kubernetes,
    /// kwok alone.
    Kwok,
}

impl Family {
    /// Every family, the quickest to build first.
    pub const ALL: [Self; 3] = [Self::Etcd, Self::Kwok, Self::Kubernetes];

    /// Its name: of its folder under `go/`, and in the cache.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Kubernetes => "kubernetes",
            Self::Kwok => "kwok",
        }
    }

    /// The pinned version, without a `v`.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Etcd => "3.6.16",
            Self::Kubernetes => "1.36.3",
            Self::Kwok => "0.8.0",
        }
    }

    /// How long a build without any cache usually takes (measured on two cores).
    pub const fn usual(self) -> &'static str {
        match self {
            Self::Etcd => "20 to 90 s",
            Self::Kubernetes => "3.5 to 9 min",
            Self::Kwok => "45 to 95 s",
        }
    }

    /// Free disk space that a build without any cache needs, in GiB (measured, and rounded up).
    pub(super) const fn disk_gib(self) -> u64 {
        match self {
            Self::Etcd => 1,
            Self::Kubernetes => 6,
            Self::Kwok => 2,
        }
    }

    pub(super) const fn go_mod(self) -> &'static str {
        match self {
            Self::Etcd => include_str!("../../go/etcd/go.mod"),
            Self::Kubernetes => include_str!("../../go/kubernetes/go.mod"),
            Self::Kwok => include_str!("../../go/kwok/go.mod"),
        }
    }

    pub(super) const fn go_sum(self) -> &'static str {
        match self {
            Self::Etcd => include_str!("../../go/etcd/go.sum"),
            Self::Kubernetes => include_str!("../../go/kubernetes/go.sum"),
            Self::Kwok => include_str!("../../go/kwok/go.sum"),
        }
    }

    /// What `-o` is given below the output directory. The etcd server's package would be called `server`.
    pub(super) const fn output(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Kubernetes | Self::Kwok => "",
        }
    }

    pub(super) const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Etcd => &["go.etcd.io/etcd/server/v3"],
            Self::Kubernetes => &[
                "k8s.io/kubernetes/cmd/kube-apiserver",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
                "k8s.io/kubernetes/cmd/kube-scheduler",
                "k8s.io/kubernetes/cmd/kubectl",
            ],
            Self::Kwok => &["sigs.k8s.io/kwok/cmd/kwok"],
        }
    }

    /// Symbols stripped for size. Kubernetes learns its version here only: unstamped, it calls itself
    /// `v0.0.0-master+$Format:%H$`, which strict clients (kubectl among them) refuse to parse.
    pub(super) fn linker_flags(self) -> String {
        match self {
            Self::Etcd | Self::Kwok => "-s -w".to_owned(),
            Self::Kubernetes => {
                format!("-s -w -X k8s.io/component-base/version.gitVersion=v{}", self.version())
            }
        }
    }

    /// The tools of this family.
    pub fn tools(self) -> impl Iterator<Item = Tool> {
        Tool::ALL.into_iter().filter(move |tool| tool.family() == self)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.version())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_in_the_code_is_the_one_in_the_module() {
        let modules = ["go.etcd.io/etcd/server/v3", "sigs.k8s.io/kwok", "k8s.io/kubernetes"];
        for (family, module) in Family::ALL.into_iter().zip(modules) {
            let required = format!("{module} v{}", family.version());
            assert!(
                family.go_mod().lines().any(|line| line.trim().starts_with(&required)),
                "go/{}/go.mod does not require {required}",
                family.name()
            );
        }
    }

    #[test]
    fn no_module_asks_for_a_newer_go_than_we_say() {
        for family in Family::ALL {
            assert!(
                family.go_mod().lines().any(|line| line == format!("go {GO_MINOR_MIN}.0")),
                "go/{}/go.mod has another `go` line",
                family.name()
            );
        }
    }
}
