//! What a node of a Redis Cluster says of all: the answer to CLUSTER NODES.

/// A node as another, or it itself, sees it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClusterNode {
    pub(super) id: String,
    /// The id of its primary if it is a replica.
    pub(super) primary: Option<String>,
    /// Ranges of slots, both ends included.
    pub(super) slots: Vec<(u16, u16)>,
}

impl ClusterNode {
    pub(super) fn owns(&self, slot: u16) -> bool {
        self.slots.iter().any(|(first, last)| (first..=last).contains(&&slot))
    }
}

/// The nodes in the order of their ids, so that two nodes' views can be compared. `None` while any
/// is still being met.
pub(super) fn parse(answer: &str) -> Option<Vec<ClusterNode>> {
    let mut nodes = answer.lines().map(node).collect::<Option<Vec<_>>>()?;
    nodes.sort();
    Some(nodes)
}

fn node(line: &str) -> Option<ClusterNode> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [id, _address, flags, primary, _ping, _pong, _epoch, _link, slots @ ..] = &words[..] else {
        return None;
    };
    if flags.split(',').any(|flag| matches!(flag, "handshake" | "noaddr")) {
        return None;
    }
    // A slot on its way stands in brackets beside the ranges.
    let own = slots.iter().filter(|slot| !slot.starts_with('['));
    let range = |range: &&str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    let primary = (*primary != "-").then(|| (*primary).to_owned());
    Some(ClusterNode {
        id: (*id).to_owned(),
        primary,
        slots: own.map(range).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_without_the_slots_on_their_way() {
        let answer = "b 127.0.0.1:2@3 myself,master - 0 0 2 connected 5 7-9 [7->-a]\n\
                      a 127.0.0.1:1@2 slave b 0 1 2 connected\n";
        let slots = vec![(5, 5), (7, 9)];
        let nodes = parse(answer).unwrap();
        assert_eq!(
            nodes[0],
            ClusterNode { id: "a".into(), primary: Some("b".into()), slots: vec![] }
        );
        assert_eq!(nodes[1], ClusterNode { id: "b".into(), primary: None, slots });
        assert!(nodes[1].owns(8) && !nodes[1].owns(6));
        assert_eq!(parse("c :0@0 master,handshake - 0 0 0 connected\n"), None);
    }
}
