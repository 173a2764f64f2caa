//! The orders of a single node: the same contract as `orders/exchange.lua`. Pure.

use std::collections::BTreeMap;

use crate::api::{OrderPage, OrderRecord, OrderRevision};

/// All orders that have not ended.
#[derive(Debug, Default)]
pub(crate) struct MemoryOrders {
    /// By id, each with the revision of its last change.
    records: BTreeMap<String, (u64, OrderRecord)>,
    latest: u64,
}

impl MemoryOrders {
    /// Takes orders in and answers what changed since a revision; `now` is Unix time in ms.
    pub(crate) fn exchange(
        &mut self,
        known: &OrderRevision,
        records: &[OrderRecord],
        now: u64,
    ) -> OrderPage {
        self.records.retain(|_, (_, record)| record.end > now);
        let before = self.latest;
        for record in records.iter().filter(|record| record.end > now) {
            let is_news = self.records.get(&record.id).is_none_or(|(_, old)| {
                !old.is_lifted && (record.is_lifted || record.end > old.end)
            });
            if is_news {
                self.latest = before + 1;
                self.records.insert(record.id.clone(), (self.latest, record.clone()));
            }
        }
        let changed = self.records.values().filter(|(revision, _)| *revision > known.number);
        OrderPage {
            time: now,
            revision: OrderRevision { number: self.latest, ..OrderRevision::default() },
            is_whole: known.number == 0,
            texts: changed.map(|(_, record)| record.text.clone()).collect(),
        }
    }
}
