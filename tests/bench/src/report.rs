//! The results, as Markdown that also reads well on a terminal.

use std::process::Command;
use std::{fs, iter, thread};

use crate::load::Pace;
use crate::peer::{Peer, first_line};
use crate::room::Sample;
use crate::suite::{IDLE_TIME, Results};

const NOTES: &str = "\
Every value is the median of the rounds, with the least and the greatest in brackets.

- *Flood*: two senders in a room of ten, else four; each has 32 lines of 64 bytes on their way at once.
- *Steady*: lines are due at fixed times, and their latency counts from then.
- *CPU*: what the server used, from the kernel's scheduler statistics, in microseconds per line delivered.
- *Generator*: the cores that the load generator used, which is one thread. Near 1.00, a faster server would not show.
- *Wrong*: copies that came twice, in the wrong order or with a wrong byte.
- *ours-unbatched*: chat-server with turns of one event. *tokio*: the sibling after tokio's
  `examples/chat.rs`. *tokio-design*: the sibling with chat-server's own design. *java*: with platform threads.
  *java-virtual*: the same with virtual threads. *floor*: a bare relay that parses nothing.
";

pub fn markdown(results: &Results, rounds: usize) -> String {
    let how_often = format!("{rounds} rounds");
    let machine = machine(&how_often, &results.versions);
    let mut text = format!("# Measured side by side\n\n{machine}\n\n{NOTES}");
    for (title, table) in [
        ("Loads", loads(results)),
        ("Joining", joins(results)),
        ("One of a hundred does not read, under flood", stalls(results)),
        ("Idle clients", idle(results)),
    ] {
        text += &format!("\n## {title}\n\n{}", aligned(&table));
    }
    text += "\n![How cost grows with the room](growth.svg)\n";
    if !results.not_run.is_empty() {
        text += "\n## Not run\n\n";
        results
            .not_run
            .iter()
            .for_each(|reason| text += &format!("- {}\n", reason.trim_end().replace('\n', " ")));
    }
    text
}

/// When, how often and on what machine something was measured.
pub fn machine(how_often: &str, versions: &[String]) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let said = |program, argument| {
        first_line(Command::new(program).arg(argument)).unwrap_or_else(|error| error.to_string())
    };
    format!(
        "{}, {how_often}, on {} cores of {}, Linux {}, {}. {}.",
        said("date", "-I"),
        thread::available_parallelism().map_or(1, usize::from),
        model.trim_start_matches(['\t', ' ', ':']),
        kernel.split('.').take(2).collect::<Vec<_>>().join("."),
        said("rustc", "--version"),
        versions.join("; "),
    )
}

pub type Rows = Vec<Vec<String>>;

pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn loads(results: &Results) -> Rows {
    let mut rows = vec![row([
        "load",
        "clients",
        "server",
        "deliveries/s",
        "CPU µs",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "lost",
        "wrong",
        "generator",
    ])];
    for (&(pace, clients, peer), samples) in &results.loads {
        let of = |value: fn(&Sample) -> f64| spread(samples.iter().map(value));
        let load = match pace {
            Pace::Flood { .. } => "flood".to_owned(),
            Pace::Steady { deliveries } => format!("steady {}", thousands(deliveries.into())),
        };
        let lost: u64 = samples.iter().map(|sample| sample.lost).sum();
        let wrong: u64 = samples.iter().map(|sample| sample.wrong).sum();
        rows.push(vec![
            load,
            thousands(clients as f64),
            peer.to_string(),
            of(|sample| sample.rate),
            of(|sample| sample.cpu),
            of(|sample| sample.p50),
            of(|sample| sample.p99),
            of(|sample| sample.p999),
            lost.to_string(),
            wrong.to_string(),
            of(|sample| sample.generator),
        ]);
    }
    rows
}

fn joins(results: &Results) -> Rows {
    let mut rows = vec![row(["clients", "server", "ms until all are in"])];
    for (&(clients, peer), times) in results.joins.range((1_000, Peer::Ours)..) {
        rows.push(vec![thousands(clients as f64), peer.to_string(), spread(times.iter().copied())]);
    }
    rows
}

fn stalls(results: &Results) -> Rows {
    let mut rows = vec![row(["server", "what each other client still gets, %"])];
    for (peer, kept) in &results.stalls {
        rows.push(vec![peer.to_string(), spread(kept.iter().copied())]);
    }
    rows
}

fn idle(results: &Results) -> Rows {
    let wake_ups = format!("wake-ups in {} s", IDLE_TIME.as_secs());
    let (small, large) = ("KiB each, 100 to 1,000", "KiB each, 1,000 to 9,000");
    let mut rows = vec![row(["server", "threads for 1,000", &wake_ups, small, large])];
    for (&peer, idle) in &results.idle {
        rows.push(vec![
            peer.to_string(),
            thousands(idle.threads as f64),
            thousands(idle.wake_ups as f64),
            memory_each(results, peer, 100, 1_000),
            memory_each(results, peer, 1_000, 9_000),
        ]);
    }
    rows
}

/// Resident memory for each client that came between two sizes of the room.
fn memory_each(results: &Results, peer: Peer, from: usize, to: usize) -> String {
    let at = |count| results.memory.get(&(peer, count)).map(|&kib| kib as f64);
    match (at(from), at(to)) {
        (Some(before), Some(after)) => format!("{:.1}", (after - before) / (to - from) as f64),
        _ => String::new(),
    }
}

/// The median, and the least and the greatest in brackets.
fn spread(values: impl Iterator<Item = f64>) -> String {
    let values = sorted(values);
    match values[..] {
        [] => String::new(),
        [only] => number(only),
        [least, .., greatest] => {
            let median = number(median(values.into_iter()));
            format!("{median} ({}–{})", number(least), number(greatest))
        }
    }
}

/// Of one value at least.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let values = sorted(values);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// With about three digits that mean something.
pub fn number(value: f64) -> String {
    match value.abs() {
        big if big >= 1e6 => format!("{:.2} M", value / 1e6),
        big if big >= 100.0 => thousands(value),
        big if big >= 10.0 => format!("{value:.1}"),
        big if big >= 0.1 || big == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Without a fraction, with commas.
pub fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-" } else { "" }.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A Markdown table whose columns line up. The first row is its head.
pub fn aligned(rows: &Rows) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..rows[0].len()).filter_map(width).collect();
    let rule = widths.iter().map(|&width| "-".repeat(width)).collect();
    let mut text = String::new();
    for row in iter::once(&rows[0]).chain([&rule]).chain(&rows[1..]) {
        for (cell, &width) in row.iter().zip(&widths) {
            text += &format!("| {cell:width$} ");
        }
        text += "|\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_what_matters() {
        assert_eq!(number(14_412_345.0), "14.41 M");
        assert_eq!(number(262_144.4), "262,144");
        assert_eq!(number(58.04), "58.0");
        assert_eq!(number(0.0581), "0.058");
        assert_eq!(thousands(-1_234_567.0), "-1,234,567");
    }

    #[test]
    fn a_spread_is_the_median_between_the_extremes() {
        assert_eq!(spread([3.0, 1.0, 2.0].into_iter()), "2.00 (1.00–3.00)");
        assert_eq!(median([9.0, 2.0, 4.0, 1.0].into_iter()), 3.0);
    }
}
