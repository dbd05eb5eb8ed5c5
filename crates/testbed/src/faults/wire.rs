//! The proxy's side towards the process: a port, TLS, and bytes that can be stopped.
//!
//! The port stays ours while the wire is cut, so that nobody else answers there. Knows nothing of requests beyond
//! handing them over.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, Interest, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::exchange::Exchange;
use crate::limits;

/// Listens, until the sender of its orders is dropped.
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    pub(super) tls: TlsAcceptor,
    pub(super) exchange: Arc<Exchange>,
    pub(super) frozen: watch::Receiver<bool>,
}

pub(super) struct Order {
    pub(super) what: What,
    pub(super) done: oneshot::Sender<io::Result<()>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Cut,
    Mend,
}

/// Who has the port.
enum Port {
    Listens(TcpListener),
    /// Bound, but connections are refused.
    Reserved(TcpSocket),
    /// It could not be had again; only possible if somebody else took it in the moment between.
    Lost,
}

impl Wire {
    pub(super) async fn run(self, listener: TcpListener, mut orders: mpsc::Receiver<Order>) {
        let mut connections = JoinSet::new();
        let mut port = Port::Listens(listener);
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some(Order { what, done }) = order else { return };
                    let obeyed = match what {
                        What::Cut => {
                            connections.shutdown().await;
                            self.reserve(&mut port)
                        }
                        What::Mend => self.listen(&mut port),
                    };
                    let _ = done.send(obeyed);
                }
                Some(_) = connections.join_next() => {}
                accepted = port.accept(), if connections.len() < limits::CONNECTIONS_MAX => {
                    if let Ok(stream) = accepted {
                        connections.spawn(serve(
                            stream, self.tls.clone(), Arc::clone(&self.exchange), self.frozen.clone(),
                        ));
                    }
                }
            }
        }
    }

    fn reserve(&self, port: &mut Port) -> io::Result<()> {
        if matches!(port, Port::Listens(_)) {
            *port = Port::Lost;
            *port = Port::Reserved(self.bound()?);
        }
        Ok(())
    }

    fn listen(&self, port: &mut Port) -> io::Result<()> {
        let socket = match std::mem::replace(port, Port::Lost) {
            Port::Listens(listener) => {
                *port = Port::Listens(listener);
                return Ok(());
            }
            Port::Reserved(socket) => socket,
            Port::Lost => self.bound()?,
        };
        *port = Port::Listens(socket.listen(BACKLOG)?);
        Ok(())
    }

    fn bound(&self) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        Ok(socket)
    }
}

/// As the standard library has it.
const BACKLOG: u32 = 128;

impl Port {
    async fn accept(&self) -> io::Result<TcpStream> {
        match self {
            Self::Listens(listener) => listener.accept().await.map(|(stream, _)| stream),
            Self::Reserved(_) | Self::Lost => std::future::pending().await,
        }
    }
}

/// One connection, until either side ends it.
async fn serve(stream: TcpStream, tls: TlsAcceptor, exchange: Arc<Exchange>, frozen: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let (near, far) = tokio::io::duplex(limits::WIRE_BYTES);
    let http = async move {
        let Ok(stream) = tls.accept(near).await else { return };
        let service = service_fn(move |request| {
            let exchange = Arc::clone(&exchange);
            async move { exchange.answer(request).await }
        });
        // An error is a cut, or a client that has gone: both are what they are.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    };
    tokio::join!(http, relay(stream, far, frozen));
}

/// Carries bytes both ways while it is not frozen. Ends when all bytes for the client are out, or cannot be.
async fn relay(stream: TcpStream, far: DuplexStream, frozen: watch::Receiver<bool>) {
    let (from_us, to_us) = tokio::io::split(far);
    let inward = async {
        read(&stream, to_us, frozen.clone()).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = write(from_us, &stream, frozen.clone()) => {}
        () = inward => {}
    }
}

async fn read(stream: &TcpStream, mut to_us: WriteHalf<DuplexStream>, mut frozen: watch::Receiver<bool>) {
    let mut buffer = vec![0; limits::WIRE_BYTES];
    loop {
        let moved =
            unless_frozen(&mut frozen, stream, Interest::READABLE, || stream.try_read(&mut buffer)).await;
        let length = moved.unwrap_or_default();
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() || to_us.write_all(bytes).await.is_err() {
            let _ = to_us.shutdown().await;
            return;
        }
    }
}

async fn write(mut from_us: ReadHalf<DuplexStream>, stream: &TcpStream, mut frozen: watch::Receiver<bool>) {
    let mut buffer = vec![0; limits::WIRE_BYTES];
    loop {
        let length = from_us.read(&mut buffer).await.unwrap_or_default();
        if length == 0 {
            // Also the end of a connection is something that a partition hides.
            let _ = frozen.wait_for(|frozen| !frozen).await;
            return;
        }
        let mut rest = buffer.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            match unless_frozen(&mut frozen, stream, Interest::WRITABLE, || stream.try_write(rest)).await {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(_) => return,
            }
        }
    }
}

/// Tries until it is done, and never while the wire is frozen: the lock on the switch is held for the try.
async fn unless_frozen(
    frozen: &mut watch::Receiver<bool>,
    stream: &TcpStream,
    interest: Interest,
    mut attempt: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        stream.ready(interest).await?;
        let thawed = frozen.wait_for(|frozen| !frozen).await.map_err(io::Error::other)?;
        let moved = attempt();
        drop(thawed);
        match moved {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            moved => return moved,
        }
    }
}
