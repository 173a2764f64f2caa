//! The peers' servers on disk: this program holds their sources (`loadtest/peers`) and puts them
//! beside the build, in `target/peers`, where npm installs the packages that they stand on.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::print;
use anyhow::{Context, Result, bail};

/// Debian's nginx.
pub(super) const NGINX: &str = "/usr/sbin/nginx";
/// Debian's modules.
const MODULES: &str = "/usr/lib/nginx/modules";
/// What to do where Nchan does not start.
pub(super) const NCHAN_HELP: &str =
    "Nchan comes with Debian's packages nginx and libnginx-mod-nchan";
/// npm's list of what it is to install, and the copy of it beside what was installed.
const LOCK: &str = "package-lock.json";
const INSTALLED: &str = "installed.json";

const SOURCES: [(&str, &str); 4] = [
    ("package.json", include_str!("../../peers/package.json")),
    (LOCK, include_str!("../../peers/package-lock.json")),
    ("ws/server.mjs", include_str!("../../peers/ws/server.mjs")),
    ("socketio/server.mjs", include_str!("../../peers/socketio/server.mjs")),
];
const NCHAN: &str = include_str!("../../peers/nchan/nginx.conf");

/// The folder, beside the folder of this program's build.
fn folder() -> Result<PathBuf> {
    let me = std::env::current_exe().context("finding this program")?;
    // target/release/loadtest, or target/release/deps/loadtest-… in its own tests.
    let build = me.ancestors().find(|path| path.join("CACHEDIR.TAG").exists());
    Ok(build.or(me.parent()).context("this program has no folder")?.join("peers"))
}

/// The folder with the packages in it: installs them with `npm ci` if they are not there yet.
///
/// Fails without npm, or if it cannot reach the packages.
pub(super) fn installed() -> Result<PathBuf> {
    let folder = folder()?;
    for (name, text) in SOURCES {
        let path = folder.join(name);
        write(&path, text)?;
    }
    let lock = SOURCES.iter().find(|(name, _)| *name == LOCK).map(|(_, text)| *text);
    let there = fs::read_to_string(folder.join(INSTALLED)).ok();
    if there.as_deref() != lock {
        print::note(format_args!("installing the peers' packages into {}", folder.display()));
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        // Its own words would stand among the tables.
        let done = npm.current_dir(&folder).output().context("the peers' servers need npm")?;
        if !done.status.success() {
            bail!("npm ci failed: {}", String::from_utf8_lossy(&done.stderr));
        }
        fs::copy(folder.join(LOCK), folder.join(INSTALLED))?;
    }
    Ok(folder)
}

/// A folder for one nginx, and its configuration in it.
pub(super) fn nchan(addr: SocketAddr, redis: &str) -> Result<(PathBuf, PathBuf)> {
    let own = folder()?.join(format!("nchan-{}", addr.port()));
    let config = own.join("nginx.conf");
    fs::create_dir_all(&own)?;
    write(&config, &nchan_config(&own, addr.port(), redis))?;
    Ok((own, config))
}

fn nchan_config(folder: &Path, port: u16, redis: &str) -> String {
    let folder = folder.display().to_string();
    let values = [
        ("MODULES", MODULES),
        ("FOLDER", &folder),
        ("REDIS_URL", redis),
        ("PORT", &port.to_string()),
    ];
    values.iter().fold(NCHAN.to_owned(), |text, (name, value)| text.replace(name, value))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_of_the_configuration_is_filled_in() {
        let text = nchan_config(Path::new("/run/x"), 8_081, "redis://127.0.0.1:6379");
        for part in ["listen 127.0.0.1:8081 ", "pid /run/x/nginx.pid", "redis://127.0.0.1:6379"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        for name in ["MODULES", "FOLDER", "REDIS_URL", "PORT"] {
            assert!(!text.contains(name), "{name}: {text}");
        }
    }
}
