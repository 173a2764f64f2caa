//! A Redis Cluster as its nodes describe it: the primaries, which slots each owns, and which slots
//! are on the move. Pure: it reads `CLUSTER NODES` and merges the answers of several nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::SLOTS;

/// One node's view of the cluster.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ClusterView {
    /// The primaries, as this node sees them.
    pub(crate) primaries: Vec<Primary>,
    /// Slots that this node is exporting or importing.
    pub(crate) moving: Vec<u16>,
}

/// A primary in a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Primary {
    /// Its id, which never changes.
    pub(crate) id: String,
    /// Its host for clients; empty means the host that was asked.
    pub(crate) host: String,
    /// Its port for clients.
    pub(crate) port: u16,
    /// Of two primaries that claim a slot, the one with the higher epoch owns it.
    pub(crate) epoch: u64,
    /// The slots it owns.
    pub(crate) slots: Vec<RangeInclusive<u16>>,
}

/// The merged views.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ClusterLayout {
    /// The primaries that own slots, by id: host and port.
    pub(crate) primaries: BTreeMap<String, (String, u16)>,
    /// For each slot the id of its owner.
    pub(crate) owners: Vec<Option<String>>,
    /// Slots on the move.
    pub(crate) moving: BTreeSet<u16>,
}

/// Reads the answer of `CLUSTER NODES`; lines of another form are left out. Each line is `id
/// host:port@busport[,hostname] flags primary ping pong epoch link slot…`.
pub(crate) fn read(text: &str) -> ClusterView {
    let mut view = ClusterView::default();
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [id, address, flags, _, _, _, epoch, _, slots @ ..] = &words[..] else { continue };
        let flags: Vec<_> = flags.split(',').collect();
        if flags.contains(&"myself") {
            view.moving.extend(slots.iter().filter_map(|word| moving(word)));
        }
        let usable = flags.contains(&"master")
            && !["fail", "noaddr", "handshake"].iter().any(|flag| flags.contains(flag));
        let Some((host, port)) = read_address(address).filter(|_| usable) else { continue };
        let slots = slots.iter().filter_map(|word| read_range(word)).collect();
        let epoch = epoch.parse().unwrap_or(0);
        view.primaries.push(Primary { id: (*id).to_owned(), host, port, epoch, slots });
    }
    view
}

/// Merges views: of two claims to a slot the one with the higher epoch wins, so a node that was cut
/// off does not keep its old slots.
pub(crate) fn merge(views: impl IntoIterator<Item = ClusterView>) -> ClusterLayout {
    let mut owners: Vec<Option<(u64, String)>> = vec![None; usize::from(SLOTS)];
    let (mut known, mut moving) = (BTreeMap::new(), BTreeSet::new());
    for view in views {
        moving.extend(view.moving);
        for primary in view.primaries {
            for slot in primary.slots.iter().cloned().flatten() {
                let owner = &mut owners[usize::from(slot)];
                if owner.as_ref().is_none_or(|(epoch, _)| *epoch < primary.epoch) {
                    *owner = Some((primary.epoch, primary.id.clone()));
                }
            }
            known.insert(primary.id, (primary.host, primary.port));
        }
    }
    let owners: Vec<_> = owners.into_iter().map(|owner| Some(owner?.1)).collect();
    let owning: BTreeSet<_> = owners.iter().flatten().collect();
    known.retain(|id, _| owning.contains(id));
    ClusterLayout { primaries: known, owners, moving }
}

fn read_address(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.split('@').next()?.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}

/// Reads `7` or `0-5460`.
fn read_range(word: &str) -> Option<RangeInclusive<u16>> {
    let (from, to) = word.split_once('-').unwrap_or((word, word));
    let range = from.parse().ok()?..=to.parse().ok()?;
    (*range.end() < SLOTS).then_some(range)
}

/// Reads `[93-<-id]` and `[77->-id]`.
fn moving(word: &str) -> Option<u16> {
    let slot = word.strip_prefix('[')?.split('-').next()?;
    slot.parse().ok().filter(|slot| *slot < SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
aa 127.0.0.1:7001@17001 myself,master - 0 0 3 connected 0-5460 [77->-bb] [93-<-cc]
bb 127.0.0.1:7002@17002,host2 master - 0 1 2 connected 5461-10922 16383
dd 127.0.0.1:7004@17004 slave bb 0 1 2 connected
ee 127.0.0.1:7005@17005 master,fail - 0 1 1 connected 10923-10925
ff :0@0 master,noaddr - 0 1 1 disconnected
gg [::1]:7006@17006 master - 0 1 4 connected
garbage
";

    #[test]
    fn a_view_has_live_primaries_with_their_slots() {
        let view = read(NODES);
        let ids: Vec<_> = view.primaries.iter().map(|primary| &primary.id[..]).collect();
        assert_eq!((ids, view.moving), (vec!["aa", "bb", "gg"], vec![77, 93]));
        let bb = &view.primaries[1];
        assert_eq!((&bb.host[..], bb.port, bb.epoch), ("127.0.0.1", 7002, 2));
        assert_eq!(bb.slots, [5461..=10922, 16383..=16383]);
        assert_eq!(view.primaries[2].host, "::1");
    }

    #[test]
    fn the_claim_with_the_higher_epoch_holds() {
        let cut_off = "aa 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-5";
        let others = "bb 127.0.0.1:7002@17002 myself,master - 0 0 7 connected 0-5";
        for views in [[cut_off, others], [others, cut_off]] {
            let cluster = merge(views.map(read));
            assert_eq!(cluster.owners[3].as_deref(), Some("bb"));
            assert_eq!(cluster.owners[6], None);
            assert_eq!(cluster.primaries.keys().collect::<Vec<_>>(), ["bb"]);
        }
    }

    #[test]
    fn whatever_comes_is_read_without_harm() {
        let lines =
            ["", "a b c d e f g h", "x 1 master - 0 0 - c 9-3 70000 [-", "a :@ master - 0 0 1 c 1"];
        for line in lines {
            let cluster = merge([read(line)]);
            assert!(cluster.owners.iter().all(Option::is_none), "{line}");
        }
    }
}
