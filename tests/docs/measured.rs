//! The tables of measurements have the measured values.

use crate::{page, read, rows};

/// The heads of columns, and the servers in the results.
const COLUMNS: [(&str, &str); 9] = [
    ("chat-server", "ours"),
    ("chat-server, turns of one event", "ours-unbatched"),
    ("tokio, this design", "tokio-design"),
    ("tokio", "tokio"),
    ("Java 17, platform threads", "java"),
    ("Java 25, virtual threads", "java-virtual"),
    ("core.async", "clojure"),
    ("`ncat --chat`", "ncat"),
    ("the floor", "floor"),
];

/// In place of what was not measured.
const NOT_MEASURED: &str = "–";

/// A cell of the results, such as `6.66 M (6.29 M–6.77 M)`: its median alone, in
/// millions where it is that large.
fn median(cell: &str) -> String {
    let median = cell.split(" (").next().unwrap().to_owned();
    match median.replace(',', "").parse::<f64>() {
        Ok(number) if number >= 100_000.0 => format!("{:.2} M", number / 1e6),
        Ok(number) if (100.0..1_000.0).contains(&number) => format!("{number:.0}"),
        _ => median,
    }
}

/// The tables of the results, without emphasis.
struct Results(Vec<Vec<String>>);

impl Results {
    fn read() -> Results {
        Results(rows(&read("tests/bench/results/results.md")))
    }

    /// The medians in the row that begins so, after these cells.
    fn row(&self, begin: &[&str]) -> Option<Vec<String>> {
        // A shorter table has percentages of the same servers.
        let mut long = self.0.iter().filter(|row| row.len() > begin.len() + 2);
        let row = long.find(|row| row.iter().zip(begin).all(|(cell, begin)| cell == begin))?;
        Some(row[begin.len()..].iter().map(|cell| median(cell)).collect())
    }

    /// What a page must say of a server in a row of this name; `None` for rows that are not of this kind.
    fn cell(&self, name: &str, server: &str) -> Option<String> {
        // Large rooms of an earlier run have a variant that announces nobody's coming and going.
        let quiet = format!("{server}-quiet");
        let load = |load: &str, clients: &str| {
            self.row(&[load, clients, server]).or_else(|| self.row(&[load, clients, &quiet]))
        };
        let cell = if name == "memory per idle client" {
            self.row(&[server]).and_then(|row| Some(format!("{} KiB", row.get(2)?)))
        } else {
            let (clients, rate) = name.split_once(" clients")?;
            if !clients.starts_with(|c: char| c.is_ascii_digit()) {
                return None;
            }
            match rate.strip_prefix(", ") {
                None => load("flood", clients).map(|row| row[0].clone()),
                Some(rate) => load(&format!("steady {}", rate.trim_end_matches("/s")), clients)
                    .map(|row| format!("{} µs ({}, {} ms)", row[1], row[2], row[3])),
            }
        };
        Some(cell.unwrap_or(NOT_MEASURED.to_owned()))
    }
}

/// How many cells of the page were compared, and the rows as they should be, if they are not.
fn compare(page: &str, results: &Results) -> (usize, Vec<String>) {
    let (mut checked, mut wrong, mut head) = (0, Vec::new(), Vec::new());
    let page = page.replace("**", "");
    for table in page.split("\n\n") {
        for (at, row) in rows(table).into_iter().enumerate() {
            if at == 0 {
                head = row;
                continue;
            }
            let server =
                |column: &String| COLUMNS.iter().find(|(head, _)| head == column).map(|(_, name)| *name);
            let columns: Option<Vec<_>> = head[1..].iter().map(server).collect();
            let expected =
                columns.unwrap_or_default().into_iter().map(|server| results.cell(&row[0], server));
            let Some(expected) = expected.collect::<Option<Vec<_>>>().filter(|cells| !cells.is_empty())
            else {
                continue;
            };
            checked += expected.len();
            if row[1..] != expected {
                wrong.push(format!("| {} | {} |", row[0], expected.join(" | ")));
            }
        }
    }
    (checked, wrong)
}

#[test]
fn the_tables_say_what_was_measured() {
    let results = Results::read();
    for (name, least) in [("how_fast.md", 5 * 8 + 7 * 4 + 6), ("side_by_side.md", 3 * 7 + 3 * 3 + 3)] {
        let (checked, wrong) = compare(&page(name), &results);
        assert!(wrong.is_empty(), "{name} should have these rows:\n{}", wrong.join("\n"));
        assert_eq!(checked, least, "{name}");
    }
}

#[test]
fn the_pages_do_not_excuse_figures_that_are_new() {
    if Results::read().row(&["flood", "100", "tokio-design"]).is_some() {
        for name in ["how_fast.md", "side_by_side.md"] {
            assert!(!page(name).contains("earlier version"), "{name}: the figures are of this version now");
        }
    }
}

#[test]
fn a_figure_that_was_not_measured_is_noticed() {
    let results =
        Results(rows("| flood | 10 | ours | 6,000,000 (5–7) | 0.1 | 0.2 |\n| ours | 3 | 0 | 14.5 |\n"));
    let table = |cell: &str| format!("text\n\n| x | chat-server | tokio |\n|---|---|---|\n| {cell} |\n");
    let compare = |cell: &str| compare(&table(cell), &results);
    assert_eq!(compare("10 clients | **6.00 M** | –"), (2, vec![]));
    assert_eq!(compare("10 clients | 6.00 M | 1 M"), (2, vec!["| 10 clients | 6.00 M | – |".to_owned()]));
    assert_eq!(compare("memory per idle client | 14.5 KiB | –"), (2, vec![]));
    assert_eq!(compare("all in after | 1 s | 2 s"), (0, vec![]));
}
