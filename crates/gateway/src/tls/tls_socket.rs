//! A TCP socket with its TLS session. Nothing here waits but the two `poll_` methods. What the
//! socket does not take of a record is kept by the session, at most one record.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::session::{MAX_RECORD_BYTES, RECORD_PLAIN_BYTES, TlsSession};

/// Ciphertext read in one system call, besides a record that has not come whole.
const READ_BYTES: usize = 32 * 1024;

/// Read in any case, so that a client's first message comes whole.
const MIN_READ_BYTES: usize = 4 * 1024;

/// Buffers of a thread, used within one call: no session holds one of its own.
struct TlsScratch {
    /// Records that are taken in.
    incoming: Vec<u8>,
    /// A record's plaintext that lies in several pieces.
    plain: Vec<u8>,
    /// A record that is written.
    outgoing: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<TlsScratch> = RefCell::new(TlsScratch {
        incoming: vec![0; MAX_RECORD_BYTES + READ_BYTES],
        plain: Vec::with_capacity(RECORD_PLAIN_BYTES),
        outgoing: vec![0; MAX_RECORD_BYTES],
    });
}

/// A socket that speaks TLS.
#[derive(Debug)]
pub(crate) struct TlsSocket {
    tcp: TcpStream,
    session: RefCell<TlsSession>,
}

impl TlsSocket {
    pub(super) fn new(tcp: TcpStream, session: TlsSession) -> Self {
        Self { tcp, session: RefCell::new(session) }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.session.borrow().is_handshaking()
    }

    /// Ready when there is something to read, the end or an error included.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.session.borrow().has_plain() {
            return Poll::Ready(());
        }
        self.tcp.poll_read_ready(context).map(|_| ())
    }

    /// Ready when it takes bytes, or has failed.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.tcp.poll_write_ready(context).map(|_| ())
    }

    /// Reads what is there now; 0 at the end. [`io::ErrorKind::Interrupted`]: records came that
    /// hold no plaintext; there may be more.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        match session.take_plain(buffer) {
            0 if session.is_over() => return Ok(0),
            0 => {}
            count => return Ok(count),
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let kept = session.unfinished().len();
            scratch.incoming[..kept].copy_from_slice(session.unfinished());
            // Little more is decrypted than is taken now.
            let most = buffer.len().clamp(MIN_READ_BYTES, READ_BYTES);
            // An end without a notice is an end: WebSocket and HTTP have their own.
            let count = match self.tcp.try_read(&mut scratch.incoming[kept..kept + most])? {
                0 => return Ok(0),
                count => count,
            };
            let received = session.receive(&mut scratch.incoming[..kept + count], buffer);
            let _alert_or_key_update = self.flush(&mut session);
            match received.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
                0 if session.is_over() => Ok(0),
                0 => Err(io::ErrorKind::Interrupted.into()),
                count => Ok(count),
            }
        })
    }

    /// Encrypts and writes as much as the socket takes now, a record at a time; returns how much of
    /// it the session has taken. What the socket did not take of the last record is unsent then.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        if !self.flush(&mut session)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let (mut slices, mut taken) = (Pieces::new(slices), 0);
            loop {
                let plain = slices.next(&mut scratch.plain);
                if plain.is_empty() {
                    return Ok(taken);
                }
                taken += plain.len();
                let sealed = session.encrypt(plain, &mut scratch.outgoing);
                let count = sealed.map_err(io::Error::other)?;
                if !self.write_record(&mut session, &scratch.outgoing[..count])? {
                    return Ok(taken);
                }
            }
        })
    }

    /// Writes a record; keeps what the socket does not take, and is false then.
    fn write_record(&self, session: &mut TlsSession, record: &[u8]) -> io::Result<bool> {
        let written = match self.tcp.try_write(record) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        if written < record.len() {
            session.keep_unsent(&record[written..]);
        }
        Ok(written == record.len())
    }

    /// Writes what is unsent; true if nothing is left.
    fn flush(&self, session: &mut TlsSession) -> io::Result<bool> {
        while !session.unsent().is_empty() {
            match self.tcp.try_write(session.unsent()) {
                Ok(written) => session.sent(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Writes what is unsent; true if nothing is left.
    pub(super) fn try_flush(&self) -> io::Result<bool> {
        self.flush(&mut self.session.borrow_mut())
    }

    /// Memory of records that the socket has not taken; 0 if it has taken all.
    pub(crate) fn unsent_held(&self) -> usize {
        self.session.borrow().unsent_held()
    }

    /// Memory of what has come and was not taken.
    pub(crate) fn inbound_held(&self) -> usize {
        self.session.borrow().inbound_held()
    }

    /// Whether bytes have come that were not read. A system call: not for every frame.
    pub(crate) fn has_unread(&self) -> bool {
        let looked = || SockRef::from(&self.tcp).peek(&mut [MaybeUninit::uninit()]);
        self.session.borrow().has_plain() || looked().is_ok_and(|count| count > 0)
    }

    /// When it is dropped, the connection is reset.
    pub(crate) fn reset(&self) {
        let _best_effort = SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO));
    }

    /// Says, in TLS and in TCP, that nothing more is written; it can still be read.
    pub(crate) fn shut_down(&self) {
        let mut session = self.session.borrow_mut();
        if self.flush(&mut session).is_ok_and(|all| all) {
            let _best_effort = SCRATCH.with_borrow_mut(|scratch| {
                let sealed = session.say_closed(&mut scratch.outgoing);
                let count = sealed.map_err(io::Error::other)?;
                self.tcp.try_write(&scratch.outgoing[..count])
            });
        }
        let _best_effort = SockRef::from(&self.tcp).shutdown(Shutdown::Write);
    }
}

/// Plaintext in pieces, cut into what fits a record.
struct Pieces<'a> {
    slices: &'a [IoSlice<'a>],
    /// Bytes of the first slice that were taken.
    taken: usize,
}

