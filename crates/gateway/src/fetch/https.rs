//! Fetches a document by its URL, over TLS or without. It follows no redirect: where keys come from
//! is the configuration's word, not the server's.

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode, Uri};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{FetchError, exchange};

/// The body of the 200 that the URL answers, at most so many bytes. `authorities` (PEM) are what
/// the server is checked against; `None`: the system's. The caller bounds how long this may take.
pub(crate) async fn fetch_url(
    url: &str,
    authorities: Option<&[u8]>,
    most: usize,
) -> Result<Bytes, FetchError> {
    let url: Uri = url.parse()?;
    let host = url.host().ok_or("the address has no host")?.trim_matches(['[', ']']);
    let authority = url.authority().map(|authority| authority.as_str()).unwrap_or(host);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/json")
        .body(Bytes::new())?;
    let is_plain = url.scheme_str() == Some("http");
    let port = url.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
    let socket = TcpStream::connect((host, port)).await?;
    let answer = if is_plain {
        exchange(socket, request, most).await?
    } else {
        let name = ServerName::try_from(host.to_owned())?;
        let connector = TlsConnector::from(Arc::new(tls_config(authorities)?));
        exchange(connector.connect(name, socket).await?, request, most).await?
    };
    match answer.status() {
        StatusCode::OK => Ok(answer.into_body()),
        status => Err(format!("the server answers {status}").into()),
    }
}

fn tls_config(authorities: Option<&[u8]>) -> Result<ClientConfig, FetchError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate?)?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
        }
    }
    if roots.is_empty() {
        return Err("there is no authority to check the server against".into());
    }
    let versions = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
