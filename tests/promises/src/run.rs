//! Runs the checks: the servers a few at a time, the checks of one server one after the other.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use crate::manners::Manners;
use crate::outcome::{Cell, Finding, Outcome, Verdict};
use crate::process::Process;
use crate::promise::Promise;
use crate::servers::{Server, Stage};
use crate::transcript::Transcript;
use crate::visit::Visit;
use crate::words::Given;

/// Runs all servers, `jobs` at a time; returns the cells in the order of the servers and promises. `progress`
/// hears of each server that is done.
///
/// Where there is one server, a check that fails is made once more. A table of many takes minutes, and the
/// page that it is compared with says what to expect.
pub fn run(
    servers: &[Server],
    given: &Given,
    promises: &[&'static Promise],
    jobs: usize,
    progress: impl Fn(&str) + Sync,
) -> Vec<Cell> {
    let mut order: Vec<usize> = (0..servers.len()).collect();
    // Taken from the end: first those that start slowly, and then the last of the list, which waits longest
    // in vain.
    order.sort_by_key(|index| servers[*index].starts_slowly);
    let waiting = Mutex::new(order);
    let rows = Mutex::new(vec![Vec::new(); servers.len()]);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no holder panics").pop();
                    let Some(index) = next else { break };
                    let start = Instant::now();
                    let row = run_started(&servers[index], given, promises, servers.len() == 1);
                    progress(&format!(
                        "{}: {} ({} s)",
                        servers[index].name,
                        summary(&row),
                        start.elapsed().as_secs()
                    ));
                    rows.lock().expect("no holder panics")[index] = row;
                }
            });
        }
    });
    rows.into_inner().expect("no holder panics").concat()
}

/// Runs the checks against a server that is running already.
pub fn run_running(
    name: &str,
    address: SocketAddr,
    given: &Given,
    promises: &[&'static Promise],
) -> Vec<Cell> {
    let manners = match Manners::find_out(address, given) {
        Ok(manners) => manners,
        Err(finding) => return not_run(name, promises, &sentence(finding)),
    };
    let try_once = |promise: &Promise| {
        let visit = Visit { address, manners: &manners, process: None, notes: Transcript::new() };
        (check(promise, &visit), visit.notes)
    };
    promises.iter().map(|promise| judge(name, promise, true, |_| try_once(promise))).collect()
}

fn run_started(server: &Server, given: &Given, promises: &[&'static Promise], twice: bool) -> Vec<Cell> {
    let first = match server.start(Stage::Shared) {
        Ok(process) => process,
        Err(error) => return not_run(&server.name, promises, &format!("{error:#}")),
    };
    let manners = match Manners::find_out(first.address, given) {
        Ok(manners) => manners,
        Err(finding) => return not_run(&server.name, promises, &sentence(finding)),
    };
    let mut processes = Processes { server, manners: &manners, shared: Some(first) };
    let judge_one = |promise: &&'static Promise| {
        judge(&server.name, promise, twice, |is_again| processes.judges(promise, is_again))
    };
    promises.iter().map(judge_one).collect()
}

/// A machine may have been busy, or an earlier check may have left something behind. So a check that fails is
/// made once more, and what holds then is kept: but for the promises that are broken only now and then.
fn judge(
    server: &str,
    promise: &'static Promise,
    twice: bool,
    mut check: impl FnMut(bool) -> (Outcome, Transcript),
) -> Cell {
    let (first, notes) = check(false);
    let seen = match first {
        Err(Finding::Broken(seen)) if twice => seen,
        first => return Cell::new(server, promise.name, first, notes.lines()),
    };
    let (second, notes_again) = check(true);
    match second {
        Err(Finding::Broken(_)) => Cell::new(server, promise.name, second, notes_again.lines()),
        _ if promise.is_broken_by_chance() => {
            let seen = format!("{seen} (in one of two runs)");
            Cell::new(server, promise.name, Err(Finding::Broken(seen)), notes.lines())
        }
        _ => Cell::new(server, promise.name, second, Vec::new()),
    }
}

/// The processes of one server, one after the other.
struct Processes<'a> {
    server: &'a Server,
    manners: &'a Manners,
    /// A JVM takes seconds to start, so most checks of such a server use one process, as long as it serves
    /// its clients.
    shared: Option<Process>,
}

impl Processes<'_> {
    fn judges(&mut self, promise: &Promise, is_again: bool) -> (Outcome, Transcript) {
        let may_share = matches!(promise.stage, Stage::Shared | Stage::Crowd | Stage::Flood);
        let shared = self.shared.take().filter(|_| self.server.starts_slowly && may_share && !is_again);
        let process = match shared.map_or_else(|| self.server.start(promise.stage), Ok) {
            Ok(process) => process,
            Err(error) => return (Err(Finding::NotRun(format!("{error:#}"))), Transcript::new()),
        };
        let notes = Transcript::new();
        let visit = Visit {
            address: process.address,
            manners: self.manners,
            process: Some(&process),
            notes: notes.clone(),
        };
        let mut outcome = check(promise, &visit);
        if let (Err(Finding::Broken(seen)), true) = (&mut outcome, process.has_ended()) {
            *seen = format!("the server ended: {seen}");
        }
        let may_go_on = self.server.starts_slowly && may_share && !process.has_ended();
        let other = Visit { notes: Transcript::new(), ..visit };
        if may_go_on && (outcome.is_ok() || other.alice_and_bob().is_ok()) {
            self.shared = Some(process);
        }
        (outcome, notes)
    }
}

/// A check that panics is a mistake in the check, and must not take the other rows with it.
fn check(promise: &Promise, visit: &Visit) -> Outcome {
    let outcome = catch_unwind(AssertUnwindSafe(|| (promise.check)(visit)));
    outcome.unwrap_or_else(|_| Err(Finding::NotRun("the check itself failed; please report it".into())))
}

fn sentence(finding: Finding) -> String {
    match finding {
        Finding::Broken(why) | Finding::NotOffered(why) | Finding::NotRun(why) => why,
    }
}

fn not_run(server: &str, promises: &[&'static Promise], why: &str) -> Vec<Cell> {
    let cell = |promise: &&'static Promise| {
        Cell::new(server, promise.name, Err(Finding::NotRun(why.to_owned())), Vec::new())
    };
    promises.iter().map(cell).collect()
}

fn summary(row: &[Cell]) -> String {
    let count = |verdict| row.iter().filter(|cell| cell.result == verdict).count();
    if count(Verdict::NotRun) == row.len() {
        return format!("not run, {}", row.first().map_or("", |cell| &cell.seen));
    }
    let counts = Verdict::ALL.map(|verdict| format!("{} {}", count(verdict), verdict.words()));
    counts.join(", ")
}
