//! The tables of measurements have the measured values.

use crate::{page, read};

/// The cells of all tables, without emphasis.
fn rows(text: &str) -> Vec<Vec<String>> {
    crate::rows(&text.replace("**", ""))
}

/// A cell of the results, such as `6.66 M (6.29 M–6.77 M)`: its median alone, in millions where it is that large.
fn median(cell: &str) -> String {
    let median = cell.split(" (").next().unwrap().to_owned();
    match median.replace(',', "").parse::<f64>() {
        Ok(number) if number >= 100_000.0 => format!("{:.2} M", number / 1e6),
        _ => median,
    }
}

#[test]
fn the_tables_say_what_was_measured() {
    let results = rows(&read("tests/bench/results/results.md"));
    let measured = |load: &str, clients: &str, server: &str| {
        let quiet = format!("{server}-quiet");
        let row = results.iter().find(|row| {
            row[0] == load && row[1] == clients && [server, quiet.as_str()].contains(&row[2].as_str())
        });
        row.map(|row| row[3..].iter().map(|cell| median(cell)).collect::<Vec<_>>())
    };
    for (page, text) in ["how_fast.md", "side_by_side.md"].map(|name| (name, page(name))) {
        let mut checked = 0;
        for row in rows(&text) {
            let Some((clients, rate)) = row[0].split_once(" clients") else {
                continue;
            };
            if !clients.starts_with(|c: char| c.is_ascii_digit()) {
                continue;
            }
            if rate.is_empty() {
                for (server, cell) in
                    ["ours", "tokio", "java", "clojure", "ncat", "floor"].iter().zip(&row[1..])
                {
                    let expected =
                        measured("flood", clients, server).map_or("–".to_owned(), |row| row[0].clone());
                    assert_eq!(*cell, expected, "{page}: {server}, {clients} clients");
                    checked += 1;
                }
            } else {
                let load = format!("steady {}", rate.trim_start_matches(", ").trim_end_matches("/s"));
                for (server, cell) in ["ours", "tokio", "floor"].iter().zip(&row[1..]) {
                    let row = measured(&load, clients, server).expect("it was measured");
                    let expected = format!("{} µs ({}, {} ms)", row[1], row[2], row[3]);
                    assert_eq!(*cell, expected, "{page}: {server}, {clients} clients, {load}");
                    checked += 1;
                }
            }
        }
        assert_eq!(checked, 5 * 6 + 7 * 3, "{page}");
    }
}
