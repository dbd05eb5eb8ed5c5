//! One request from the process to the server and back.
//!
//! The driver is a list of steps: read it, let the faults before the server act, pass it on, let the faults behind it
//! act, shape the reply. Invariant: a write that was passed on is seen to its end and traced, whatever becomes of the
//! client meanwhile.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, request, response};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use kube::Client;
use kube::client::Body;
use tokio::runtime::Handle;

use super::calls::{Call, Verb};
use super::fault::{Edit, Kind, Step};
use super::gate::Passage;
use super::list;
use super::reply::{Cut, Reply};
use super::rules::{Engaged, Rule, Rules};
use super::stream::Stream;
use super::trace::{Recorder, Ticket};
use crate::limits;

/// What every exchange of a proxy shares.
pub(super) struct Exchange {
    pub(super) rules: Arc<Rules>,
    pub(super) recorder: Arc<Recorder>,
    /// Speaks with the certificate of the proxy's identity.
    pub(super) upstream: Client,
}

impl Exchange {
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Reply>, Cut> {
        let (request, call) = read(request).await?;
        let engaged = self.rules.engage(&call);
        if let Some(answer) = act(&engaged, Side::Before, &call).await? {
            return Ok(answer);
        }
        let reply = if call.is_write() {
            self.pass_write(request, &call).await?
        } else {
            self.pass_read(request, &call).await?
        };
        if let Some(answer) = act(&engaged, Side::After, &call).await? {
            return Ok(answer);
        }
        self.shape(reply, &call, engaged).await
    }

    /// In a task of its own: the client may be killed, and what it asked for happens all the same.
    async fn pass_write(&self, request: Request<Body>, call: &Call) -> Result<Response<Passed>, Cut> {
        let ticket = self.recorder.write(call);
        let upstream = self.upstream.clone();
        let passing = Handle::current().spawn(async move {
            let (mut head, body) = send(&upstream, request).await?.into_parts();
            let bytes = whole(body).await?;
            ticket.answered(head.status.as_u16(), &bytes);
            head.headers.remove(CONTENT_LENGTH);
            Ok(Response::from_parts(head, Passed::Write(bytes, ticket)))
        });
        passing.await.map_err(|_| Cut)?
    }

    async fn pass_read(&self, request: Request<Body>, call: &Call) -> Result<Response<Passed>, Cut> {
        self.recorder.read(call);
        Ok(send(&self.upstream, request).await?.map(Passed::Read))
    }

    async fn shape(
        &self,
        reply: Response<Passed>,
        call: &Arc<Call>,
        engaged: Engaged,
    ) -> Result<Response<Reply>, Cut> {
        let (head, body) = reply.into_parts();
        let body = match body {
            Passed::Write(bytes, ticket) => Reply::to_write(bytes, ticket),
            Passed::Read(body) if head.status != StatusCode::OK => Reply::Passing(body),
            Passed::Read(body) if call.verb() == Verb::Watch => {
                Reply::Lines(Stream::open(Arc::clone(call), Arc::clone(&self.rules), engaged, body))
            }
            Passed::Read(body) if call.verb() == Verb::List => {
                return altered(head, body, call, &engaged).await;
            }
            Passed::Read(body) => Reply::Passing(body),
        };
        Ok(Response::from_parts(head, body))
    }
}

/// What the server answered.
enum Passed {
    Write(Bytes, Ticket),
    Read(Body),
}

async fn read(request: Request<Incoming>) -> Result<(Request<Body>, Arc<Call>), Cut> {
    let (head, body) = request.into_parts();
    let bytes = Limited::new(body, limits::REQUEST_BYTES_MAX).collect().await.map_err(|_| Cut)?.to_bytes();
    let call = Arc::new(Call::read(&head.method, &head.uri, bytes));
    let request = onward(head, call.bytes.clone()).map_err(|_| Cut)?;
    Ok((request, call))
}

/// The same request, by the path alone: the client upstream knows the server. Whoever asks has the proxy's identity,
/// so a token of its own would only confuse the server.
fn onward(head: request::Parts, body: Bytes) -> Result<Request<Body>, http::Error> {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request =
        Request::builder().method::<Method>(head.method).uri(Uri::try_from(path)?).body(Body::from(body))?;
    let mut headers = head.headers;
    for dropped in
        HOP_BY_HOP.into_iter().chain([HOST, AUTHORIZATION, ACCEPT_ENCODING, CONTENT_LENGTH, EXPECT])
    {
        headers.remove(dropped);
    }
    read_json(&mut headers);
    *request.headers_mut() = headers;
    Ok(request)
}

const HOP_BY_HOP: [HeaderName; 3] = [CONNECTION, TRANSFER_ENCODING, UPGRADE];

/// A client that would also take JSON gets it, so that replies can be read here.
fn read_json(headers: &mut HeaderMap) {
    let Some(accepted) = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()) else { return };
    let readable: Vec<&str> = accepted.split(',').filter(|form| !is_binary(form)).collect();
    if !readable.is_empty()
        && let Ok(accept) = HeaderValue::from_str(&readable.join(","))
    {
        headers.insert(ACCEPT, accept);
    }
}

fn is_binary(form: &str) -> bool {
    form.contains("protobuf") || form.contains("cbor")
}

async fn send(upstream: &Client, request: Request<Body>) -> Result<Response<Body>, Cut> {
    let mut response = upstream.send(request).await.map_err(|_| Cut)?;
    for header in HOP_BY_HOP {
        response.headers_mut().remove(header);
    }
    Ok(response)
}

async fn whole(body: Body) -> Result<Bytes, Cut> {
    let collected = Limited::new(body, limits::REPLY_BYTES_MAX).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|_| Cut)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// Lets the faults of one side happen, one after the other, until one of them answers or cuts.
async fn act(engaged: &Engaged, side: Side, call: &Arc<Call>) -> Result<Option<Response<Reply>>, Cut> {
    let steps = engaged.rules.iter().filter_map(|rule| step(rule, side).map(|step| (rule, step)));
    for (rule, step) in steps {
        rule.act();
        match step {
            Step::Delay(by) => wait(*by).await,
            Step::Answer(refusal) => return Ok(Some(refusal.response(call))),
            Step::Cut => return Err(Cut),
            Step::Hold(gate) => match gate.hold(call).await {
                Passage::On => {}
                Passage::Cut => return Err(Cut),
            },
        }
    }
    Ok(None)
}

fn step(rule: &Rule, side: Side) -> Option<&Step> {
    match (&rule.fault, side) {
        (Kind::Before(step), Side::Before) | (Kind::After(step), Side::After) => Some(step),
        _ => None,
    }
}

async fn wait(by: Duration) {
    tokio::time::sleep(by).await;
}

/// A list as the rules want it; without such rules as it comes.
async fn altered(
    mut head: response::Parts,
    body: Body,
    call: &Call,
    engaged: &Engaged,
) -> Result<Response<Reply>, Cut> {
    let edits = edits(engaged);
    if edits.is_empty() {
        return Ok(Response::from_parts(head, Reply::Passing(body)));
    }
    let bytes = whole(body).await?;
    head.headers.remove(CONTENT_LENGTH);
    let bytes = list::altered(call, &bytes, &edits).unwrap_or(bytes);
    Ok(Response::from_parts(head, Reply::whole(bytes)))
}

/// What the rules change in the list that this call begins with.
pub(super) fn edits(engaged: &Engaged) -> Vec<Edit> {
    let edits = engaged.rules.iter().filter_map(|rule| match rule.fault {
        Kind::List(edit) => {
            rule.act();
            Some(edit)
        }
        _ => None,
    });
    edits.collect()
}
