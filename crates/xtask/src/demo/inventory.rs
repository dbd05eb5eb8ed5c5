//! A cleanup plugin of somebody else: an inventory that is busy at first, behind the published contract over HTTP.
//!
//! Listens on loopback, and ends with the demo. Remembers what it was asked to do, so that it can be checked that it was
//! asked as the contract says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How often it is busy, for each thing that it is to do.
pub(super) const BUSY_TIMES: usize = 2;

/// A request to do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) node: String,
    pub(super) attempt: u64,
    pub(super) key: String,
}

type Seen = Arc<Mutex<Vec<Asked>>>;

/// The inventory, while it runs.
#[derive(Debug)]
pub(super) struct Inventory {
    address: SocketAddr,
    seen: Seen,
    _server: JoinSet<()>,
}

impl Inventory {
    pub(super) async fn open() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("opening the inventory")?;
        let address = listener.local_addr().context("opening the inventory")?;
        let seen = Seen::default();
        let routes = Router::new().route("/", post(answer)).with_state(Arc::clone(&seen));
        let mut server = JoinSet::new();
        server.spawn(async move {
            // It ends with the demo; that it ended before is seen by its steps.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, seen, _server: server })
    }

    /// What declares it to the cluster.
    pub(super) fn manifest(&self) -> String {
        format!(
            "apiVersion: groundskeeper.dev/v1alpha1\nkind: CleanupPlugin\nmetadata:\n  name: inventory\nspec:\n  http:\n    url: http://{}/\n",
            self.address
        )
    }

    /// What it was asked to do, in order.
    pub(super) fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(State(seen): State<Seen>, request: String) -> Response {
    let request: Value = serde_json::from_str(&request).unwrap_or_default();
    let answer = match request.get("call").and_then(Value::as_str) {
        Some("describe") => json!({"name": "inventory", "version": "1.0.0"}),
        Some("check") => json!({"healthy": true}),
        Some("plan") => json!({"steps": ["deletes the node from the inventory"]}),
        _ => execute(&seen, &request),
    };
    ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

fn execute(seen: &Seen, request: &Value) -> Value {
    let text = |path: &str| request.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let attempt = request.get("attempt").and_then(Value::as_u64).unwrap_or_default();
    let asked = Asked { node: text("/node/name"), attempt, key: text("/idempotencyKey") };
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let before = seen.iter().filter(|known| known.key == asked.key).count();
    seen.push(asked.clone());
    if before < BUSY_TIMES {
        return json!({"status": "failed", "reason": "InventoryBusy", "message": "a backup is being made: try again"});
    }
    json!({"status": "done", "message": format!("{} is deleted from the inventory", asked.node)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_busy_twice_and_then_does_what_it_is_asked() {
        let seen = Seen::default();
        let ask = |attempt| json!({"call": "execute", "attempt": attempt, "idempotencyKey": "u/step", "node": {"name": "a"}});
        let said: Vec<_> = (1..=3).map(|attempt| execute(&seen, &ask(attempt))["status"].clone()).collect();
        assert_eq!(said, ["failed", "failed", "done"]);
        assert_eq!(seen.lock().unwrap().len(), 3);
    }
}
