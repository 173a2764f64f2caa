//! Questions between nodes: who has which connection, and a join or a leave on the node that has it.
//! They are signals in a room of the nodes' own; a node asks and answers itself without them, so that
//! it does so while the bus is away. It keeps the questions that wait for answers and
//! which nodes were heard lately; it knows no connection.

mod book;
mod join_options;
mod words;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use roomcast_bus::{Bus, Ephemeral, EphemeralFate, Signal};
use roomcast_protocol::{Data, EventName, NodeId, RoomName};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use book::PeerBook;
pub(crate) use join_options::{JoinOptionsFlaw, join_by_backend};
pub(crate) use words::{ConnectionText, PeerAnswer, PeerQuestion, PeerRequest};
use words::{PeerWord, node_named};

/// How long a question waits for answers.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);
/// A node says so often that it is there.
const HERE_INTERVAL: Duration = Duration::from_secs(3);
/// The event of their signals: no client sees it.
const EVENT: &str = "node";

/// What the nodes said to a question.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerAnswers {
    /// Each with its node.
    pub(crate) answers: Vec<(NodeId, PeerAnswer)>,
    /// Nodes that were heard a short time ago, and did not answer.
    pub(crate) silent: Vec<NodeId>,
}

/// Too many questions wait for their answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyQuestions;

/// The node's part in questions.
pub(crate) struct PeerDesk {
    node: NodeId,
    book: Mutex<PeerBook>,
    own: OnceLock<OwnWorkers>,
}

/// This node's workers, which answer for it.
struct OwnWorkers {
    count: usize,
    ask: Box<dyn Fn(PeerQuestion) + Send + Sync>,
}

/// A question that is open. It is closed also where the task that asks is dropped: a socket that
/// speaks HTTP may be ended at any time.
struct AskedQuestion<'a> {
    desk: &'a PeerDesk,
    id: u64,
}

impl AskedQuestion<'_> {
    fn close(&self) -> PeerAnswers {
        self.desk.book().close(self.id, &self.desk.node)
    }
}

impl Drop for AskedQuestion<'_> {
    fn drop(&mut self) {
        // Of one that is closed already nothing is left.
        let _answers = self.close();
    }
}

impl PeerDesk {
    pub(crate) fn new(node: NodeId) -> Self {
        Self { node, book: Mutex::default(), own: OnceLock::new() }
    }

    /// Asks this node's workers, so many, by this way from now on.
    pub(crate) fn ask_own_by(
        &self,
        count: usize,
        ask: impl Fn(PeerQuestion) + Send + Sync + 'static,
    ) {
        // It is set once, when the node starts.
        let _again = self.own.set(OwnWorkers { count, ask: Box::new(ask) });
    }

    fn book(&self) -> MutexGuard<'_, PeerBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the node is there, as long as it runs.
    pub(crate) async fn follow(self: Arc<Self>, bus: Bus) {
        let mut tick = interval(HERE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.say(&bus, &PeerWord::Here { node: self.node.to_string() });
        }
    }

    /// The node ends: it is not to be waited for.
    pub(crate) fn leave(&self, bus: &Bus) {
        self.say(bus, &PeerWord::Gone { node: self.node.to_string() });
    }

    /// Asks every node. It waits until all that were heard lately have answered, or one has done what
    /// was asked, but no longer than the deadline.
    pub(crate) async fn ask(
        &self,
        bus: &Bus,
        about: PeerRequest,
    ) -> Result<PeerAnswers, TooManyQuestions> {
        let deadline = Instant::now() + ANSWER_DEADLINE;
        let (id, mut told) = self.book().open(rand::random()).ok_or(TooManyQuestions)?;
        let open = AskedQuestion { desk: self, id };
        let (id_text, node) = (format!("{id:016x}"), self.node.to_string());
        self.say(bus, &PeerWord::Question { id: id_text, node, about: about.written() });
        if let Some(own) = self.own.get()
            && self.book().gather(id, own.count, Instant::now())
        {
            (own.ask)(PeerQuestion { id, about });
        }
        let whole = async {
            loop {
                if self.book().is_answered(id, &self.node) {
                    return;
                }
                if told.recv().await.is_none() {
                    return;
                }
            }
        };
        // Without all answers the others are named.
        let _in_time = timeout_at(deadline, whole).await;
        Ok(open.close())
    }

    /// A node said something in the nodes' room. A question is returned: each of so many workers of
    /// this node is to give its part of the answer.
    pub(crate) fn hear(&self, signal: &Signal, workers: usize) -> Option<PeerQuestion> {
        let Some(Data::Json(text)) = &signal.data else { return None };
        let now = Instant::now();
        match serde_json::from_slice(text).ok()? {
            PeerWord::Here { node } => {
                self.book().hear(node_named(&node)?, now);
                None
            }
            PeerWord::Gone { node } => {
                self.book().forget(&node);
                None
            }
            PeerWord::Question { id, node, about } => {
                let node = node_named(&node)?;
                // Its own questions went to its workers at once.
                if node == self.node {
                    return None;
                }
                self.book().hear(node, now);
                let id = u64::from_str_radix(&id, 16).ok()?;
                let about = PeerRequest::read(about)?;
                self.book().gather(id, workers, now).then_some(PeerQuestion { id, about })
            }
            PeerWord::Answer { id, node, answer } => {
                let (id, node) = (u64::from_str_radix(&id, 16).ok()?, node_named(&node)?);
                self.book().answered(id, node, answer, now);
                None
            }
        }
    }

    /// A worker's part of the answer to a question; the last one sends it.
    pub(crate) fn part(&self, bus: &Bus, id: u64, part: PeerAnswer) {
        let whole = self.book().part(id, part);
        if let Some(answer) = whole {
            if self.book().is_open(id) {
                return self.book().answer_own(id, &self.node, answer);
            }
            let (id, node) = (format!("{id:016x}"), self.node.to_string());
            self.say(bus, &PeerWord::Answer { id, node, answer });
        }
    }

    fn say(&self, bus: &Bus, word: &PeerWord) {
        let event = EventName::parse(EVENT).expect("a word of lower-case letters is an event");
        let text = serde_json::to_vec(word).unwrap_or_default();
        let data = Some(Data::Json(text.into()));
        let signal = Signal { user: None, connection: None, event, data };
        let fate = bus.send_ephemeral(&RoomName::nodes(), Ephemeral::Signal(signal));
        if fate == EphemeralFate::Dropped {
            tracing::debug!("a word to the other nodes was dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use roomcast_bus::MemoryOptions;
    use roomcast_protocol::UserName;

    use super::*;

    #[tokio::test]
    async fn a_question_is_closed_when_its_asker_is_dropped() {
        let (bus, _feeds) = Bus::memory(MemoryOptions::default());
        let desk = PeerDesk::new(NodeId::parse("n").unwrap());
        let about = || PeerRequest::Connections(UserName::parse("ann").unwrap());
        for number in 0..1000 {
            let mut asking = pin!(desk.ask(&bus, about()));
            assert!(poll!(&mut asking).is_pending(), "{number}: there is space for it");
        }
    }
}
