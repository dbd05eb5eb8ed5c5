//! How a call is made: judged, connected, sent, read; each part bounded.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::{Place, place};
use super::{Answer, Call, InvalidBundle, Outbound, Reach, Trust, Url};
use crate::limits::{ADDRESSES_TRIED_MAX, CONNECT_TIMEOUT, HEAD_BYTES_MAX, HEADERS_MAX};

/// Makes calls, under the rules of the operator of the cluster.
#[derive(Clone, Debug)]
pub struct Caller {
    rules: Outbound,
}

/// Why there is no answer. Names host and port at most, never a path, a header or a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// An address that may not be called.
    #[error("{host} leads to {address}, which is {what}: {instead}")]
    Forbidden {
        /// The host, as it was written.
        host: String,
        /// The address.
        address: IpAddr,
        /// What kind of address it is.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// The name has no address.
    #[error("{host} has no address: {fault}")]
    Unresolved {
        /// The host, as it was written.
        host: String,
        /// What the name service says.
        fault: String,
    },
    /// No connection came about.
    #[error("cannot connect to {url}: {fault}")]
    Connect {
        /// Scheme, host and port.
        url: String,
        /// What the last address that was tried said.
        fault: String,
    },
    /// The server is not who it should be, or does not speak TLS.
    #[error(
        "cannot trust {url}: {fault}; if its certificate is signed by an authority of your own, write that into caBundle"
    )]
    Tls {
        /// Scheme, host and port.
        url: String,
        /// What is wrong.
        fault: String,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("{url} broke off: {fault}")]
    Broken {
        /// Scheme, host and port.
        url: String,
        /// What happened.
        fault: String,
    },
    /// No answer in time.
    #[error("{url} gave no answer within {} s", .limit.as_secs_f64())]
    TimedOut {
        /// Scheme, host and port.
        url: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The answer is larger than it may be.
    #[error("{url} answered with more than {bytes_max} bytes")]
    TooLarge {
        /// Scheme, host and port.
        url: String,
        /// How many would have been read.
        bytes_max: usize,
    },
    /// Certificates cannot be used.
    #[error(transparent)]
    Trust(#[from] InvalidBundle),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Caller {
    /// Under these rules.
    pub fn new(rules: Outbound) -> Self {
        Self { rules }
    }

    /// Makes a call once. An answer of any status is an answer; a redirect is not followed.
    pub async fn send(&self, call: &Call) -> Result<Answer, CallError> {
        let late = || CallError::TimedOut { url: call.url.to_string(), limit: call.timeout };
        let exchange = async {
            let stream = self.connect(&call.url, call.reach, call.trust.as_ref()).await?;
            exchange(stream, call).await
        };
        let mut answer = tokio::time::timeout(call.timeout, exchange).await.map_err(|_| late())??;
        answer.body = call.scrub.body(answer.body);
        Ok(answer)
    }

    /// Connects, and says nothing: whether the server is there, is who it should be, and may be called.
    pub async fn knock(&self, call: &Call) -> Result<(), CallError> {
        let late = || CallError::TimedOut { url: call.url.to_string(), limit: call.timeout };
        let connect = self.connect(&call.url, call.reach, call.trust.as_ref());
        tokio::time::timeout(call.timeout, connect).await.map_err(|_| late())?.map(drop)
    }

    async fn connect(
        &self,
        url: &Url,
        reach: Reach,
        trust: Option<&Trust>,
    ) -> Result<Box<dyn Stream>, CallError> {
        let addresses = self.judged(url, reach).await?;
        let stream = reached(url, &addresses).await?;
        if !url.is_tls() {
            return Ok(Box::new(stream));
        }
        let fail =
            |fault: &dyn fmt::Display| CallError::Tls { url: url.to_string(), fault: fault.to_string() };
        let trust = trust.cloned().map_or_else(Trust::system, Ok)?;
        let name = ServerName::try_from(url.host().to_owned()).map_err(|error| fail(&error))?;
        let shake = TlsConnector::from(trust.0).connect(name, stream);
        let shaken = tokio::time::timeout(CONNECT_TIMEOUT, shake).await;
        let stream = shaken.map_err(|_| fail(&"no handshake in time"))?.map_err(|error| fail(&error))?;
        Ok(Box::new(stream))
    }

    /// All addresses of a host, each of which may be called. One that may not refuses all: a name that leads both outside
    /// and inside is no mistake that we choose the better half of.
    async fn judged(&self, url: &Url, reach: Reach) -> Result<Vec<SocketAddr>, CallError> {
        let addresses: Vec<SocketAddr> = match url.address() {
            Some(address) => vec![SocketAddr::new(address, url.port())],
            None => resolved(url).await?,
        };
        for address in &addresses {
            self.judge(url, address.ip(), reach)?;
        }
        Ok(addresses)
    }

    fn judge(&self, url: &Url, address: IpAddr, reach: Reach) -> Result<(), CallError> {
        let is_listed = || self.rules.allow_private.iter().any(|allowed| allowed.names(url.host(), address));
        let (what, instead) = match place(address) {
            Place::Public => return Ok(()),
            Place::Private if reach == Reach::Private || is_listed() => return Ok(()),
            Place::Loopback if self.rules.allow_loopback => return Ok(()),
            Place::Private => (
                "a private address",
                "let the operator of the cluster allow the host or its network, if that is meant",
            ),
            Place::Loopback => ("ourselves", "write the address of the server"),
            Place::Never(what) => (what, "write the address of the server; such addresses are never called"),
        };
        Err(CallError::Forbidden { host: url.host().to_owned(), address, what, instead })
    }
}

async fn resolved(url: &Url) -> Result<Vec<SocketAddr>, CallError> {
    let fail = |fault: String| CallError::Unresolved { host: url.host().to_owned(), fault };
    let addresses = tokio::net::lookup_host((url.host(), url.port())).await;
    let addresses: Vec<SocketAddr> = addresses.map_err(|error| fail(error.to_string()))?.collect();
    if addresses.is_empty() { Err(fail("the name service knows none".to_owned())) } else { Ok(addresses) }
}

/// A connection to the first address that takes one.
async fn reached(url: &Url, addresses: &[SocketAddr]) -> Result<TcpStream, CallError> {
    let mut fault = Cow::from("no address");
    for address in addresses.iter().take(ADDRESSES_TRIED_MAX) {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                drop(stream.set_nodelay(true));
                return Ok(stream);
            }
            Ok(Err(error)) => fault = error.to_string().into(),
            Err(_) => fault = "nobody answers".into(),
        }
    }
    Err(CallError::Connect { url: url.to_string(), fault: fault.into_owned() })
}

