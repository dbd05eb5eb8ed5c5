//! Free TCP ports on loopback.
//!
//! A port is free when the system hands it out and is released again; somebody else may take it before the server
//! does. The start is then repeated with other ports.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// A port for every listener of a control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) etcd_client: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) api_server: u16,
    pub(crate) controller_manager: u16,
    pub(crate) scheduler: u16,
    pub(crate) kwok: u16,
}

impl Ports {
    /// Draws six ports at once, so that they differ.
    pub(crate) fn free() -> io::Result<Self> {
        let drawn = [listen()?, listen()?, listen()?, listen()?, listen()?, listen()?];
        let [etcd_client, etcd_peer, api_server, controller_manager, scheduler, kwok] = &drawn;
        Ok(Self {
            etcd_client: port(etcd_client)?,
            etcd_peer: port(etcd_peer)?,
            api_server: port(api_server)?,
            controller_manager: port(controller_manager)?,
            scheduler: port(scheduler)?,
            kwok: port(kwok)?,
        })
    }
}

fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

fn port(listener: &TcpListener) -> io::Result<u16> {
    listener.local_addr().map(|address| address.port())
}
