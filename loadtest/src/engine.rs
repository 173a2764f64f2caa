//! The load side: thousands of WebSocket clients on one thread and one epoll. It knows links,
//! frames and time; rooms and what a frame means are its callers' business.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};

use crate::door::{Door, LinkTls};
use crate::reader::Depth;

mod link;

use link::{Link, Purpose};

/// One buffer for all links: what one `recv` can take.
const READ_BYTES: usize = 64 << 10;
/// Events taken in one turn.
const EVENTS: usize = 1024;
/// Loopback sources 127.0.0.2 and following: each brings its own range of ports.
const SOURCES: u8 = 8;

/// Names one link for as long as it lives.
pub(crate) type LinkId = usize;

/// What happened on one link.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The link.
    pub(crate) link: LinkId,
    /// When `recv` returned with it.
    pub(crate) at: Instant,
    /// What it was.
    pub(crate) what: What,
}

/// The kinds of arrivals.
#[derive(Debug)]
pub(crate) enum What {
    /// The upgrade was answered with 101.
    Upgraded,
    /// So many data frames came in one read, and so many bytes of them.
    Counted { frames: u32, bytes: u32 },
    /// One data frame; its payload lies in `Batch::bytes`.
    Frame { payload: Range<usize>, bytes: u32 },
    /// The link is gone; why, in words.
    Ended(String),
}

/// All that one turn brought. Kept and reused by the caller.
#[derive(Debug, Default)]
pub(crate) struct EngineBatch {
    /// In the order in which they were read.
    pub(crate) arrivals: Vec<Arrival>,
    /// The payloads of frames read whole.
    pub(crate) bytes: Vec<u8>,
}

/// How a turn waits for something to happen.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    /// Not at all: the server never pays for waking this process.
    Spin,
    /// In epoll, at most this long.
    Sleep(Duration),
}

/// The grain of epoll's time.
const TICK: Duration = Duration::from_millis(1);

impl Wait {
    /// At most so long, and not a moment longer: epoll counts in whole ms, so the last one is
    /// spent awake. A load that only spun would use up its share of a core that others want too.
    pub(crate) fn precisely(longest: Duration) -> Self {
        match longest.checked_sub(TICK) {
            Some(nap) if nap >= TICK => Self::Sleep(nap),
            _ => Self::Spin,
        }
    }
}

/// All links of this process.
pub(crate) struct Engine {
    poll: Poll,
    events: Events,
    links: Slab<Link>,
    buffer: Vec<u8>,
    opened: u64,
    /// `SO_RCVBUF` of links opened from now on, if it is not the kernel's choice.
    receive_buffer: Option<usize>,
    /// How links come in.
    door: Arc<Door>,
    /// How they speak TLS, if they do.
    tls: Option<LinkTls>,
    /// Further lines of the requests of links opened from now on.
    headers: &'static str,
}

/// The offer of a client that takes compressed messages.
const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

impl Engine {
    /// An engine without links, which will all come in by this door.
    pub(crate) fn new(door: &Arc<Door>) -> Result<Self> {
        Ok(Self {
            poll: Poll::new().context("epoll")?,
            events: Events::with_capacity(EVENTS),
            links: Slab::new(),
            buffer: vec![0; READ_BYTES],
            opened: 0,
            receive_buffer: None,
            tls: door.tls()?,
            door: Arc::clone(door),
            headers: "",
        })
    }

    /// Links opened from now on offer permessage-deflate.
    pub(crate) fn offer_deflate(&mut self) {
        self.headers = DEFLATE;
    }

    /// Begins a link: connects, then sends `request` and expects 101. With tokens it is of a user of
    /// its own.
    pub(crate) fn open(&mut self, to: SocketAddr, request: &Rc<[u8]>) -> Result<LinkId> {
        let user =
            if self.door.badge.is_some() { format!("load-{}", self.opened) } else { String::new() };
        self.open_as(to, request, &user)
    }

    /// The same for a link of this user.
    pub(crate) fn open_as(
        &mut self,
        to: SocketAddr,
        request: &Rc<[u8]>,
        user: &str,
    ) -> Result<LinkId> {
        let dressed = self.door.dressed(request, user)?;
        let request = dressed.map_or_else(|| Rc::clone(request), Rc::from);
        self.link(to, request, Purpose::WebSocket)
    }

    /// Begins a link that becomes no WebSocket: it sends `request`, and what comes arrives as frames,
    /// in whatever pieces.
    pub(crate) fn open_bytes(&mut self, to: SocketAddr, request: &Rc<[u8]>) -> Result<LinkId> {
        self.link(to, Rc::clone(request), Purpose::Bytes)
    }

