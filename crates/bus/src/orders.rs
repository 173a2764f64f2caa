//! The orders of all nodes in Redis: one hash in the control partition, changed and read by one
//! script. It knows no order's meaning.

use redis::Value;

use crate::api::{OrderPage, OrderRecord, OrderRevision, ReadError};
use crate::placement::keys::Keyspace;
use crate::scripts::ScriptCall;
use crate::server_map::ServerMap;

/// Orders in one call. Larger unions are written in several.
const RECORDS_PER_CALL: usize = 200;

/// The way to the hash.
#[derive(Clone)]
pub(crate) struct OrderStore {
    pub(crate) keys: Keyspace,
    pub(crate) shards: ServerMap,
}

impl OrderStore {
    /// Adds records and reads what changed since `known`.
    pub(crate) async fn exchange(
        &self,
        known: &OrderRevision,
        records: &[OrderRecord],
    ) -> Result<OrderPage, ReadError> {
        let mut chunks = records.chunks(RECORDS_PER_CALL);
        let mut page = self.call(known.number, chunks.next().unwrap_or_default()).await?;
        for chunk in chunks {
            page = self.call(known.number, chunk).await?;
        }
        if !page.is_whole && page.revision.life != known.life {
            // Revisions of another life say nothing about this one.
            page = self.call(0, &[]).await?;
        }
        Ok(page)
    }

    async fn call(&self, known: u64, records: &[OrderRecord]) -> Result<OrderPage, ReadError> {
        let mut words = vec![known.to_string()];
        for OrderRecord { id, end, is_lifted, text } in records {
            let lifted = u8::from(*is_lifted).to_string();
            words.extend([id.clone(), end.to_string(), lifted, text.clone()]);
        }
        let call = ScriptCall::ExchangeOrders;
        let answered = self.shards.control(call, &self.keys.orders(), &words).await;
        let (life, answer) = answered.map_err(|error| {
            tracing::debug!(%error, "orders were not exchanged");
            ReadError::Unavailable
        })?;
        read_page(answer).map_or(Err(ReadError::Unavailable), |(time, number, is_whole, texts)| {
            let is_whole = is_whole || known == 0;
            Ok(OrderPage { time, revision: OrderRevision { life, number }, is_whole, texts })
        })
    }
}

/// Reads the answer of `exchange.lua`.
fn read_page(answer: Value) -> Option<(u64, u64, bool, Vec<String>)> {
    let words: Vec<String> = redis::from_redis_value(answer).ok()?;
    let mut words = words.into_iter();
    let time = words.next()?.parse().ok()?;
    let number = words.next()?.parse().ok()?;
    let is_whole = match words.next()?.as_str() {
        "whole" => true,
        "part" => false,
        _ => return None,
    };
    Some((time, number, is_whole, words.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(words: &[&str]) -> Option<(u64, u64, bool, Vec<String>)> {
        let word = |word: &&str| Value::BulkString(word.as_bytes().to_vec());
        read_page(Value::Array(words.iter().map(word).collect()))
    }

    #[test]
    fn an_answer_is_read_or_refused() {
        assert_eq!(answer(&["7", "9", "whole", "a"]), Some((7, 9, true, vec!["a".into()])));
        assert_eq!(answer(&["7", "9", "part"]), Some((7, 9, false, Vec::new())));
        for bad in [&["7", "9"][..], &["7", "x", "part"], &["7", "9", "some"], &[]] {
            assert_eq!(answer(bad), None, "{bad:?}");
        }
    }
}
