//! Cases of the report's page.

use super::*;
use crate::run::sample_outcome;

#[test]
fn a_report_needs_nothing_else_and_holds_every_plot() {
    let page = html(&sample_outcome());
    assert_eq!(page.matches("<svg").count(), 6);
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
    for words in ["prefers-color-scheme: dark", "99%", "a node is killed", "node 2", "&lt;b&gt;"] {
        assert!(page.contains(words), "{words}");
    }
    // Node 3 is killed after the second second: its line ends, and the axis is that of the others.
    let memory = page.split("Resident memory").last().unwrap();
    let points = |colour: &str| {
        let path = memory.split(&format!("line {colour}\"")).nth(1).unwrap();
        path.split("d=\"").nth(1).unwrap().split('"').next().unwrap().matches(['M', 'L']).count()
    };
    assert_eq!((points("c0"), points("c2")), (4, 2), "{memory}");
    assert!(!page.contains("NaN") && !page.contains("Nothing was measured"), "{page}");
}

#[test]
fn the_verdict_is_what_the_tally_says() {
    let mut run = sample_outcome();
    assert!(html(&run).contains("class=\"verdict good\""));
    run.tally.missing = 3;
    assert!(html(&run).contains("class=\"verdict so\""));
    run.tally.untold = 3;
    assert!(html(&run).contains("class=\"verdict bad\""));
}

#[test]
fn a_run_on_a_busy_machine_is_marked() {
    let mut run = sample_outcome();
    assert!(!html(&run).contains("Warning"));
    run.cost.as_mut().unwrap().waited = 0.73;
    assert!(html(&run).contains("Warning: kept waiting 73.0 %"));
}
