//! Listing and watching, on the wire.
//!
//! Holds the version up to which everything has been passed on, and whether the server can stream lists. Each
//! [`Watcher::run`] is one connection, from its request to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use control::Mutant;
use futures::AsyncBufRead;
use kube::Client;
use tokio::sync::mpsc;

use super::decode::{self, Line, Page, View};
use super::stream::{self, Broken};
use super::{Continuity, FeedEvent, FeedId, FeedState, FeedTarget, Feeds, Representation};
use crate::client::{Encoding, ask, get};
use crate::discovery::Resource;
use crate::error::ApiError;
use crate::limits::{CALL_TIMEOUT, LIST_PAGE_OBJECTS, WATCH_TIMEOUT_SECONDS};
use crate::paths;
use units::ResourceVersion;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The server closed it in good order: go on from where it was.
    Normally,
    /// What it was to go on from is too old: list anew.
    Expired,
    /// It was given up because it could no longer be relied on.
    Doubted,
    /// It said nothing for this long.
    Silent(Duration),
    /// It failed.
    Failed(ApiError),
    /// Nobody listens any more.
    Unheard,
}

impl Ended {
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Normally => "ended",
            Self::Expired => "expired",
            Self::Doubted => "doubted",
            Self::Silent(_) => "silent",
            Self::Failed(_) => "failed",
            Self::Unheard => "stopped",
        }
    }
}

/// Why reading a stream stopped; an end in good order is not a reason.
enum Stop {
    Expired,
    Silent(Duration),
    Failed(ApiError),
    Unheard,
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        if error.code() == Some(410) { Self::Expired } else { Self::Failed(error) }
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Silent(span) => Self::Silent(span),
            Broken::Failed(error) => error.into(),
        }
    }
}

type Sink<'a, V> = (FeedId, &'a mpsc::Sender<(FeedId, FeedEvent<V>)>);

/// Lists and watches one resource.
pub(super) struct Watcher<V: View> {
    client: Client,
    resource: Arc<Resource>,
    target: FeedTarget,
    context: V::Context,
    /// Everything up to this version has been passed on; none before the first listing is complete.
    seen: Option<String>,
    /// Everything up to this version had been passed on when the last connection ended.
    seen_before: Option<String>,
    /// Whether the server streams lists; until it says that it does not, it does.
    streams: bool,
    /// The next connection lists in pages, which the server answers by quorum.
    by_quorum: bool,
    silence_max: Duration,
    verb: &'static str,
    line: Vec<u8>,
}

impl<V: View> Watcher<V> {
    pub(super) fn new(
        feeds: &Feeds,
        resource: Arc<Resource>,
        target: FeedTarget,
        context: V::Context,
    ) -> Self {
        Self {
            client: feeds.client.clone(),
            resource,
            target,
            context,
            seen: None,
            seen_before: None,
            streams: true,
            by_quorum: false,
            silence_max: feeds.silence_max,
            verb: "list",
            line: Vec::new(),
        }
    }

    /// The next connection begins with a listing, as the server's quorum has it.
    pub(super) fn list_by_quorum(&mut self) {
        self.by_quorum = true;
        self.seen = None;
    }

