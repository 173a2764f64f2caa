//! A small SVG plot: panels side by side, both axes logarithmic, one legend. Pure text.

use std::fmt::Write;

use crate::stats::Spread;
use crate::svg::{escape, short, text};

/// One measured point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: Spread,
}

/// Points of one server, joined by a line.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
}

/// One pair of axes.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    /// Names the x axis.
    pub(super) title: String,
    pub(super) series: Vec<Series>,
}

const PANEL: (f64, f64) = (380.0, 300.0);
/// Left of each panel, for the numbers of its y axis.
const LEFT: f64 = 84.0;
/// Above the panels, for title, caption and legend.
const TOP: f64 = 100.0;
/// Below the panels, for the x axis.
const BOTTOM: f64 = 60.0;
/// Distinguishable by people who see colours differently, and by their dashes in print.
const STYLES: [(&str, &str); 5] = [
    ("#0072b2", ""),
    ("#56b4e9", "8 4"),
    ("#d55e00", "2 4"),
    ("#333333", "6 3 2 3"),
    ("#009e73", "12 3"),
];

/// Powers of ten that enclose values.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Decades {
    low: i32,
    high: i32,
}

impl Decades {
    fn around(values: impl Iterator<Item = f64>) -> Self {
        let logs = values.filter(|value| *value > 0.0).map(f64::log10);
        let (low, high) =
            logs.fold((f64::MAX, f64::MIN), |(low, high), log| (low.min(log), high.max(log)));
        if low > high {
            return Self { low: 0, high: 1 };
        }
        let low = low.floor() as i32;
        Self { low, high: (high.ceil() as i32).max(low + 1) }
    }

    /// Where a value lies: 0 at the low end, 1 at the high.
    fn place(self, value: f64) -> f64 {
        (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low)
    }
}

/// Draws the panels; they share the y axis's range, so that heights compare.
pub(super) fn svg(title: &str, caption: &str, panels: &[Panel]) -> String {
    let all = || panels.iter().flat_map(|panel| &panel.series);
    let ys = Decades::around(
        all().flat_map(|series| &series.points).flat_map(|point| [point.y.min, point.y.max]),
    );
    let mut names: Vec<&str> = Vec::new();
    for series in all() {
        if !names.contains(&series.name.as_str()) {
            names.push(&series.name);
        }
    }
    let width = (LEFT + PANEL.0) * panels.len() as f64 + 30.0;
    let height = TOP + PANEL.1 + BOTTOM;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        title = escape(title)
    );
    text(&mut out, (LEFT, 26.0), "start", "font-size=\"17\" font-weight=\"bold\"", title);
    text(&mut out, (LEFT, 46.0), "start", "fill=\"#555555\"", caption);
    let middle = TOP + PANEL.1 / 2.0;
    let turned = format!("transform=\"rotate(-90 22 {middle})\" font-weight=\"bold\"");
    text(&mut out, (22.0, middle), "middle", &turned, "deliveries / CPU s");
    let mut x = LEFT;
    for (index, name) in names.iter().enumerate() {
        let _ = writeln!(
            out,
            "<path d=\"M{x} 68h34\" {}/><circle cx=\"{}\" cy=\"68\" r=\"3.5\" fill=\"{}\"/>",
            stroke(index),
            x + 17.0,
            STYLES[index % STYLES.len()].0
        );
        text(&mut out, (x + 42.0, 72.5), "start", "", name);
        x += 66.0 + 7.5 * name.chars().count() as f64;
    }
    for (number, panel) in panels.iter().enumerate() {
        let left = LEFT + number as f64 * (LEFT + PANEL.0);
        draw(&mut out, panel, (left, ys), &names);
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel, (left, ys): (f64, Decades), names: &[&str]) {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let xs = Decades::around(points().map(|point| point.x));
    let at = |x: f64, y: f64| (left + xs.place(x) * PANEL.0, TOP + (1.0 - ys.place(y)) * PANEL.1);
    for decade in ys.low..=ys.high {
        let y = at(10f64.powi(xs.low), 10f64.powi(decade)).1;
        let _ = writeln!(out, "<path d=\"M{left} {y:.1}h{}\" stroke=\"#dddddd\"/>", PANEL.0);
        text(out, (left - 8.0, y + 4.5), "end", "", &short(10f64.powi(decade)));
    }
    for decade in xs.low..=xs.high {
        let x = at(10f64.powi(decade), 10f64.powi(ys.low)).0;
        let _ = writeln!(out, "<path d=\"M{x:.1} {TOP}v{}\" stroke=\"#eeeeee\"/>", PANEL.1);
        text(out, (x, TOP + PANEL.1 + 20.0), "middle", "", &short(10f64.powi(decade)));
    }
    let (middle, below) = (left + PANEL.0 / 2.0, TOP + PANEL.1 + 44.0);
    text(out, (middle, below), "middle", "font-weight=\"bold\"", &panel.title);
    let _ = writeln!(
        out,
        "<rect x=\"{left}\" y=\"{TOP}\" width=\"{}\" height=\"{}\" fill=\"none\" \
         stroke=\"#888888\"/>",
        PANEL.0, PANEL.1
    );
    for series in &panel.series {
        let style = names.iter().position(|name| *name == series.name).unwrap_or(0);
        let mut line = String::new();
        for (index, point) in series.points.iter().enumerate() {
            let (x, y) = at(point.x, point.y.median);
            let _ = write!(line, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
        }
        let _ = writeln!(out, "<path d=\"{line}\" {}/>", stroke(style));
        let colour = STYLES[style % STYLES.len()].0;
        for point in &series.points {
            let (x, y) = at(point.x, point.y.median);
            let (top, bottom) = (at(point.x, point.y.max).1, at(point.x, point.y.min).1);
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" stroke=\"{colour}\"/>\
                 <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\">\
                 <title>{}: {} at {}</title></circle>",
                escape(&series.name),
                short(point.y.median),
                short(point.x)
            );
        }
    }
}

fn stroke(style: usize) -> String {
    let (colour, dashes) = STYLES[style % STYLES.len()];
    let dashes = match dashes {
        "" => String::new(),
        dashes => format!(" stroke-dasharray=\"{dashes}\""),
    };
    format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_enclose_their_values() {
        let decades = Decades::around([150.0, 8_000.0].into_iter());
        assert_eq!(decades, Decades { low: 2, high: 4 });
        assert_eq!((decades.place(100.0), decades.place(1e4)), (0.0, 1.0));
        assert_eq!(Decades::around([100.0].into_iter()), Decades { low: 2, high: 3 });
        assert_eq!(Decades::around(std::iter::empty()), Decades { low: 0, high: 1 });
    }

    #[test]
    fn a_plot_holds_every_point_inside_its_panel() {
        let y = Spread { median: 2e6, min: 1.5e6, max: 3e6 };
        let points = vec![Point { x: 100.0, y }, Point { x: 10_000.0, y }];
        let series = vec![Series { name: "node <1>".to_owned(), points }];
        let panel = Panel { title: "Members".to_owned(), series };
        let text = svg("Deliveries & cost", "caption", &[panel.clone(), panel]);
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
        assert!(text.contains("Deliveries &amp; cost") && text.contains("node &lt;1&gt;"));
        // One in the legend and two in each panel.
        assert_eq!(text.matches("<circle").count(), 5);
        for circle in text.split("<circle cx=\"").skip(2) {
            let x: f64 = circle.split('"').next().unwrap().parse().unwrap();
            assert!((LEFT..=2.0 * (LEFT + PANEL.0)).contains(&x), "{x}");
        }
        assert_eq!(text.matches("<text").count(), text.matches("</text>").count());
    }
}
