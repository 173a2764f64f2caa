//! A plot of lines over one axis, as SVG inside an HTML page: colours are the page's variables, so
//! that it is light or dark as the page is. Pure text.

use std::fmt::Write;

use crate::svg::{escape, short, text};

/// The whole picture.
const SIZE: (f64, f64) = (720.0, 240.0);
/// The plot within it.
const PLOT: (f64, f64) = (620.0, 190.0);
/// Its upper left corner.
const CORNER: (f64, f64) = (70.0, 20.0);
/// Steps of the y axis, about.
const STEPS: f64 = 4.0;
/// The least that a `Near` axis spans, as a share of its highest value.
const LEAST_SPAN: f64 = 0.05;
/// The first curve of a plot is the widest and each later one, drawn above it, is thinner: where
/// curves lie upon each other all of them are seen. In units of the picture.
const WIDEST: f64 = 6.0;
const THINNEST: f64 = 2.0;

/// One line, as (x, y).
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// How y values become heights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From 0 on.
    Linear,
    /// From just below the smallest value on: for values that differ by little.
    Near,
    /// In powers of ten.
    Log,
}

/// What a plot shows besides its curves.
#[derive(Debug, Clone)]
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) scale: Scale,
    /// Where the x axis has a mark, and with which words.
    pub(crate) ticks: Vec<(f64, String)>,
    /// Moments that are pointed at.
    pub(crate) events: Vec<(f64, String)>,
}

/// The range of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        values.fold(None, |range: Option<Self>, value| {
            let range = range.unwrap_or(Self { low: value, high: value });
            Some(Self { low: range.low.min(value), high: range.high.max(value) })
        })
    }

    fn place(self, value: f64) -> f64 {
        let length = self.high - self.low;
        if length > 0.0 { ((value - self.low) / length).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// A plot with its title and legend; a note where there is nothing to show.
pub(crate) fn figure(frame: &Frame<'_>, curves: &[Curve]) -> String {
    let mut out = format!("<figure><figcaption><b>{}</b>", escape(frame.title));
    for (number, curve) in curves.iter().enumerate() {
        let name = escape(&curve.name);
        let _ = write!(out, "<span class=\"key c{}\">{name}</span>", number % COLOURS);
    }
    out.push_str("</figcaption>\n");
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let xs = Range::of(points().map(|point| point.0).chain(frame.ticks.iter().map(|tick| tick.0)));
    match (xs, points().next()) {
        (Some(xs), Some(_)) => draw(&mut out, frame, (xs, curves)),
        _ => out.push_str("<p>Nothing was measured.</p>\n"),
    }
    out.push_str("</figure>\n");
    out
}

/// Colours that the page has.
pub(super) const COLOURS: usize = 6;

fn draw(out: &mut String, frame: &Frame<'_>, (xs, curves): (Range, &[Curve])) {
    let (left, top) = CORNER;
    let lines = lines(frame.scale, curves.iter().flat_map(|curve| &curve.points).map(|it| it.1));
    let ys = Range::of(lines.iter().map(|&value| height(frame.scale, value)));
    let ys = ys.unwrap_or(Range { low: 0.0, high: 1.0 });
    let at = |(x, y): (f64, f64)| {
        let up = ys.place(height(frame.scale, y));
        (left + xs.place(x) * PLOT.0, top + (1.0 - up) * PLOT.1)
    };
    let (width, tall) = SIZE;
    let title = escape(frame.title);
    let _ =
        writeln!(out, "<svg viewBox=\"0 0 {width} {tall}\" role=\"img\" aria-label=\"{title}\">");
    for &line in &lines {
        let y = at((xs.low, line)).1;
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{left} {y:.1}h{}\"/>", PLOT.0);
        text(out, (left - 8.0, y + 4.0), "end", "", &short(line));
    }
    text(out, (left - 8.0, top - 8.0), "end", "class=\"unit\"", frame.unit);
    for (x, words) in &frame.ticks {
        let (x, _) = at((*x, 0.0));
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{x:.1} {top}v{}\"/>", PLOT.1);
        text(out, (x, top + PLOT.1 + 20.0), "middle", "", words);
    }
    for (x, words) in &frame.events {
        let (x, _) = at((*x, 0.0));
        let _ = writeln!(out, "<path class=\"event\" d=\"M{x:.1} {top}v{}\"/>", PLOT.1);
        text(out, (x + 5.0, top + 12.0), "start", "class=\"event\"", words);
    }
    for (number, curve) in curves.iter().enumerate() {
        let mut path = String::new();
        for (index, &point) in curve.points.iter().enumerate() {
            let (x, y) = at(point);
            let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
        }
        let (colour, name) = (number % COLOURS, escape(&curve.name));
        let width = stroke(number, curves.len());
        let _ = writeln!(
            out,
            "<path class=\"line c{colour}\" stroke-width=\"{width}\" d=\"{path}\">\
             <title>{name}</title></path>"
        );
    }
    out.push_str("</svg>\n");
}

