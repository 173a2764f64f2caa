//! Draws a run as SVG.

use super::load::Judges;

/// The drawing.
pub(super) fn svg(_judges: &Judges, _replay: &str) -> String {
    String::new()
}
