//! A connection's task: waits for the socket, reads and writes in turns, and ends it properly.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes};
use roomcast_metrics::DeflateSize;
use roomcast_protocol::{CloseCode, Encoding};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::echo::send_back;
use super::frame_role::measure;
use super::frame_unpacker::UnpackedFrame;
use super::inbound::{Inbound, InboundEvent};
use super::turn::ReadTurn;
use crate::connection::{Arriving, Connection, ConnectionPhase, Ended};
use crate::settings::NodePurpose;
use crate::worker::{FrameFate, Worker};

/// How long the last bytes may take to leave before the socket is reset.
const DRAIN: Duration = Duration::from_secs(2);
/// How long the client may take to close its side after that.
const LINGER: Duration = Duration::from_secs(3);
/// Bytes read of an ended connection before the others of its worker have their turns.
const DISCARD_BYTES: usize = 16 * 1024;

/// What a connection waits for.
enum Ready {
    Read,
    Write,
    End,
}

/// Serves a connection until it ends; returns what ended it. `early` are bytes that came with the
/// handshake.
pub(crate) async fn serve(worker: &Rc<Worker>, connection: &Rc<Connection>, early: Bytes) -> Ended {
    let mut inbound = Inbound::new(connection.form.extension());
    let mut turn = ReadTurn::new();
    match worker.settings().purpose {
        NodePurpose::Rooms => worker.greet(connection),
        NodePurpose::Echo => worker.register(connection),
    }
    if !early.is_empty() {
        worker.metrics.traffic.bytes_in.inc_by(early.len() as u64);
        let held = early.len();
        inbound.begin(&worker.inbound_held);
        inbound.postpone(early, held);
    }
    loop {
        if turn.is_spent() {
            // The worker's other tasks, and what sockets have for them, come first.
            yield_now().await;
            turn = ReadTurn::new();
        }
        match ready(worker, connection, &inbound, &mut turn).await {
            Ready::Write => {
                connection.unblock();
                worker.write(connection);
            }
            Ready::Read => read_some(worker, connection, &mut inbound, &mut turn),
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
    if connection.phase() != ConnectionPhase::Gone(Ended::Vanished) {
        Box::pin(finish(worker, connection)).await;
    }
    match connection.phase() {
        ConnectionPhase::Closing(ended) | ConnectionPhase::Gone(ended) => ended,
        ConnectionPhase::Open => Ended::Vanished,
    }
}

/// Waits until the connection has ended, the socket takes what is blocked, or there is something to
/// read while it may be read. Waiting is the end of a turn.
fn ready(
    worker: &Worker,
    connection: &Connection,
    inbound: &Inbound,
    turn: &mut ReadTurn,
) -> impl Future<Output = Ready> {
    poll_fn(move |context| {
        connection.remember(context.waker());
        if !connection.is_open() {
            return Poll::Ready(Ready::End);
        }
        if connection.is_blocked() {
            if worker.holds_too_much(connection) {
                connection.cut_off(CloseCode::TryAgain);
                return Poll::Ready(Ready::End);
            }
            if connection.poll_writable(context).is_ready() {
                return Poll::Ready(Ready::Write);
            }
        }
        let may_read = worker.may_read(connection);
        connection.held_back.set(!may_read);
        if may_read && (inbound.has_postponed() || connection.poll_readable(context).is_ready()) {
            return Poll::Ready(Ready::Read);
        }
        *turn = ReadTurn::new();
        Poll::Pending
    })
}

/// Reads once: what waited for this turn, or what the socket has.
fn read_some(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    inbound: &mut Inbound,
    turn: &mut ReadTurn,
) {
    let (mut postponed, held) = inbound.take_postponed();
    if !postponed.is_empty() {
        let left = receive(worker, connection, inbound, turn, &postponed);
        if left > 0 {
            postponed.advance(postponed.len() - left);
            inbound.postpone(postponed, held);
        }
        return end_turn(worker, connection, inbound);
    }
    let mut scratch = worker.scratch.borrow_mut();
    let most = turn.bytes().min(scratch.len());
    let read = connection.try_read(&mut scratch[..most]);
    let had_sealed = inbound.has_sealed();
    inbound.hold_sealed(connection.sealed_held(), &worker.inbound_held);
    match read {
        Ok(0) => connection.fail(),
        Ok(count) => {
            worker.hear(connection);
            worker.metrics.traffic.bytes_in.inc_by(count as u64);
            turn.take_bytes(count);
            let bytes = &scratch[..count];
            let left = receive(worker, connection, inbound, turn, bytes);
            if left > 0 {
                inbound.postpone(Bytes::copy_from_slice(&bytes[count - left..]), left);
            }
            end_turn(worker, connection, inbound);
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            // Records of TLS without content, and parts of one, are a turn's work too.
            turn.take_bytes(turn.bytes());
            let sealed = if had_sealed { Arriving::Still } else { Arriving::Begun };
            end_turn_with(worker, connection, inbound, sealed);
        }
        Err(_) => connection.fail(),
    }
}

/// Handles what arrived, as far as the turn and the connection's bounds allow; returns how many
/// bytes are left.
fn receive(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    inbound: &mut Inbound,
    turn: &mut ReadTurn,
    bytes: &[u8],
) -> usize {
    let settings = worker.settings();
    let max_message = settings.limits.message_bytes;
    let mut inflating = worker.inflating.borrow_mut();
    inbound.begin(&worker.inbound_held);
    let mut input = bytes;
    while connection.is_open() && worker.may_go_on(connection) {
        let Some(run) = inbound.run(&mut input, max_message, turn) else { break };
        let frame = match inbound.unpack(&run, max_message, &mut inflating) {
            Ok(frame) => frame,
            Err(code) => {
                connection.close(code);
                break;
            }
        };
        note_inflated(worker, frame, turn);
        let (role, payload) = frame.measure();
        match worker.take_frame(connection, role, payload) {
            FrameFate::Handle => {}
            FrameFate::Drop => continue,
            FrameFate::Close => {
                connection.close(CloseCode::RateLimited);
                break;
            }
        }
        let mut run = frame.bytes();
        while connection.is_open() {
            let arrival =
                connection.append_control(|control| inbound.next(&mut run, max_message, control));
            if settings.purpose == NodePurpose::Echo && send_back(connection, &arrival) {
                continue;
            }
            match (arrival, connection.encoding()) {
                (InboundEvent::Text(text), Encoding::Json) => {
                    turn.take_frames(worker.handle(connection, text.as_bytes()) - 1);
                }
                (InboundEvent::Binary(bytes), Encoding::MsgPack) => {
                    turn.take_frames(worker.handle(connection, &bytes) - 1);
                }
                (InboundEvent::Text(_) | InboundEvent::Binary(_), _) => {
                    connection.close(CloseCode::Unsupported);
                }
                (InboundEvent::Close, _) => connection.close_answered(),
                (InboundEvent::Broken(code), _) => connection.close(code),
                (InboundEvent::Pause, _) => break,
            }
        }
    }
    if let Some(code) = inbound.refused() {
        connection.close(code);
    }
    input.len()
}

fn note_inflated(worker: &Worker, frame: UnpackedFrame<'_>, turn: &mut ReadTurn) {
    if let UnpackedFrame::Inflated { frame, compressed } = frame {
        let (_, plain) = measure(frame);
        turn.take_inflated(plain);
        let inflated = &worker.metrics.traffic.inflated;
        inflated[DeflateSize::Plain].inc_by(plain as u64);
        inflated[DeflateSize::Compressed].inc_by(compressed as u64);
    }
}

/// Counts what is held until the next turn, and writes the answers once.
fn end_turn(worker: &Rc<Worker>, connection: &Rc<Connection>, inbound: &mut Inbound) {
    end_turn_with(worker, connection, inbound, Arriving::Begun);
}

/// The same, where a part of a record of TLS that is held began when `sealed` says.
fn end_turn_with(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    inbound: &mut Inbound,
    sealed: Arriving,
) {
    let arriving = match inbound.settle() {
        Arriving::Nothing | Arriving::Postponed if inbound.has_sealed() => sealed,
        settled => settled,
    };
    worker.note_arriving(connection, arriving);
    worker.write(connection);
}

/// Writes what the gate still holds, says that nothing more comes, and reads to the end, so that
/// the client gets the Close. A client that does not take part in time
/// gets a reset.
async fn finish(worker: &Worker, connection: &Rc<Connection>) {
    let deadline = Instant::now() + DRAIN;
    if timeout_at(deadline, drain(connection)).await.is_err() {
        return connection.reset();
    }
    if connection.is_gone() {
        return;
    }
    connection.shut_down();
    let _either_way = timeout_at(Instant::now() + LINGER, read_to_end(worker, connection)).await;
}

async fn drain(connection: &Connection) {
    connection.drop_rooms();
    loop {
        connection.write_own();
        if connection.is_flushed() || connection.is_gone() {
            return;
        }
        if connection.is_blocked() {
            poll_fn(|context| connection.poll_writable(context)).await;
            connection.unblock();
        }
    }
}

/// Reads and discards what an ended connection still sends, in turns: hundreds may be ended while
/// they send as they can.
async fn read_to_end(worker: &Worker, connection: &Connection) {
    loop {
        poll_fn(|context| connection.poll_readable(context)).await;
        let read = connection.try_read(&mut worker.scratch.borrow_mut()[..DISCARD_BYTES]);
        match read {
            Ok(0) => return,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
            Ok(_) | Err(_) => yield_now().await,
        }
    }
}

#[cfg(test)]
mod tests;
