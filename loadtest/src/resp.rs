//! The least of a Redis client that measuring needs: one blocking connection, RESP2, and a server
//! of one's own for the length of a test.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_testkit::free_port;
use tempfile::TempDir;

use crate::children::{Children, Running};
use crate::server::address;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long a server may take to start.
const START_WITHIN: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `+OK`.
    Simple(String),
    /// `:1`.
    Integer(i64),
    /// `$3` and three bytes.
    Bulk(Vec<u8>),
    /// Nothing there.
    Nil,
    /// `*2` and two replies.
    Array(Vec<Reply>),
}

/// One connection.
pub(crate) struct RespConnection {
    stream: TcpStream,
    input: BufReader<TcpStream>,
}

impl RespConnection {
    /// Connects without Nagle's delay.
    pub(crate) fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).with_context(|| format!("Redis at {addr}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self { input: BufReader::with_capacity(64 << 10, stream.try_clone()?), stream })
    }

    /// Sends one command and reads its answer; an error answer is an error here.
    pub(crate) fn call(&mut self, words: &[&[u8]]) -> Result<Reply> {
        let mut bytes = Vec::new();
        push_command(words, &mut bytes);
        self.write(&bytes)?;
        self.read()
    }

    /// Sends commands that were encoded by `push_command`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("writing to Redis")
    }

    /// Reads one answer, or one message of a subscription.
    pub(crate) fn read(&mut self) -> Result<Reply> {
        read_reply(&mut self.input).context("reading from Redis")
    }
}

/// Appends a command in the form in which clients send it.
pub(crate) fn push_command(words: &[&[u8]], out: &mut Vec<u8>) {
    out.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend_from_slice(word);
        out.extend(b"\r\n");
    }
}

fn read_reply(input: &mut impl BufRead) -> Result<Reply> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        bail!("the connection was closed");
    }
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).context("an empty line")?;
    Ok(match kind {
        "+" => Reply::Simple(rest.to_owned()),
        "-" => bail!("Redis answered: {rest}"),
        ":" => Reply::Integer(rest.parse()?),
        "$" | "*" if rest == "-1" => Reply::Nil,
        "$" => {
            let mut bytes = vec![0; rest.parse::<usize>()? + 2];
            input.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Reply::Bulk(bytes)
        }
        "*" => {
            let count: usize = rest.parse()?;
            Reply::Array((0..count).map(|_| read_reply(input)).collect::<Result<_>>()?)
        }
        other => bail!("an answer that begins with {other:?}"),
    })
}

/// A server, started here or running already.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(crate) addr: SocketAddr,
    pub(crate) url: String,
    own: Option<(Running, TempDir)>,
}

impl Redis {
    /// The server at `url`, or one of our own on the given cores that keeps nothing on disk.
    pub(crate) fn at(url: Option<&str>, cores: Option<&str>, children: &Children) -> Result<Self> {
        if let Some(url) = url {
            let addr = address(url)?;
            RespConnection::open(addr)?;
            return Ok(Self { addr, url: url.to_owned(), own: None });
        }
        let folder = tempfile::tempdir()?;
        let port = free_port();
        let mut command = crate::machine::pinned("redis-server".as_ref(), cores);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no", "--dir"]).arg(folder.path());
        let own = children.start(quiet(&mut command))?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let deadline = Instant::now() + START_WITHIN;
        while RespConnection::open(addr).and_then(|mut redis| redis.call(&[b"PING"])).is_err() {
            own.check().context("redis-server failed")?;
            if Instant::now() > deadline {
                bail!("redis-server did not start within 10 s");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { addr, url: format!("redis://{addr}"), own: Some((own, folder)) })
    }

    /// The pid of a server started here, else what the server says of itself.
    pub(crate) fn pid(&self) -> Result<u32> {
        if let Some((own, _)) = &self.own {
            return Ok(own.pid());
        }
        let info = RespConnection::open(self.addr)?.call(&[b"INFO", b"server"])?;
        let Reply::Bulk(info) = info else { bail!("INFO answered {info:?}") };
        let info = String::from_utf8_lossy(&info);
        let line = info.lines().find_map(|line| line.strip_prefix("process_id:"));
        Ok(line.context("INFO names no process_id")?.trim().parse()?)
    }
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_replies() {
        let mut bytes = Vec::new();
        push_command(&[b"PUBLISH", b"a", b""], &mut bytes);
        assert_eq!(bytes, b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$0\r\n\r\n");
        let array = Reply::Array(vec![Reply::Bulk(b"x\r\n".to_vec()), Reply::Integer(-3)]);
        assert_eq!(read_reply(&mut &b"*2\r\n$3\r\nx\r\n\r\n:-3\r\n"[..]).unwrap(), array);
        assert_eq!(read_reply(&mut &b"+OK\r\n"[..]).unwrap(), Reply::Simple("OK".to_owned()));
        assert_eq!(read_reply(&mut &b"$-1\r\n"[..]).unwrap(), Reply::Nil);
        assert!(read_reply(&mut &b"-ERR no\r\n"[..]).is_err());
        assert!(read_reply(&mut &b""[..]).is_err());
        assert!(read_reply(&mut &b"$5\r\nab"[..]).is_err());
    }
}
