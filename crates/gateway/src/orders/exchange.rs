//! One exchange of orders with the bus: what goes there, what comes into the book, and what the bus
//! gets back because it has lost it.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use roomcast_access::orders::{AccessOrder, OrderNews, OrderState};
use roomcast_bus::{OrderPage, OrderRecord, OrderRevision, ReadError};
use tokio::time::timeout;

use super::OrderDesk;

/// Longest wait for the bus in one call.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(1);
/// Exchanges between two searches for orders that have ended.
const EXCHANGES_PER_SWEEP: u64 = 40;

impl OrderDesk {
    /// One exchange: `orders` go to the bus, and what changed there comes into the book. The bus
    /// gets back what it has lost.
    pub(super) async fn exchange(&self, orders: &[AccessOrder]) -> Result<(), ReadError> {
        let mut known = self.known.lock().await;
        let page = self.ask(&known, orders).await?;
        self.merge(&page, orders);
        let lost = if page.is_whole { self.lost_by(&page) } else { Vec::new() };
        let page = match lost.is_empty() {
            true => page,
            false => {
                tracing::info!(orders = lost.len(), "the bus gets orders back that it has lost");
                let page = self.ask(&page.revision, &lost).await?;
                self.merge(&page, &[]);
                page
            }
        };
        *known = page.revision;
        self.followed.store(self.elapsed_ms().max(1), Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        Ok(())
    }

    async fn ask(
        &self,
        known: &OrderRevision,
        orders: &[AccessOrder],
    ) -> Result<OrderPage, ReadError> {
        let records: Vec<_> = orders.iter().map(record).collect();
        let sent = Instant::now();
        let asking = self.bus.exchange_orders(known, &records);
        let answer = timeout(EXCHANGE_TIMEOUT, asking).await.unwrap_or(Err(ReadError::Unavailable));
        match &answer {
            Ok(page) => self.clock.set(page.time, sent.elapsed()),
            Err(_) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                self.metrics.order_failures.inc();
            }
        }
        answer
    }

    /// Takes the page's orders, and `own` ones that the bus has now, into the book.
    pub(super) fn merge(&self, page: &OrderPage, own: &[AccessOrder]) {
        let number = self.exchanges.fetch_add(1, Ordering::Relaxed);
        if page.texts.is_empty() && own.is_empty() && !number.is_multiple_of(EXCHANGES_PER_SWEEP) {
            return;
        }
        let read = page.texts.iter().filter_map(|text| {
            let order = AccessOrder::decode(text);
            if order.is_none() {
                tracing::warn!("an order of another node cannot be read; it does not hold here");
            }
            order
        });
        let mut book = self.write();
        let mut is_news = false;
        for order in read.chain(own.iter().cloned()) {
            is_news |= book.merge(order, page.time) == OrderNews::Judge;
        }
        book.remove_ended(page.time);
        self.metrics.bans.set(book.bans(page.time).count() as i64);
        self.has_orders.store(book.orders().next().is_some(), Ordering::Relaxed);
        drop(book);
        if is_news {
            self.news.send_modify(|count| *count += 1);
        }
    }

    /// What the book has and the whole list of the bus has not, or not in the same state.
    pub(super) fn lost_by(&self, page: &OrderPage) -> Vec<AccessOrder> {
        let texts: HashSet<&str> = page.texts.iter().map(String::as_str).collect();
        let book = self.read();
        book.orders().filter(|order| !texts.contains(order.encode().as_str())).cloned().collect()
    }
}

fn record(order: &AccessOrder) -> OrderRecord {
    OrderRecord {
        id: order.id.to_string(),
        end: order.end,
        is_lifted: order.state == OrderState::Lifted,
        text: order.encode(),
    }
}
