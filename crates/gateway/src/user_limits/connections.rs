//! The connections of each user on all nodes: places for newcomers, and the task that gives the bus
//! this node's states. While the bus does not answer, the node's own count decides.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hashbrown::HashMap;
use roomcast_bus::{
    Bus, NewcomerStep, ReplacePlace, UserNewcomer, UserPlace, UserPresence, client_fingerprint,
};
use roomcast_protocol::{ConnectionId, UserName};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::places::{PlaceSharing, UserPlaces};

/// Longest wait of a handshake for the counts of other nodes.
const ADMIT_TIMEOUT: Duration = Duration::from_secs(1);
/// A user has connections of other nodes replaced by one handshake in this time.
const REPLACE_INTERVAL: Duration = Duration::from_secs(1);
/// Users below which those whose interval is over are not looked for.
const MIN_SWEEP: usize = 1_024;
/// When a user at the limit may try again.
const FULL_RETRY: Duration = Duration::from_secs(10);

/// Changes of a user within this time go to the bus as one.
const SET_PAUSE: Duration = Duration::from_millis(50);
/// States that the bus is given in a row.
const SETS_PER_TURN: usize = 256;
/// Of these at once.
const SETS_AT_ONCE: usize = 32;
/// Pause after the bus did not take a state.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The round over all users takes a share of them in this time.
const ROUND_PERIOD: Duration = Duration::from_secs(1);
/// Shares of a round, which so takes 6 h: a quarter of the time for which Redis keeps a state.
const SHARES_PER_ROUND: usize = 6 * 3_600;

/// The connections of all users of the node.
pub(crate) struct UserConnections {
    bus: Bus,
    places: Mutex<UserPlaces>,
    /// When users had connections of other nodes replaced.
    replacing: Mutex<HashMap<UserName, Instant>>,
    /// Wakes the task that gives the bus states.
    changed: Notify,
    /// Counts the times when connections of this node were replaced.
    news: watch::Sender<u64>,
}

/// The place of one connection; it is given back when this is dropped.
pub(crate) struct UserHold {
    users: Arc<UserConnections>,
    user: UserName,
    /// The connection.
    pub(crate) id: ConnectionId,
}

/// A newcomer that has a place.
pub(crate) struct UserAdmission {
    pub(crate) hold: UserHold,
    /// How many connections of this node are closed for it.
    pub(crate) here: usize,
    /// Connections of other nodes that are to be closed for it; they no longer count.
    pub(crate) elsewhere: Vec<ConnectionId>,
}

/// The user has as many connections as it may have; when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserFull(pub(crate) Duration);

impl UserConnections {
    pub(crate) fn new(bus: Bus) -> Self {
        let sharing = if bus.is_shared() { PlaceSharing::Shared } else { PlaceSharing::Alone };
        Self {
            bus,
            places: Mutex::new(UserPlaces::new(sharing)),
            replacing: Mutex::default(),
            changed: Notify::new(),
            news: watch::Sender::new(0),
        }
    }

    /// A place for a connection, if its user has fewer than `most`; or that of another connection of
    /// the same client. Run it to its end: connections that it replaces count no longer.
    pub(crate) async fn admit(
        self: Arc<Self>,
        (user, client): (&UserName, Option<&str>),
        most: usize,
        replaces: ReplacePlace,
    ) -> Result<UserAdmission, UserFull> {
        let (id, client) = (ConnectionId(rand::random()), client.map(client_fingerprint));
        let presence = self.places().enter(user, (id, client));
        let hold = UserHold { users: self.clone(), user: user.clone(), id };
        let reserved = client.and_then(|_| self.reserve_replacing(user));
        let place = if reserved.is_some() { replaces } else { ReplacePlace::Here };
        let newcomer =
            UserNewcomer { most, id, client, replaces: place, step: NewcomerStep::Enter };
        let asking = self.bus.admit_user(user, &presence, newcomer);
        let answer = timeout(ADMIT_TIMEOUT, asking).await.ok().and_then(Result::ok);
        // An answer that is lost may have had some replaced.
        let has_replaced = match &answer {
            Some(UserPlace::Granted { elsewhere, .. }) => !elsewhere.is_empty(),
            Some(UserPlace::Full) => false,
            None => true,
        };
        if let Some(before) = reserved.filter(|_| !has_replaced) {
            self.release_replacing(user, before);
        }
        let (here, elsewhere) = match answer {
            Some(UserPlace::Granted { here, elsewhere }) => {
                self.places().replace(user, &here, presence.number);
                (here.len(), elsewhere)
            }
            Some(UserPlace::Full) => {
                self.places().refuse(user, id, presence.number);
                let is_too_soon = client.is_some() && reserved.is_none();
                return Err(UserFull(if is_too_soon { REPLACE_INTERVAL } else { FULL_RETRY }));
            }
            None => {
                let decided = self.places().decide(user, (id, client), most);
                (decided.ok_or(UserFull(FULL_RETRY))?, Vec::new())
            }
        };
        if here > 0 {
            self.news.send_modify(|count| *count += 1);
        }
        self.changed.notify_one();
        Ok(UserAdmission { hold, here, elsewhere })
    }

