//! Tickets in Redis: one key each in the control partition, which ends by itself and is taken once.
//! It knows nothing of what a record says.

use std::time::Duration;

use redis::Value;

use crate::api::{ReadError, TicketUse};
use crate::placement::keys::Keyspace;
use crate::scripts::{ScriptCall, millis};
use crate::server_map::ServerMap;

/// The way to the tickets.
#[derive(Clone)]
pub(crate) struct TicketStore {
    pub(crate) keys: Keyspace,
    pub(crate) shards: ServerMap,
}

impl TicketStore {
    /// Keeps a record under a ticket for so long.
    pub(crate) async fn keep(
        &self,
        ticket: &str,
        record: &str,
        life: Duration,
    ) -> Result<(), ReadError> {
        let words = ["keep".to_owned(), record.to_owned(), millis(life).to_string()];
        self.call(ticket, &words).await.map(drop)
    }

    /// The record of a ticket, if there is one.
    pub(crate) async fn find(
        &self,
        ticket: &str,
        usage: TicketUse,
    ) -> Result<Option<String>, ReadError> {
        let word = match usage {
            TicketUse::Look => "look",
            TicketUse::Take => "take",
        };
        match self.call(ticket, &[word.to_owned()]).await? {
            Value::Nil => Ok(None),
            record => redis::from_redis_value(record).map_err(|_| ReadError::Unavailable),
        }
    }

    async fn call(&self, ticket: &str, words: &[String]) -> Result<Value, ReadError> {
        let key = self.keys.ticket(ticket);
        let answer = self.shards.control(ScriptCall::Ticket, &key, words).await;
        // The error may name the key, and the key is the ticket: it is in no log.
        answer.map(|(_, value)| value).map_err(|_| ReadError::Unavailable)
    }
}
