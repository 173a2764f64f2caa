//! The floor: the least a server can do for a delivery. One thread, one epoll; it accepts,
//! upgrades and writes bytes that were encoded before. What a node costs beyond it is the node's.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::machine;
use crate::print;

mod conn;

use conn::{Conn, Request};

/// The listener's token; connections count from zero.
const LISTENER: Token = Token(usize::MAX);
/// What one `recv` can take; one buffer for all connections.
const READ_BYTES: usize = 64 << 10;
/// Frames that lie encoded behind one another for `batch`; more are written in several pieces.
const BLOCK_FRAMES: usize = 256;

/// How the floor writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One write for each delivery.
    Write,
    /// All that one turn of the event loop brought for a room, in one write per member.
    Batch,
}

impl Mode {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Batch => "batch",
        }
    }
}

/// Run the floor alone: `GET /ws?room=N` is a member of room N; a frame that holds the text
/// `load-N` is delivered to room N.
#[derive(Debug, Args)]
pub(crate) struct FloorArgs {
    /// Where to listen; port 0 takes a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How to write.
    #[arg(long, value_enum, default_value = "write")]
    mode: Mode,
    /// Bytes of each delivered frame on the wire, head included.
    #[arg(long, default_value_t = 240)]
    frame_bytes: usize,
    /// Connections to make room for.
    #[arg(long, default_value_t = 16_000)]
    connections: usize,
    /// End when standard input does, so that it never outlives the process that started it.
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

/// Runs the floor until its process is ended.
pub(crate) fn run(args: &FloorArgs) -> Result<()> {
    machine::allow_links(args.connections)?;
    let mut floor = Floor::bind(args)?;
    print::out(format_args!("listening on {}", floor.listener.local_addr()?))?;
    if args.until_stdin_ends {
        std::thread::spawn(|| {
            // Whatever ends the pipe, its other side is gone.
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            std::process::exit(0);
        });
    }
    loop {
        floor.turn()?;
    }
}

struct Floor {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    conns: Slab<Conn>,
    /// The members of each room, by token.
    rooms: Vec<Vec<usize>>,
    /// Deliveries that this turn owes each room; in `write` mode always paid at once.
    owed: Vec<usize>,
    /// Rooms that are owed something.
    dirty: Vec<usize>,
    mode: Mode,
    /// One frame, many times.
    block: Vec<u8>,
    frame_bytes: usize,
    buffer: Vec<u8>,
}

impl Floor {
    fn bind(args: &FloorArgs) -> Result<Self> {
        let listener = crate::children::listener(args.listen, 4096)?;
        let mut listener = TcpListener::from_std(listener);
        let poll = Poll::new().context("epoll")?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let payload = crate::wire::payload_of_server_frame(args.frame_bytes);
        let mut block = Vec::new();
        for _ in 0..BLOCK_FRAMES {
            crate::wire::push_server_frame(crate::wire::TEXT, &vec![b'f'; payload], &mut block);
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            listener,
            conns: Slab::new(),
            rooms: Vec::new(),
            owed: Vec::new(),
            dirty: Vec::new(),
            mode: args.mode,
            frame_bytes: block.len() / BLOCK_FRAMES,
            block,
            buffer: vec![0; READ_BYTES],
        })
    }

    fn turn(&mut self) -> Result<()> {
        match self.poll.poll(&mut self.events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            done => done.context("epoll")?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            match event.token() {
                LISTENER => self.accept()?,
                Token(token) => self.ready(token, event),
            }
        }
        self.events = events;
        while let Some(room) = self.dirty.pop() {
            let count = std::mem::take(&mut self.owed[room]);
            self.deliver(room, count);
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The peer has given up again before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error).context("accepting"),
            };
            stream.set_nodelay(true)?;
            let entry = self.conns.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(entry.key()), interest)?;
            entry.insert(Conn::new(stream));
        }
    }

    fn ready(&mut self, token: usize, event: &mio::event::Event) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let mut requests = Vec::new();
        let alive = (!event.is_writable() || conn.flush())
            && (!event.is_readable() || conn.read(event, &mut self.buffer, &mut requests));
        for request in requests {
            match request {
                Request::Join(room) => self.join(token, room),
                Request::Publish(room) if self.mode == Mode::Write => self.deliver(room, 1),
                Request::Publish(room) => {
                    if room < self.owed.len() {
                        if self.owed[room] == 0 {
                            self.dirty.push(room);
                        }
                        self.owed[room] += 1;
                    }
                }
            }
        }
        if !alive {
            self.remove(token);
        }
    }

    fn join(&mut self, token: usize, room: usize) {
        if room >= self.rooms.len() {
            self.rooms.resize_with(room + 1, Vec::new);
            self.owed.resize(room + 1, 0);
        }
        self.conns[token].place = Some((room, self.rooms[room].len()));
        self.rooms[room].push(token);
    }

    fn remove(&mut self, token: usize) {
        let Some((room, slot)) = self.conns.remove(token).place else { return };
        self.rooms[room].swap_remove(slot);
        if let Some(&moved) = self.rooms[room].get(slot) {
            self.conns[moved].place = Some((room, slot));
        }
    }

    /// Writes `count` frames to every member of a room, in one write each.
    fn deliver(&mut self, room: usize, mut count: usize) {
        let Some(members) = self.rooms.get(room) else { return };
        let mut dead = Vec::new();
        while count > 0 {
            let now = count.min(BLOCK_FRAMES);
            let bytes = &self.block[..now * self.frame_bytes];
            for &token in members {
                if !self.conns[token].write(bytes) {
                    dead.push(token);
                }
            }
            count -= now;
        }
        for token in dead {
            if self.conns.contains(token) {
                self.remove(token);
            }
        }
    }
}
