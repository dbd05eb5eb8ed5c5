//! A wire to the API server that can be cut.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use testbed::ControlPlane;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A relay on a port of its own. While it is cut, connections to it are refused.
pub(crate) struct Wire {
    address: SocketAddr,
    server: String,
    relay: JoinSet<()>,
}

impl Wire {
    pub(crate) async fn to(cluster: &ControlPlane) -> Self {
        let server = cluster.server_url().trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut wire = Self { address, server, relay: JoinSet::new() };
        wire.relay.spawn(relay(listener, wire.server.clone()));
        wire
    }

    /// A kubeconfig that leads through this wire.
    pub(crate) fn kubeconfig(&self, cluster: &ControlPlane, original: &Path) -> PathBuf {
        let text = std::fs::read_to_string(original).unwrap();
        assert!(text.contains(&self.server), "{text}");
        let path = cluster.directory().join("wired.yaml");
        std::fs::write(&path, text.replace(&self.server, &self.address.to_string())).unwrap();
        path
    }

    /// Breaks every connection, and refuses new ones.
    pub(crate) async fn cut(&mut self) {
        self.relay.shutdown().await;
    }

    pub(crate) async fn mend(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.relay.spawn(relay(listener, self.server.clone()));
    }
}

/// Dropping it drops its connections with it.
async fn relay(listener: TcpListener, server: String) {
    let mut connections = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let server = server.clone();
        connections.spawn(async move {
            if let Ok(mut far) = TcpStream::connect(server).await {
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
