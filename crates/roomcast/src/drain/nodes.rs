//! The nodes that run on this machine, as `/proc` shows them (proc(5)): their process, user,
//! program and addresses.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// `st` of a socket that listens, in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// A process that runs `roomcast serve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeProcess {
    pub(super) pid: i32,
    /// When it began, which tells it from a later process of its number.
    pub(super) born: u64,
    pub(super) user: u32,
    pub(super) binary: PathBuf,
    /// Where it listens; empty while it starts, and if another user may not see it.
    pub(super) addresses: Vec<SocketAddr>,
}

impl NodeProcess {
    /// The node that is this process, if it is one.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        // First, so that all that follows is about the same process or one that is refused later.
        let born = born(pid)?;
        let binary = serving(&folder)?;
        let user = user_of(&fs::read_to_string(folder.join("status")).ok()?)?;
        let addresses = addresses(&folder);
        Some(Self { pid, born, user, binary, addresses })
    }

    /// Every node of this machine, by its process.
    pub(super) fn all() -> std::io::Result<Vec<Self>> {
        let mut nodes = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let pid = name.to_str().and_then(|name| name.parse().ok());
            // One that has just ended is none.
            nodes.extend(pid.and_then(Self::of));
        }
        nodes.sort_by_key(|node| node.pid);
        Ok(nodes)
    }

    /// Whether it belongs to the user that asks.
    pub(super) fn is_own(&self) -> bool {
        self.user == geteuid().as_raw()
    }

    /// Whether the process is still there, and no other of its number.
    pub(super) fn runs(&self) -> bool {
        born(self.pid) == Some(self.born)
    }
}

impl fmt::Display for NodeProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({}", self.pid, self.binary.display())?;
        match &self.addresses[..] {
            [] => f.write_str(", no address yet)")?,
            addresses => {
                let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
                write!(f, " on {})", addresses.join(" and "))?;
            }
        }
        if !self.is_own() {
            write!(f, " of user {}", self.user)?;
        }
        Ok(())
    }
}

/// When a process began (`starttime`); none if it has ended, be it that its parent has not looked
/// yet.
pub(super) fn born(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, blanks and brackets too.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if fields.next() == Some("Z") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The program of a process that was started as `roomcast serve`: the file that runs, whatever the
/// process calls itself. Of a process whose file cannot be seen it is the name it was started by.
fn serving(folder: &Path) -> Option<PathBuf> {
    let command = fs::read(folder.join("cmdline")).ok()?;
    let (program, serves) = words(&command)?;
    let binary = fs::read_link(folder.join("exe")).unwrap_or(program);
    (serves && is_roomcast(&binary)).then_some(binary)
}

/// The program of a command line (words with a NUL after each), and whether it is to serve.
fn words(command: &[u8]) -> Option<(PathBuf, bool)> {
    let mut words = command.split(|&byte| byte == 0);
    let program = String::from_utf8_lossy(words.next()?).into_owned();
    Some((program.into(), words.next() == Some(b"serve")))
}

/// A file that was replaced while it runs has ` (deleted)` after its name.
fn is_roomcast(binary: &Path) -> bool {
    let name = binary.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_suffix(" (deleted)").unwrap_or(name) == "roomcast"
}

/// The effective user: the second number after `Uid:`.
fn user_of(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Where a process listens: the sockets among its descriptors that do.
fn addresses(folder: &Path) -> Vec<SocketAddr> {
    let Ok(descriptors) = fs::read_dir(folder.join("fd")) else { return Vec::new() };
    let links = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let inode = |link: PathBuf| {
        let number = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(number.to_owned())
    };
    let sockets: HashSet<String> = links.filter_map(inode).collect();
    let table = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let tables = [table("net/tcp"), table("net/tcp6")].concat();
    let mut addresses: Vec<_> =
        tables.lines().filter_map(|line| listening(line, &sockets)).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// The address of one line of `/proc/net/tcp` or `tcp6`, if one of these sockets listens there.
fn listening(line: &str, sockets: &HashSet<String>) -> Option<SocketAddr> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, state) = (fields.next()?, fields.nth(1)?);
    let inode = fields.nth(5)?;
    (state == LISTENS && sockets.contains(inode)).then(|| address(local)).flatten()
}

/// An address in hexadecimal: words of 32 bits, each in the machine's order of bytes, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = ip.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    match ip.len() {
        8 => Some((Ipv4Addr::from(word(0)?), port).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(at)?);
            }
            Some((Ipv6Addr::from(bytes), port).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_its_command_and_its_file() {
        assert_eq!(
            words(b"/usr/bin/roomcast\0serve\0x\0"),
            Some(("/usr/bin/roomcast".into(), true))
        );
        for other in [&b"roomcast\0tail\0serve\0"[..], b"roomcast\0", b""] {
            assert!(!words(other).is_some_and(|(_, serves)| serves), "{other:?}");
        }
        assert!(is_roomcast(Path::new("/opt/roomcast")));
        assert!(is_roomcast(Path::new("/opt/roomcast (deleted)")));
        for other in ["/usr/bin/python3.11", "/opt/roomcast-x", "/opt/roomcast/vi", "/"] {
            assert!(!is_roomcast(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn status_names_the_user() {
        assert_eq!(user_of("Name:\tx\nUid:\t0\t1000\t0\t0\nGid:\t1\t1\t1\t1\n"), Some(1000));
        assert_eq!(user_of("Name:\tUid:\n"), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn listening_sockets_are_found_in_the_tables() {
        let sockets = HashSet::from(["4711".to_owned()]);
        let check = |line: &str, expected: Option<&str>| {
            let expected = expected.map(|text| text.parse().expect("an address"));
            assert_eq!(listening(line, &sockets), expected, "{line}");
        };
        let tail = "00000000:00000000 00:00000000 00000000  1000        0";
        check(&format!("0: 0100007F:1F90 00000000:0000 0A {tail} 4711 1"), Some("127.0.0.1:8080"));
        check(&format!("0: 0100007F:1F90 00000000:0000 01 {tail} 4711 1"), None);
        check(&format!("0: 0100007F:1F90 00000000:0000 0A {tail} 4712 1"), None);
        let six = "00000000000000000000000001000000:0050 00000000000000000000000000000000:0000";
        check(&format!("1: {six} 0A {tail} 4711 1"), Some("[::1]:80"));
        check("sl local_address rem_address st", None);
        check("", None);
    }

    #[test]
    fn its_own_sockets_are_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let expected = listener.local_addr().expect("bound");
        assert!(addresses(Path::new("/proc/self")).contains(&expected));
        let own = std::process::id() as i32;
        assert_eq!(NodeProcess::of(own), None, "a test is no node");
    }
}
