//! An nginx that ends TLS before a plain node, as many have it: one worker, no log of requests, else
//! what Debian's package sets. Without a master, so that it is one process to count.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// The program.
pub(super) const PROGRAM: &str = "/usr/sbin/nginx";
/// What to do where it is missing.
pub(super) const HELP: &str = "nginx is missing: install Debian's package `nginx`";

const CONFIG: &str = "\
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid @FOLDER@/nginx.pid;
error_log @FOLDER@/nginx.log;
events { worker_connections 19000; }
http {
    access_log off;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    client_body_temp_path @FOLDER@/body;
    proxy_temp_path @FOLDER@/proxy;
    fastcgi_temp_path @FOLDER@/fastcgi;
    uwsgi_temp_path @FOLDER@/uwsgi;
    scgi_temp_path @FOLDER@/scgi;
    server {
        listen 127.0.0.1:@FRONT@ ssl backlog=4096;
        ssl_certificate @CERT@;
        ssl_certificate_key @KEY@;
        location / {
            proxy_pass http://127.0.0.1:@NODE@;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout 1h;
        }
    }
}
";

/// Writes its configuration: it listens at the first port and goes to the second.
pub(super) fn config(
    folder: &Path,
    (front, node): (u16, u16),
    (cert, key): &(PathBuf, PathBuf),
) -> Result<PathBuf> {
    let values = [
        ("@FOLDER@", folder.display().to_string()),
        ("@CERT@", cert.display().to_string()),
        ("@KEY@", key.display().to_string()),
        ("@FRONT@", front.to_string()),
        ("@NODE@", node.to_string()),
    ];
    let text =
        values.iter().fold(CONFIG.to_owned(), |text, (name, value)| text.replace(name, value));
    let path = folder.join("nginx.conf");
    fs::write(&path, text)?;
    Ok(path)
}
