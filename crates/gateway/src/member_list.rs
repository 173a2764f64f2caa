//! A room's members in pages: a page is the part of the list after the last entry of the page before,
//! so that a member who stays is listed exactly once, whatever list each page is of. Pure.

use roomcast_bus::{PresenceEntry, PresenceList};
use roomcast_protocol::{ConnectionId, MAX_PAGE_MEMBERS, Member, UserName};

use crate::data_size::data_bytes;

/// Bytes of one page, and what an entry has beside its names and info.
const PAGE_BYTES: usize = 64 * 1024;
const ENTRY_BYTES: usize = 96;
/// Bytes of the answer beside its entries.
const HEAD_BYTES: usize = 1024;

/// Where a page begins: after this user's connection of this id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListMark {
    user: Option<UserName>,
    connection: Option<ConnectionId>,
}

/// One page.
#[derive(Debug)]
pub(crate) struct ListPage {
    pub(crate) members: Vec<Member>,
    /// Where the next one begins, if there is one.
    pub(crate) next: Option<ListMark>,
}

impl ListMark {
    fn of(entry: &PresenceEntry) -> Self {
        Self { user: entry.user.clone(), connection: entry.connection }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.connection.map_or(0, |id| id.0).to_be_bytes().to_vec();
        bytes.push(self.connection.is_some().into());
        bytes.extend_from_slice(self.user.as_ref().map_or("", UserName::as_str).as_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (&has_id, user) = rest.split_first()?;
        let user = std::str::from_utf8(user).ok()?;
        let user = (!user.is_empty()).then(|| UserName::parse(user)).transpose().ok()?;
        let connection = (has_id == 1).then(|| ConnectionId(u64::from_be_bytes(*id)));
        Some(Self { user, connection })
    }
}

impl ListPage {
    /// The page of a list after a mark.
    pub(crate) fn of(list: &PresenceList, after: Option<&ListMark>) -> Self {
        let from = after
            .map_or(0, |after| list.entries.partition_point(|entry| ListMark::of(entry) <= *after));
        let (mut members, mut bytes) = (Vec::new(), HEAD_BYTES);
        for entry in &list.entries[from..] {
            bytes += size(entry);
            if !members.is_empty() && (bytes > PAGE_BYTES || members.len() == MAX_PAGE_MEMBERS) {
                break;
            }
            let PresenceEntry { connection, user, info, status } = entry.clone();
            members.push(Member { connection, user, info, status: Some(status) });
        }
        let next = list.entries[from + members.len()..].first();
        let last = list.entries[..from + members.len()].last();
        let next = next.and(last).map(ListMark::of);
        Self { members, next }
    }
}

/// Bytes of an entry in any encoding, at most.
fn size(entry: &PresenceEntry) -> usize {
    let user = entry.user.as_ref().map_or(0, |user| user.as_str().len());
    // In JSON a quotation mark or a backslash in a name takes two bytes.
    ENTRY_BYTES + 2 * user + entry.info.as_ref().map_or(0, data_bytes)
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::{
        Data, Encoding, PresenceCounts, PresenceStatus, RoomName, ServerFrame,
    };

    use super::*;

    fn entry(user: Option<&str>, connection: Option<u64>, info: usize) -> PresenceEntry {
        PresenceEntry {
            connection: connection.map(ConnectionId),
            user: user.map(|user| UserName::parse(user).unwrap()),
            info: (info > 0).then(|| Data::json(format!("\"{}\"", "x".repeat(info))).unwrap()),
            status: PresenceStatus::Active,
        }
    }

    fn list(entries: Vec<PresenceEntry>) -> PresenceList {
        PresenceList { entries, ..PresenceList::default() }
    }

    #[test]
    fn who_stays_is_listed_once_while_others_come_and_go() {
        let names: Vec<String> = (0..3_000).map(|number| format!("user-{number:04}")).collect();
        let all = |without: usize| {
            let kept = names.iter().enumerate().filter(|(number, _)| number % 7 != without);
            list(kept.map(|(number, name)| entry(Some(name), Some(number as u64), 0)).collect())
        };
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            // Each page is of another list.
            let page = ListPage::of(&all(pages % 7), after.as_ref());
            seen.extend(page.members.into_iter().filter_map(|member| member.user));
            pages += 1;
            let Some(next) = page.next else { break };
            after = Some(ListMark::read(&next.to_bytes()).unwrap());
        }
        assert!(pages > 3, "{pages}");
        let mut once = seen.clone();
        once.dedup();
        assert_eq!(once.len(), seen.len());
        let stays = names.iter().enumerate().filter(|(number, _)| number % 7 >= pages.min(7));
        for (_, name) in stays {
            assert!(seen.iter().any(|user| user.as_str() == name), "{name}");
        }
    }

    #[test]
    fn a_page_has_64_kib_or_one_entry() {
        let large = list((0..3).map(|n| entry(Some("a"), Some(n), 200_000)).collect());
        let page = ListPage::of(&large, None);
        assert_eq!((page.members.len(), page.next.is_some()), (1, true));
        let small = list(vec![entry(None, Some(1), 0), entry(Some("a"), None, 9)]);
        let page = ListPage::of(&small, None);
        assert_eq!((page.members.len(), page.next), (2, None));
        assert!(ListPage::of(&list(Vec::new()), None).members.is_empty());
        let mark = ListMark::of(&small.entries[0]);
        assert_eq!(ListPage::of(&small, Some(&mark)).members.len(), 1);
    }

    #[test]
    fn a_page_has_64_kib_in_each_encoding() {
        let mut members = list((0..3_000).map(|id| entry(Some("a"), Some(id), 0)).collect());
        for entry in &mut members.entries {
            entry.info = Some(Data::json(format!("[{}0.5]", "-0,".repeat(20))).unwrap());
        }
        let page = ListPage::of(&members, None);
        let frame = ServerFrame::Members {
            id: None,
            room: RoomName::parse("a").unwrap(),
            members: page.members,
            counts: PresenceCounts::default(),
            more: None,
        };
        for encoding in [Encoding::Json, Encoding::MsgPack] {
            let mut bytes = Vec::new();
            frame.encode(encoding, &mut bytes);
            assert!(bytes.len() <= PAGE_BYTES, "{encoding:?}: {}", bytes.len());
        }
    }
}