    /// What was being done last, as RBAC calls it.
    pub(super) const fn verb(&self) -> &'static str {
        self.verb
    }

    /// Lists if need be, watches, and passes on what comes.
    pub(super) async fn run(&mut self, sink: Sink<'_, V>, live: &AtomicBool) -> Ended {
        match self.connection(sink, live).await {
            Ok(()) => Ended::Normally,
            Err(Stop::Unheard) => Ended::Unheard,
            Err(Stop::Failed(error)) => Ended::Failed(error),
            Err(Stop::Silent(span)) => Ended::Silent(span),
            Err(Stop::Expired) => Ended::Expired,
        }
    }

    /// Takes in that a connection has ended: from where the next one goes on.
    pub(super) fn end(&mut self, ended: &Ended) {
        self.seen_before = self.seen.clone().or(self.seen_before.take());
        let is_expired = matches!(ended, Ended::Expired) && !Mutant::ExpiredWatchResumed.is_on();
        // That a watch opens again says little after a silence: only a listing shows that somebody answers.
        let is_silent = matches!(ended, Ended::Silent(_));
        let resumes = self.target.continuity == Continuity::Resume && !is_expired && !is_silent;
        if !resumes {
            self.seen = None;
        }
        // A connection that was given up may have left half a line.
        self.line = Vec::new();
    }

    async fn connection(&mut self, sink: Sink<'_, V>, live: &AtomicBool) -> Result<(), Stop> {
        if self.seen.is_none() && self.streams && !self.by_quorum {
            match self.list_as_stream(sink, live).await {
                Err(Stop::Failed(error)) if self.refuses_streaming(&error) => self.streams = false,
                other => return other,
            }
        }
        if self.seen.is_none() {
            self.list_in_pages(sink).await?;
            self.by_quorum = false;
        }
        self.verb = "watch";
        let query = format!("resourceVersion={}", paths::segment(self.seen.as_deref().unwrap_or_default()));
        let stream = self.open(&query).await?;
        live.store(true, Ordering::Release);
        send(sink, FeedEvent::State(FeedState::Live(Arc::clone(&self.resource)))).await?;
        self.read(stream, sink, live).await
    }

    /// One request that lists and then watches.
    async fn list_as_stream(&mut self, sink: Sink<'_, V>, live: &AtomicBool) -> Result<(), Stop> {
        self.verb = "watch";
        let stream = self.open("sendInitialEvents=true&resourceVersionMatch=NotOlderThan").await?;
        send(sink, self.listing()).await?;
        self.read(stream, sink, live).await
    }

    async fn list_in_pages(&mut self, sink: Sink<'_, V>) -> Result<(), Stop> {
        self.verb = "list";
        send(sink, self.listing()).await?;
        let mut continue_from = None;
        loop {
            let text = page(&self.client, &self.resource, &self.target, continue_from.as_deref()).await?;
            let page: Page<'_> = serde_json::from_str(&text).map_err(garbled)?;
            for object in page.items.unwrap_or_default() {
                self.pass_on(decode::item(object, &self.context).map_err(garbled)?, sink).await?;
            }
            continue_from = page.metadata.continue_from.filter(|token| !token.is_empty());
            if continue_from.is_none() {
                self.seen = Some(page.metadata.resource_version);
                return send(sink, FeedEvent::Listed).await;
            }
        }
    }

    /// Servers before 1.32, and those with the feature off, refuse to stream lists.
    fn refuses_streaming(&self, error: &ApiError) -> bool {
        matches!(error.code(), Some(400 | 405 | 406 | 422)) && !self.target.selector.is_refused_by(error)
    }

    fn listing(&self) -> FeedEvent<V> {
        FeedEvent::Listing(self.seen_before.as_deref().map(ResourceVersion::from))
    }

    async fn open(&self, query: &str) -> Result<(Encoding, impl AsyncBufRead + Unpin + use<V>), Stop> {
        let Resource { kind, plural, .. } = &*self.resource;
        let path = paths::collection(&kind.api_version, plural, self.target.namespace.as_deref());
        let selector = self.target.selector.query();
        let path = format!(
            "{path}?watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_TIMEOUT_SECONDS}&{query}{selector}"
        );
        let accept = match (self.target.representation, V::PROTOBUF) {
            (Representation::Metadata, Some(_)) => METADATA_IN_ANY_FORM,
            (representation, _) => accept(representation, Form::Object),
        };
        Ok(stream::open(&self.client, get(&path, accept)?).await?)
    }

    /// Passes on what comes, until the end of the stream.
    async fn read(
        &mut self,
        (encoding, mut stream): (Encoding, impl AsyncBufRead + Unpin),
        sink: Sink<'_, V>,
        live: &AtomicBool,
    ) -> Result<(), Stop> {
        loop {
            let mut bytes = std::mem::take(&mut self.line);
            let ended = stream::next(&mut stream, encoding, &mut bytes, self.silence_max).await;
            let line = ended.map_err(Stop::from).and_then(|more| {
                more.then(|| decode::event::<V>(encoding, &bytes, &self.context).map_err(garbled)).transpose()
            });
            self.line = recycled(bytes);
            match line? {
                None => return Ok(()),
                Some(Line::Error(status)) => return Err(ApiError::from(*status).into()),
                Some(Line::Bookmark { resource_version, initial_events_end }) => {
                    self.seen = (self.seen.is_some() || initial_events_end).then_some(resource_version);
                    if initial_events_end {
                        send(sink, FeedEvent::Listed).await?;
                        live.store(true, Ordering::Release);
                        send(sink, FeedEvent::State(FeedState::Live(Arc::clone(&self.resource)))).await?;
                    }
                }
                Some(line) => self.pass_on(line, sink).await?,
            }
        }
    }

    async fn pass_on(&mut self, line: Line<V>, sink: Sink<'_, V>) -> Result<(), Stop> {
        let (version, event) = match line {
            Line::Applied(view) => (view.resource_version(), FeedEvent::Applied(view)),
            Line::Deleted(view) => (view.resource_version(), FeedEvent::Deleted(view)),
            Line::Unreadable { error, .. } if Mutant::PoisonEndsWatch.is_on() => {
                return Err(ApiError::Garbled(error).into());
            }
            Line::Unreadable { meta, status, error } => {
                (meta.resource_version.clone(), FeedEvent::Unreadable { meta, status, error })
            }
            Line::Bookmark { .. } | Line::Error(_) => return Ok(()),
        };
        send(sink, event).await?;
        // During a listing the versions come in no order: only its end says how far it got.
        if let (Some(seen), Some(version)) = (&mut self.seen, version) {
            *seen = version.to_string();
        }
        Ok(())
    }
}

