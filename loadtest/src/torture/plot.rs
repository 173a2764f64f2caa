//! Draws a run as SVG over one axis of time: deliveries and acks, a lane for each kind of fault, and
//! how long each fault's repair took. Pure text.

use std::fmt::Write;
use std::time::Duration;

use super::repair::Repaired;
use super::timeline::{BIN, Carried, Timeline, seconds};
use crate::stats::{millis, percentile};
use crate::svg::{escape, short, text};

const WIDTH: f64 = 1_000.0;
/// Left of the panels, for the names of the lanes.
const LEFT: f64 = 170.0;
const TOP: f64 = 70.0;
/// Height of the panel of rates, of a lane, of the panel of repairs, and between them.
const RATES: f64 = 180.0;
const LANE: f64 = 16.0;
const REPAIRS: f64 = 130.0;
const BETWEEN: f64 = 34.0;
/// The repairs' axis, in ms: from and to, by powers of ten.
const DECADES: (i32, i32) = (0, 5);
/// Distinguishable by people who see colours differently.
const DELIVERIES: &str = "#0072b2";
const ACKS: &str = "#d55e00";
const FAULT: &str = "#cc79a7";
const REPAIR: &str = "#009e73";

/// The axis of time.
#[derive(Debug, Clone, Copy)]
struct Axis(Duration);

impl Axis {
    fn x(self, at: Duration) -> f64 {
        LEFT + at.as_secs_f64() / self.0.as_secs_f64().max(0.001) * WIDTH
    }
}

