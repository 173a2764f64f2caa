//! Holds `docs/protocol.md` to the program: its tables of codes, and every example.

use std::collections::BTreeSet;

use roomcast_protocol::{ClientFrame, CloseCode, Encoding, ErrorCode, FrameType, ServerFrame};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    std::fs::read_to_string(path).expect("the page is there")
}

/// The cells of the one table under a heading, without its head; code marks are dropped.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect("the heading is there");
    let section = section.split("\n## ").next().expect("a split has a first part");
    section
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(|c| c.trim().replace('`', "")).collect())
        .collect()
}

#[test]
fn the_error_codes_are_those_of_the_program() {
    let documented: Vec<_> =
        table(&page(), "Error codes").into_iter().map(|row| row[0].clone()).collect();
    let actual: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(documented, actual);
}

#[test]
fn the_close_codes_are_those_of_the_program() {
    let documented: Vec<_> =
        table(&page(), "Close codes").iter().map(|row| row[..3].to_vec()).collect();
    let row = |code: &CloseCode| {
        let comes_back = if CloseCode::reconnects(code.code()) { "yes" } else { "no" };
        vec![code.code().to_string(), code.reason().to_owned(), comes_back.to_owned()]
    };
    assert_eq!(documented, CloseCode::ALL.iter().map(row).collect::<Vec<_>>());
    for (code, comes_back) in
        [(1006, true), (3499, true), (3500, false), (4499, true), (4500, false)]
    {
        assert_eq!(CloseCode::reconnects(code), comes_back, "{code}");
    }
}

/// Every example decodes and is written again as it stands; every frame type has one.
#[test]
fn the_examples_are_frames() {
    let page = page();
    let mut seen = BTreeSet::new();
    for (at, fence) in page.match_indices("```json ") {
        let (direction, rest) = page[at + fence.len()..].split_once('\n').unwrap();
        let (text, _) = rest.split_once("\n```").unwrap();
        let mut again = Vec::new();
        let name = match direction {
            "client" => {
                let frame = ClientFrame::decode(Encoding::Json, text.as_bytes()).expect(text);
                frame.encode(Encoding::Json, &mut again);
                frame.frame_type().as_str()
            }
            "server" => {
                let frame = ServerFrame::decode(Encoding::Json, text.as_bytes()).expect(text);
                frame.encode(Encoding::Json, &mut again);
                frame.type_name()
            }
            other => panic!("an example goes from client or server, not {other}"),
        };
        assert_eq!(String::from_utf8(again).unwrap(), text);
        seen.insert((direction.to_owned(), name));
    }
    let client = FrameType::ALL.map(|frame| ("client".to_owned(), frame.as_str()));
    let server = ServerFrame::TYPES.map(|name| ("server".to_owned(), name));
    assert_eq!(seen, client.into_iter().chain(server).collect());
}