async fn exchange(stream: Box<dyn Stream>, call: &Call) -> Result<Answer, CallError> {
    let broken =
        |fault: hyper::Error| CallError::Broken { url: call.url.to_string(), fault: fault.to_string() };
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let talk = async {
        let response = sender.send_request(request(call)?).await.map_err(broken)?;
        answer(response, call).await
    };
    // What the connection has to say of its end, the exchange hears.
    let mut carry = pin!(async {
        drop(connection.await);
        std::future::pending::<()>().await;
    });
    tokio::select! {
        answer = talk => answer,
        () = carry.as_mut() => Err(CallError::Broken { url: call.url.to_string(), fault: "it ended".to_owned() }),
    }
}

fn request(call: &Call) -> Result<Request<Full<Bytes>>, CallError> {
    let broken = |fault: String| CallError::Broken { url: call.url.to_string(), fault };
    let body = Bytes::from(call.body.expose().clone());
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = call.url.path().clone().into();
    let headers = request.headers_mut();
    headers.extend(call.headers.clone());
    let host = HeaderValue::from_str(call.url.authority()).map_err(|error| broken(error.to_string()))?;
    headers.insert(header::HOST, host);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("groundskeeper/", env!("CARGO_PKG_VERSION"))),
    );
    if !headers.contains_key(header::ACCEPT) {
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    }
    Ok(request)
}

async fn answer(response: Response<Incoming>, call: &Call) -> Result<Answer, CallError> {
    let bytes_max = call.answer_bytes_max;
    let too_large = || CallError::TooLarge { url: call.url.to_string(), bytes_max };
    let (head, mut body) = response.into_parts();
    let mut answer = Answer::head(head.status, &head.headers);
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|fault| CallError::Broken { url: call.url.to_string(), fault: fault.to_string() })?;
        let Some(data) = frame.data_ref() else { continue };
        if answer.body.len() + data.len() > bytes_max {
            return Err(too_large());
        }
        answer.body.extend_from_slice(data);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(rules: Outbound, host: &str, address: &str, reach: Reach) -> Result<(), CallError> {
        let url: Url = format!("https://{host}/x").parse().unwrap();
        Caller::new(rules).judge(&url, address.parse().unwrap(), reach)
    }

    #[test]
    fn private_addresses_need_a_word_and_the_others_have_none() {
        let listed = || Outbound {
            allow_private: vec!["cmdb.corp".parse().unwrap(), "10.9.0.0/16".parse().unwrap()],
            allow_loopback: false,
        };
        let rows = [
            ("a.example", "93.184.216.34", Reach::Listed, true),
            ("a.example", "10.0.0.1", Reach::Listed, false),
            ("a.example", "10.0.0.1", Reach::Private, true),
            ("cmdb.corp", "10.0.0.1", Reach::Listed, true),
            ("a.example", "10.9.1.1", Reach::Listed, true),
            ("cmdb.corp", "169.254.169.254", Reach::Private, false),
            ("cmdb.corp", "::ffff:169.254.169.254", Reach::Private, false),
            ("cmdb.corp", "fe80::1", Reach::Private, false),
            ("cmdb.corp", "127.0.0.1", Reach::Private, false),
            ("cmdb.corp", "::1", Reach::Private, false),
            ("cmdb.corp", "0.0.0.0", Reach::Private, false),
            ("cmdb.corp", "224.0.0.1", Reach::Private, false),
        ];
        for (host, address, reach, wanted) in rows {
            assert_eq!(judge(listed(), host, address, reach).is_ok(), wanted, "{host} {address} {reach:?}");
        }
        let all = || Outbound { allow_private: vec!["0.0.0.0/0".parse().unwrap()], allow_loopback: true };
        assert!(judge(all(), "a.example", "127.0.0.1", Reach::Listed).is_ok());
        assert!(judge(all(), "a.example", "169.254.169.254", Reach::Private).is_err());
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_leads_to() {
        for host in ["localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0"] {
            let url = format!("http://{host}:9/").parse().unwrap();
            let call = Call::new(http::Method::GET, url).reach(Reach::Private);
            let error = Caller::new(Outbound::default()).send(&call).await.unwrap_err();
            assert!(
                matches!(error, CallError::Forbidden { .. } | CallError::Unresolved { .. }),
                "{host}: {error}"
            );
        }
    }
}
