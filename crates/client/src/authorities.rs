//! Which authorities a client trusts behind `wss://`, and how it speaks TLS. It opens nothing.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use crate::OptionsError;

/// How a client speaks TLS: versions 1.2 and 1.3, ALPN `http/1.1`. `ca` holds certificates (PEM) of
/// the authorities to trust; `None`: those that the system trusts. Fails if there are none.
pub fn tls_config(ca: Option<&[u8]>) -> Result<Arc<ClientConfig>, OptionsError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(pem) => {
            let authorities = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
            for authority in authorities.map_err(|_| OptionsError::BadAuthority)? {
                roots.add(authority).map_err(|_| OptionsError::BadAuthority)?;
            }
            if roots.is_empty() {
                return Err(OptionsError::BadAuthority);
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err(OptionsError::NoAuthorities);
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider speaks both");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_certificate_in_pem() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bytes in ["", "no certificate", broken] {
            assert_eq!(tls_config(Some(bytes.as_bytes())).err(), Some(OptionsError::BadAuthority));
        }
    }
}
