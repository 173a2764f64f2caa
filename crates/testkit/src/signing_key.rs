//! A key that signs tokens by ES256, as an identity provider has it: made by the `openssl` program,
//! for the reason that certificates are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A point of P-256 at the end of a public key in DER: two numbers of 32 bytes.
const POINT_BYTES: usize = 64;

/// A key pair in a folder: `NAME.key` (private) and `NAME.pem` (public).
#[derive(Debug)]
pub struct SigningKey {
    name: String,
    public: PathBuf,
    private: Vec<u8>,
    point: Vec<u8>,
}

impl SigningKey {
    /// Makes one. Its name is the `kid` of its tokens.
    pub fn create(folder: &Path, name: &str) -> Self {
        let [private, public, der] = ["key", "pem", "der"].map(|kind| format!("{name}.{kind}"));
        let pkcs8 = format!("{name}.p8");
        let curve = "ec_paramgen_curve:prime256v1";
        let generate = ["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", &private];
        openssl(folder, &generate);
        openssl(folder, &["pkey", "-in", &private, "-pubout", "-out", &public]);
        openssl(folder, &["pkey", "-in", &private, "-pubout", "-outform", "DER", "-out", &der]);
        let to_pkcs8 = ["pkcs8", "-topk8", "-nocrypt", "-in", &private, "-outform", "DER"];
        openssl(folder, &[&to_pkcs8[..], &["-out", &pkcs8]].concat());
        let read = |name: &str| fs::read(folder.join(name)).expect("openssl wrote it");
        let der = read(&der);
        Self {
            name: name.to_owned(),
            public: folder.join(public),
            private: read(&pkcs8),
            point: der[der.len() - POINT_BYTES..].to_vec(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of its public half (PEM).
    pub fn public(&self) -> PathBuf {
        self.public.clone()
    }

    /// Its private half (PKCS 8, DER).
    pub fn private(&self) -> &[u8] {
        &self.private
    }

    /// Its public half as a JWK (RFC 7517).
    pub fn jwk(&self) -> String {
        let (x, y) = self.point.split_at(POINT_BYTES / 2);
        let [x, y] = [x, y].map(base64url);
        format!(r#"{{"kty":"EC","crv":"P-256","kid":"{}","x":"{x}","y":"{y}"}}"#, self.name)
    }
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let padded = [three[0], *three.get(1).unwrap_or(&0), *three.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for place in 0..=three.len() {
            text.push(LETTERS[(bits >> (18 - 6 * place)) as usize & 63].into());
        }
    }
    text
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output();
    let output = output.expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_that_of_the_rfc() {
        for (bytes, text) in
            [(&b"f"[..], "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"\xfb\xff\xfe", "-__-")]
        {
            assert_eq!(base64url(bytes), text);
        }
    }
}