impl<'a> Pieces<'a> {
    fn new(slices: &'a [IoSlice<'a>]) -> Self {
        Self { slices, taken: 0 }
    }

    /// The next record's plaintext: a piece itself if it fills the record or is the last, else a
    /// copy of several in `joined`; empty at the end.
    fn next<'b>(&mut self, joined: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        let slices = self.slices;
        let Some(first) = slices.first() else { return &[] };
        let rest = &first[self.taken..];
        if rest.len() >= RECORD_PLAIN_BYTES || slices.len() == 1 {
            let count = rest.len().min(RECORD_PLAIN_BYTES);
            self.advance(count);
            return &rest[..count];
        }
        joined.clear();
        while joined.len() < RECORD_PLAIN_BYTES
            && let Some(first) = self.slices.first()
        {
            let rest = &first[self.taken..];
            let count = rest.len().min(RECORD_PLAIN_BYTES - joined.len());
            joined.extend_from_slice(&rest[..count]);
            self.advance(count);
        }
        joined
    }

    fn advance(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.slices[0].len() {
            (self.slices, self.taken) = (&self.slices[1..], 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the pieces, each record but the last is full, and together they are the bytes.
    #[test]
    fn pieces_are_cut_into_full_records() {
        for lengths in [vec![], vec![1], vec![0, 3, 0], vec![40_000], vec![9_000, 9_000, 20_000, 5]]
        {
            let pieces: Vec<Vec<u8>> =
                lengths.iter().map(|&length| (0..length).map(|n| n as u8).collect()).collect();
            let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let (mut cut, mut joined, mut got) = (Pieces::new(&slices), Vec::new(), Vec::new());
            loop {
                let record = cut.next(&mut joined);
                if record.is_empty() {
                    break;
                }
                assert_eq!(got.len() % RECORD_PLAIN_BYTES, 0, "{lengths:?}");
                got.extend_from_slice(record);
            }
            assert_eq!(got, pieces.concat(), "{lengths:?}");
        }
    }
}
