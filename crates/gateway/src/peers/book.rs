//! Which nodes were heard, which questions wait for answers, and which answers for parts. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_protocol::NodeId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::PeerAnswers;
use super::words::PeerAnswer;

/// A node that was not heard for so long before the last word of any node is not expected to answer:
/// it has ended, or counts as dead. While the bus is away nothing is heard, and nothing is known of
/// its end.
const HEARD_WITHIN: Duration = Duration::from_secs(10);
/// Questions of this node that may wait for answers.
const MAX_QUESTIONS: usize = 256;
/// Questions that this node may be answering at once.
const MAX_GATHERED: usize = 4_096;
/// Answers that take longer than this come too late for any question.
const GATHERED_FOR: Duration = Duration::from_secs(5);
/// Connections of a user that one node tells.
const MAX_CONNECTIONS: usize = 500;

/// The book.
#[derive(Debug, Default)]
pub(super) struct PeerBook {
    heard: BTreeMap<String, (NodeId, Instant)>,
    open: HashMap<u64, OpenQuestion>,
    gathered: HashMap<u64, Gathered>,
}

/// A question of this node.
#[derive(Debug)]
struct OpenQuestion {
    answers: Vec<(NodeId, PeerAnswer)>,
    /// Wakes the task that asks.
    told: mpsc::Sender<()>,
}

/// An answer of this node.
#[derive(Debug)]
struct Gathered {
    begun: Instant,
    /// Workers whose part is missing.
    missing: usize,
    whole: PeerAnswer,
}

impl PeerBook {
    /// A node was heard.
    pub(super) fn hear(&mut self, node: NodeId, now: Instant) {
        self.heard.retain(|_, (_, at)| now - *at <= HEARD_WITHIN);
        self.heard.insert(node.to_string(), (node, now));
    }

    /// A node has ended.
    pub(super) fn forget(&mut self, node: &str) {
        self.heard.remove(node);
    }

    /// A question is asked; `None` if too many are.
    pub(super) fn open(&mut self, id: u64) -> Option<(u64, mpsc::Receiver<()>)> {
        if self.open.len() >= MAX_QUESTIONS {
            return None;
        }
        let (told, receiver) = mpsc::channel(1);
        self.open.insert(id, OpenQuestion { answers: Vec::new(), told });
        Some((id, receiver))
    }

    /// Whether it is a question of this node that waits for answers.
    pub(super) fn is_open(&self, id: u64) -> bool {
        self.open.contains_key(&id)
    }

    /// A node answered.
    pub(super) fn answered(&mut self, id: u64, node: NodeId, answer: PeerAnswer, now: Instant) {
        self.hear(node.clone(), now);
        self.answer_own(id, &node, answer);
    }

    /// This node answered itself, which says nothing of the bus.
    pub(super) fn answer_own(&mut self, id: u64, node: &NodeId, answer: PeerAnswer) {
        let Some(question) = self.open.get_mut(&id) else { return };
        if question.answers.iter().all(|(known, _)| known != node) {
            question.answers.push((node.clone(), answer));
        }
        // One notice is enough.
        let _is_told = question.told.try_send(());
    }

    /// Nodes that were heard a short time ago and have not answered. The node itself always counts.
    fn silent(&self, question: &OpenQuestion, own: &NodeId) -> Vec<NodeId> {
        // A node hears itself, too.
        let last = self.heard.values().map(|(_, at)| *at).max();
        let is_recent = |at: Instant| last.is_none_or(|last| last - at <= HEARD_WITHIN);
        let recent = self.heard.values().filter(|(_, at)| is_recent(*at));
        let others = recent.map(|(node, _)| node).filter(|node| *node != own);
        let expected = std::iter::once(own).chain(others);
        let has_answered =
            |node: &&NodeId| question.answers.iter().any(|(known, _)| known == *node);
        expected.filter(|node| !has_answered(node)).cloned().collect()
    }

    /// Whether nothing more is to be waited for.
    pub(super) fn is_answered(&self, id: u64, own: &NodeId) -> bool {
        let Some(question) = self.open.get(&id) else { return true };
        let decides = |(_, answer): &(NodeId, PeerAnswer)| {
            matches!(answer, PeerAnswer::Done | PeerAnswer::Refused(..))
        };
        question.answers.iter().any(decides) || self.silent(question, own).is_empty()
    }

    /// The question is over.
    pub(super) fn close(&mut self, id: u64, own: &NodeId) -> PeerAnswers {
        let Some(question) = self.open.remove(&id) else { return PeerAnswers::default() };
        let silent = self.silent(&question, own);
        PeerAnswers { answers: question.answers, silent }
    }

