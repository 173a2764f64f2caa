//! Whether a connection ended as none of this run may: refused for what the client is or shows, or
//! closed for it. What a node does while it drains, starts or lost Redis is another matter. Pure.

/// Statuses of a refused handshake.
const STATUSES: [u16; 4] = [400, 401, 403, 429];
/// Close codes: too much was sent, the token ended, a ban, an order, another connection.
const CODES: [u16; 5] = [4003, 4100, 4501, 4502, 4503];
/// The words before the number, in the words of the load's links and of the Rust client.
const BEFORE: [&str; 4] =
    ["answered with \"HTTP/1.1 ", "closed by the server: ", "refused with ", "closed with "];

/// Judges the reason of an end, in words.
pub(super) fn is_turned_away(why: &str) -> bool {
    let number = |before: &&str| {
        let (_, rest) = why.split_once(before)?;
        rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse::<u16>().ok()
    };
    let numbers = BEFORE.iter().filter_map(number);
    numbers.into_iter().any(|number| STATUSES.contains(&number) || CODES.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        for bad in [
            "the upgrade was answered with \"HTTP/1.1 401 Unauthorized\"",
            "closed by the server: 4100 expired",
            "the handshake was refused with 429 Too Many Requests (rate_limited)",
            "closed with 4503 replaced",
        ] {
            assert!(is_turned_away(bad), "{bad}");
        }
        for passing in [
            "the upgrade was answered with \"HTTP/1.1 503 Service Unavailable\"",
            "closed by the server: 1012 service restart",
            "closed with 1013 try again",
            "the handshake was refused with 503 Service Unavailable (not_ready)",
            "reading: connection reset by 4100",
            "nothing was heard from the node",
        ] {
            assert!(!is_turned_away(passing), "{passing}");
        }
    }
}
