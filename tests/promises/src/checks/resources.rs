//! Things that run out, and the end.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::outcome::{Finding, Outcome, broken};
use crate::person::{Person, patience, shortened};
use crate::process::Process;
use crate::promise::Promise;
use crate::servers::Stage;
use crate::text::token;
use crate::visit::Visit;

pub const CHURN_LEAVES_NOTHING: Promise = Promise {
    number: 21,
    name: "churn-leaves-nothing",
    sentence: "A thousand connections that come and go leave nothing behind.",
    how: "After a few clients have come and gone, the descriptors and threads of the process are counted. A \
          thousand more come, ten at a time, say a line and leave (by the end of their input, a reset, or \
          closing with lines unread). Then there must be at most 8 descriptors and 64 threads more.",
    why: "A server runs for months, and a LAN has monitors that connect every minute.",
    broken_by: "A descriptor is kept in a map that only an orderly leave cleans; a thread waits for ever on \
          the queue of a client that has gone.",
    stage: Stage::Crowd,
    check: churn_leaves_nothing,
};

const AT_A_TIME: usize = 10;

fn churn_leaves_nothing(visit: &Visit) -> Outcome {
    let process = visit.needs_measured_process()?;
    let mut alice = visit.arrives("alice")?;
    for _ in 0..3 {
        come_and_go(visit, &mut alice)?;
    }
    let (descriptors, threads) = settled(process);
    for _ in 0..1000 / AT_A_TIME {
        come_and_go(visit, &mut alice)?;
    }
    visit.arrives("newcomer")?;
    let few = || process.descriptors() <= descriptors + 8 && process.threads() <= threads + 64;
    if eventually(few) {
        return Ok(String::new());
    }
    let (now, running) = (process.descriptors(), process.threads());
    broken!("descriptors: {descriptors} before, {now} after; threads: {threads} before, {running} after")
}

/// Descriptors and threads, once those who left a moment ago are out: when two looks in a row see the same.
fn settled(process: &Process) -> (usize, usize) {
    let look = || (process.descriptors(), process.threads());
    let mut last = look();
    eventually(|| {
        let before = std::mem::replace(&mut last, look());
        last == before
    });
    last
}

/// Ten clients come, are heard, and leave in different ways.
fn come_and_go(visit: &Visit, alice: &mut Person) -> Result<(), Finding> {
    let mut crowd = Vec::new();
    let mut texts = Vec::new();
    for _ in 0..AT_A_TIME {
        let mut person = visit.connects("guest")?;
        let text = token();
        person.says(&text)?;
        if visit.manners.echoes {
            person.sees(&text)?;
        }
        crowd.push(person);
        texts.push(text);
    }
    if visit.manners.relays {
        alice.reads_until_all(&texts)?;
    }
    let (in_order, at_once) = crowd.split_at_mut(AT_A_TIME / 3);
    for person in in_order {
        person.ends_input();
        person.reads_to_the_end(patience());
    }
    // All resets at the same moment: while the server tells of one leave, the next has happened already.
    at_once.iter().step_by(2).for_each(Person::resets_when_dropped);
    // With lines unread, the others are reset as well.
    drop(crowd);
    Ok(())
}

pub const DESCRIPTORS_RUN_OUT: Promise = Promise {
    number: 22,
    name: "descriptors-run-out",
    sentence: "Without free descriptors the talk goes on, and newcomers get in when there are some again.",
    how: "The limit of the process is lowered until four descriptors are free, and forty clients connect. \
          alice and bob must hear each other, and the server must not burn the processor. The forty leave; a \
          newcomer must get in.",
    why: "accept(2) fails then, and it is the one loop that must not end.",
    broken_by: "The accept loop ends at the first error. Or it tries again at once, for ever.",
    stage: Stage::Shared,
    check: descriptors_run_out,
};

fn descriptors_run_out(visit: &Visit) -> Outcome {
    let process = visit.needs_measured_process()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let cannot = |error: anyhow::Error| Finding::NotRun(format!("cannot limit the process: {error}"));
    let limits = process.limit_descriptors(4).map_err(cannot)?;
    let connect = |_| TcpStream::connect_timeout(&visit.address, Duration::from_secs(1)).ok();
    // A full backlog refuses some of them, which is fine.
    let crowd: Vec<TcpStream> = (0..40).filter_map(connect).collect();
    let in_vain = |finding| match finding {
        Finding::Broken(why) => Finding::Broken(format!("with no descriptor free: {why}")),
        other => other,
    };
    visit.meets(&mut alice, &mut bob).map_err(in_vain)?;
    if let Some(percent) = burns(process) {
        return broken!(
            "with no descriptor free it spins: awake for {percent} % of the time in which nobody spoke"
        );
    }
    drop(crowd);
    process.restore_descriptors(limits).map_err(cannot)?;
    match visit.arrives("newcomer") {
        Ok(_) => visit.meets(&mut alice, &mut bob).map(|()| String::new()),
        Err(Finding::Broken(why)) => broken!("afterwards: {why}"),
        Err(other) => Err(other),
    }
}

/// How much of the time it is awake while nobody says anything, in percent, if that is much in each of three
/// seconds: one may be that of a virtual machine that compiles.
fn burns(process: &Process) -> Option<u128> {
    const MUCH: u128 = 50;
    let mut least = u128::MAX;
    for _ in 0..3 {
        let (before, start) = (process.awake(), Instant::now());
        thread::sleep(Duration::from_secs(1));
        let awake = process.awake().saturating_sub(before);
        least = least.min(100 * awake.as_nanos() / start.elapsed().as_nanos());
        if least < MUCH {
            return None;
        }
    }
    Some(least)
}

pub const GOODBYE_ON_SIGTERM: Promise = Promise {
    number: 23,
    name: "goodbye-on-sigterm",
    sentence: "At SIGTERM everyone gets a last line and the end of the connection, and the server ends.",
    how: "alice and bob are in the room, and the process gets SIGTERM. Each must get a line and the end of \
          the connection, and the process must end.",
    why: "A connection that ends without a word looks like a broken network.",
    broken_by: "Nobody handles the signal. Or the handler ends the process before the line is on its way.",
    stage: Stage::Shared,
    check: goodbye_on_sigterm,
};

/// When nothing has come for so long, nothing is on its way.
const QUIET: Duration = Duration::from_millis(500);

fn goodbye_on_sigterm(visit: &Visit) -> Outcome {
    let process = visit.needs_process()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    // News of those who left before must not pass for a goodbye.
    for person in [&mut alice, &mut bob] {
        eventually(|| person.reads_for(QUIET).is_empty());
    }
    process.terminate();
    let mut goodbye = String::new();
    for person in [&mut alice, &mut bob] {
        let (lines, ended) = person.reads_to_the_end(patience());
        match lines.first() {
            Some(line) => goodbye = shortened(line),
            None if ended => return broken!("the connection ended without a word"),
            None => return broken!("nothing happened within {} s", patience().as_secs()),
        }
        if !ended {
            return broken!("the connection was still open {} s after the last line", patience().as_secs());
        }
    }
    if eventually(|| process.has_ended()) { Ok(goodbye) } else { broken!("the process did not end") }
}

/// Waits until something holds that no event tells of.
fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience();
    while Instant::now() < deadline {
        if holds() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}
