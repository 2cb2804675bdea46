//! What the sieges found, as Markdown that also reads well on a terminal.

use std::iter;
use std::time::Duration;

use super::Results;
use super::arena::{Battle, Outcome};
use super::attack::Attack;
use crate::peer::Peer;
use crate::report::{Rows, aligned, machine, number, row, thousands};

const NOTES: &str = "\
Two sentinels, each on an address of its own, talk all the time: the one calls 20 times a second, the other answers. The
crowd only reads. Newcomers come one after the other. All of it, the attackers too, shares the cores of one machine.

- *Round trip*: from when a call was due until its answer was there, in ms. A call without an answer counts as long as it
  was waited for, which is 2 s at most after the end; how many those are stands behind the figures.
- *× control*: that p50 beside the one in a room like it without attack.
- *Cut off*: people of the crowd that the server disconnected, though all of them read; and sentinels.
- *Welcome*: how long newcomers waited for it, in ms, and how many were never welcomed.
- *News*: lines a second, on a reader's screen, that tell of a join or a leave. Where a server announces everybody at once,
  newcomers are among them.
- *Seen*: KB a second that a reader got.
- *Peak*: memory of the server in MiB, at most.
- *Threads left*: more than before anybody came, three seconds after all have left. Java and Clojure keep the threads of
  their pools for a minute.
- *Attack*: connections a second, those of them that were refused, and KB a second that the attackers could send.

The attacks, each from one address, or from 8 with as many connections each: *a-600*, *a-100*: 4 connections say a burst of 200
lines of 1 KiB, 40 people read at 600 KB/s each (20 at 100 KiB/s). *b*: 4 send bursts of `/msg` to one who reads at 1 MB/s, and
reconnect. *c*: 64 ask for `/list`, read slowly, and so stay behind. *d*: bursts of `/list` from 64 that reconnect; *d-3900*: from
8. *e*: `/msg` from 64 to a name that nobody has. *f*: lines of 4 KiB from 64 that reconnect; *f-history*: with `/history`.
*g*: 64 connect and disconnect. *h*: one says `/quit` with a last word of 3.9 kB, and reconnects.
–: the attack makes no sense for this server, or its room is too large for it.
";

pub fn markdown(results: &Results, versions: &[String], missing: &[String]) -> String {
    let mut text =
        format!("# Under siege\n\n{}\n\n{NOTES}\n{}", machine("one run", versions), aligned(&rows(results)));
    let failed = results.iter().filter_map(|(battle, outcome)| {
        outcome.as_ref().err().map(|error| format!("{battle}: {error:#}").replace('\n', " "))
    });
    let not_run: Vec<String> = missing.iter().cloned().chain(failed).collect();
    if !not_run.is_empty() {
        text += "\n## Not run, or not to its end\n\n";
        not_run.iter().for_each(|reason| text += &format!("- {reason}\n"));
    }
    text
}

/// For one line of a terminal.
pub fn in_short(outcome: &Outcome) -> String {
    let Outcome { watch, cut_off, welcomes, done, threads_left, .. } = outcome;
    let [p50, .., max] = quantiles(&watch.round_trips);
    let lost = cut_off + watch.cut_off;
    format!(
        "round trip p50 {p50}, max {max} ms, {} unanswered; {lost} cut off; {} of {} not welcomed; \
         {threads_left} threads left; the attack made {} connections and sent {} KB",
        watch.unanswered,
        welcomes.unwelcome,
        welcomes.waits.len(),
        done.connections,
        done.sent / 1000
    )
}