/// How wide a curve is, of so many.
fn stroke(number: usize, curves: usize) -> f64 {
    let below = curves.saturating_sub(number + 1) as f64;
    (THINNEST + 2.0 * below).min(WIDEST)
}

fn height(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Linear | Scale::Near => value,
        Scale::Log => value.max(1e-6).log10(),
    }
}

/// Values at which the y axis has its lines: round ones that enclose all.
fn lines(scale: Scale, values: impl Iterator<Item = f64>) -> Vec<f64> {
    let positive = |value: &f64| scale != Scale::Log || *value > 0.0;
    let range = Range::of(values.filter(positive)).unwrap_or(Range { low: 0.0, high: 1.0 });
    match scale {
        Scale::Log => {
            let low = range.low.max(1e-6).log10().floor() as i32;
            let high = (range.high.max(1e-6).log10().ceil() as i32).max(low + 1);
            (low..=high).map(|decade| 10f64.powi(decade)).collect()
        }
        Scale::Linear => enclosing(Range { low: 0.0, ..range }),
        Scale::Near => {
            // Noise alone does not fill the plot.
            let least = range.high.abs() * LEAST_SPAN;
            let low = range.low.min(range.high - least).max(0.0).min(range.low);
            enclosing(Range { low, ..range })
        }
    }
}

/// Multiples of a round step around a range.
fn enclosing(Range { low, high }: Range) -> Vec<f64> {
    let step = round_up((high - low).max(1e-9) / STEPS);
    let first = (low / step).floor() as i64;
    let last = ((high / step).ceil() as i64).max(first + 1);
    (first..=last).map(|line| line as f64 * step).collect()
}

/// The next of 1, 2, 5, 10, 20 and so on.
pub(super) fn round_up(value: f64) -> f64 {
    let unit = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * unit);
    steps.into_iter().find(|step| *step >= value * (1.0 - 1e-9)).unwrap_or(10.0 * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers_around_the_values() {
        assert_eq!(lines(Scale::Linear, [3.0, 87.0].into_iter()), [0.0, 50.0, 100.0]);
        assert_eq!(lines(Scale::Linear, [0.0].into_iter()).first(), Some(&0.0));
        assert_eq!(lines(Scale::Near, [31.2, 33.9].into_iter()), [31.0, 32.0, 33.0, 34.0]);
        assert_eq!(lines(Scale::Near, [20.0, 20.01].into_iter()), [19.0, 19.5, 20.0, 20.5]);
        assert_eq!(lines(Scale::Near, [0.0].into_iter()).first(), Some(&0.0));
        assert_eq!(lines(Scale::Log, [0.0, 0.4, 37.0].into_iter()), [0.1, 1.0, 10.0, 100.0]);
        assert_eq!([0.3, 1.0, 1.1, 4.0, 70.0].map(round_up), [0.5, 1.0, 2.0, 5.0, 100.0]);
    }

    #[test]
    fn curves_upon_each_other_are_all_seen() {
        let points = vec![(0.0, 5.0), (9.0, 5.0)];
        let curve = |name: &str| Curve { name: name.to_owned(), points: points.clone() };
        let frame =
            Frame { title: "", unit: "", scale: Scale::Near, ticks: vec![], events: vec![] };
        let svg = figure(&frame, &["a", "b", "c"].map(curve));
        let widths: Vec<&str> =
            svg.split("stroke-width=\"").skip(1).map(|it| it.split('"').next().unwrap()).collect();
        assert_eq!(widths, ["6", "4", "2"], "the later ones, which are drawn above, are thinner");
        assert_eq!(stroke(0, 1), THINNEST);
    }

    #[test]
    fn every_point_lies_within_the_plot() {
        let points = vec![(0.0, 5.0), (1.0, 500.0), (9.0, 0.0)];
        let curves = [Curve { name: "a <b>".to_owned(), points }];
        for scale in [Scale::Linear, Scale::Near, Scale::Log] {
            let ticks = vec![(0.0, "0 s".to_owned()), (10.0, "10 s".to_owned())];
            let events = vec![(4.0, "killed".to_owned())];
            let frame = Frame { title: "x & y", unit: "ms", scale, ticks, events };
            let svg = figure(&frame, &curves);
            assert!(svg.contains("x &amp; y") && svg.contains("a &lt;b&gt;"), "{svg}");
            let path =
                svg.split("class=\"line c0\"").nth(1).unwrap().split("d=\"M").nth(1).unwrap();
            for point in path.split('"').next().unwrap().split('L') {
                let (x, y) = point.split_once(' ').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((CORNER.0..=CORNER.0 + PLOT.0).contains(&x), "{x}");
                assert!((CORNER.1..=CORNER.1 + PLOT.1).contains(&y), "{y}");
            }
        }
        let frame =
            Frame { title: "t", unit: "", scale: Scale::Log, ticks: vec![], events: vec![] };
        assert!(figure(&frame, &[]).contains("Nothing was measured"));
    }
}
