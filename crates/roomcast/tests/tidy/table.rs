//! Tables of a Markdown document.

/// The rows of the table whose first cell of the header is this: their cells, without backquotes.
pub(crate) fn rows(document: &str, header: &str) -> Vec<Vec<String>> {
    let begin = format!("| {header} |");
    let mut lines = document.lines().skip_while(|line| !line.starts_with(&begin));
    assert!(lines.next().is_some(), "the document has no table {header:?}");
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(cells).collect()
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.replace('`', "").trim().to_owned()).collect()
}

/// The names in a cell, which are separated by commas.
pub(crate) fn list(cell: &str) -> impl Iterator<Item = String> {
    cell.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[test]
fn rows_are_those_of_the_named_table() {
    let document = "| A | b |\n| - | - |\n| x | y |\n\n| Part | Imports |\n| --- | --- |\n\
                    | `one` | `two`, `three` |\n| `two` | |\n\n| after | z |\n";
    let rows = rows(document, "Part");
    assert_eq!(rows, [["one", "two, three"], ["two", ""]]);
    assert_eq!(list(&rows[0][1]).collect::<Vec<_>>(), ["two", "three"]);
    assert_eq!(list(&rows[1][1]).count(), 0);
}
