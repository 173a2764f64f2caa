//! TLS of the public listener: the certificate and its files, sessions without I/O, and the socket
//! that carries one. It knows neither HTTP nor WebSocket. A session holds no buffer while nothing
//! is under way: an idle connection behind TLS costs its keys and state only.

mod accept;
mod certificate_files;
mod pair;
mod server;
mod session;
mod tls_io;
mod tls_socket;
mod trusting;
mod validity;

pub(crate) use accept::HandshakeTurn;
pub(crate) use certificate_files::CertificateFiles;
pub(crate) use pair::PairError;
pub(crate) use server::TlsServer;
pub(crate) use tls_socket::TlsSocket;
pub(crate) use trusting::trusting_config;