/// All objects that a target names, page by page, each given to `each`. `resource` is what the cluster calls its kind.
///
/// # Errors
///
/// If a page cannot be had, or an object cannot be read: then `each` has seen a part.
pub async fn list<V: View>(
    client: &Client,
    resource: &Resource,
    target: &FeedTarget,
    context: &V::Context,
    mut each: impl FnMut(V),
) -> Result<(), ApiError> {
    let mut continue_from = None;
    loop {
        let text = page(client, resource, target, continue_from.as_deref()).await?;
        let page: Page<'_> =
            serde_json::from_str(&text).map_err(|error| ApiError::Garbled(error.to_string()))?;
        for object in page.items.unwrap_or_default() {
            each(V::read(object.get(), context).map_err(|error| ApiError::Garbled(error.to_string()))?);
        }
        continue_from = page.metadata.continue_from.filter(|token| !token.is_empty());
        if continue_from.is_none() {
            return Ok(());
        }
    }
}

async fn page(
    client: &Client,
    resource: &Resource,
    target: &FeedTarget,
    continue_from: Option<&str>,
) -> Result<String, ApiError> {
    let path = paths::collection(&resource.kind.api_version, &resource.plural, target.namespace.as_deref());
    let mut path = format!("{path}?limit={LIST_PAGE_OBJECTS}{}", target.selector.query());
    if let Some(token) = continue_from {
        path += &format!("&continue={}", paths::segment(token));
    }
    let request = get(&path, accept(target.representation, Form::List))?;
    ask(client, request).await
}

/// What is asked for: one object at a time, or many.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Object,
    List,
}

/// An object's metadata, in protobuf or, from whoever does not know that, in JSON.
const METADATA_IN_ANY_FORM: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
    application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

pub(super) const fn accept(representation: Representation, form: Form) -> &'static str {
    match (representation, form) {
        (Representation::Full, _) => "application/json",
        (Representation::Metadata, Form::Object) => {
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        }
        (Representation::Metadata, Form::List) => {
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        }
    }
}

/// The buffer for the next line; one that a large object blew up is let go.
fn recycled(line: Vec<u8>) -> Vec<u8> {
    const KEPT_BYTES_MAX: usize = 64 * 1024;
    if line.capacity() > KEPT_BYTES_MAX { Vec::new() } else { line }
}

#[allow(clippy::needless_pass_by_value, reason = "made for `map_err`")]
fn garbled(error: serde_json::Error) -> Stop {
    Stop::Failed(ApiError::Garbled(error.to_string()))
}

async fn send<V>((id, sink): Sink<'_, V>, event: FeedEvent<V>) -> Result<(), Stop> {
    // A reader that takes nothing for this long is stuck; the process has worse to worry about, and liveness shows it.
    match tokio::time::timeout(CALL_TIMEOUT, sink.send((id, event))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Stop::Unheard),
        Err(_) => Err(ApiError::TimedOut(CALL_TIMEOUT).into()),
    }
}
