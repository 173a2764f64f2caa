//! What of a file's tokens is product: everything outside of items that only tests compile.

/// The tokens without each item, field, variant, arm or statement under `#[cfg(test)]`.
pub(crate) fn without_tests<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let mut product = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_cfg_test(&tokens[at..]) {
            at = end_of_item(tokens, at);
        } else {
            product.push(tokens[at]);
            at += 1;
        }
    }
    product
}

/// `#[cfg(test)]`, or a `cfg` that wants it and more.
fn is_cfg_test(tokens: &[&str]) -> bool {
    let plain = tokens.starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]);
    plain || tokens.starts_with(&["#", "[", "cfg", "(", "all", "(", "test"])
}

/// The index after the item whose first attribute is at `at`.
fn end_of_item(tokens: &[&str], mut at: usize) -> usize {
    while tokens[at..].starts_with(&["#", "["]) {
        at = after_group(tokens, at + 1);
    }
    let ends = Ends::of(&tokens[at..]);
    while at < tokens.len() {
        match tokens[at] {
            "{" if ends != Ends::Semicolon => {
                at = after_group(tokens, at);
                // An arm's comma may follow its block.
                let comma = ends == Ends::Comma && tokens.get(at) == Some(&",");
                return at + usize::from(comma);
            }
            "(" | "[" | "{" => at = after_group(tokens, at),
            ")" | "]" | "}" => return at,
            ";" => return at + 1,
            "," if ends == Ends::Comma => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Where an item ends at the latest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// `use`, `const`, `let` and the like, whatever blocks they hold.
    Semicolon,
    /// Functions, types and modules: at a block, or without one at a semicolon.
    Block,
    /// Fields, variants and arms.
    Comma,
}

impl Ends {
    fn of(item: &[&str]) -> Self {
        let mut words = item.iter().copied();
        let first = words.find(|word| !["pub", "(", "crate", "super", ")"].contains(word));
        let second = words.next();
        match first.unwrap_or_default() {
            "const" if second == Some("fn") => Self::Block,
            "use" | "const" | "static" | "type" | "let" => Self::Semicolon,
            "fn" | "async" | "struct" | "enum" | "trait" | "impl" | "mod" => Self::Block,
            _ => Self::Comma,
        }
    }
}

/// The index after the group that opens at `at`.
pub(crate) fn after_group(tokens: &[&str], at: usize) -> usize {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 1 => return index + 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

#[test]
fn items_of_tests_are_left_out() {
    for (text, expected) in [
        ("a #[cfg(test)] mod tests { b } c", "a c"),
        ("a #[cfg(test)] #[path = \"x\"] mod tests; c", "a c"),
        ("#[cfg(test)] use a::{b, c}; d", "d"),
        ("#[cfg(test)] fn f<A, B>(a: A) -> B { a } d", "d"),
        ("#[cfg(all(test, unix))] struct A(u8); d", "d"),
        ("#[cfg(test)] const X: [A; 2] = [A { b: 1 }, A { b: 2 }]; d", "d"),
        ("enum E { A, #[cfg(test)] B(Vec<u8>), C }", "enum E { A , C }"),
        ("match x { A => 1, #[cfg(test)] B => 2, C => 3 }", "match x { A => 1 , C => 3 }"),
        ("match x { #[cfg(test)] B => { 2 }, C => 3 }", "match x { C => 3 }"),
        ("struct S { a: A, #[cfg(test)] b: B }", "struct S { a : A , }"),
        ("#[cfg(any(test, unix))] use a;", "# [ cfg ( any ( test , unix ) ) ] use a ;"),
    ] {
        let tokens = crate::tokens::tokens(text);
        assert_eq!(without_tests(&tokens).join(" ").replace("= >", "=>"), expected, "{text}");
    }
}
