//! Hostile clients: each does its part over one socket, and begins again when the node has ended it.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout_at};

use super::bytes;
use super::kind::{Attack, FloodBytes, FloodReading, Way};
use super::tally::Tally;
use crate::door::LinkTls;
use crate::wire;

/// The address that attackers come from, as a proxy would tell it.
const FROM: &str = "203.0.113.1";
/// Loopback address of the attackers' sockets: its range of ports is theirs alone.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);
/// After a refusal: an attacker that only spun would take the core from the members' load.
const REFUSED: Duration = Duration::from_millis(5);
/// Sockets of the largest attack.
pub(super) const MOST_SOCKETS: usize = 500;

/// What is attacked.
#[derive(Debug, Clone)]
pub(super) struct AttackTarget {
    pub(super) node: SocketAddr,
    /// How it speaks TLS, if it does.
    pub(super) tls: Option<LinkTls>,
}

/// One hostile client.
pub(super) struct Hostile {
    target: Rc<AttackTarget>,
    way: Rc<Way>,
    tally: Rc<RefCell<Tally>>,
    /// Which of the attack's clients it is: what it numbers begins apart from the others'.
    number: u64,
}

/// The node ended the socket, or there was none.
struct Over;

impl Hostile {
    /// All of an attack, until then.
    pub(super) async fn all(attack: Attack, target: AttackTarget, until: Instant) -> Tally {
        let target = Rc::new(target);
        let (way, tally) = (Rc::new(attack.way(FROM)), Rc::<RefCell<Tally>>::default());
        let clients = (0..attack.sockets()).map(|number| {
            let (way, tally) = (Rc::clone(&way), Rc::clone(&tally));
            let target = Rc::clone(&target);
            let client = Self { target, way, tally, number: number as u64 * 10_000_000 };
            tokio::task::spawn_local(timeout_at(until, client.go_on()))
        });
        for client in clients.collect::<Vec<_>>() {
            // The time is over: how it ended is in the tally.
            let _ = client.await;
        }
        tally.take()
    }

    async fn go_on(mut self) {
        loop {
            if let Err(Over) = self.once().await {
                sleep(REFUSED).await;
            }
        }
    }

