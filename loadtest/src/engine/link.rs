//! One client link: connecting, upgrading, open.

use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::event::Event;
use mio::net::TcpStream;
use rustls::ClientConnection;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Arrival, EngineBatch, LinkId, What};
use crate::reader::{Depth, Reader};
use crate::wire;

/// No honest answer to an upgrade is longer.
const MAX_HEAD: usize = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Upgrading,
    Open,
    /// No WebSocket: bytes are given on as they come.
    Raw,
}

/// What a link does once it is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It becomes a WebSocket.
    WebSocket,
    /// It stays what it is.
    Bytes,
}

/// One client link.
pub(super) struct Link {
    stream: TcpStream,
    /// The TLS session, if the server speaks TLS.
    session: Option<Box<ClientConnection>>,
    stage: Stage,
    purpose: Purpose,
    request: Rc<[u8]>,
    /// The head of the answer, until it is whole.
    head: Vec<u8>,
    reader: Reader,
    pub(super) depth: Depth,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
}

impl Link {
    pub(super) fn new(
        stream: TcpStream,
        session: Option<Box<ClientConnection>>,
        (request, purpose): (Rc<[u8]>, Purpose),
    ) -> Self {
        Self {
            stream,
            session,
            stage: Stage::Connecting,
            purpose,
            request,
            head: Vec::new(),
            reader: Reader::default(),
            depth: Depth::Whole,
            unsent: Vec::new(),
        }
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Handles one event of the link's socket; an error ends the link.
    pub(super) fn ready(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
        id: LinkId,
        batch: &mut EngineBatch,
    ) -> Result<()> {
        if self.stage == Stage::Connecting && !self.connected()? {
            return Ok(());
        }
        if event.is_writable() && !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            self.send(&unsent)?;
        }
        if event.is_writable() {
            self.flush_session()?;
        }
        if !event.is_readable() {
            return Ok(());
        }
        if self.session.is_some() {
            return self.read_session(buffer, id, batch);
        }
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed the connection without a Close frame"),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading"),
            };
            self.receive(&buffer[..read], id, batch)?;
            // A short read has emptied the socket, unless its end stands behind it.
            if read < buffer.len() && !event.is_read_closed() {
                return Ok(());
            }
        }
    }

    /// Takes in records until the socket has no more.
    fn read_session(
        &mut self,
        buffer: &mut [u8],
        id: LinkId,
        batch: &mut EngineBatch,
    ) -> Result<()> {
        loop {
            let Some(session) = &mut self.session else { return Ok(()) };
            match session.read_tls(&mut self.stream) {
                Ok(0) => bail!("the server closed the connection without a Close frame"),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading"),
            }
            session.process_new_packets().context("TLS")?;
            self.flush_session()?;
            loop {
                let Some(session) = &mut self.session else { return Ok(()) };
                match session.reader().read(buffer) {
                    Ok(0) => bail!("the server closed the connection without a Close frame"),
                    Ok(read) => self.receive(&buffer[..read], id, batch)?,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error).context("reading"),
                }
            }
        }
    }

    /// Writes the records that the socket takes; the session keeps the rest.
    fn flush_session(&mut self) -> Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        while session.wants_write() {
            match session.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("writing"),
            }
        }
        Ok(())
    }

    fn connected(&mut self) -> Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error).context("connecting");
        }
        if self.stream.peer_addr().is_err() {
            return Ok(false);
        }
        self.stage = match self.purpose {
            Purpose::WebSocket => Stage::Upgrading,
            Purpose::Bytes => Stage::Raw,
        };
        let request = Rc::clone(&self.request);
        self.send(&request)?;
        Ok(true)
    }

    /// Writes as much as the socket takes and keeps the rest.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        if let Some(session) = &mut self.session {
            session.writer().write_all(bytes).context("writing")?;
            return self.flush_session();
        }
        while self.unsent.is_empty() && !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("writing"),
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }

    fn receive(&mut self, input: &[u8], id: LinkId, batch: &mut EngineBatch) -> Result<()> {
        let at = Instant::now();
        match self.stage {
            Stage::Open => return self.frames(input, (id, at), batch),
            Stage::Raw => {
                let from = batch.bytes.len();
                batch.bytes.extend_from_slice(input);
                let (payload, bytes) = (from..batch.bytes.len(), input.len() as u32);
                batch.arrivals.push(Arrival { link: id, at, what: What::Frame { payload, bytes } });
                return Ok(());
            }
            Stage::Connecting | Stage::Upgrading => {}
        }
        self.head.extend_from_slice(input);
        let Some(end) = wire::head_end(&self.head) else {
            if self.head.len() > MAX_HEAD {
                bail!("the answer to the upgrade does not end");
            }
            return Ok(());
        };
        let head = std::mem::take(&mut self.head);
        check_answer(&head[..end])?;
        self.stage = Stage::Open;
        batch.arrivals.push(Arrival { link: id, at, what: What::Upgraded });
        self.frames(&head[end..], (id, at), batch)
    }

    fn frames(
        &mut self,
        input: &[u8],
        here: (LinkId, Instant),
        batch: &mut EngineBatch,
    ) -> Result<()> {
        let (link, at) = here;
        let (mut frames, mut counted) = (0, 0);
        let mut pongs = Vec::new();
        let mut end = None;
        self.reader.feed(input, self.depth, |frame| {
            let bytes = frame.header.total() as u32;
            match frame.header.opcode {
                wire::TEXT | wire::BINARY if self.depth == Depth::Skim => {
                    frames += 1;
                    counted += bytes;
                }
                wire::TEXT | wire::BINARY => {
                    let from = batch.bytes.len();
                    batch.bytes.extend_from_slice(frame.payload);
                    let what = What::Frame { payload: from..batch.bytes.len(), bytes };
                    batch.arrivals.push(Arrival { link, at, what });
                }
                wire::PING => wire::push_client_frame(wire::PONG, frame.payload, &mut pongs),
                wire::PONG => {}
                wire::CLOSE => end = Some(close_text(frame.payload)),
                other => end = Some(format!("a frame with opcode {other}")),
            }
        })?;
        if frames > 0 {
            let what = What::Counted { frames, bytes: counted };
            batch.arrivals.push(Arrival { link, at, what });
        }
        if !pongs.is_empty() {
            self.send(&pongs)?;
        }
        end.map_or(Ok(()), |end| bail!(end))
    }

    /// The server's certificate (DER), once TLS says which.
    pub(super) fn certificate(&self) -> Option<Vec<u8>> {
        let chain = self.session.as_ref()?.peer_certificates()?;
        chain.first().map(|certificate| certificate.to_vec())
    }

    pub(super) fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        // Without it the close is an ordinary one, which is harmless.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
}

fn check_answer(head: &[u8]) -> Result<()> {
    let head = std::str::from_utf8(head).context("the answer to the upgrade is no text")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        bail!("the upgrade was answered with {status:?}");
    }
    let accept = wire::field(head, "sec-websocket-accept");
    if accept != Some(derive_accept_key(wire::KEY.as_bytes()).as_str()) {
        bail!("the upgrade was answered with a wrong Sec-WebSocket-Accept: {accept:?}");
    }
    Ok(())
}

fn close_text(payload: &[u8]) -> String {
    let Some((code, reason)) = payload.split_at_checked(2) else {
        return "closed by the server without a code".to_owned();
    };
    let code = u16::from_be_bytes([code[0], code[1]]);
    format!("closed by the server: {code} {}", String::from_utf8_lossy(reason))
}
