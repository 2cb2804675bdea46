//! How cost grows with the room: one SVG of three panels, CPU per delivery, p99 and memory, ours and tokio's.

use std::path::Path;

use anyhow::{Context, Result};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::load::Pace;
use crate::peer::Peer;
use crate::report::{median, number};
use crate::room::Sample;
use crate::suite::{BRISK, FLOOD, Results};

const SIZE: (u32, u32) = (1_080, 340);
const FONT: &str = "sans-serif";

/// A name in the legend, a colour, and the servers whose values make up a line.
const SERVERS: [(&str, RGBColor, &[Peer]); 2] = [
    ("chat-server", RGBColor(200, 75, 20), &[Peer::Ours]),
    ("tokio", RGBColor(40, 100, 170), &[Peer::Tokio]),
];

struct Line {
    name: String,
    style: ShapeStyle,
    /// By number of clients, in order.
    points: Vec<(f64, f64)>,
}

pub fn draw(results: &Results, path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((1, 3));
    let mut cpu = lines(" steady", 2, |peer| medians(results, BRISK, peer, |sample| sample.cpu));
    cpu.extend(lines(" flood", 1, |peer| medians(results, FLOOD, peer, |sample| sample.cpu)));
    let p99 = lines("", 2, |peer| medians(results, BRISK, peer, |sample| sample.p99));
    let memory = lines("", 2, |peer| {
        let of_peer = results.memory.iter().filter(|((measured, _), _)| *measured == peer);
        of_peer.map(|((_, clients), kib)| (*clients as f64, *kib as f64 / 1024.0)).collect()
    });
    panel(&panels[0], "CPU per delivery, µs", cpu)?;
    panel(&panels[1], "p99 latency, ms, steady", p99)?;
    panel(&panels[2], "resident memory, MiB", memory)?;
    root.present().context("cannot write the chart")
}

fn medians(results: &Results, pace: Pace, peer: Peer, value: fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    let loads = results.loads.iter().filter(|((load, _, measured), _)| (*load, *measured) == (pace, peer));
    loads.map(|((_, clients, _), samples)| (*clients as f64, median(samples.iter().map(value)))).collect()
}

fn lines(what: &str, width: u32, points: impl Fn(Peer) -> Vec<(f64, f64)>) -> Vec<Line> {
    let line = |(name, color, peers): (&str, RGBColor, &[Peer])| {
        let mut points: Vec<_> = peers.iter().flat_map(|&peer| points(peer)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Both tokio peers have been measured in the smaller rooms; the one that announces joins counts.
        points.dedup_by_key(|point| point.0);
        Line { name: format!("{name}{what}"), style: color.stroke_width(width), points }
    };
    SERVERS.map(line).into()
}

fn panel(area: &DrawingArea<SVGBackend, Shift>, title: &str, lines: Vec<Line>) -> Result<()> {
    let values = || lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let (least, greatest) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    if greatest == 0.0 {
        return Ok(());
    }
    // Room above the lines for the legend, which has an entry for each.
    let headroom = 1.3 * (greatest / least).powf(0.15 * lines.len() as f64);
    let range = least / 1.5..greatest * headroom;
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 14))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(45)
        .build_cartesian_2d((8.0..11_000.0).log_scale(), range.log_scale())?;
    chart
        .configure_mesh()
        .x_desc("clients")
        .x_label_formatter(&|clients| tick(*clients))
        .y_label_formatter(&|value| tick(*value))
        .label_style((FONT, 12))
        .light_line_style(BLACK.mix(0.04))
        .bold_line_style(BLACK.mix(0.15))
        .draw()?;
    for Line { name, style, points } in lines {
        let dots: Vec<_> =
            points.iter().map(|&point| Circle::new(point, style.stroke_width + 1, style.filled())).collect();
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        chart.draw_series(dots)?;
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).label_font((FONT, 12)).draw()?;
    Ok(())
}

/// A round number on an axis: 10, not 10.0.
fn tick(value: f64) -> String {
    let text = number(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
