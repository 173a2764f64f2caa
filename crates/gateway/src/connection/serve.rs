//! A connection's task: waits for the socket, reads and writes in turns, and ends it properly.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use roomcast_protocol::{CloseCode, Encoding};
use socket2::SockRef;
use tokio::time::{Instant, timeout_at};

use super::inbound::{Arrival, Inbound};
use super::{Connection, Ended, Phase};
use crate::worker::Worker;

/// How long the last bytes may take to leave before the socket is reset.
const DRAIN: Duration = Duration::from_secs(2);
/// How long the client may take to close its side after that.
const LINGER: Duration = Duration::from_secs(3);

/// What a connection waits for.
enum Ready {
    Read,
    Write,
    End,
}

/// Serves a connection until it ends; returns what ended it. `early` are bytes that came with the
/// handshake.
pub(crate) async fn serve(worker: &Rc<Worker>, connection: &Rc<Connection>, early: Bytes) -> Ended {
    let mut inbound = Inbound::default();
    worker.greet(connection);
    if !early.is_empty() {
        receive(worker, connection, &mut inbound, &early);
    }
    drop(early);
    loop {
        match ready(worker, connection).await {
            Ready::Write => {
                connection.unblock();
                worker.write(connection);
            }
            Ready::Read => {
                if read_turn(worker, connection, &mut inbound) {
                    tokio::task::yield_now().await;
                }
            }
            Ready::End => break,
        }
    }
    drop(inbound);
    end(worker, connection).await
}

/// Ends a connection whose task panicked: 1011.
pub(crate) async fn abandon(worker: &Rc<Worker>, connection: &Rc<Connection>) -> Ended {
    connection.close(CloseCode::Internal);
    end(worker, connection).await
}

async fn end(worker: &Rc<Worker>, connection: &Rc<Connection>) -> Ended {
    worker.leave_all(connection);
    if connection.phase() != Phase::Gone(Ended::Vanished) {
        Box::pin(finish(connection)).await;
    }
    match connection.phase() {
        Phase::Closing(ended) | Phase::Gone(ended) => ended,
        Phase::Open => Ended::Vanished,
    }
}

/// Waits until the connection has ended, the socket takes what is blocked, or has something to
/// read while it may be read.
async fn ready(worker: &Worker, connection: &Connection) -> Ready {
    poll_fn(|context| {
        connection.remember(context.waker());
        if !connection.is_open() {
            return Poll::Ready(Ready::End);
        }
        if connection.is_blocked() && connection.socket.tcp().poll_write_ready(context).is_ready() {
            return Poll::Ready(Ready::Write);
        }
        if worker.may_read(connection)
            && connection.socket.tcp().poll_read_ready(context).is_ready()
        {
            return Poll::Ready(Ready::Read);
        }
        Poll::Pending
    })
    .await
}

/// Reads once. Returns whether there may be more at once.
fn read_turn(worker: &Rc<Worker>, connection: &Rc<Connection>, inbound: &mut Inbound) -> bool {
    let mut scratch = worker.scratch.borrow_mut();
    match connection.socket.tcp().try_read(&mut scratch) {
        Ok(0) => {
            connection.fail();
            false
        }
        Ok(count) => {
            receive(worker, connection, inbound, &scratch[..count]);
            count == scratch.len()
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Err(_) => {
            connection.fail();
            false
        }
    }
}

/// Handles what arrived, then writes the answers once.
fn receive(worker: &Rc<Worker>, connection: &Rc<Connection>, inbound: &mut Inbound, bytes: &[u8]) {
    worker.hear(connection);
    worker.metrics.traffic.bytes_in.inc_by(bytes.len() as u64);
    inbound.begin(bytes, worker.settings().limits.message_bytes, &worker.inbound_held);
    let mut input = bytes;
    while connection.is_open() {
        let arrival = {
            let mut gate = connection.gate.borrow_mut();
            inbound.next(&mut input, gate.control())
        };
        match (arrival, connection.encoding) {
            (Arrival::Text(text), Encoding::Json) => worker.handle(connection, text.as_bytes()),
            (Arrival::Binary(bytes), Encoding::MsgPack) => worker.handle(connection, &bytes),
            (Arrival::Text(_) | Arrival::Binary(_), _) => connection.close(CloseCode::Unsupported),
            (Arrival::Close, _) => connection.close_answered(),
            (Arrival::Broken(code), _) => connection.close(code),
            (Arrival::Pause, _) => break,
        }
    }
    let arriving = inbound.rest();
    worker.note_arriving(connection, arriving);
    worker.write(connection);
}

/// Writes what the gate still holds, says that nothing more comes, and reads to the end, so that
/// the client gets the Close. Whoever does not take part in time is reset.
async fn finish(connection: &Rc<Connection>) {
    let deadline = Instant::now() + DRAIN;
    if timeout_at(deadline, drain(connection)).await.is_err() {
        // A reset: the kernel throws away what it still holds for this client.
        let _best_effort = SockRef::from(connection.socket.tcp()).set_linger(Some(Duration::ZERO));
        return;
    }
    if matches!(connection.phase(), Phase::Gone(_)) {
        return;
    }
    let _best_effort = SockRef::from(connection.socket.tcp()).shutdown(std::net::Shutdown::Write);
    let _either_way = timeout_at(Instant::now() + LINGER, read_to_end(connection)).await;
}

async fn drain(connection: &Connection) {
    connection.drop_rooms();
    loop {
        let turn = connection.write_turn();
        if connection.gate.borrow().is_empty() || matches!(connection.phase(), Phase::Gone(_)) {
            return;
        }
        if !turn.more {
            poll_fn(|context| connection.socket.tcp().poll_write_ready(context).map(|_| ())).await;
            connection.unblock();
        }
    }
}

async fn read_to_end(connection: &Connection) {
    let mut scratch = [0; 1024];
    loop {
        poll_fn(|context| connection.socket.tcp().poll_read_ready(context).map(|_| ())).await;
        match connection.socket.tcp().try_read(&mut scratch) {
            Ok(0) => return,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => {}
        }
    }
}
