//! A model of an API server: objects with versions, what happened to them in order, and deletions with preconditions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use crate::oracle::ObjectKey;
use crate::random::Random;
use crate::specs::{NAMES, OWNERS, edit, object, text};
use crate::terms::{KINDS, SPACES};

/// What became of an object, as a watch tells it.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Is(Value),
    Gone { uid: String },
}

/// What the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    NotFound,
    Conflict,
}

pub(crate) struct Server {
    pub(crate) objects: BTreeMap<ObjectKey, Value>,
    /// Owners that exist; what has gone does not come again.
    pub(crate) owners: BTreeSet<String>,
    /// What the watches have not shown yet: in order for each object.
    pub(crate) unseen: BTreeMap<ObjectKey, VecDeque<Event>>,
    version: u64,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            owners: OWNERS.map(str::to_owned).into(),
            unseen: BTreeMap::new(),
            version: 0,
        }
    }

    fn tell(&mut self, key: &ObjectKey, event: Event) {
        self.unseen.entry(key.clone()).or_default().push_back(event);
    }

    /// Stores an object; a new one gets an identity.
    fn store(&mut self, key: &ObjectKey, mut object: Value) {
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(key.2);
        metadata["namespace"] = json!(key.1);
        metadata["resourceVersion"] = json!(self.version.to_string());
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("u{}", self.version));
        }
        self.tell(key, Event::Is(object.clone()));
        self.objects.insert(key.clone(), object);
    }

    fn drop_object(&mut self, key: &ObjectKey) {
        let Some(object) = self.objects.remove(key) else { return };
        self.tell(key, Event::Gone { uid: object["metadata"]["uid"].as_str().unwrap().to_owned() });
    }

    /// Somebody creates an object; if the name is taken, the old one goes before.
    pub(crate) fn create(&mut self, random: &mut Random, now: i64) {
        let kind = if random.percent(85) { KINDS[0] } else { KINDS[1] };
        let space = if random.percent(75) { SPACES[0] } else { *random.of(&SPACES) };
        let key = (kind, space.to_owned(), (*random.of(&NAMES)).to_owned());
        if !self.objects.contains_key(&key) || random.percent(20) {
            self.create_at(&key, random, now);
        }
    }

    fn create_at(&mut self, key: &ObjectKey, random: &mut Random, now: i64) {
        self.drop_object(key);
        let mut object = object(random, now);
        if random.percent(10) {
            object["metadata"]["finalizers"] = json!(["example.com/wait"]);
        }
        self.store(key, object);
    }

    /// Somebody does something to an object.
    pub(crate) fn meddle(&mut self, key: &ObjectKey, random: &mut Random, now: i64) {
        let Some(known) = self.objects.get(key).cloned() else { return };
        match random.below(20) {
            0..=2 => self.drop_object(key),
            4 => self.create_at(key, random, now),
            3 => self.end(key, now),
            _ => {
                let mut object = known;
                edit(random, &mut object, now);
                self.store(key, object);
            }
        }
    }

    /// A deletion that has no preconditions, or whose preconditions hold.
    fn end(&mut self, key: &ObjectKey, now: i64) {
        let Some(object) = self.objects.get(key) else { return };
        if object["metadata"]["finalizers"].is_null() {
            return self.drop_object(key);
        }
        if object["metadata"]["deletionTimestamp"].is_null() {
            let mut object = object.clone();
            object["metadata"]["deletionTimestamp"] = json!(text(now));
            self.store(key, object);
        }
    }

    /// What a request with these preconditions would run into.
    pub(crate) fn check(&self, key: &ObjectKey, uid: &str, version: &str) -> Answer {
        match self.objects.get(key).map(|object| &object["metadata"]) {
            None => Answer::NotFound,
            Some(metadata) if metadata["uid"] != uid || metadata["resourceVersion"] != version => {
                Answer::Conflict
            }
            Some(_) => Answer::Done,
        }
    }

    pub(crate) fn delete(&mut self, key: &ObjectKey, now: i64) {
        self.end(key, now);
    }

    pub(crate) fn annotate(&mut self, key: &ObjectKey, annotation: &str, value: &str) {
        let Some(mut object) = self.objects.get(key).cloned() else { return };
        object["metadata"]["annotations"][annotation] = json!(value);
        self.store(key, object);
    }

    pub(crate) fn any(&self, random: &mut Random) -> Option<ObjectKey> {
        self.objects.keys().nth(random.below(self.objects.len())).cloned()
    }

    /// What the watches show next of some object.
    pub(crate) fn next_event(&mut self, random: &mut Random) -> Option<(ObjectKey, Event)> {
        let key = self.unseen.keys().nth(random.below(self.unseen.len()))?.clone();
        let queue = self.unseen.get_mut(&key)?;
        let event = queue.pop_front();
        if queue.is_empty() {
            self.unseen.remove(&key);
        }
        Some((key, event?))
    }
}
