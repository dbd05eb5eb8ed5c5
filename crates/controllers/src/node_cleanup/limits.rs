//! The limits of node cleanup, each with its reason.

use std::time::Duration;

/// Controllers of one node's pods that are asked how many pods they want before the drain: a node of a hundred pods has about as
/// many, and one request each is what a drain may cost besides its evictions.
pub(super) const CONTROLLERS_ASKED_MAX: usize = 100;

/// Of them at one time.
pub(super) const CONTROLLERS_ASKED_AT_ONCE: usize = 8;

/// Departures that are worked on at one time: enough that a slow call for one node does not hold up ten others, and few
/// enough that a thousand nodes at once do not crowd out everybody else.
pub(super) const DEPARTURES_AT_ONCE: u16 = 16;

/// Nodes, policies and maintenances that are worked on at one time.
pub(super) const KEEPING_AT_ONCE: u16 = 8;

/// How long one turn of a departure may take: some writes and a batch of evictions, each with its own deadline. Plugins
/// are asked beside it.
pub(super) const TURN_DEADLINE: Duration = Duration::from_secs(90);

/// How often everything is looked at again although nothing has told of a change: rare enough to cost nothing.
pub(super) const SCAN_INTERVAL: Duration = Duration::from_mins(30);

/// Evictions per second, over all departures: a tenth of what an API server takes. Slower where the server says so.
pub(super) const EVICTIONS_PER_SECOND: u32 = 100;

/// Evictions of one turn of a departure: the next turn follows at once, and others get theirs in between.
pub(super) const EVICTIONS_PER_TURN: usize = 50;

/// Evictions of one departure that are in flight at one time.
pub(super) const EVICTIONS_IN_FLIGHT: usize = 8;

/// How soon a departure comes again that had no slot for an eviction.
pub(super) const NO_SLOT_PAUSE: Duration = Duration::from_millis(200);

/// How soon a key comes again after a write of ours that somebody else's had overtaken.
pub(super) const OVERTAKEN_PAUSE: Duration = Duration::from_millis(100);

/// How long a change that only counts waits for others to be written with it: a node of a hundred pods is ten writes, not
/// a hundred.
pub(super) const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// How soon it is looked again at what has not been read yet.
pub(super) const UNREAD_PAUSE: Duration = Duration::from_secs(1);

/// How long what a plugin said of its health is believed while a departure goes well, and how soon one that could not work
/// is asked again.
pub(super) const HEALTH_RECHECK: Duration = Duration::from_secs(20);

/// How long a plugin may take to say whether it could work.
pub(super) const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls of plugins that are under way at one time, over all plugins and departures: each is a task and a connection.
pub(super) const CALLS_IN_FLIGHT: usize = 256;

/// Characters of a message in an event.
pub(super) const EVENT_MESSAGE_CHARS_MAX: usize = 512;

/// How often it is said whose turn it is: a thousand nodes that are deleted at once are counted five times a second, not a
/// thousand times.
pub(super) const TURNS_INTERVAL: Duration = Duration::from_millis(200);

/// How often a declared plugin is asked whether it answers, and how soon one that does not.
pub(super) const PLUGIN_RECHECK: Duration = Duration::from_mins(5);
/// See [`PLUGIN_RECHECK`].
pub(super) const PLUGIN_RECHECK_FAILED: Duration = Duration::from_secs(30);

/// How often it is looked which nodes hold pods of budgets that let nothing go.
pub(super) const BUDGETS_INTERVAL: Duration = Duration::from_secs(15);

/// Budgets that are looked at then: a cluster with more that let nothing go is not one whose nodes can leave.
pub(super) const BUDGETS_MAX: usize = 200;

/// Pods of one budget that are looked at.
pub(super) const BUDGET_PODS_MAX: u32 = 500;

/// The same while a departure waits for its turn: of a thousand that wait, how many leave meanwhile is news for nobody.
pub(super) const WAITING_COUNT_INTERVAL: Duration = Duration::from_mins(1);
