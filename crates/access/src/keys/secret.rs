//! Secrets for HS256, HS384 and HS512, as `auth.hs_secret` and its file hold them.

use jsonwebtoken::DecodingKey;

use super::{KeyError, KeyFamily, VerifyingKey};

/// The least length of a secret in bytes: what RFC 7518, section 3.2, asks for HS256.
pub const MIN_SECRET_BYTES: usize = 32;
/// How many secrets may be tried: a few are enough to change one without a break.
pub const MAX_SECRETS: usize = 8;

/// Reads secrets, one a line. Blanks around a secret and empty lines do not count.
pub fn read_secrets(bytes: &[u8]) -> Result<Vec<VerifyingKey>, KeyError> {
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let secrets: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
    if secrets.is_empty() {
        return Err(KeyError::NoSecret);
    }
    if secrets.len() > MAX_SECRETS {
        return Err(KeyError::TooManySecrets);
    }
    if let Some(short) = secrets.iter().position(|secret| secret.len() < MIN_SECRET_BYTES) {
        return Err(KeyError::ShortSecret(short + 1));
    }
    let key = |secret| VerifyingKey {
        name: None,
        family: KeyFamily::Secret,
        only: None,
        key: DecodingKey::from_secret(secret),
    };
    Ok(secrets.into_iter().map(key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<usize, KeyError>) {
        assert_eq!(read_secrets(text.as_bytes()).map(|keys| keys.len()), expected, "{text:?}");
    }

    #[test]
    fn secrets_stand_one_a_line_and_are_bounded() {
        let good = "s".repeat(MIN_SECRET_BYTES);
        check(&good, Ok(1));
        check(&format!("\n{good}\r\n  {good}x \n\n"), Ok(2));
        check("", Err(KeyError::NoSecret));
        check(" \n\n", Err(KeyError::NoSecret));
        check(&format!("{good}\n{}", &good[1..]), Err(KeyError::ShortSecret(2)));
        check(&format!("{good}\n").repeat(MAX_SECRETS), Ok(MAX_SECRETS));
        check(&format!("{good}\n").repeat(MAX_SECRETS + 1), Err(KeyError::TooManySecrets));
        assert!(read_secrets(&[0xff; 32]).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_give_secrets_within_bounds_or_an_error(bytes: Vec<u8>) {
            if let Ok(keys) = read_secrets(&bytes) {
                prop_assert!((1..=MAX_SECRETS).contains(&keys.len()));
            }
        }
    }
}
