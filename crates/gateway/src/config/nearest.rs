//! The key that was meant, for one that does not exist.

use super::{SECTIONS, namespace_keys, namespaces};

/// The known key that is most like what was typed, if one is like it.
pub(super) fn nearest_key(typed: &str) -> Option<String> {
    let typed = typed.trim();
    let plain = plain(typed);
    let own = typed.strip_prefix("namespaces.").and_then(|rest| rest.split_once('.'));
    let own = own.map(|(name, _)| name).filter(|name| namespaces::is_name(name));
    let mut best = None;
    for section in SECTIONS {
        for key in section.keys {
            let full = match own {
                Some(name) if section.name == namespace_keys::SECTION.name => {
                    format!("namespaces.{name}.{}", key.name)
                }
                _ => key.full_name(section),
            };
            // Without its section, only the name itself is meant.
            let alone = plain == key.name;
            let steps = if alone { 1 } else { distance(&plain, &self::plain(&full)) };
            if steps <= (plain.len() / 4).clamp(1, 4)
                && best.as_ref().is_none_or(|(least, _)| steps < *least)
            {
                best = Some((steps, full));
            }
        }
    }
    best.map(|(_, key)| key)
}

/// A key as it is compared: in any of the ways to separate its words.
fn plain(key: &str) -> String {
    let letter = |c: char| if matches!(c, '.' | '-' | ' ') { '_' } else { c.to_ascii_lowercase() };
    let mut plain: String = key.chars().map(letter).collect();
    while plain.contains("__") {
        plain = plain.replace("__", "_");
    }
    plain
}

/// How many letters are to be put in, left out, changed or swapped with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = rows[i][j] + usize::from(a != b);
            let mut least = changed.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_was_meant_is_found() {
        for (typed, meant) in [
            ("limits.log_byte", Some("limits.log_bytes")),
            ("http.lisen", Some("http.listen")),
            ("http_listen", Some("http.listen")),
            ("HTTP_LISTEN", Some("http.listen")),
            ("bus.redis-url", Some("bus.redis_url")),
            ("bus.redisurl", Some("bus.redis_url")),
            ("redis_url", Some("bus.redis_url")),
            ("insecur", Some("insecure")),
            ("namespaces.chat.slwo", Some("namespaces.chat.slow")),
            ("namespaces.default.history_sizes", Some("namespaces.default.history_size")),
            ("limit.message_bytes", Some("limits.message_bytes")),
            ("limits.no_such_key", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest_key(typed).as_deref(), meant, "{typed}");
        }
    }

    #[test]
    fn every_key_is_nearest_to_itself() {
        for section in SECTIONS {
            for key in section.keys {
                let name = key.full_name(section);
                assert_eq!(nearest_key(&name), Some(name.clone()));
                assert_eq!(nearest_key(&name.replace('.', "_")), Some(name));
            }
        }
    }

    #[test]
    fn distances_are_counted_in_letters() {
        for (one, other, steps) in
            [("", "", 0), ("a", "", 1), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "xbcd", 2)]
        {
            assert_eq!(distance(one, other), steps, "{one} {other}");
            assert_eq!(distance(other, one), steps, "{other} {one}");
        }
    }
}
