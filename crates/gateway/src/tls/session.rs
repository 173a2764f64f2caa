//! One TLS session of a server, without I/O: records in, plaintext out, and the other way. It owns
//! what is under way in either direction, and it knows no socket.

use std::fmt;
use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{Error, ServerConfig};

/// The longest record: its header, and 16 KiB with what encryption may add (RFC 5246, section
/// 6.2.3). A message of the handshake that needs more than one is refused; no client has one.
pub(super) const MAX_RECORD_BYTES: usize = 5 + 16 * 1024 + 2048;
/// Plaintext of one record that is written.
pub(super) const RECORD_PLAIN_BYTES: usize = 16 * 1024;

/// A session.
pub(super) struct TlsSession {
    connection: UnbufferedServerConnection,
    /// A record that has not come whole.
    incoming: Vec<u8>,
    /// Plaintext that was not taken yet.
    plain: Vec<u8>,
    /// Records that the socket has not taken yet.
    outgoing: Vec<u8>,
    /// The client has said that it sends nothing more.
    is_ended: bool,
    /// The client broke the protocol: the library must not be given anything any more.
    has_failed: bool,
}

impl TlsSession {
    /// A session whose handshake has not begun.
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            incoming: Vec::new(),
            plain: Vec::new(),
            outgoing: Vec::new(),
            is_ended: false,
            has_failed: false,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the client sends nothing more, and all of it was taken.
    pub(super) fn is_over(&self) -> bool {
        self.is_ended && self.plain.is_empty()
    }

    /// Whether plaintext, or the end, can be taken without another record.
    pub(super) fn has_plain(&self) -> bool {
        self.is_ended || !self.plain.is_empty()
    }

    /// Takes plaintext that came earlier.
    pub(super) fn take_plain(&mut self, into: &mut [u8]) -> usize {
        let count = self.plain.len().min(into.len());
        into[..count].copy_from_slice(&self.plain[..count]);
        if count == self.plain.len() {
            self.plain = Vec::new();
        } else {
            self.plain.drain(..count);
        }
        count
    }

    /// The record that has not come whole: what comes next belongs behind it.
    pub(super) fn unfinished(&self) -> &[u8] {
        &self.incoming
    }

    /// Memory that is held of what arrives.
    pub(super) fn inbound_held(&self) -> usize {
        self.incoming.capacity() + self.plain.capacity()
    }

    /// Records that are to be written before anything else.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.outgoing
    }

    /// Memory that records hold which the socket has not taken.
    pub(super) fn unsent_held(&self) -> usize {
        self.outgoing.capacity()
    }

    /// So many bytes of the unsent ones were written.
    pub(super) fn sent(&mut self, count: usize) {
        if count == self.outgoing.len() {
            self.outgoing = Vec::new();
        } else {
            self.outgoing.drain(..count);
        }
    }

    /// Keeps records that the socket did not take.
    pub(super) fn keep_unsent(&mut self, records: &[u8]) {
        debug_assert!(self.outgoing.is_empty(), "records are sent in their order");
        self.outgoing = records.to_vec();
    }

    /// Takes in records, which begin with the unfinished one; returns how much plaintext `into`
    /// got. After an error only the alert in `unsent` is left to write.
    pub(super) fn receive(&mut self, records: &mut [u8], into: &mut [u8]) -> Result<usize, Error> {
        if self.has_failed {
            return Err(Error::General("the session has failed".into()));
        }
        let (mut start, mut filled) = (0, 0);
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut records[start..]);
            let mut goes_on = true;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        let count = record.payload.len().min(into.len() - filled);
                        let (now, later) = record.payload.split_at(count);
                        into[filled..filled + count].copy_from_slice(now);
                        filled += count;
                        self.plain.extend_from_slice(later);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encoded(&mut self.outgoing, |out| data.encode(out))?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.is_ended = true,
                Ok(ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake) => {
                    goes_on = false;
                }
                Ok(_) => {
                    self.is_ended = true;
                    goes_on = false;
                }
                Err(error) => {
                    self.has_failed = true;
                    self.take_alert(&mut records[start + discard..]);
                    return Err(error);
                }
            }
            start += discard;
            if !goes_on {
                break;
            }
        }
        let left = &records[start..];
        if left.len() > MAX_RECORD_BYTES {
            self.has_failed = true;
            return Err(Error::General("a message of the handshake is too long".into()));
        }
        self.incoming = left.to_vec();
        Ok(filled)
    }

    /// After an error: the alert that tells the client of it, if there is one. The library wants the
    /// same records again; it panics where it misses a part of a message that it has seen.
    fn take_alert(&mut self, records: &mut [u8]) {
        if !self.connection.wants_write() {
            return;
        }
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(records);
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = state {
            let _alert_is_a_courtesy = encoded(&mut self.outgoing, |out| data.encode(out));
        }
    }

    /// Encrypts up to one record's plaintext into `out`, from its begin; returns its bytes there.
    pub(super) fn encrypt(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<usize, Error> {
        self.write(out, |traffic, out| traffic.encrypt(plain, out))
    }

    /// Encrypts the notice that nothing more is written.
    pub(super) fn say_closed(&mut self, out: &mut Vec<u8>) -> Result<usize, Error> {
        self.write(out, |traffic, out| traffic.queue_close_notify(out))
    }

    fn write(
        &mut self,
        out: &mut Vec<u8>,
        mut put: impl FnMut(&mut WriteTraffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<usize, Error> {
        if self.has_failed {
            return Err(Error::General("the session has failed".into()));
        }
        let mut filled = 0;
        loop {
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut self.incoming);
            match state? {
                ConnectionState::WriteTraffic(mut traffic) => loop {
                    match put(&mut traffic, &mut out[filled..]) {
                        Ok(count) => return Ok(filled + count),
                        Err(EncryptError::InsufficientSize(InsufficientSizeError {
                            required_size,
                        })) => out.resize(filled + required_size, 0),
                        Err(EncryptError::EncryptExhausted) => return Err(Error::EncryptError),
                    }
                },
                ConnectionState::EncodeTlsData(mut data) => {
                    out.truncate(filled);
                    filled += encoded(out, |out| data.encode(out))?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.is_ended = true,
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        self.plain.extend_from_slice(record?.payload);
                    }
                }
                _ => return Err(Error::HandshakeNotComplete),
            }
            self.incoming.drain(..discard);
        }
    }
}

type WriteTraffic<'c> = rustls::unbuffered::WriteTraffic<'c, rustls::server::ServerConnectionData>;

impl fmt::Debug for TlsSession {
    /// Its keys and what it carries are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession").field("is_ended", &self.is_ended).finish_non_exhaustive()
    }
}

/// Appends what `encode` has; returns how many bytes that is.
fn encoded(
    out: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<usize, Error> {
    let begin = out.len();
    loop {
        match encode(&mut out[begin..]) {
            Ok(count) => {
                out.truncate(begin + count);
                return Ok(count);
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                out.resize(begin + required_size, 0);
            }
            Err(EncodeError::AlreadyEncoded) => return Ok(0),
        }
    }
}
