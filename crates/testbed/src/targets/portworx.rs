//! A Portworx cluster as its two interfaces show it: the REST gateway of the SDK and the management interface.
//!
//! Played after `OpenStorage`'s published API, quirks included: the id of a removal is a value of the query, and its errors come
//! with status 200; a removal that goes on is an error, too; the gateway writes 64-bit numbers as texts and leaves zeroes
//! out; each request to drain begins a job of its own; a member that is not at work does not list those that are being
//! removed.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use testbed::targets::Misbehaviour;
//! use testbed::targets::portworx::{Call, Effect, Fault, Portworx, Status};
//!
//! let portworx = Portworx::start().await?;
//! portworx.join("px-1", "worker-1");
//! portworx.join("px-2", "worker-2");
//! portworx.set_status("px-2", Status::Offline);
//! portworx.once(Call::Remove, Fault::Misbehaves(Misbehaviour::LoseAnswer));
//! // Let a client of `portworx.management_url()` remove it: it is removed, and nobody hears of it.
//! assert_eq!(portworx.effects(Effect::RemovalBegun), 1);
//! # Ok(())
//! # }
//! ```
//!
//! It counts what was asked and what came of it. It knows nothing of who asks. It was never held against a real Portworx.

mod world;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use serde_json::json;

use self::world::{StorageNode, World};
use super::{Behaviour, Misbehaviour, Received, Reply, Target};

/// A simulated cluster. It is there until it is dropped.
#[derive(Debug)]
pub struct Portworx {
    ground: Ground,
    gateway: Target<Interface>,
    management: Target<Interface>,
}

/// What is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Gateway: the ids of all storage nodes.
    NodeIds,
    /// Gateway: one storage node.
    Inspect,
    /// Gateway: no volume may be attached to it any more.
    Disable,
    /// Gateway: its volumes are to be detached.
    Drain,
    /// Gateway: all jobs.
    Jobs,
    /// Gateway: one job.
    Job,
    /// Management: which versions there are.
    Versions,
    /// Management: all storage nodes.
    Enumerate,
    /// Management: it is to be removed.
    Remove,
    /// Anything else.
    Other,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A storage node took attachments, and takes none any more.
    AttachmentsDisabled,
    /// A job began that detaches volumes.
    DrainBegun,
    /// A volume was detached.
    VolumeDetached,
    /// A storage node was marked for removal.
    RemovalBegun,
    /// A storage node is not in the cluster any more.
    Gone,
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// As with every server.
    Misbehaves(Misbehaviour),
    /// Nothing is done; this status and this text.
    Says(u16, String),
    /// Nothing is done; the answer is as if it had been.
    Lies,
}

/// The state of a storage node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 0, which the gateway leaves out.
    None,
    /// 2.
    Ok,
    /// 3.
    Offline,
    /// 5.
    NotInQuorum,
    /// 6: it is being removed.
    Decommission,
    /// 7.
    Maintenance,
    /// 8.
    StorageDown,
}

/// How jobs end that detach volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DrainEnd {
    /// All volumes are detached.
    #[default]
    Done,
    /// It fails before the first.
    Failed,
    /// Somebody cancels it before the first.
    Cancelled,
    /// Somebody pauses it, until another end is set.
    Paused,
}

/// One of the two interfaces of a cluster.
#[derive(Clone, Debug)]
struct Interface {
    kind: Kind,
    ground: Ground,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gateway,
    Management,
}

/// What both interfaces and the test share.
#[derive(Clone, Debug, Default)]
struct Ground(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    world: World,
    token: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    call: Call,
    fault: Fault,
    /// None is always.
    left: Option<u64>,
}

impl Portworx {
    /// A cluster without nodes, on two ports of loopback.
    pub async fn start() -> io::Result<Self> {
        let ground = Ground::default();
        let interface = |kind| Interface { kind, ground: ground.clone() };
        let gateway = Target::start(interface(Kind::Gateway)).await?;
        let management = Target::start(interface(Kind::Management)).await?;
        Ok(Self { ground, gateway, management })
    }

    /// Where the gateway is, such as `http://127.0.0.1:40001`.
    pub fn gateway_url(&self) -> String {
        self.gateway.url()
    }

