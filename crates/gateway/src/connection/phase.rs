//! How far a connection has come, and how it ends: with a Close after what waits in the gate, or at
//! once.

use roomcast_protocol::CloseCode;

use super::Connection;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionPhase {
    /// Frames go both ways.
    Open,
    /// A Close is in the gate: nothing else is begun, and the rest is written under a deadline.
    Closing(Ended),
    /// The socket is dead, or is to be dropped at once.
    Gone(Ended),
}

/// What ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The node closed it.
    Node(CloseCode),
    /// The client sent a Close first.
    Client,
    /// The socket ended without one.
    Vanished,
}

impl Connection {
    /// How far it has come.
    pub(crate) fn phase(&self) -> ConnectionPhase {
        self.phase.get()
    }

    /// Whether frames still go to it.
    pub(crate) fn is_open(&self) -> bool {
        self.phase.get() == ConnectionPhase::Open
    }

    /// Whether the socket is dead, or is to be dropped at once.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.phase.get(), ConnectionPhase::Gone(_))
    }

    /// Ends it in mid-frame, where a Close cannot follow: a reset, so that the kernel keeps nothing
    /// of it either.
    pub(crate) fn cut_off(&self, code: CloseCode) {
        if self.is_open() {
            self.end(ConnectionPhase::Gone(Ended::Node(code)));
        }
        self.socket.reset();
    }

    /// Begins the end: a Close after what waits in the gate. The worker takes the connection out of
    /// its rooms, and its task finishes under a deadline.
    pub(crate) fn close(&self, code: CloseCode) {
        if !self.is_open() {
            return;
        }
        self.form.append_close(code, self.gate.borrow_mut().control());
        self.end(ConnectionPhase::Closing(Ended::Node(code)));
    }

    /// The answer to the client's Close is in the gate.
    pub(crate) fn close_answered(&self) {
        if self.is_open() {
            self.end(ConnectionPhase::Closing(Ended::Client));
        }
    }

    /// The socket is dead.
    pub(crate) fn fail(&self) {
        match self.phase.get() {
            ConnectionPhase::Open => self.end(ConnectionPhase::Gone(Ended::Vanished)),
            ConnectionPhase::Closing(ended) => self.end(ConnectionPhase::Gone(ended)),
            ConnectionPhase::Gone(_) => {}
        }
    }

    fn end(&self, phase: ConnectionPhase) {
        self.phase.set(phase);
        self.wake();
    }
}
