//! What a connection may do by its tokens: the identity that came with its handshake or a `refresh`,
//! and the tokens of single rooms. A connection without any token holds nothing here.

use std::cell::RefCell;

use hashbrown::{HashMap, HashSet};
use roomcast_access::capability::Capabilities;
use roomcast_access::identity::{AccessIdentity, RefreshError, RoomPass, TokenId};
use roomcast_access::policy::RoomStanding;
use roomcast_protocol::Data;

use super::{Connection, RoomId};
use crate::identity::{CredentialWay, VerifiedIdentity};

/// The place of an end among those that a worker's connections wait for: a moment in ms since 1970,
/// and a number that tells it from others of the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndPlace {
    pub(crate) at: u64,
    pub(crate) number: u64,
}

/// Everything that tokens gave to one connection.
#[derive(Debug, Default)]
pub(super) struct HeldAccess {
    verified: RefCell<Option<Box<HeldIdentity>>>,
    passes: RefCell<Option<Box<HashMap<RoomId, HeldPass>>>>,
    /// What it gave as `info` when it joined rooms whose messages carry that.
    infos: RefCell<Option<Box<HashMap<RoomId, Data>>>>,
    /// Rooms that a backend joined it to.
    granted: RefCell<Option<Box<HashSet<RoomId>>>>,
}

#[derive(Debug)]
struct HeldIdentity {
    identity: AccessIdentity,
    way: CredentialWay,
    /// Where its end, and its `reconnect`, stand among the worker's.
    places: Vec<EndPlace>,
}

#[derive(Debug)]
struct HeldPass {
    pass: RoomPass,
    place: EndPlace,
}

impl HeldAccess {
    pub(super) fn new(verified: Option<Box<VerifiedIdentity>>) -> Self {
        let held = verified.map(|verified| {
            let VerifiedIdentity { identity, way } = *verified;
            Box::new(HeldIdentity { identity, way, places: Vec::new() })
        });
        Self {
            verified: RefCell::new(held),
            passes: RefCell::default(),
            infos: RefCell::default(),
            granted: RefCell::default(),
        }
    }
}

impl Connection {
    /// Lets a decision look at its identity, which without a token is its own word.
    pub(crate) fn judge<R>(&self, decide: impl FnOnce(&AccessIdentity) -> R) -> R {
        match &*self.access.verified.borrow() {
            Some(held) => decide(&held.identity),
            None => decide(&match &self.user {
                Some(user) => AccessIdentity::named(user.clone()),
                None => AccessIdentity::anonymous(),
            }),
        }
    }

    /// When its identity ends, and how its credential came; `None` if it came without one.
    pub(crate) fn life(&self) -> Option<(roomcast_access::identity::IdentityLife, CredentialWay)> {
        let verified = self.access.verified.borrow();
        verified.as_ref().and_then(|held| Some((held.identity.life()?, held.way)))
    }

    /// The name of the key that signed its token, for logs.
    pub(crate) fn signing_key(&self) -> Option<String> {
        let verified = self.access.verified.borrow();
        verified.as_ref().and_then(|held| held.identity.key().map(str::to_owned))
    }

    /// Replaces its identity by that of a new token of the same user.
    pub(crate) fn refresh(&self, new: AccessIdentity) -> Result<(), RefreshError> {
        match &mut *self.access.verified.borrow_mut() {
            Some(held) => {
                held.identity.refresh(new)?;
                Ok(())
            }
            None => Err(RefreshError::Anonymous),
        }
    }

    /// Notes where its ends stand now; where they stood before.
    pub(crate) fn replace_end_places(&self, places: Vec<EndPlace>) -> Vec<EndPlace> {
        match &mut *self.access.verified.borrow_mut() {
            Some(held) => std::mem::replace(&mut held.places, places),
            None => Vec::new(),
        }
    }

    /// Holds a room's token; where the end of the one before stood.
    pub(crate) fn hold_pass(
        &self,
        room: RoomId,
        pass: RoomPass,
        place: EndPlace,
    ) -> Option<EndPlace> {
        let mut passes = self.access.passes.borrow_mut();
        let before = passes.get_or_insert_default().insert(room, HeldPass { pass, place });
        before.map(|held| held.place)
    }

    /// A backend joins it to a room: its membership there is not judged again.
    pub(crate) fn grant(&self, room: RoomId) {
        self.access.granted.borrow_mut().get_or_insert_default().insert(room);
    }

    /// Whether a backend joined it to a room.
    pub(crate) fn is_granted(&self, room: RoomId) -> bool {
        self.access.granted.borrow().as_ref().is_some_and(|granted| granted.contains(&room))
    }

    /// Keeps what it shows of itself in a room.
    pub(crate) fn keep_info(&self, room: RoomId, info: Data) {
        self.access.infos.borrow_mut().get_or_insert_default().insert(room, info);
    }

    /// What it shows of itself in a room, where that is kept.
    pub(crate) fn info_in(&self, room: RoomId) -> Option<Data> {
        self.access.infos.borrow().as_ref()?.get(&room).cloned()
    }

    /// Gives up a room's token and what a backend granted there; where the token's end stood.
    pub(crate) fn drop_pass(&self, room: RoomId) -> Option<EndPlace> {
        let mut infos = self.access.infos.borrow_mut();
        if infos.as_mut().is_some_and(|rooms| rooms.remove(&room).is_some() && rooms.is_empty()) {
            *infos = None;
        }
        let mut granted = self.access.granted.borrow_mut();
        if granted.as_mut().is_some_and(|rooms| rooms.remove(&room) && rooms.is_empty()) {
            *granted = None;
        }
        let mut passes = self.access.passes.borrow_mut();
        let dropped = passes.as_mut()?.remove(&room);
        if passes.as_ref().is_some_and(|passes| passes.is_empty()) {
            *passes = None;
        }
        dropped.map(|held| held.place)
    }

    /// Gives up the tokens of all rooms; where their ends stood.
    pub(crate) fn drop_passes(&self) -> Vec<EndPlace> {
        let passes = self.access.passes.borrow_mut().take();
        passes.into_iter().flat_map(|all| all.into_values().map(|held| held.place)).collect()
    }

    /// The rooms whose tokens have a `jti` of this kind.
    pub(crate) fn rooms_by_tokens(&self, is_meant: impl Fn(&TokenId) -> bool) -> Vec<RoomId> {
        let passes = self.access.passes.borrow();
        let meant = |held: &HeldPass| held.pass.token_id.as_ref().is_some_and(&is_meant);
        let all = passes.iter().flat_map(|passes| passes.iter());
        all.filter(|(_, held)| meant(held)).map(|(room, _)| *room).collect()
    }

    /// Whether it holds the token of any room.
    pub(crate) fn has_passes(&self) -> bool {
        self.access.passes.borrow().is_some()
    }

    /// Its place in a room that it is in or waits for, with what the room's token gives.
    pub(crate) fn standing_in(&self, room: RoomId) -> RoomStanding {
        if self.membership_in(room).is_none() && !self.is_joining(room) {
            return RoomStanding::Outside;
        }
        let passes = self.access.passes.borrow();
        let held = passes.as_ref().and_then(|passes| passes.get(&room));
        RoomStanding::Inside(held.map_or(Capabilities::NONE, |held| held.pass.can))
    }
}