    /// Where the management interface is.
    pub fn management_url(&self) -> String {
        self.management.url()
    }

    /// A storage node joins, online and with a drive. The first one is who answers.
    pub fn join(&self, id: &str, node_name: &str) {
        let mut inner = self.ground.inner();
        if inner.world.teller.is_empty() {
            id.clone_into(&mut inner.world.teller);
        }
        inner.world.nodes.push(StorageNode::new(id, node_name));
    }

    /// It has no drives.
    pub fn set_storageless(&self, id: &str) {
        self.change(id, |node| node.pools = 0);
    }

    /// Its state from now on.
    pub fn set_status(&self, id: &str, status: Status) {
        self.change(id, |node| node.status = status);
    }

    /// So many volumes are attached to it.
    pub fn attach(&self, id: &str, volumes: u64) {
        self.change(id, |node| node.attached = volumes);
    }

    /// So many volumes have their only replica on it.
    pub fn set_only_replicas(&self, id: &str, volumes: u32) {
        self.change(id, |node| node.lonely = volumes);
    }

    /// It goes by itself, as storageless nodes do that are offline for two days.
    pub fn forget(&self, id: &str) {
        self.ground.inner().world.nodes.retain(|node| node.id != id);
    }

    /// Who answers from now on, whoever is asked.
    pub fn answer_as(&self, id: &str) {
        id.clone_into(&mut self.ground.inner().world.teller);
    }

    /// How jobs end.
    pub fn end_drains(&self, end: DrainEnd) {
        self.ground.inner().world.drain_end = end;
    }

    /// So often a node is seen while it is being removed; 0, which is the default, removes it at once.
    pub fn removals_take(&self, looks: u32) {
        self.ground.inner().world.removal_looks = looks;
    }

    /// A node that is not there is an internal error of the gateway, as in older versions.
    pub fn speak_as_of_old(&self) {
        self.ground.inner().world.has_old_words = true;
    }

    /// Only requests with this bearer token are heard.
    pub fn demand_token(&self, token: &str) {
        self.ground.inner().token = Some(token.to_owned());
    }

    /// This goes wrong with each such call, until [`Portworx::mend`].
    pub fn on(&self, call: Call, fault: Fault) {
        self.ground.inner().rules.push(Rule { call, fault, left: None });
    }

    /// This goes wrong with the next such call.
    pub fn once(&self, call: Call, fault: Fault) {
        self.ground.inner().rules.push(Rule { call, fault, left: Some(1) });
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        self.ground.inner().rules.clear();
    }

    /// How often it was asked for, whatever came of it.
    pub fn requests(&self, call: Call) -> usize {
        let of = |target: &Target<Interface>, kind| {
            target.received().iter().filter(|request| call_of(kind, request) == call).count()
        };
        of(&self.gateway, Kind::Gateway).saturating_add(of(&self.management, Kind::Management))
    }

    /// How often it happened.
    pub fn effects(&self, effect: Effect) -> u64 {
        self.ground.inner().world.effects.get(&effect).copied().unwrap_or_default()
    }

    /// Whether it is in the cluster.
    pub fn has(&self, id: &str) -> bool {
        self.ground.inner().world.nodes.iter().any(|node| node.id == id)
    }

    /// Volumes that are attached to it.
    pub fn attached(&self, id: &str) -> u64 {
        self.ground.inner().world.node_mut(id).map_or(0, |node| node.attached)
    }

    fn change(&self, id: &str, how: impl FnOnce(&mut StorageNode)) {
        if let Some(node) = self.ground.inner().world.node_mut(id) {
            how(node);
        }
    }
}

impl Status {
    const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Ok => 2,
            Self::Offline => 3,
            Self::NotInQuorum => 5,
            Self::Decommission => 6,
            Self::Maintenance => 7,
            Self::StorageDown => 8,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::None => "STATUS_NONE",
            Self::Ok => "STATUS_OK",
            Self::Offline => "STATUS_OFFLINE",
            Self::NotInQuorum => "STATUS_NOT_IN_QUORUM",
            Self::Decommission => "STATUS_DECOMMISSION",
            Self::Maintenance => "STATUS_MAINTENANCE",
            Self::StorageDown => "STATUS_STORAGE_DOWN",
        }
    }
}

