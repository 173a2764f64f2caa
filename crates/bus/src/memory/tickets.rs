//! The tickets of a single node: the same contract as `tickets/ticket.lua`. Pure.

use hashbrown::HashMap;

use crate::api::TicketUse;

/// Records by ticket, each with its end in Unix ms.
#[derive(Debug, Default)]
pub(crate) struct MemoryTickets(HashMap<String, (u64, String)>);

impl MemoryTickets {
    /// Keeps a record under a ticket until `end`. Those that have ended are removed.
    pub(crate) fn keep(&mut self, ticket: &str, record: &str, end: u64, now: u64) {
        self.0.retain(|_, (end, _)| *end > now);
        self.0.entry_ref(ticket).or_insert_with(|| (end, record.to_owned()));
    }

    /// The record of a ticket, if there is one.
    pub(crate) fn find(&mut self, ticket: &str, usage: TicketUse, now: u64) -> Option<String> {
        let (end, record) = self.0.get(ticket)?;
        let record = (*end > now).then(|| record.clone());
        if usage == TicketUse::Take {
            self.0.remove(ticket);
        }
        record
    }
}
