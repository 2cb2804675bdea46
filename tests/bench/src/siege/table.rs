//! What the sieges found, as Markdown that also reads well on a terminal.

use std::time::Duration;

use super::Results;
use super::arena::{Battle, Outcome};
use crate::report::{Rows, aligned, machine, number, thousands};

/// The median of others is to be at most so many times that of the control.
const GOAL: f64 = 3.0;

const NOTES: &str = "\
Four pairs of people talk to each other, two lines a second each. A cell has how long a line and its answer
took, in milliseconds: the median / the most. Behind it stands what else went wrong:

- *cut 3+1 and 2*: so many of the 20 who read at 100 KiB/s, of the 20 who read at 1 MB/s, and of those who read
  as fast as they can were disconnected.
- *unanswered 4*: so many lines had no answer until two seconds after the end; they count as long as they
  were waited for.
- *refused 55 of 60*: newcomers, 20 a second, each from an address of its own, who were refused or not
  welcomed.
- *kept 2.6 s*: after so long a name went to another than the address that had it; *kept > 6 s*: it was kept
  to the end.
- *log 14.8 MB*: the attack added so much to the log, if it was more than 1 MB.
";

/// A column of the table: who attacks from where.
type Column = (super::place::Family, usize);

pub fn markdown(results: &Results, versions: &[String], missing: &[String]) -> String {
    let machine = machine("one run", versions);
    let mut text = format!("# Under siege\n\n{machine}\n\n{NOTES}\n{}", aligned(&rows(results)));
    let failed = results.iter().filter_map(|(battle, outcome)| {
        outcome.as_ref().err().map(|error| format!("{battle}: {error:#}").replace('\n', " "))
    });
    let not_run = missing.iter().cloned().chain(failed).collect();
    text += &list("Not run, or not to its end", not_run);
    let last = results.last().map(|(battle, _)| battle.contestant.clone());
    let of_last = results.iter().filter(|(battle, _)| Some(&battle.contestant) == last.as_ref());
    let beyond = of_last.filter_map(|(battle, outcome)| beyond(battle, outcome.as_ref().ok()?, results));
    text += &list("Beyond what is wanted", beyond.collect());
    text
}

fn list(heading: &str, items: Vec<String>) -> String {
    let items: String = items.iter().map(|item| format!("- {item}\n")).collect();
    if items.is_empty() { items } else { format!("\n## {heading}\n\n{items}") }
}

/// For one line of a terminal, with all that the table leaves out.
pub fn in_short(battle: &Battle, outcome: &Outcome) -> String {
    let Outcome { watch, welcomes, done, logged, peak, threads_left, .. } = outcome;
    let per_second = |count: u64| count as f64 / battle.duration.as_secs_f64();
    let [welcome, .., longest] = quantiles(&welcomes.waits);
    format!(
        "{}; welcome {welcome} / {longest} ms, {} refused; {} of news/s, {} KB/s to each; {:.1} MB of log, \
         peak {} MiB, {threads_left} threads left; attack: {} connections/s, {} of them refused, {} KB/s",
        cell(battle, outcome),
        welcomes.unwelcome,
        thousands(per_second(watch.seen.comings)),
        number(per_second(watch.seen.bytes) / 1e3),
        *logged as f64 / 1e6,
        thousands(*peak as f64 / 1024.0),
        thousands(per_second(done.connections)),
        thousands(per_second(done.refused)),
        thousands(per_second(done.sent) / 1e3)
    )
}

/// A row for each attack, room and server; a column for each number of addresses of each family.
fn rows(results: &Results) -> Rows {
    let attacked = || results.iter().filter(|(battle, _)| !battle.attack.is_control());
    let mut columns: Vec<Column> = attacked().map(|(battle, _)| (battle.family, battle.machines)).collect();
    if columns.is_empty() {
        columns = results.iter().map(|(battle, _)| (battle.family, battle.machines)).collect();
    }
    columns.sort_unstable();
    columns.dedup();
    let head = columns.iter().map(|(family, machines)| match machines {
        1 => format!("{family}, 1 address"),
        _ => format!("{family}, {machines}"),
    });
    let mut rows: Rows =
        vec![["attack", "people", "server"].map(str::to_owned).into_iter().chain(head).collect()];
    let key = |battle: &Battle| (battle.people, battle.attack, battle.contestant.clone());
    let mut keys: Vec<_> = Vec::new();
    for (battle, _) in results {
        if !keys.contains(&key(battle)) {
            keys.push(key(battle));
        }
    }
    for (people, attack, contestant) in keys {
        let cells = columns.iter().map(|(family, machines)| {
            let is_it = |battle: &Battle| {
                let is_here =
                    battle.family == *family && (battle.machines == *machines || attack.is_control());
                is_here && key(battle) == (people, attack, contestant.clone())
            };
            let found = results.iter().find(|(battle, _)| is_it(battle));
            found.map_or("–".to_owned(), |(battle, outcome)| {
                outcome.as_ref().map_or("failed".to_owned(), |outcome| cell(battle, outcome))
            })
        });
        let names = [attack.what().to_owned(), thousands(people as f64), contestant.name.clone()];
        rows.push(names.into_iter().chain(cells).collect());
    }
    rows
}

