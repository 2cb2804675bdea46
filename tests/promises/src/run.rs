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
use crate::visit::Visit;
use crate::words::Given;

/// Runs all servers, `jobs` at a time; returns the cells in the order of the servers and promises. `progress`
/// hears of each server that is done.
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
                    let row = run_started(&servers[index], given, promises);
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
    let visit = Visit { address, manners: &manners, process: None };
    promises.iter().map(|promise| Cell::new(name, promise.name, check(promise, &visit))).collect()
}

fn run_started(server: &Server, given: &Given, promises: &[&'static Promise]) -> Vec<Cell> {
    let first = match server.start(Stage::Shared) {
        Ok(process) => process,
        Err(error) => return not_run(&server.name, promises, &format!("{error:#}")),
    };
    let manners = match Manners::find_out(first.address, given) {
        Ok(manners) => manners,
        Err(finding) => return not_run(&server.name, promises, &sentence(finding)),
    };
    let mut shared = server.starts_slowly.then_some(first);
    let mut row = Vec::new();
    for promise in promises {
        let outcome = match promise.stage {
            Stage::Shared | Stage::Crowd | Stage::Flood if server.starts_slowly => {
                in_shared(server, promise, &manners, &mut shared)
            }
            stage => {
                let process = server.start(stage).map_err(cannot_start);
                process.and_then(|process| in_process(promise, &manners, &process))
            }
        };
        row.push(Cell::new(&server.name, promise.name, outcome));
    }
    row
}

/// A JVM takes seconds to start, so most checks use one process, as long as it serves its clients.
fn in_shared(server: &Server, promise: &Promise, manners: &Manners, shared: &mut Option<Process>) -> Outcome {
    let process = match shared.take() {
        Some(process) => process,
        None => server.start(promise.stage).map_err(cannot_start)?,
    };
    let outcome = in_process(promise, manners, &process);
    let visit = Visit { address: process.address, manners, process: Some(&process) };
    let is_well = outcome.is_ok() || visit.alice_and_bob().is_ok();
    if is_well && !process.has_ended() {
        *shared = Some(process);
    }
    outcome
}

fn in_process(promise: &Promise, manners: &Manners, process: &Process) -> Outcome {
    let outcome = check(promise, &Visit { address: process.address, manners, process: Some(process) });
    match outcome {
        Err(Finding::Broken(seen)) if process.has_ended() => {
            Err(Finding::Broken(format!("the server ended: {seen}")))
        }
        outcome => outcome,
    }
}

/// A check that panics is a mistake in the check, and must not take the other rows with it.
fn check(promise: &Promise, visit: &Visit) -> Outcome {
    let outcome = catch_unwind(AssertUnwindSafe(|| (promise.check)(visit)));
    outcome.unwrap_or_else(|_| Err(Finding::NotRun("the check itself failed; please report it".into())))
}

fn cannot_start(error: anyhow::Error) -> Finding {
    Finding::NotRun(format!("{error:#}"))
}

fn sentence(finding: Finding) -> String {
    match finding {
        Finding::Broken(why) | Finding::NotOffered(why) | Finding::NotRun(why) => why,
    }
}

fn not_run(server: &str, promises: &[&'static Promise], why: &str) -> Vec<Cell> {
    let cell =
        |promise: &&'static Promise| Cell::new(server, promise.name, Err(Finding::NotRun(why.to_owned())));
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
