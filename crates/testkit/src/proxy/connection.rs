//! One connection through the proxy: two streams, and the two loops that carry bytes between them.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::fault::{Direction, State};
use super::line::ProxyLine;

/// How much is read at once.
const READ: usize = 64 << 10;

/// How a connection ends if its streams do not.
#[derive(Debug)]
enum End {
    /// Both sides are closed.
    Cut,
    /// Both sides are reset.
    Reset,
}

/// A connection's view of what the proxy is set to.
#[derive(Debug, Clone)]
struct Orders {
    state: watch::Receiver<State>,
    begun: State,
}

/// Carries bytes between a client and the target until both streams have ended, one of them
/// breaks, or the state says so. `begun` is the state when the client was accepted: what was
/// ordered before is not for this connection.
pub(super) async fn serve(
    mut client: TcpStream,
    target: SocketAddr,
    state: watch::Receiver<State>,
    begun: State,
) {
    let orders = Orders { state, begun };
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    // A stream that is gone by now says so when it is read.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = carry(from_client, to_server, Direction::ToServer, orders.clone());
        let down = carry(from_server, to_client, Direction::ToClient, orders.clone());
        let both = async { tokio::try_join!(up, down) };
        tokio::select! {
            end = orders.end() => end,
            result = both => result.err().unwrap_or(End::Cut),
        }
    };
    if matches!(end, End::Reset) {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

impl Orders {
    /// Returns when the connection is to end.
    async fn end(mut self) -> End {
        let begun = self.begun;
        let ordered = |now: &State| now.cuts != begun.cuts || now.resets != begun.resets;
        match self.state.wait_for(ordered).await {
            Ok(now) if now.resets != begun.resets => End::Reset,
            // Where there is no state any more there is no proxy.
            Ok(_) | Err(_) => End::Cut,
        }
    }
}

/// Carries one direction to its end.
async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    mut orders: Orders,
) -> Result<(), End> {
    let way = direction as usize;
    let seed = from.peer_addr().map_or(0, |peer| u64::from(peer.port()));
    let mut line = ProxyLine::new(Instant::now(), seed);
    let mut buffer = vec![0; READ];
    loop {
        let state = *orders.state.borrow_and_update();
        line.set(state.faults[way], Instant::now());
        if line.is_broken() {
            return Err(End::Cut);
        }
        if state.half_closes[way] != orders.begun.half_closes[way] {
            return half_close(from, to).await;
        }
        let next = line.next(Instant::now());
        if next.is_some_and(<[u8]>::is_empty) {
            // The receiver may have left already.
            let _ = to.shutdown().await;
            return Ok(());
        }
        let waits = next.is_none();
        let (due, room) = (line.due(), line.room().min(READ));
        tokio::select! {
            changed = orders.state.changed() => changed.map_err(|_| End::Cut)?,
            written = to.write(next.unwrap_or_default()), if !waits => {
                line.advance(written.map_err(|_| End::Reset)?);
                // Lets the receiver see single bytes as they come.
                tokio::task::yield_now().await;
            }
            () = sleep_until(due.unwrap_or_else(Instant::now).into()), if waits && due.is_some() => {}
            read = from.read(&mut buffer[..room]), if waits && room > 0 => match read {
                Ok(count) => line.push(&buffer[..count], Instant::now()),
                // Nobody is told of it.
                Err(_) if line.swallows() => line.push(&[], Instant::now()),
                Err(_) => return Err(End::Reset),
            }
        }
    }
}

/// Ends a stream towards its receiver, and takes what the sender still has.
async fn half_close(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), End> {
    let _ = to.shutdown().await;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await.map_err(|_| End::Reset)?;
    Ok(())
}
