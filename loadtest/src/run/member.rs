//! A client that is a member of one room and receives.

use super::account::{Account, Take};
use super::peer::{Bookmark, Heard};
use super::stamp::Stamp;
use super::talk::Outage;

/// One member; its connection is the load's.
#[derive(Debug)]
pub(super) struct LoadMember {
    /// Its room, of the scenario's.
    pub(super) room: usize,
    /// It stops reading for a while.
    pub(super) slow: bool,
    pub(super) account: Account,
    pub(super) bookmark: Bookmark,
    /// When its first connection was wanted, until it is there.
    pub(super) wanted: Option<u64>,
    /// The loss that it is recovering from.
    outage: Option<Outage>,
}

/// A message that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    /// When it was to go.
    pub(super) intended: u64,
    /// The end of an outage, if it is the first message after one.
    pub(super) outage: Option<Outage>,
}

impl LoadMember {
    /// Not connected yet.
    pub(super) fn new(room: usize, account: Account) -> Self {
        let bookmark = Bookmark::default();
        Self { room, slow: false, account, bookmark, wanted: None, outage: None }
    }

    /// Its connection at this node ended.
    pub(super) fn lost(&mut self, node: usize, at: u64) {
        // A member that is lost again before it received counts from the first loss.
        self.outage.get_or_insert(Outage { node, lost: at, joined: None, received: None });
    }

    /// It is a member, again perhaps.
    pub(super) fn joined(&mut self, at: u64) {
        if let Some(outage) = &mut self.outage {
            outage.joined = Some(at);
        }
    }

    /// Takes in what moves its account; a message that is new counts. `rooms` are the scenario's.
    ///
    /// `None` for anything else.
    pub(super) fn hear(&mut self, heard: &Heard<'_>, at: u64, rooms: usize) -> Option<Receipt> {
        match heard {
            Heard::Gap { from, to } => self.account.gap(*from, *to),
            Heard::Reset { at, lost } => self.account.reset(*at, *lost),
            Heard::Message { seq, id, data } => {
                if !id.is_empty() {
                    self.bookmark.last_id.clear();
                    self.bookmark.last_id.extend_from_slice(id);
                }
                let stamp = Stamp::find(data)?;
                // The stream of another room is no stream of this one: the account refuses it.
                let stream = match stamp.stream % rooms == self.room {
                    true => stamp.stream / rooms,
                    false => usize::MAX,
                };
                let take = self.account.message(stream, stamp.number, *seq);
                if take != Take::Again {
                    let mut outage = self.outage.take_if(|it| it.joined.is_some());
                    if let Some(outage) = &mut outage {
                        outage.received = Some(at);
                    }
                    return Some(Receipt { intended: stamp.intended, outage });
                }
            }
            _ => {}
        }
        None
    }

    /// What it resumes from.
    pub(super) fn bookmark(&mut self) -> &Bookmark {
        self.bookmark.position = self.account.position();
        &self.bookmark
    }

    /// An outage that did not end.
    pub(super) fn unfinished(&self) -> Option<Outage> {
        self.outage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(data: &str) -> Heard<'_> {
        Heard::Message { seq: None, id: b"7:1", data: data.as_bytes() }
    }

    #[test]
    fn an_outage_ends_with_the_first_message_after_the_join() {
        let mut member = LoadMember::new(1, Account::new(1, true));
        assert_eq!(member.hear(&message("@1.1.50@"), 60, 2).unwrap().intended, 50);
        assert_eq!(member.bookmark().last_id, b"7:1");
        member.lost(2, 100);
        member.lost(0, 150);
        assert_eq!(member.unfinished().unwrap().lost, 100);
        member.joined(200);
        let ended = member.hear(&message("@1.2.210@"), 220, 2).unwrap().outage.unwrap();
        let expected = Outage { node: 2, lost: 100, joined: Some(200), received: Some(220) };
        assert_eq!((ended, member.unfinished()), (expected, None));
    }

    #[test]
    fn a_message_of_another_room_is_none_of_its_own() {
        let mut member = LoadMember::new(1, Account::new(1, true));
        assert_eq!(member.hear(&message("@0.1.50@"), 60, 2), None);
        assert_eq!(member.account.close(|_| 0).repeated, 1);
        assert_eq!(member.hear(&message("no stamp"), 60, 2), None);
    }
}