    /// Whether there would be a place; nothing is changed.
    pub(crate) async fn look(
        &self,
        (user, client): (&UserName, Option<&str>),
        most: usize,
        replaces: ReplacePlace,
    ) -> Result<(), UserFull> {
        // No connection has this id.
        let (id, client) = (ConnectionId(rand::random()), client.map(client_fingerprint));
        let presence = self.places().look(user);
        let newcomer = UserNewcomer { most, id, client, replaces, step: NewcomerStep::Look };
        let asking = self.bus.admit_user(user, &presence, newcomer);
        let is_full = match timeout(ADMIT_TIMEOUT, asking).await {
            Ok(Ok(place)) => place == UserPlace::Full,
            Ok(Err(_)) | Err(_) => self.places().replaceable(user, (id, client), most).is_none(),
        };
        if is_full { Err(UserFull(FULL_RETRY)) } else { Ok(()) }
    }

    /// Changes whenever connections of this node were replaced.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Connections of this node that were replaced and have not ended.
    pub(crate) fn replaced(&self) -> BTreeSet<ConnectionId> {
        self.places().replaced().clone()
    }

    /// Whether a connection was replaced.
    pub(crate) fn is_replaced(&self, id: ConnectionId) -> bool {
        self.places().replaced().contains(&id)
    }

    /// Gives the bus this node's states as long as the task runs: those that changed, and all of
    /// them where they may count no longer.
    pub(crate) async fn follow(self: Arc<Self>) {
        if !self.bus.is_shared() {
            return;
        }
        let mut news = self.bus.online_news();
        let mut period = interval(ROUND_PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_any_unset = self.places().is_any_unset();
            tokio::select! {
                () = news.changed() => self.places().go_round(1),
                _ = period.tick() => self.places().go_round(SHARES_PER_ROUND),
                () = self.changed.notified(), if !is_any_unset => {}
                () = sleep(SET_PAUSE), if is_any_unset => {
                    if !self.set_some().await {
                        sleep(RETRY_PAUSE).await;
                    }
                }
            }
        }
    }

    /// Gives the bus some states; false if it did not take one.
    async fn set_some(&self) -> bool {
        let states = self.places().take_unset(SETS_PER_TURN);
        let sets = states.into_iter().map(|(user, presence)| self.set(user, presence));
        let outcomes: Vec<bool> = stream::iter(sets).buffer_unordered(SETS_AT_ONCE).collect().await;
        outcomes.into_iter().all(|is_set| is_set)
    }

    async fn set(&self, user: UserName, presence: UserPresence) -> bool {
        let setting = self.bus.set_user(&user, &presence);
        let is_set = timeout(ADMIT_TIMEOUT, setting).await.is_ok_and(|answer| answer.is_ok());
        let mut places = self.places();
        match is_set {
            true => places.was_set(&user, presence.number),
            false => places.mark(&user),
        }
        is_set
    }

    /// Reserves the user's replacing of connections of other nodes, if it is time: returns when the
    /// user had some replaced before, if it had.
    fn reserve_replacing(&self, user: &UserName) -> Option<Option<Instant>> {
        let now = Instant::now();
        let is_over = |at: &Instant| now.duration_since(*at) >= REPLACE_INTERVAL;
        let mut replacing = self.replacing();
        if replacing.len() >= MIN_SWEEP && !replacing.contains_key(user) {
            replacing.retain(|_, at| !is_over(at));
        }
        let before = replacing.get(user).copied();
        before.is_none_or(|at| is_over(&at)).then(|| replacing.insert(user.clone(), now))
    }

    /// It had none replaced.
    fn release_replacing(&self, user: &UserName, before: Option<Instant>) {
        let mut replacing = self.replacing();
        match before {
            Some(at) => replacing.insert(user.clone(), at),
            None => replacing.remove(user),
        };
    }

    /// A panic elsewhere leaves the tables as they are: each step on them is whole.
    fn places(&self) -> MutexGuard<'_, UserPlaces> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replacing(&self) -> MutexGuard<'_, HashMap<UserName, Instant>> {
        self.replacing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UserHold {
    fn drop(&mut self) {
        self.users.places().leave(&self.user, self.id);
        self.users.changed.notify_one();
    }
}