    async fn once(&mut self) -> Result<(), Over> {
        let way = Rc::clone(&self.way);
        let mut socket = self.connect().await?;
        match &*way {
            Way::Flood { first, chunk, reading } => {
                self.upgrade(&mut socket).await?;
                self.flood(socket, first, (chunk, *reading)).await
            }
            Way::Say(bytes) => {
                self.upgrade(&mut socket).await?;
                self.write(&mut socket, bytes).await?;
                self.until_end(socket).await
            }
            Way::Ask(requests) => {
                self.number += 1;
                let request = &requests[self.number as usize % requests.len()];
                self.write(&mut socket, request).await?;
                self.status(&mut socket).await.map(drop)
            }
            Way::Drip { bytes, step } => self.drip(socket, bytes, *step).await,
            Way::HalfClose => {
                self.upgrade(&mut socket).await?;
                socket.shutdown().await.map_err(|_| Over)?;
                let began = Instant::now();
                self.until_end(socket).await?;
                self.note(format!("let go within {} s", began.elapsed().as_secs() + 1));
                Ok(())
            }
            Way::ShakeHands => {
                let done = self.shake_hands(&mut socket).await;
                self.note(if done.is_ok() { "handshake" } else { "no handshake" });
                done.map_err(|_| Over)
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, Over> {
        let socket = TcpSocket::new_v4().map_err(|_| Over)?;
        socket.bind((SOURCE, 0).into()).map_err(|_| Over)?;
        let Ok(stream) = socket.connect(self.target.node).await else {
            self.note("not connected");
            return Err(Over);
        };
        // A reset leaves no TIME_WAIT behind, so that ports do not run out; else harmless.
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        self.tally.borrow_mut().sockets += 1;
        Ok(stream)
    }

    async fn shake_hands(&self, socket: &mut TcpStream) -> Result<()> {
        let tls = self.target.tls.as_ref().context("the node speaks no TLS")?;
        let mut session = tls.session(self.target.node)?;
        let mut buffer = vec![0; 16 << 10];
        loop {
            let mut records = Vec::new();
            while session.wants_write() {
                session.write_tls(&mut records)?;
            }
            socket.write_all(&records).await?;
            if !session.is_handshaking() {
                return Ok(());
            }
            let count = socket.read(&mut buffer).await?;
            if count == 0 || session.read_tls(&mut &buffer[..count])? < count {
                bail!("the handshake ends early");
            }
            session.process_new_packets()?;
        }
    }

    async fn upgrade(&self, socket: &mut TcpStream) -> Result<(), Over> {
        self.write(socket, &bytes::upgrade(FROM, "")).await?;
        let status = self.status(socket).await?;
        if status == 101 { Ok(()) } else { Err(Over) }
    }

    async fn write(&self, socket: &mut TcpStream, bytes: &[u8]) -> Result<(), Over> {
        let done = socket.write_all(bytes).await;
        self.tally.borrow_mut().bytes += bytes.len() as u64;
        // A client that is ended while it writes may still read why.
        drop(done);
        Ok(())
    }

    /// Reads the head of an answer.
    async fn status(&self, socket: &mut TcpStream) -> Result<u16, Over> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        // Byte by byte, so that frames behind the head stay where they are.
        while wire::head_end(&head).is_none() {
            match socket.read(&mut byte).await {
                Ok(1) => head.extend_from_slice(&byte),
                _ => {
                    self.note("ended unanswered");
                    return Err(Over);
                }
            }
        }
        let text = String::from_utf8_lossy(&head);
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        self.note(status.to_string());
        Ok(status)
    }

    async fn flood(
        &mut self,
        mut socket: TcpStream,
        first: &[u8],
        (chunk, reading): (&FloodBytes, FloodReading),
    ) -> Result<(), Over> {
        let (mut pending, mut at) = (first.to_vec(), 0);
        let (mut read, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        let (mut from, mut to) = socket.split();
        loop {
            if at == pending.len() {
                pending = chunk.next(&mut self.number);
                at = 0;
            }
            tokio::select! {
                biased;
                got = from.read(&mut buffer), if reading == FloodReading::All => match got {
                    Ok(0) | Err(_) => return Err(Over),
                    Ok(count) => {
                        read.extend_from_slice(&buffer[..count]);
                        self.tally.borrow_mut().note_frames(&mut read);
                    }
                },
                written = to.write(&pending[at..]) => match written {
                    Ok(count) => {
                        at += count;
                        self.tally.borrow_mut().bytes += count as u64;
                    }
                    // The reason is in what was not read yet.
                    Err(_) if reading == FloodReading::All => return self.until_end(socket).await,
                    Err(_) => {
                        self.note("ended");
                        return Err(Over);
                    }
                },
            }
        }
    }

    async fn drip(&self, mut socket: TcpStream, bytes: &[u8], step: Duration) -> Result<(), Over> {
        let (mut left, mut answer) = (bytes.iter(), [0; 1024]);
        loop {
            tokio::select! {
                got = socket.read(&mut answer) => {
                    let count = got.unwrap_or(0);
                    let text = String::from_utf8_lossy(&answer[..count]);
                    self.note(text.split(' ').nth(1).unwrap_or("ended unanswered"));
                    return Err(Over);
                }
                () = sleep(step) => {
                    if let Some(byte) = left.next() {
                        self.write(&mut socket, &[*byte]).await?;
                    }
                }
            }
        }
    }

    async fn until_end(&self, mut socket: TcpStream) -> Result<(), Over> {
        let (mut read, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
        while let Ok(count @ 1..) = socket.read(&mut buffer).await {
            read.extend_from_slice(&buffer[..count]);
            self.tally.borrow_mut().note_frames(&mut read);
        }
        Ok(())
    }

    fn note(&self, what: impl Into<String>) {
        self.tally.borrow_mut().note(what);
    }
}
