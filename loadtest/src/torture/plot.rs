//! Draws a run as SVG.

use super::judges::Judges;

/// The drawing.
pub(super) fn svg(_judges: &Judges, _replay: &str) -> String {
    String::new()
}
