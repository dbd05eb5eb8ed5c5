//! Node cleanup: the driver.
//!
//! Watches fill what is known ([`observe`]), the engine decides, records are written and acts done ([`apply`]), and what users
//! see is told beside it ([`report`]). A key of each controller here names one thing: a departure, a node, a policy, a
//! maintenance, a declared plugin.
//!
//! Every replica watches; only the one that leads writes and acts.
//!
//! Invariant: whatever is done for a departure stands in its record first.

pub mod admission;
mod apply;
mod budgets;
mod departures;
mod externals;
mod limits;
mod maintenances;
mod memory;
mod nodes;
mod observe;
mod policies;
mod report;
pub mod rights;

use std::sync::Arc;

use chassis::actuator::Actuator;
use chassis::lease::Leadership;
use chassis::reconcile::{self, AtStop, Controller, Pace, Work};
use chassis::{Feeds, Health, Recorder};
use control::Clock;
use plugins::Plugins;

pub use apply::{Unmarking, unmarking};

use apply::Deeds;
use departures::Departures;
use externals::Externals;
use limits::{DEPARTURES_AT_ONCE, KEEPING_AT_ONCE, SCAN_INTERVAL, TURN_DEADLINE};
use maintenances::Maintenances;
use memory::Memories;
use nodes::Nodes;
use observe::{Ground, Works};
use policies::Policies;

/// What node cleanup stands on.
#[derive(Debug)]
pub struct Foundation {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Watches, and who owns the tasks and where numbers go.
    pub feeds: Feeds,
    /// Whether this replica leads.
    pub leadership: Leadership,
    /// What evicts and takes finalizers off.
    pub actuator: Actuator,
    /// Where events go.
    pub recorder: Recorder,
    /// What probes are told.
    pub health: Health,
    /// What is asked of others.
    pub plugins: Plugins,
    /// What the webhook is told of policies.
    pub admission: admission::Nodes,
}

/// Starts node cleanup; it ends when the supervisor's work does, after what is under way.
pub fn start(foundation: Foundation) {
    let Foundation { clock, feeds, leadership, actuator, recorder, health, plugins, admission } = foundation;
    let metrics = feeds.metrics.clone();
    let works = Works {
        departures: Work::new(Departures::NAME, Arc::clone(&clock), metrics.clone()),
        nodes: Work::new(Nodes::NAME, Arc::clone(&clock), metrics.clone()),
        policies: Work::new(Policies::NAME, Arc::clone(&clock), metrics.clone()),
        maintenances: Work::new(Maintenances::NAME, Arc::clone(&clock), metrics.clone()),
        plugins: Work::new(Externals::NAME, Arc::clone(&clock), metrics.clone()),
    };
    let supervisor = feeds.supervisor.clone();
    let deeds = Deeds::new(
        feeds.client.clone(),
        actuator,
        (recorder, metrics),
        supervisor.clone(),
        Arc::clone(&clock),
    );
    let ground = Ground::start(
        &feeds,
        works.clone(),
        (plugins, admission),
        leadership.clone(),
        (&health, Arc::clone(&clock)),
    );
    let running = Running { feeds: &feeds, leadership: &leadership, health: &health };
    running.run(
        Departures {
            ground: ground.clone(),
            deeds: deeds.clone(),
            memories: Memories::default(),
            clock: Arc::clone(&clock),
        },
        works.departures,
        DEPARTURES_AT_ONCE,
    );
    let nodes = Nodes { ground: ground.clone(), deeds: deeds.clone(), clock: Arc::clone(&clock) };
    running.run(nodes, works.nodes, KEEPING_AT_ONCE);
    let policies = Policies { ground: ground.clone(), deeds: deeds.clone() };
    running.run(policies, works.policies, KEEPING_AT_ONCE);
    let maintenances = Maintenances {
        ground: ground.clone(),
        deeds: deeds.clone(),
        clock: Arc::clone(&clock),
        memories: std::sync::Mutex::default(),
    };
    running.run(maintenances, works.maintenances, KEEPING_AT_ONCE);
    running.run(Externals { ground: ground.clone(), deeds: deeds.clone() }, works.plugins, KEEPING_AT_ONCE);
    supervisor.spawn("tight budgets", budgets::watch(ground, deeds, supervisor.stopping().clone()));
}

/// What all controllers here run on.
struct Running<'a> {
    feeds: &'a Feeds,
    leadership: &'a Leadership,
    health: &'a Health,
}

impl Running<'_> {
    fn run<C: Controller>(&self, controller: C, work: Work<C::Key>, concurrency: u16) {
        let pace = Pace {
            concurrency,
            deadline: TURN_DEADLINE,
            scan_interval: SCAN_INTERVAL,
            at_stop: AtStop::Leave,
        };
        let stop = self.feeds.supervisor.stopping().clone();
        let running = reconcile::run(
            Arc::new(controller),
            work,
            pace,
            self.leadership.clone(),
            self.health.clone(),
            stop,
        );
        self.feeds.supervisor.spawn(C::NAME, running);
    }
}
