//! What a subscribe connection received and the lane did not take yet. The connection's task must
//! never wait, so the inbox is bounded: what does not fit is dropped and its room marked for
//! repair.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hashbrown::HashSet;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use crate::feed::subscriptions::SubscriptionChange;

/// Payload bytes that may wait: Redis's own default bound on a subscriber's backlog.
const MAX_BYTES: usize = 32 << 20;
/// Pushes that may wait: a bound for many small ones.
const MAX_PUSHES: usize = 1 << 16;

/// One item received on a subscribe connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A payload published on a channel.
    Message(Vec<u8>, Bytes),
    /// A command took effect for a channel.
    Confirmed(Vec<u8>, SubscriptionChange),
    /// The connection is lost; nothing follows.
    Closed,
}

/// Everything received since the last `take`.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// In the order of arrival.
    pub(crate) received: Vec<Received>,
    /// Channels of which payloads were dropped.
    pub(crate) overflowed: HashSet<Vec<u8>>,
    bytes: usize,
}

/// The inbox of one connection.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    mail: Mutex<Mail>,
    ready: Notify,
}

impl Inbox {
    /// Adds what the connection received. The lock is held for moves only.
    pub(crate) fn put(&self, info: PushInfo) {
        let Some(push) = read(info) else { return };
        {
            let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
            if let Received::Message(channel, payload) = push {
                let full = mail.received.len() >= MAX_PUSHES || mail.bytes > MAX_BYTES;
                // After a loss the channel's later payloads are of no use: the room is repaired.
                if full || mail.overflowed.contains(&channel) {
                    mail.overflowed.insert(channel);
                } else {
                    mail.bytes += payload.len();
                    mail.received.push(Received::Message(channel, payload));
                }
            } else {
                mail.received.push(push);
            }
        }
        self.ready.notify_one();
    }

    /// Waits until there may be something to take.
    pub(crate) async fn ready(self: Arc<Self>) {
        self.ready.notified().await;
    }

    /// Takes everything that is there.
    pub(crate) fn take(&self) -> Mail {
        mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(info: PushInfo) -> Option<Received> {
    let mut data = info.data.into_iter();
    let change = match info.kind {
        PushKind::Disconnection => return Some(Received::Closed),
        PushKind::Message | PushKind::SMessage => {
            let (channel, payload) = (data.next()?, data.next()?);
            return Some(Received::Message(raw(channel)?, raw(payload)?.into()));
        }
        PushKind::Subscribe | PushKind::SSubscribe => SubscriptionChange::Subscribe,
        PushKind::Unsubscribe | PushKind::SUnsubscribe => SubscriptionChange::Unsubscribe,
        _ => return None,
    };
    Some(Received::Confirmed(raw(data.next()?)?, change))
}

fn raw(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(channel: &str, bytes: usize) -> PushInfo {
        let data =
            vec![Value::BulkString(channel.as_bytes().to_vec()), Value::BulkString(vec![0; bytes])];
        PushInfo { kind: PushKind::Message, data }
    }

    #[test]
    fn what_does_not_fit_marks_its_room_and_no_other() {
        let inbox = Inbox::default();
        inbox.put(message("a", MAX_BYTES + 1));
        inbox.put(message("b", 1));
        inbox.put(PushInfo {
            kind: PushKind::Subscribe,
            data: vec![Value::BulkString(b"c".to_vec()), Value::Int(1)],
        });
        let mail = inbox.take();
        assert_eq!(mail.received.len(), 2);
        assert_eq!(
            mail.received[1],
            Received::Confirmed(b"c".to_vec(), SubscriptionChange::Subscribe)
        );
        assert_eq!(mail.overflowed.into_iter().collect::<Vec<_>>(), [b"b".to_vec()]);
        inbox.put(message("b", 1));
        assert_eq!(inbox.take().received.len(), 1);
    }
}
