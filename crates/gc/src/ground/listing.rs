//! Which listing has shown which object, and what a complete one lacks.
//!
//! A ground may be fed by one watch of the whole cluster, or by one for each namespace that a policy looks at: each is a
//! scope, with listings of its own. What a listing does not show by its end is gone, once it is believed.

use std::collections::HashMap;

use jiff::Timestamp;
use units::ResourceVersion;

use super::{Entry, Ground};

/// What one watch shows: one namespace, or, without a name, the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(pub Option<Box<str>>);

/// The listings of all scopes.
#[derive(Debug, Default)]
pub(super) struct Listings {
    last: u32,
    scopes: HashMap<Scope, Listing>,
}

#[derive(Debug, Default)]
struct Listing {
    number: u32,
    /// The listing that was not believed, until another one settles what it lacked.
    doubted: Option<u32>,
    /// Objects that were held when the listing began.
    known: usize,
    /// The version up to which the watch had shown everything when the listing began.
    watched: Option<ResourceVersion>,
    /// Objects that the listing shows as the watch should have shown them before.
    missed: u64,
}

impl Scope {
    /// The whole cluster.
    pub const CLUSTER: Self = Self(None);

    /// One namespace.
    pub fn namespace(name: &str) -> Self {
        Self(Some(name.into()))
    }

    fn holds(&self, namespace: &str) -> bool {
        self.0.as_deref().is_none_or(|name| name == namespace)
    }
}

impl Listings {
    /// An object was shown; returns the listing that shows it.
    pub(super) fn shown(&mut self, scope: &Scope, version: &ResourceVersion, is_known: bool) -> u32 {
        let Some(listing) = self.scopes.get_mut(scope) else { return self.last };
        if !is_known && listing.watched.as_ref().is_some_and(|seen| seen.has_reached(version)) {
            listing.missed += 1;
        }
        listing.number
    }

    fn of(&self, scope: &Scope) -> Option<&Listing> {
        self.scopes.get(scope)
    }
}

impl Ground {
    /// A listing begins: what it does not show by its end is gone. Up to the version `watched`, if there is one, the
    /// watch has shown everything before.
    pub fn begin_listing(&mut self, scope: &Scope, watched: Option<ResourceVersion>) {
        let known = self.within(scope).count();
        self.listings.last = self.listings.last.wrapping_add(1);
        let number = self.listings.last;
        let listing = self.listings.scopes.entry(scope.clone()).or_default();
        (listing.number, listing.known, listing.watched, listing.missed) = (number, known, watched, 0);
    }

    /// How many objects were held when the listing began.
    pub fn known(&self, scope: &Scope) -> usize {
        self.listings.of(scope).map_or(0, |listing| listing.known)
    }

    /// How many objects the listing that is under way has not shown.
    pub fn unlisted(&self, scope: &Scope) -> usize {
        self.unlisted_slots(scope).count()
    }

    /// How many objects have not been shown since the doubted listing began; none if none is in doubt.
    pub fn unlisted_again(&self, scope: &Scope) -> usize {
        let Some(doubted) = self.listings.of(scope).and_then(|listing| listing.doubted) else { return 0 };
        let before = |entry: &Entry| entry.listing.wrapping_sub(doubted) > u32::MAX / 2;
        self.within(scope).filter(|(_, entry)| before(entry)).count()
    }

    /// The listing is complete, and is not believed: what it has not shown stays until another listing is believed.
    pub fn doubt_listing(&mut self, scope: &Scope) {
        if let Some(listing) = self.listings.scopes.get_mut(scope) {
            (listing.doubted, listing.watched) = (Some(listing.number), None);
        }
    }

    /// The listing is complete, and is believed. Returns how many objects it showed that the watch should have shown before.
    pub fn finish_listing(&mut self, scope: &Scope, now: Timestamp) -> u64 {
        let gone: Vec<u32> = self.unlisted_slots(scope).collect();
        gone.into_iter().for_each(|slot| self.vacate(slot, now));
        self.forget_empty_spaces();
        let Some(listing) = self.listings.scopes.get_mut(scope) else { return 0 };
        (listing.watched, listing.doubted) = (None, None);
        std::mem::take(&mut listing.missed)
    }

    /// A scope is watched no more: what lies in it is forgotten, but for what other scopes still show.
    pub fn abandon(&mut self, scope: &Scope, still_shown: impl Fn(&str) -> bool, now: Timestamp) {
        self.listings.scopes.remove(scope);
        let unseen = |entry: &Entry| !still_shown(&entry.object.namespace);
        let gone: Vec<u32> =
            self.within(scope).filter(|(_, entry)| unseen(entry)).map(|(slot, _)| slot).collect();
        gone.into_iter().for_each(|slot| self.vacate(slot, now));
        self.forget_empty_spaces();
    }

    fn unlisted_slots(&self, scope: &Scope) -> impl Iterator<Item = u32> {
        let number = self.listings.of(scope).map(|listing| listing.number);
        self.within(scope).filter(move |(_, entry)| Some(entry.listing) != number).map(|(slot, _)| slot)
    }

    fn within(&self, scope: &Scope) -> impl Iterator<Item = (u32, &Entry)> {
        let entries = (0..).zip(&self.slots).filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)));
        entries.filter(|(_, entry)| scope.holds(&entry.object.namespace))
    }
}