fn rows(results: &Results) -> Rows {
    let head = row([
        "server",
        "attack",
        "addresses",
        "people",
        "round trip p50 / p99 / max",
        "× control",
        "cut off",
        "welcome p50 / max",
        "news/s",
        "seen KB/s",
        "peak MiB",
        "threads left",
        "attack: connections/s (refused), KB/s",
    ]);
    let mut peers: Vec<Peer> = results.iter().map(|(battle, _)| battle.peer).collect();
    peers.dedup();
    let mut attacks: Vec<Attack> = results.iter().map(|(battle, _)| battle.attack).collect();
    attacks.sort_unstable();
    attacks.dedup();
    let mut rows = vec![head];
    for peer in peers {
        for &attack in &attacks {
            let fought = results.iter().filter(|(battle, _)| (battle.peer, battle.attack) == (peer, attack));
            rows.extend(
                fought.filter_map(|(battle, outcome)| Some(cells(battle, outcome.as_ref().ok()?, results))),
            );
            if !attack.suits(peer) {
                let dashes = iter::repeat_n("–".to_owned(), rows[0].len() - 2);
                rows.push([peer.to_string(), attack.to_string()].into_iter().chain(dashes).collect());
            }
        }
    }
    rows
}

fn cells(battle: &Battle, outcome: &Outcome, results: &Results) -> Vec<String> {
    let Battle { peer, attack, machines, crowd, duration } = battle;
    let Outcome { watch, cut_off, welcomes, done, peak, threads_left } = outcome;
    let per_second = |count: u64| count as f64 / duration.as_secs_f64();
    let marked = |text: String, count: usize, what: &str| match count {
        0 => text,
        _ => format!("{text}, {count} {what}"),
    };
    let round_trip = marked(quantiles(&watch.round_trips).join(" / "), watch.unanswered, "unanswered");
    let cut_off = if *cut_off == 0 { "0".to_owned() } else { format!("{cut_off} of {crowd}") };
    let [welcome, _, longest] = quantiles(&welcomes.waits);
    let welcome = match welcomes.waits.len() {
        0 => "–".to_owned(),
        _ => marked(format!("{welcome} / {longest}"), welcomes.unwelcome, "never"),
    };
    let attackers = match attack.is_calm() {
        true => "–".to_owned(),
        false => format!(
            "{} ({}), {}",
            thousands(per_second(done.connections)),
            thousands(per_second(done.refused)),
            thousands(per_second(done.sent) / 1e3)
        ),
    };
    vec![
        peer.to_string(),
        attack.to_string(),
        if attack.is_calm() { "–".to_owned() } else { machines.to_string() },
        thousands(*crowd as f64),
        round_trip,
        times_control(battle, outcome, results),
        marked(cut_off, watch.cut_off, "sentinels"),
        welcome,
        thousands(per_second(watch.seen.comings)),
        number(per_second(watch.seen.bytes) / 1e3),
        thousands(*peak as f64 / 1024.0),
        threads_left.to_string(),
        attackers,
    ]
}

/// The median beside that of the run without attack.
fn times_control(battle: &Battle, outcome: &Outcome, results: &Results) -> String {
    let is_control = |other: &Battle| other.peer == battle.peer && other.attack == battle.attack.control();
    let control =
        results.iter().find(|(other, _)| is_control(other)).and_then(|(_, control)| control.as_ref().ok());
    let median = |outcome: &Outcome| quantile(&outcome.watch.round_trips, 0.5).map(|time| time.as_secs_f64());
    match (median(outcome), control.and_then(median)) {
        (Some(attacked), Some(calm)) if !battle.attack.is_calm() => number(attacked / calm),
        _ => "–".to_owned(),
    }
}

/// p50, p99 and the maximum in milliseconds.
fn quantiles(sorted: &[Duration]) -> [String; 3] {
    [0.5, 0.99, 1.0].map(|share| {
        quantile(sorted, share).map_or("–".to_owned(), |time| number(time.as_secs_f64() * 1e3))
    })
}

/// The least value that so large a share of all does not exceed.
fn quantile(sorted: &[Duration], share: f64) -> Option<Duration> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantiles(&times), ["100", "198", "200"]);
        assert_eq!(quantiles(&times[..1]), ["1.00", "1.00", "1.00"]);
        assert_eq!(quantiles(&[]), ["–", "–", "–"]);
    }
}