    /// Begins to gather the answer of so many workers; false if too many are being gathered, or this
    /// one is.
    pub(super) fn gather(&mut self, id: u64, workers: usize, now: Instant) -> bool {
        if self.gathered.len() >= MAX_GATHERED {
            self.gathered.retain(|_, gathered| now - gathered.begun < GATHERED_FOR);
        }
        if self.gathered.len() >= MAX_GATHERED || self.gathered.contains_key(&id) {
            return false;
        }
        let gathered = Gathered { begun: now, missing: workers, whole: PeerAnswer::Unknown };
        self.gathered.insert(id, gathered);
        true
    }

    /// A worker's part; the whole answer if it is the last one.
    pub(super) fn part(&mut self, id: u64, part: PeerAnswer) -> Option<PeerAnswer> {
        let gathered = self.gathered.get_mut(&id)?;
        gathered.missing = gathered.missing.saturating_sub(1);
        let whole = std::mem::replace(&mut gathered.whole, PeerAnswer::Unknown);
        gathered.whole = match (whole, part) {
            (PeerAnswer::Connections(mut one), PeerAnswer::Connections(other)) => {
                one.extend(other);
                one.truncate(MAX_CONNECTIONS);
                PeerAnswer::Connections(one)
            }
            (whole, PeerAnswer::Unknown) => whole,
            (_, part) => part,
        };
        if gathered.missing > 0 {
            return None;
        }
        self.gathered.remove(&id).map(|gathered| gathered.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::ConnectionText;
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::parse(name).unwrap()
    }

    fn row(connection: &str) -> ConnectionText {
        let (connection, node) = (connection.to_owned(), String::new());
        ConnectionText { connection, node, client: None, since: 1, active: 2 }
    }

    #[test]
    fn nodes_that_were_heard_and_do_not_answer_are_named() {
        let (mut book, now, own) = (PeerBook::default(), Instant::now(), node("a"));
        book.hear(node("b"), now);
        book.hear(node("c"), now + HEARD_WITHIN / 2);
        let (id, _told) = book.open(7).unwrap();
        assert!(!book.is_answered(id, &own));
        book.answered(id, own.clone(), PeerAnswer::Unknown, now + HEARD_WITHIN / 2);
        book.answered(id, own.clone(), PeerAnswer::Done, now + HEARD_WITHIN / 2);
        assert!(!book.is_answered(id, &own));
        // b was not heard for too long.
        book.hear(own.clone(), now + HEARD_WITHIN + Duration::from_secs(1));
        let answers = book.close(id, &own);
        assert_eq!(answers.answers, [(own, PeerAnswer::Unknown)]);
        assert_eq!(answers.silent, [node("c")]);
    }

    #[test]
    fn what_is_done_needs_no_other_answer() {
        let (mut book, now, own) = (PeerBook::default(), Instant::now(), node("a"));
        book.hear(node("b"), now);
        let (id, _told) = book.open(7).unwrap();
        book.answered(id, node("b"), PeerAnswer::Done, now);
        assert!(book.is_answered(id, &own));
    }

    #[test]
    fn while_nothing_is_heard_every_node_known_is_silent() {
        let (mut book, now, own) = (PeerBook::default(), Instant::now(), node("a"));
        book.hear(own.clone(), now);
        book.hear(node("b"), now);
        // The bus is away: whatever the time, b may be there. The node answers itself.
        let (id, _told) = book.open(7).unwrap();
        let later = now + 9 * HEARD_WITHIN;
        assert!(book.gather(id, 1, later) && book.is_open(id));
        let whole = book.part(id, PeerAnswer::Connections(vec![row("x")])).unwrap();
        book.answer_own(id, &own, whole.clone());
        let answers = book.close(id, &own);
        assert_eq!(answers.answers, [(own, whole)]);
        assert_eq!(answers.silent, [node("b")]);
        assert!(!book.is_open(id));
    }

    #[test]
    fn parts_make_one_answer() {
        let (mut book, now) = (PeerBook::default(), Instant::now());
        assert!(book.gather(1, 3, now) && !book.gather(1, 3, now));
        assert_eq!(book.part(1, PeerAnswer::Connections(vec![row("x")])), None);
        assert_eq!(book.part(1, PeerAnswer::Unknown), None);
        let whole = book.part(1, PeerAnswer::Connections(vec![row("y")]));
        assert_eq!(whole, Some(PeerAnswer::Connections(vec![row("x"), row("y")])));
        assert_eq!(book.part(1, PeerAnswer::Done), None);
    }

    #[test]
    fn questions_are_bounded() {
        let mut book = PeerBook::default();
        let _waiting: Vec<_> = (0..MAX_QUESTIONS as u64).map(|id| book.open(id).unwrap()).collect();
        assert!(book.open(9_999).is_none());
        let now = Instant::now();
        for id in 0..MAX_GATHERED as u64 {
            assert!(book.gather(id, 1, now));
        }
        assert!(!book.gather(99_999, 1, now));
        assert!(book.gather(99_999, 1, now + GATHERED_FOR));
    }
}