/// Draws a run.
pub(super) fn svg(timeline: &Timeline, repairs: &[Repaired], caption: &str) -> String {
    let bins = timeline.deliveries.len().max(timeline.acks.len()).max(1);
    let axis = Axis(BIN * bins as u32);
    let mut kinds: Vec<String> =
        timeline.faults.iter().map(|carried| carried.fault.kind.name()).collect();
    kinds.sort();
    kinds.dedup();
    let lanes = TOP + RATES + BETWEEN;
    let below = lanes + LANE * kinds.len() as f64 + BETWEEN;
    let (width, height) = (LEFT + WIDTH + 90.0, below + REPAIRS + 60.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>A run of loadtest torture</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let bold = "font-size=\"16\" font-weight=\"bold\"";
    text(&mut out, (LEFT, 26.0), "start", bold, "Deliveries, faults and repairs");
    text(&mut out, (LEFT, 46.0), "start", "fill=\"#555555\" font-size=\"11\"", caption);
    rates(&mut out, axis, timeline);
    for (lane, kind) in kinds.iter().enumerate() {
        let y = lanes + LANE * lane as f64;
        text(&mut out, (LEFT - 8.0, y + 11.0), "end", "font-size=\"11\"", kind);
        let of_kind = timeline.faults.iter().filter(|it| it.fault.kind.name() == *kind);
        of_kind.for_each(|carried| bar(&mut out, axis, y, carried));
    }
    took(&mut out, axis, below, (timeline, repairs));
    out.push_str("</svg>\n");
    out
}

fn rates(out: &mut String, axis: Axis, timeline: &Timeline) {
    let per_second = 1.0 / BIN.as_secs_f64();
    for (name, bins, colour, side) in [
        ("deliveries/s", &timeline.deliveries, DELIVERIES, "end"),
        ("acks/s", &timeline.acks, ACKS, "start"),
    ] {
        let most = bins.iter().copied().max().unwrap_or(0).max(1);
        let y = |count: f64| TOP + RATES * (1.0 - count / f64::from(most));
        let mut line = String::new();
        for (bin, &count) in bins.iter().enumerate() {
            let x = axis.x(BIN * bin as u32);
            let _ =
                write!(line, "{}{x:.1} {:.1}", if bin == 0 { 'M' } else { 'L' }, y(count.into()));
        }
        let _ = writeln!(out, "<path d=\"{line}\" fill=\"none\" stroke=\"{colour}\"/>");
        let x = if side == "end" { LEFT - 8.0 } else { LEFT + WIDTH + 8.0 };
        let style = format!("fill=\"{colour}\"");
        text(out, (x, TOP + 4.0), side, &style, &short(f64::from(most) * per_second));
        text(out, (x, TOP + RATES / 2.0), side, &style, name);
        text(out, (x, TOP + RATES), side, &style, "0");
    }
    frame(out, TOP, RATES);
}

fn bar(out: &mut String, axis: Axis, y: f64, carried: &Carried) {
    let Some(began) = carried.began else { return };
    let from = axis.x(began);
    let to = carried.ended.map_or(from, |ended| axis.x(ended));
    let _ = writeln!(
        out,
        "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{FAULT}\">\
         <title>{} at {} s</title></rect>",
        y + 2.0,
        (to - from).max(2.0),
        LANE - 4.0,
        escape(&carried.fault.text()),
        seconds(began)
    );
}

/// For each fault a line from the first room's repair to the last one's, with a dot at the median.
fn took(out: &mut String, axis: Axis, top: f64, (timeline, repairs): (&Timeline, &[Repaired])) {
    let y = |took: Duration| {
        let log = millis(took).max(1.0).log10().min(f64::from(DECADES.1));
        top + REPAIRS * (1.0 - (log - f64::from(DECADES.0)) / f64::from(DECADES.1 - DECADES.0))
    };
    for decade in DECADES.0..=DECADES.1 {
        let at = y(Duration::from_millis(10u64.pow(decade as u32)));
        let _ = writeln!(out, "<path d=\"M{LEFT} {at:.1}h{WIDTH}\" stroke=\"#dddddd\"/>");
        let words = format!("{} ms", short(10f64.powi(decade)));
        text(out, (LEFT - 8.0, at + 4.0), "end", "", &words);
    }
    for (number, carried) in timeline.faults.iter().enumerate() {
        let mut took: Vec<Duration> =
            repairs.iter().filter(|it| it.fault == number).map(|it| it.took).collect();
        took.sort_unstable();
        let (Some(&least), Some(&most), Some(ended)) = (took.first(), took.last(), carried.ended)
        else {
            continue;
        };
        let (x, middle) = (axis.x(ended), y(percentile(&took, 0.5)));
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {:.1}V{:.1}\" stroke=\"{REPAIR}\"/>\
             <circle cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"3\" fill=\"{REPAIR}\">\
             <title>after {}: {:.0} to {:.0} ms</title></circle>",
            y(least),
            y(most),
            escape(&carried.fault.text()),
            millis(least),
            millis(most)
        );
    }
    frame(out, top, REPAIRS);
    let style = "font-weight=\"bold\"";
    let turned = format!("transform=\"rotate(-90 110 {0})\" {style}", top + REPAIRS / 2.0);
    text(out, (110.0, top + REPAIRS / 2.0), "middle", &turned, "repair");
    let all = axis.0.as_secs();
    let step = [1, 2, 5, 10, 30, 60, 300, 600].into_iter().find(|step| all / step <= 15);
    for second in (0..=all).step_by(step.unwrap_or(3_600) as usize) {
        let x = axis.x(Duration::from_secs(second));
        text(out, (x, top + REPAIRS + 18.0), "middle", "", &format!("{second} s"));
    }
}

fn frame(out: &mut String, top: f64, height: f64) {
    let _ = writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{height}\" fill=\"none\" \
         stroke=\"#888888\"/>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::fault::Kind;
    use crate::torture::plan::Fault;

    #[test]
    fn a_run_is_drawn_within_its_frame() {
        let fault = |kind, at| Fault { kind, target: 0, server: 0, at, lasts: 500, aim: 0 };
        let faults = [fault(Kind::NodeKill, 1_000), fault(Kind::RedisStop, 2_000)];
        let mut timeline = Timeline::new(&faults);
        for millis in 0..4_000 {
            timeline.delivered(Duration::from_millis(millis));
        }
        timeline.faults[0].began = Some(Duration::from_secs(1));
        timeline.faults[0].ended = Some(Duration::from_millis(1_500));
        let repaired = |took| Repaired {
            fault: 0,
            at: Duration::from_secs(2),
            took: Duration::from_millis(took),
            last: 0,
        };
        let svg = svg(&timeline, &[repaired(20), repaired(300)], "a <caption>");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(
            svg.contains("a &lt;caption&gt;") && svg.contains("after node killed (node 1): 20")
        );
        assert_eq!(svg.matches("<circle").count(), 1);
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        for circle in svg.split("<circle cx=\"").skip(1) {
            let x: f64 = circle.split('"').next().unwrap().parse().unwrap();
            assert!((LEFT..=LEFT + WIDTH).contains(&x), "{x}");
        }
    }
}
