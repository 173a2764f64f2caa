//! A backend: an API key and its requests, each on a connection of its own.

use std::net::SocketAddr;

use roomcast_access::api_key::{API_SECRET_BYTES, NewApiKey};
use serde_json::Value;

use super::{RawClient, Response};

/// The key of a backend.
pub struct Backend {
    name: &'static str,
    key: NewApiKey,
}

impl Backend {
    /// A backend of this name, always with the same secret.
    pub fn new(name: &'static str) -> Self {
        Self { name, key: NewApiKey::generate(name, [7; API_SECRET_BYTES]).unwrap() }
    }

    /// The settings of its key.
    pub fn settings(&self, scopes: &str) -> [String; 2] {
        let Self { name, key } = self;
        [
            format!("api_keys.{name}.sha256={}", key.sha256),
            format!("api_keys.{name}.scopes={scopes}"),
        ]
    }

    /// What it sends in `Authorization`.
    pub fn presented(&self) -> &str {
        &self.key.presented
    }

    /// Sends a request, with headers of one's own (each with its line end), and reads the answer.
    pub async fn send(
        &self,
        address: SocketAddr,
        (method, path): (&str, &str),
        headers: &str,
        body: &str,
    ) -> Response {
        let mut client = RawClient::connect(address).await;
        let (key, length) = (self.presented(), body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {key}\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        );
        client.write(request.as_bytes()).await;
        client.response().await
    }

    /// The status and the body of the answer to a POST.
    pub async fn post(&self, address: SocketAddr, path: &str, body: Value) -> (u16, Value) {
        read(&self.send(address, ("POST", path), "", &body.to_string()).await)
    }

    /// The status and the body of the answer to a GET.
    pub async fn get(&self, address: SocketAddr, path: &str) -> (u16, Value) {
        read(&self.send(address, ("GET", path), "", "").await)
    }

    /// The status of the answer to a DELETE.
    pub async fn delete(&self, address: SocketAddr, path: &str) -> u16 {
        self.send(address, ("DELETE", path), "", "").await.status
    }
}

/// An answer's status and body, `null` without one.
pub fn read(response: &Response) -> (u16, Value) {
    let body = match response.body.is_empty() {
        true => Value::Null,
        false => serde_json::from_str(&response.body).unwrap(),
    };
    (response.status, body)
}
