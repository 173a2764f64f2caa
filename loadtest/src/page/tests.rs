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