    fn link(&mut self, to: SocketAddr, request: Rc<[u8]>, purpose: Purpose) -> Result<LinkId> {
        let source = 2 + (self.opened % u64::from(SOURCES)) as u8;
        self.opened += 1;
        let stream = connect(to, source, self.receive_buffer)
            .with_context(|| format!("connecting to {to} with {} links open", self.links.len()))?;
        let session = self.tls.as_ref().map(|tls| tls.session(to)).transpose()?;
        let entry = self.links.vacant_entry();
        let id = entry.key();
        let request = match (self.headers, request.strip_suffix(b"\r\n")) {
            ("", _) | (_, None) => request,
            (headers, Some(begin)) => [begin, headers.as_bytes(), b"\r\n"].concat().into(),
        };
        let link = entry.insert(Link::new(stream, session, (request, purpose)));
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(link.stream(), Token(id), interest)?;
        Ok(id)
    }

    /// Waits, then reads every ready link once.
    pub(crate) fn turn(&mut self, wait: Wait, batch: &mut EngineBatch) -> Result<()> {
        batch.arrivals.clear();
        batch.bytes.clear();
        let timeout = match wait {
            Wait::Spin => Duration::ZERO,
            Wait::Sleep(longest) => longest,
        };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            done => done.context("epoll")?,
        }
        for event in &self.events {
            let id = event.token().0;
            let Some(link) = self.links.get_mut(id) else { continue };
            if let Err(error) = link.ready(event, &mut self.buffer, id, batch) {
                self.links.remove(id);
                let what = What::Ended(format!("{error:#}"));
                batch.arrivals.push(Arrival { link: id, at: Instant::now(), what });
            }
        }
        Ok(())
    }

    /// Writes to a link; what the socket does not take goes out when it can.
    pub(crate) fn send(&mut self, id: LinkId, bytes: &[u8]) -> Result<()> {
        let link = self.links.get_mut(id).with_context(|| format!("link {id} is gone"))?;
        link.send(bytes)
    }

    /// The server's certificate (DER) on a link, once TLS says which.
    pub(crate) fn certificate(&self, id: LinkId) -> Option<Vec<u8>> {
        self.links.get(id)?.certificate()
    }

    /// Sets `SO_RCVBUF`, in bytes, of links opened from now on; `None` leaves it to the kernel.
    pub(crate) fn set_receive_buffer(&mut self, bytes: Option<usize>) {
        self.receive_buffer = bytes;
    }

    /// Reads a link no more, until it is woken: what comes stays in the kernel.
    pub(crate) fn mute(&mut self, id: LinkId) -> Result<()> {
        let link = self.links.get_mut(id).with_context(|| format!("link {id} is gone"))?;
        Ok(self.poll.registry().deregister(link.stream())?)
    }

    /// Reads a muted link again, from where it stood.
    pub(crate) fn wake(&mut self, id: LinkId) -> Result<()> {
        let link = self.links.get_mut(id).with_context(|| format!("link {id} is gone"))?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        Ok(self.poll.registry().register(link.stream(), Token(id), interest)?)
    }

    /// Sets how closely a link is read from its next read on; links begin with `Whole`.
    pub(crate) fn set_depth(&mut self, id: LinkId, depth: Depth) {
        if let Some(link) = self.links.get_mut(id) {
            link.depth = depth;
        }
    }

    /// Ends a link with a reset, which leaves no TIME_WAIT behind; false if it was gone already.
    pub(crate) fn reset(&mut self, id: LinkId) -> bool {
        self.links.try_remove(id).map(Link::reset).is_some()
    }

    /// Links that are open or opening.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }
}

fn connect(
    to: SocketAddr,
    source: u8,
    receive_buffer: Option<usize>,
) -> io::Result<mio::net::TcpStream> {
    let domain = Domain::for_address(to);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if to.ip() == Ipv4Addr::LOCALHOST {
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, source), 0)).into())?;
    }
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = receive_buffer {
        // Before the connection is made: its handshake fixes how far the window can open.
        socket.set_recv_buffer_size(bytes)?;
    }
    match socket.connect(&to.into()) {
        // EINPROGRESS has no stable kind of its own; the writable event tells how it ended.
        Err(error) if error.raw_os_error() != Some(EINPROGRESS) => return Err(error),
        _ => {}
    }
    Ok(mio::net::TcpStream::from_std(socket.into()))
}

/// Linux's number for "the connection is being made".
const EINPROGRESS: i32 = 115;
