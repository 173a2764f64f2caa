//! How many connections each user has on which node: one hash for each user in the control partition,
//! where every node sets its own entry. It decides nothing but what the script decides.

use std::fmt::Write as _;

use redis::Value;
use roomcast_protocol::{ConnectionId, UserName};
use tokio::sync::watch;

use crate::api::{
    NamedConnection, NewcomerStep, ReadError, ReplacePlace, UserNewcomer, UserPlace, UserPresence,
};
use crate::leases::LeaseStanding;
use crate::placement::keys::Keyspace;
use crate::scripts::ScriptCall;
use crate::server_map::ServerMap;

/// The way to the hashes.
#[derive(Clone)]
pub(crate) struct OnlineStore {
    /// The name of this node's entries, in this run of its process.
    pub(crate) node: String,
    pub(crate) keys: Keyspace,
    pub(crate) shards: ServerMap,
    /// What entries are written under: they count while its incarnation lives.
    pub(crate) lease: watch::Receiver<LeaseStanding>,
}

/// Tells when what a node set of its users may no longer count: its incarnation or the data in Redis
/// has another life.
#[derive(Debug)]
pub struct OnlineNews(Option<watch::Receiver<LeaseStanding>>);

impl OnlineNews {
    /// Of a bus that no other node uses.
    pub(crate) fn never() -> Self {
        Self(None)
    }

    /// Waits for the next such moment. Cancel-safe.
    pub async fn changed(&mut self) {
        let changed = match &mut self.0 {
            Some(lease) => lease.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            std::future::pending().await
        }
    }
}

impl OnlineStore {
    pub(crate) fn news(&self) -> OnlineNews {
        OnlineNews(Some(self.lease.clone()))
    }

    /// Sets this node's entry.
    pub(crate) async fn set(&self, user: &UserName, here: &UserPresence) -> Result<(), ReadError> {
        let words = self.words("set", here)?;
        self.call(user, words).await.map(drop)
    }

    /// Sets this node's entry if the user has a place for the newcomer in it.
    pub(crate) async fn admit(
        &self,
        user: &UserName,
        here: &UserPresence,
        newcomer: UserNewcomer,
    ) -> Result<UserPlace, ReadError> {
        let UserNewcomer { most, id, client, replaces, step } = newcomer;
        let mut words = self.words(
            match step {
                NewcomerStep::Enter => "enter",
                NewcomerStep::Look => "look",
            },
            here,
        )?;
        let client = client.map(|client| format!("{client:016x}"));
        let place = match replaces {
            ReplacePlace::Here => "here",
            ReplacePlace::Anywhere => "anywhere",
        };
        words.extend([
            most.to_string(),
            id.to_string(),
            client.unwrap_or_default(),
            place.to_owned(),
        ]);
        let answer = self.call(user, words).await?;
        read_place(answer, &self.node).ok_or(ReadError::Unavailable)
    }

    /// The words that all calls begin with.
    fn words(&self, mode: &str, here: &UserPresence) -> Result<Vec<String>, ReadError> {
        let incarnation = self.lease.borrow().incarnation.ok_or(ReadError::Unavailable)?;
        let mut named = String::with_capacity(32 * here.named.len());
        for NamedConnection { id, client } in &here.named {
            // Writing to a string does not fail.
            let _ = write!(named, "{client:016x}{id}");
        }
        Ok(vec![
            mode.to_owned(),
            self.node.clone(),
            here.number.to_string(),
            incarnation.to_string(),
            here.count.to_string(),
            named,
        ])
    }

    async fn call(&self, user: &UserName, words: Vec<String>) -> Result<Value, ReadError> {
        let (online, leases) = (self.keys.online(user), self.keys.leases());
        let keys = [online.as_str(), leases.as_str()];
        let answer = self.shards.control_keys(ScriptCall::SetOnline, &keys, &words).await;
        answer.map(|(_, value)| value).map_err(|error| {
            tracing::debug!(%error, "a user's connections were not set");
            ReadError::Unavailable
        })
    }
}

/// Reads the answer of `set.lua` to a node.
fn read_place(answer: Value, own: &str) -> Option<UserPlace> {
    let words: Vec<String> = redis::from_redis_value(answer).ok()?;
    let mut words = words.into_iter();
    match words.next()?.as_str() {
        "full" => return Some(UserPlace::Full),
        "granted" => {}
        _ => return None,
    }
    let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
    while let Some(node) = words.next() {
        let id = ConnectionId::parse(&words.next()?)?;
        let place = if node == own { &mut here } else { &mut elsewhere };
        place.push(id);
    }
    Some(UserPlace::Granted { here, elsewhere })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(words: &[&str]) -> Option<UserPlace> {
        let word = |word: &&str| Value::BulkString(word.as_bytes().to_vec());
        read_place(Value::Array(words.iter().map(word).collect()), "a")
    }

    #[test]
    fn an_answer_is_read_or_refused() {
        let (one, two) = ("0000000000000001", "0000000000000002");
        let granted = |here: &[u64], elsewhere: &[u64]| {
            let ids = |ids: &[u64]| ids.iter().map(|id| ConnectionId(*id)).collect();
            Some(UserPlace::Granted { here: ids(here), elsewhere: ids(elsewhere) })
        };
        assert_eq!(answer(&["full"]), Some(UserPlace::Full));
        assert_eq!(answer(&["granted"]), granted(&[], &[]));
        assert_eq!(answer(&["granted", "b", one, "a", two]), granted(&[2], &[1]));
        for bad in [&[][..], &["no"], &["granted", "a"], &["granted", "a", "1"]] {
            assert_eq!(answer(bad), None, "{bad:?}");
        }
    }
}
