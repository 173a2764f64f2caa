//! An identity provider's keys on http over loopback: one JWKS, which may change at any time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::SigningKey;

/// How long a client may take for its request.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// A server of one JWKS, until the process ends.
#[derive(Debug)]
pub struct KeyServer {
    address: SocketAddr,
    body: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl KeyServer {
    /// Starts one with these keys.
    pub fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (body, asked) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicUsize::new(0)));
        let server = Self { address, body: Arc::clone(&body), asked: Arc::clone(&asked) };
        server.serve(keys);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                asked.fetch_add(1, Ordering::Relaxed);
                let body = body.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // A client that goes away asks again.
                let _ = answer(stream, &body);
            }
        });
        server
    }

    /// Where it is, for `auth.jwks_url`.
    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// Serves these keys from now on.
    pub fn serve(&self, keys: &[&SigningKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        let body = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        *self.body.lock().unwrap_or_else(PoisonError::into_inner) = body;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(mut stream: TcpStream, body: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_WITHIN))?;
    let mut head = [0; 4_096];
    let _whole = stream.read(&mut head)?;
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())
}