fn cell(battle: &Battle, outcome: &Outcome) -> String {
    let Outcome { watch, cut_off: [slow, faster, others], welcomes, kept, logged, .. } = outcome;
    let [p50, .., max] = quantiles(&watch.round_trips);
    let mut parts = vec![format!("{p50} / {max}")];
    if watch.unanswered > 0 {
        parts.push(format!("unanswered {}", watch.unanswered));
    }
    match others + watch.cut_off {
        0 if slow + faster == 0 => {}
        0 => parts.push(format!("cut {slow}+{faster}")),
        others => parts.push(format!("cut {slow}+{faster} and {others}")),
    }
    if welcomes.unwelcome > 0 {
        let all = welcomes.waits.len() + welcomes.unwelcome;
        parts.push(format!("refused {} of {all}", welcomes.unwelcome));
    }
    if let Some(kept) = kept {
        let more = if kept.is_taken { "" } else { "> " };
        parts.push(format!("kept {more}{} s", number(kept.time.as_secs_f64())));
    }
    if *logged > 1_000_000 || battle.attack.fills_the_log() {
        parts.push(format!("log {:.1} MB", *logged as f64 / 1e6));
    }
    parts.join(", ")
}

/// Where others were slowed more than is wanted, or people lost who should not be.
fn beyond(battle: &Battle, outcome: &Outcome, results: &Results) -> Option<String> {
    let times = times_control(battle, outcome, results);
    let is_slow = times.is_some_and(|times| times > GOAL);
    let is_lost = outcome.cut_off[0] + outcome.welcomes.unwelcome + outcome.watch.cut_off > 0;
    let is_taken = outcome.kept.is_some_and(|kept| kept.is_taken);
    let times = times.map_or(String::new(), |times| format!(" ({} times the control)", number(times)));
    (is_slow || is_lost || is_taken).then(|| format!("{battle}: {}{times}", cell(battle, outcome)))
}

/// The median beside that of the same room without attack.
fn times_control(battle: &Battle, outcome: &Outcome, results: &Results) -> Option<f64> {
    let is_control = |other: &Battle| {
        let is_same = other.contestant == battle.contestant && other.people == battle.people;
        is_same && other.family == battle.family && other.attack.is_control()
    };
    let (_, control) = results.iter().find(|(other, _)| is_control(other))?;
    let median = |outcome: &Outcome| quantile(&outcome.watch.round_trips, 0.5).map(|time| time.as_secs_f64());
    Some(median(outcome)? / median(control.as_ref().ok()?)?)
}

/// p50, p99 and the maximum in milliseconds.
fn quantiles(sorted: &[Duration]) -> [String; 3] {
    [0.5, 0.99, 1.0].map(|share| {
        quantile(sorted, share).map_or("–".to_owned(), |time| number(time.as_secs_f64() * 1e3))
    })
}

/// The least value that so large a share of all does not exceed.
pub fn quantile(sorted: &[Duration], share: f64) -> Option<Duration> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::super::crowd::SLOW;
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantiles(&times), ["100", "198", "200"]);
        assert_eq!(quantiles(&times[..1]), ["1.00", "1.00", "1.00"]);
        assert_eq!(quantiles(&[]), ["–", "–", "–"]);
    }

    #[test]
    fn the_notes_say_how_many_read_how_slowly() {
        assert_eq!(SLOW, [(20, 102_400.0), (20, 1e6)]);
        assert!(NOTES.contains("the 20 who read at 100 KiB/s, of the 20 who read at 1 MB/s"));
    }
}
