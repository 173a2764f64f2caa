//! Rust text as tokens, without comments and without what is in literals. It knows as much of the
//! language as the rules need: identifiers, `::`, and single characters.

/// The tokens of a text; a string literal is `""`, a character is `''`.
pub(crate) fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(length) = string(rest) {
            tokens.push("\"\"");
            length
        } else if let Some(length) = character(rest) {
            tokens.push("''");
            length
        } else {
            let length = match () {
                () if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                () if rest.starts_with("::") => 2,
                () => first.len_utf8(),
            };
            tokens.push(&rest[..length]);
            length
        };
        rest = &rest[length..];
    }
    tokens
}

/// Whether a token is an identifier, a keyword or a number.
pub(crate) fn is_name(token: &str) -> bool {
    token.chars().next().is_some_and(is_word)
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// The length of a block comment, which may hold others.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    for (at, _) in text.char_indices() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => depth += 1,
            // The slash that ends one is still to come.
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a string literal of any kind, if the text begins with one.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let rest = text.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    })?;
    let after = &text[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        let body = prefix.len() + hashes + 1;
        return Some(text[body..].find(&end).map_or(text.len(), |at| body + at + end.len()));
    }
    if hashes > 0 {
        return None;
    }
    let mut escaped = false;
    let end = after[1..].find(|char| {
        let ends = char == '"' && !escaped;
        escaped = char == '\\' && !escaped;
        ends
    });
    Some(end.map_or(text.len(), |at| prefix.len() + at + 2))
}

/// The length of a character literal, if the text begins with one and not with a lifetime.
fn character(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'').or_else(|| text.strip_prefix("b'"))?;
    let begin = text.len() - body.len();
    let mut chars = body.char_indices();
    if let Some((_, '\\')) = chars.next() {
        chars.next();
        return chars.find(|(_, char)| *char == '\'').map(|(at, _)| begin + at + 1);
    }
    let (at, end) = chars.next()?;
    (end == '\'').then_some(begin + at + 1)
}

#[test]
fn literals_and_comments_hide_their_words() {
    for (text, expected) in [
        ("use a::b;", &["use", "a", "::", "b", ";"][..]),
        ("a // crate::b\nc", &["a", "c"]),
        ("a /* x /* y */ z */ b", &["a", "b"]),
        (
            r#"f("crate::\"x", 'c', '\'', b'\n')"#,
            &["f", "(", "\"\"", ",", "''", ",", "''", ",", "''", ")"],
        ),
        (r###"r#"a"b"# r"\" x"###, &["\"\"", "\"\"", "x"]),
        ("&'a str, '{', 'ß'", &["&", "'", "a", "str", ",", "''", ",", "''"]),
        ("bridge(cr, b)", &["bridge", "(", "cr", ",", "b", ")"]),
    ] {
        assert_eq!(tokens(text), expected, "{text}");
    }
}