impl Ground {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The rule for a call, if it is one of these; then it has been used once more.
    fn fault(&mut self, call: Call, is_meant: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let rule = self.rules.iter_mut().find(|rule| rule.call == call && rule.left != Some(0))?;
        if !is_meant(&rule.fault) {
            return None;
        }
        rule.left = rule.left.map(|left| left.saturating_sub(1));
        Some(rule.fault.clone())
    }

    fn perform(&mut self, call: Call, request: &Received) -> Reply {
        let id = request.path.rsplit('/').next().unwrap_or_default();
        let world = &mut self.world;
        match call {
            Call::NodeIds => world.node_ids(),
            Call::Inspect => world.inspect(id),
            Call::Disable => world.disable(id),
            Call::Drain => world.drain(id, &request.body),
            Call::Jobs => world.jobs(),
            Call::Job => world.job(id),
            Call::Versions => Reply::json(200, &json!(["v1"])),
            Call::Enumerate => world.enumerate(),
            Call::Remove => {
                let ids = request.query.iter().filter(|(name, _)| name == "id");
                let ids: Vec<&str> = ids.map(|(_, id)| &**id).collect();
                world.remove(&ids, request.query("forceRemove"))
            }
            Call::Other => world::said(404, "Not Found"),
        }
    }
}

impl Interface {
    fn unauthenticated(&self) -> Reply {
        let words = "Unable to authenticate: the token is not the one";
        match self.kind {
            Kind::Gateway => Reply::json(401, &json!({ "error": words, "code": 16, "message": words })),
            Kind::Management => world::said(401, words),
        }
    }
}

impl Behaviour for Interface {
    fn answer(&mut self, request: &Received) -> Reply {
        let call = call_of(self.kind, request);
        let mut inner = self.ground.inner();
        let wanted = inner.token.as_ref().map(|token| format!("Bearer {token}"));
        if wanted.is_some() && wanted.as_deref() != request.header("authorization") {
            return self.unauthenticated();
        }
        match inner.fault(call, |fault| !matches!(fault, Fault::Misbehaves(_))) {
            Some(Fault::Says(status, text)) => world::said(status, &text),
            Some(Fault::Lies) => {
                let truth = inner.world.clone();
                let lie = inner.perform(call, request);
                inner.world = truth;
                lie
            }
            Some(Fault::Misbehaves(_)) | None => inner.perform(call, request),
        }
    }

    fn misbehaviour(&mut self, request: &Received) -> Option<Misbehaviour> {
        let call = call_of(self.kind, request);
        match self.ground.inner().fault(call, |fault| matches!(fault, Fault::Misbehaves(_)))? {
            Fault::Misbehaves(how) => Some(how),
            Fault::Says(..) | Fault::Lies => None,
        }
    }
}

fn call_of(kind: Kind, request: &Received) -> Call {
    let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    match (kind, &request.method, parts.as_slice()) {
        (Kind::Gateway, &Method::GET, ["v1", "nodes"]) => Call::NodeIds,
        (Kind::Gateway, &Method::GET, ["v1", "nodes", "inspect", _]) => Call::Inspect,
        (Kind::Gateway, &Method::PUT, ["v1", "nodes", "attachments", "disable", _]) => Call::Disable,
        (Kind::Gateway, &Method::PUT, ["v1", "nodes", "attachments", "drain", _]) => Call::Drain,
        (Kind::Gateway, &Method::GET, ["v1", "jobs"]) => Call::Jobs,
        (Kind::Gateway, &Method::GET, ["v1", "jobs", _]) => Call::Job,
        (Kind::Management, &Method::GET, ["cluster", "versions"]) => Call::Versions,
        (Kind::Management, &Method::GET, ["v1", "cluster", "enumerate"]) => Call::Enumerate,
        // An id in the path is not looked at.
        (Kind::Management, &Method::DELETE, ["v1", "cluster"] | ["v1", "cluster", _]) => Call::Remove,
        _ => Call::Other,
    }
}
