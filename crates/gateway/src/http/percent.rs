//! Percent-encoding (RFC 3986, section 2.1). Pure.

/// Undoes it. Fails with what is wrong: an escape that is none, or bytes that are no UTF-8.
pub(super) fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.map(char::from));
                let [Some(high), Some(low)] = digits.map(|d| d.and_then(|d| d.to_digit(16))) else {
                    return Err(format!("{text:?} has a % without two hex digits"));
                };
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| format!("{text:?} is no UTF-8"))
}
