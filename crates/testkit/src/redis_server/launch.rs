//! How a `redis-server` is started: its arguments, its login, its place in a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::tls;

/// What a server is started with, and started again with.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    arguments: Vec<String>,
    login: Option<Login>,
    speaks_tls: bool,
    /// The names of its certificate, if they are not the usual ones.
    tls_names: Option<&'static str>,
    /// The configuration it begins with if it is a sentinel.
    sentinel: Option<String>,
}

/// What a client must say to be let in. Names and passwords are of characters that stand in a URL
/// as they are.
#[derive(Debug, Clone)]
pub struct Login {
    user: Option<String>,
    password: String,
}

impl Login {
    /// A password without a user's name (`requirepass`).
    pub fn password(password: &str) -> Self {
        Self { user: None, password: password.to_owned() }
    }

    /// An ACL user that may do everything; nobody gets in without a name.
    pub fn user(name: &str, password: &str) -> Self {
        Self { user: Some(name.to_owned()), password: password.to_owned() }
    }

    /// What stands before the address in a URL.
    pub(crate) fn in_url(&self) -> String {
        format!("{}:{}@", self.user.as_deref().unwrap_or_default(), self.password)
    }

    /// The user's name as ACL has it, and the password.
    pub(crate) fn parts(&self) -> [&str; 2] {
        [self.user.as_deref().unwrap_or("default"), &self.password]
    }

    fn arguments(&self) -> Vec<String> {
        let Some(user) = &self.user else {
            let password = &self.password;
            return ["--requirepass", password, "--masterauth", password].map(str::to_owned).into();
        };
        let secret = format!(">{}", self.password);
        let rules = ["--user", user, "on", &secret, "~*", "&*", "+@all"];
        let link = ["--masteruser", user, "--masterauth", &self.password];
        [&["--user", "default", "off"][..], &rules, &link]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }
}

impl Launch {
    /// Adds arguments, such as `["--appendonly", "yes"]`; they win over the testkit's own.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Lets only those in who say this, its own replicas and sentinels among them.
    #[must_use]
    pub fn login(mut self, login: impl Into<Option<Login>>) -> Self {
        self.login = login.into();
        self
    }

    /// Makes it speak nothing but TLS on its port, with a certificate for 127.0.0.1 and localhost.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.speaks_tls = true;
        self
    }

    /// The same with a certificate for other names, such as `DNS:example.com`.
    #[must_use]
    pub fn tls_as(self, names: &'static str) -> Self {
        Self { tls_names: Some(names), ..self.tls() }
    }

    /// Makes it a sentinel that begins with this configuration.
    pub(crate) fn sentinel(mut self, configuration: String) -> Self {
        self.sentinel = Some(configuration);
        self
    }

    pub(crate) fn who(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    pub(super) fn speaks_tls(&self) -> bool {
        self.speaks_tls
    }

    /// What the server writes into its log when it takes connections.
    pub(super) fn ready_line(&self) -> &'static str {
        if self.sentinel.is_some() { "Sentinel ID is" } else { "Ready to accept connections" }
    }

    /// Puts what a server needs into its empty folder.
    pub(super) fn furnish(&self, folder: &Path) {
        fs::create_dir(data(folder)).expect("a folder for the data");
        if let Some(configuration) = &self.sentinel {
            fs::write(folder.join("sentinel.conf"), configuration).expect("a writable folder");
        }
        if self.speaks_tls {
            tls::write_certificates(folder, self.tls_names.unwrap_or("DNS:localhost,IP:127.0.0.1"));
        }
    }

    /// Starts it without waiting.
    pub(super) fn spawn(&self, port: u16, folder: &Path) -> Child {
        // What an earlier run on this folder wrote says nothing of this one.
        let _ = fs::remove_file(log(folder));
        let mut command = Command::new("redis-server");
        let port = port.to_string();
        if self.sentinel.is_some() {
            command.arg(folder.join("sentinel.conf")).args(["--sentinel", "--port", &port]);
        } else {
            // A diskless sync begins late, and what is written in the first second after one has
            // not reached the replica when its link is said to be up.
            command.args(["--save", "", "--appendonly", "no", "--repl-diskless-sync", "no"]);
            if self.speaks_tls {
                command.args(["--port", "0", "--tls-port", &port]).args(tls::arguments(folder));
                command.arg("--unixsocket").arg(socket(folder));
            } else {
                command.args(["--port", &port]);
            }
        }
        command
            .args(["--bind", "127.0.0.1", "--daemonize", "no"])
            .arg("--dir")
            .arg(data(folder))
            .arg("--logfile")
            .arg(log(folder))
            .args(self.login.iter().flat_map(Login::arguments))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed")
    }
}

pub(super) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

pub(super) fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// The way of the testkit's own commands to a server that speaks TLS.
pub(super) fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}
