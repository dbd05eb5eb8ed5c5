//! One control plane for all tests of a program.

use tokio::sync::OnceCell;

use crate::control_plane::{ControlPlane, StartError};
use crate::options::Options;

static SHARED: Shared = Shared::new(Options::new);

/// A place for a control plane that the first test starts and every other one uses.
///
/// Each test takes a namespace and clients of its own: a client belongs to the runtime of the test that made it. The
/// place is a static and is never dropped; the servers end with the program all the same.
///
/// ```no_run
/// static CLUSTER: testbed::Shared = testbed::Shared::new(testbed::Options::api_server_only);
/// # async fn a_test() {
/// let cluster = CLUSTER.get().await.unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct Shared {
    options: fn() -> Options,
    started: OnceCell<Result<ControlPlane, StartError>>,
}

impl Shared {
    /// An empty place; `options` are asked for when the first test comes.
    pub const fn new(options: fn() -> Options) -> Self {
        Self { options, started: OnceCell::const_new() }
    }

    /// The control plane, started if need be. A failed start is not repeated: every test gets the same error.
    pub async fn get(&'static self) -> Result<&'static ControlPlane, &'static StartError> {
        self.started.get_or_init(|| ControlPlane::start((self.options)())).await.as_ref()
    }
}

impl ControlPlane {
    /// The control plane with every part that all tests of this program share; see [`Shared`] for one with options.
    pub async fn shared() -> Result<&'static Self, &'static StartError> {
        SHARED.get().await
    }
}
