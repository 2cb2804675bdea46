//! How cost grows with the room: one SVG of five panels and a legend, narrow enough for a column of text.

use std::path::Path;

use anyhow::{Context, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::load::Pace;
use crate::peer::Peer;
use crate::report::{median, number};
use crate::room::Sample;
use crate::suite::{BRISK, FLOOD, Results};

/// A page shows at least so many pixels in one column; a viewer may scale the picture down,
/// since it has a view box.
const SIZE: (u32, u32) = (760, 780);
const FONT: &str = "sans-serif";

/// A name in the legend, and a colour that differs from the others in lightness too.
const SERVERS: [(&str, RGBColor, Peer); 3] = [
    ("chat-server", RGBColor(200, 75, 20), Peer::Ours),
    ("tokio, this design", RGBColor(30, 30, 30), Peer::TokioDesign),
    ("tokio, as its example", RGBColor(90, 185, 170), Peer::Tokio),
];

/// One server's values by number of clients, in order.
type Points = Vec<(f64, f64)>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub fn draw(results: &Results, path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let cells = root.split_evenly((3, 2));
    let memory = |peer| {
        let of_peer = results.memory.iter().filter(|((measured, _), _)| *measured == peer);
        of_peer.map(|((_, clients), kib)| (*clients as f64, *kib as f64 / 1024.0)).collect()
    };
    let panels: [(&str, &dyn Fn(Peer) -> Points); 5] = [
        ("flood: million deliveries/s", &|peer| medians(results, FLOOD, peer, |sample| sample.rate / 1e6)),
        ("steady: CPU per delivery, µs", &|peer| medians(results, BRISK, peer, |sample| sample.cpu)),
        ("steady: p50 latency, ms", &|peer| medians(results, BRISK, peer, |sample| sample.p50)),
        ("steady: p99 latency, ms", &|peer| medians(results, BRISK, peer, |sample| sample.p99)),
        ("resident memory, MiB", &memory),
    ];
    for (cell, (title, points)) in cells.iter().zip(panels) {
        panel(cell, title, &SERVERS.map(|(_, color, peer)| (color, points(peer))))?;
    }
    legend(&cells[5])?;
    root.present().context("cannot write the chart")
}

fn medians(results: &Results, pace: Pace, peer: Peer, value: fn(&Sample) -> f64) -> Points {
    let loads = results.loads.iter().filter(|((load, _, measured), _)| (*load, *measured) == (pace, peer));
    loads.map(|((_, clients, _), samples)| (*clients as f64, median(samples.iter().map(value)))).collect()
}

fn panel(area: &Area, title: &str, lines: &[(RGBColor, Points)]) -> Result<()> {
    let values = || lines.iter().flat_map(|(_, points)| points).map(|point| point.1);
    let (least, greatest) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    if greatest == 0.0 {
        return Ok(());
    }
    // An axis is marked at powers of ten, or of two where there would be hardly any of ten.
    let base = if greatest / least < 100.0 { 2.0 } else { 10.0 };
    let range = (least / 1.5..greatest * 1.5).log_scale().base(base);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 18))
        .margin(10)
        .margin_right(30)
        .x_label_area_size(42)
        .y_label_area_size(52)
        .build_cartesian_2d((8.0..11_000.0).log_scale(), range)?;
    chart
        .configure_mesh()
        .x_desc("clients")
        .x_label_formatter(&|clients| tick(*clients))
        .y_label_formatter(&|value| tick(*value))
        .label_style((FONT, 15))
        .light_line_style(BLACK.mix(0.04))
        .bold_line_style(BLACK.mix(0.15))
        .draw()?;
    for (color, points) in lines {
        chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?;
        chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, color.filled())))?;
    }
    Ok(())
}

fn legend(area: &Area) -> Result<()> {
    const LEFT: i32 = 64;
    let text = (FONT, 17).into_text_style(area).pos(Pos::new(HPos::Left, VPos::Center));
    for (y, (name, color, _)) in (70..).step_by(30).zip(SERVERS) {
        area.draw(&PathElement::new([(LEFT, y), (LEFT + 30, y)], color.stroke_width(2)))?;
        area.draw(&Circle::new((LEFT + 15, y), 3, color.filled()))?;
        area.draw(&Text::new(name, (LEFT + 42, y), text.clone()))?;
    }
    let notes = ["steady: 20,000 deliveries/s to all together", "all scales are logarithmic"];
    let small = (FONT, 15).into_text_style(area).pos(Pos::new(HPos::Left, VPos::Center));
    for (y, note) in (175..).step_by(24).zip(notes) {
        area.draw(&Text::new(note, (LEFT, y), small.clone()))?;
    }
    Ok(())
}

/// A round number on an axis: 10, not 10.0.
fn tick(value: f64) -> String {
    let text = number(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_and_panel_is_drawn_within_the_width_of_a_column() {
        let sample = |rate| Sample {
            rate,
            cpu: 4.0,
            p50: 1.0,
            p99: 2.0,
            p999: 3.0,
            lost: 0,
            wrong: 0,
            generator: 0.5,
        };
        let mut results = Results::default();
        for (_, _, peer) in SERVERS {
            for (clients, rate) in [(10, 5e6), (1_000, 9e6), (9_000, 3e6)] {
                results.loads.insert((FLOOD, clients, peer), vec![sample(rate)]);
                results.loads.insert((BRISK, clients, peer), vec![sample(20_000.0)]);
                results.memory.insert((peer, clients), clients as u64 * 12);
            }
        }
        let path = std::env::temp_dir().join(format!("chat-bench-chart-{}.svg", std::process::id()));
        draw(&results, &path).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(svg.starts_with("<svg width=\"760\"") && svg.contains("viewBox=\"0 0 760 "));
        // A line and a sample in the legend for each server, and the lines of the five panels.
        for (name, color, _) in SERVERS {
            assert!(svg.contains(name), "{name} is in the legend");
            let stroke = format!("stroke=\"#{:02X}{:02X}{:02X}\"", color.0, color.1, color.2);
            let lines =
                svg.lines().filter(|line| line.starts_with("<polyline") && line.contains(&stroke)).count();
            assert_eq!(lines, 6, "{name}");
        }
    }
}
