//! Clients that do harm, on purpose or not.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::outcome::{Outcome, broken};
use crate::person::{Next, Person, is_timeout, patience, shortened};
use crate::promise::Promise;
use crate::servers::Stage;
use crate::text::token;
use crate::visit::Visit;

pub const ENDLESS_LINE_BOUNDED: Promise = Promise {
    number: 17,
    name: "endless-line-bounded",
    sentence: "A line that never ends costs a bounded amount of memory.",
    how: "mallory sends up to 48 MiB without a line break. Broken if the memory of the process has grown by \
          more than half of that, or if alice and bob no longer hear each other. (A JVM's memory means more \
          with a small heap: -XX:+UseSerialGC -Xms16m.)",
    why: "One client and one cable are enough to fill any machine.",
    broken_by: "readLine, read_line, LinesCodec::new(): each keeps all until there is a line break.",
    stage: Stage::Alone,
    check: endless_line_bounded,
};

/// Memory is judged after each round, and only the last verdict may be `broken`: a virtual machine's memory
/// may grow once without a reason.
const ROUND_MIB: u64 = 16;
const ROUNDS: u64 = 3;

fn endless_line_bounded(visit: &Visit) -> Outcome {
    let process = visit.needs_measured_process()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let mut mallory = visit.arrives("mallory")?;
    let _ = mallory.socket().set_write_timeout(Some(patience() / 2));
    let before = process.resident();
    let mut highest = before;
    let mut sent_mib = 0;
    let start = Instant::now();
    while sent_mib < ROUND_MIB * ROUNDS {
        let sent = send_mib(&mut mallory, &mut [&mut alice, &mut bob]);
        highest = highest.max(process.resident());
        let grown = highest.saturating_sub(before);
        let is_little = grown <= (sent_mib << 10) / 2;
        match sent {
            Ok(()) => sent_mib += 1,
            // A server that has slowed down under what it keeps has not stopped for the right reason.
            Err(_) if sent_mib >= ROUND_MIB && !is_little => break,
            Err(error) => {
                visit.meets(&mut alice, &mut bob)?;
                let how = if is_timeout(&error) { "stopped reading" } else { "closed the connection" };
                return Ok(format!("the server {how} after {sent_mib} MiB"));
            }
        }
        let is_slow = start.elapsed() > SLOWEST;
        if is_little && (sent_mib % ROUND_MIB == 0 || is_slow) {
            visit.meets(&mut alice, &mut bob)?;
            return Ok(format!("{} MiB more for {sent_mib} MiB sent", grown >> 10));
        }
    }
    broken!("memory grew by {} MiB for {} MiB sent", (highest - before) >> 10, sent_mib)
}

/// A server that paces its clients may take a long time for a MiB.
const SLOWEST: Duration = Duration::from_secs(15);

/// All three read on meanwhile: some servers send them each piece as it comes.
fn send_mib(mallory: &mut Person, others: &mut [&mut Person]) -> io::Result<()> {
    let chunk = [b'x'; 64 << 10];
    for number in 1..=16 {
        mallory.socket().write_all(&chunk)?;
        let moment = Duration::from_millis(if number < 16 { 1 } else { 20 });
        mallory.reads_for(moment);
        others.iter_mut().for_each(|other| drop(other.reads_for(moment)));
    }
    Ok(())
}

pub const NO_ESCAPE_SEQUENCES: Promise = Promise {
    number: 18,
    name: "no-escape-sequences",
    sentence: "Nothing that a terminal obeys reaches another person.",
    how: "mallory says lines with escape sequences, a bell, backspaces and C1 controls, tries a name with \
          one, and leaves with one. bob must get none of these.",
    why: "netcat shows what it gets: a sequence can clear the screen, forge lines, change the title, or type \
          an answer.",
    broken_by: "The server passes text on as it is.",
    stage: Stage::Shared,
    check: no_escape_sequences,
};

/// No two lines have one sequence, and hardly any server has one of these in front of its own lines.
const ATTACKS: [&str; 8] = [
    "\x1b]0;owned\x07",
    "\x1b[3;7H",
    "\u{9b}3J",
    "a bell \x07",
    "me\x08\x08you",
    "a delete \x7f",
    "a tab \x0b",
    "a page \x0c",
];
const EVIL_NAME: &str = "\x1b[3;41mevil";
const LAST_WORDS: &str = "\x1b[5;5H";

fn no_escape_sequences(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let mut mallory = visit.arrives("mallory")?;
    for attack in ATTACKS {
        mallory.says(&format!("{attack} {}", token()))?;
    }
    mallory.says(&visit.manners.words.nick(EVIL_NAME))?;
    let last = token();
    mallory.says(&last)?;
    let mut seen = bob.reads_until(&last)?;
    mallory.says(&format!("{} {LAST_WORDS}", visit.manners.words.quit))?;
    mallory.ends_input();
    mallory.reads_to_the_end(Duration::from_secs(3));
    let end = token();
    alice.says(&end)?;
    seen.append(&mut bob.reads_until(&end)?);
    // The server may have colours of its own. What mallory sent must not be there.
    let is_obeyed = |line: &&String| {
        ATTACKS.into_iter().chain([EVIL_NAME, LAST_WORDS]).any(|attack| line.contains(attack))
    };
    match seen.iter().find(is_obeyed) {
        Some(line) => broken!("bob got: {}", shortened(line)),
        None => Ok(String::new()),
    }
}

pub const HTTP_IS_NOT_HEARD: Promise = Promise {
    number: 19,
    name: "http-is-not-heard",
    sentence: "An HTTP request says nothing to the room.",
    how: "One client sends a GET, another a POST with a line in its body. alice must see no line of either.",
    why: "Any web page can make a visitor's browser send a request to an address in the LAN: it would speak \
          in the room.",
    broken_by: "The server takes any bytes for lines of talk.",
    stage: Stage::Shared,
    check: http_is_not_heard,
};

fn http_is_not_heard(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let text = token();
    let get = format!("GET /{text} HTTP/1.1\r\nHost: {text}\r\nAccept: */*\r\n\r\n");
    let post = format!("POST / HTTP/1.1\r\nHost: {text}\r\nContent-Length: 10\r\n\r\n{text}\r\n");
    for request in [get, post] {
        // When the connection has ended, the server is through with the request.
        visit.sends_alone(request.as_bytes(), Duration::from_secs(3))?;
    }
    let end = token();
    bob.says(&end)?;
    match alice.reads_until(&end)?.iter().find(|line| line.contains(&text)) {
        Some(line) => broken!("alice saw: {}", shortened(line)),
        None => Ok(String::new()),
    }
}

/// A person can skim this many lines in the time of the flood, and no more.
const MOST_LINES: usize = 1000;
const FLOOD: Duration = Duration::from_secs(3);

/// All three keep up with the flood: at most so many of its lines are on their way to one of them. Otherwise
/// a server that cuts slow readers off would end a connection on a busy machine, and not on another.
const MOST_UNSEEN: usize = 500;

pub const FLOODER_LEAVES_ROOM: Promise = Promise {
    number: 20,
    name: "flooder-leaves-room",
    sentence: "While one client floods, the others can read: at most 1,000 of its lines come in three seconds.",
    how: "mallory sends lines for three seconds, as fast as the server takes them and all three see them. alice \
          speaks every half second; bob must see all she says, and at most 1,000 lines of the flood.",
    why: "A line among a million is delivered, and nobody reads it.",
    broken_by: "The server takes from each client all that it sends. Back-pressure alone is no pace: a fast \
          server feels none.",
    stage: Stage::Shared,
    check: flooder_leaves_room,
};

fn flooder_leaves_room(visit: &Visit) -> Outcome {
    beside_a_flood(visit, talk_beside)
}

pub const FLOODER_DELAYS_NOBODY: Promise = Promise {
    number: 27,
    name: "flooder-delays-nobody",
    sentence: "While one client floods, the others' lines arrive within a second.",
    how: "mallory sends lines for three seconds, as fast as the server takes them and all three see them. alice \
          says a line, bob sees it, and so on. Broken if half of her lines take a second or more to reach him.",
    why: "A room in which each line comes late is a room in which nobody answers.",
    broken_by: "The server takes all that one client has sent before it looks at the next one; or a queue that \
          all share has no bound, and grows in front of the others.",
    stage: Stage::Shared,
    check: flooder_delays_nobody,
};

fn flooder_delays_nobody(visit: &Visit) -> Outcome {
    beside_a_flood(visit, time_beside)
}

type Watch = fn(&mut Person, &mut Person, &str) -> Outcome;

/// mallory floods, alice and bob talk, and `watch` judges.
fn beside_a_flood(visit: &Visit, watch: Watch) -> Outcome {
    visit.needs_relay()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let mallory = visit.arrives("mallory")?;
    let (mark, done) = (token(), AtomicBool::new(false));
    let [by_alice, by_mallory]: [Arc<AtomicUsize>; 2] = Default::default();
    let mut read = vec![bob.lines_read(), Arc::clone(&by_alice)];
    if visit.manners.echoes {
        read.push(Arc::clone(&by_mallory));
    }
    visit.notes.notes(&mallory.label, '>', &format!("{mark} {FLOOD_TEXT} (again and again)"));
    let [sender, hers, his] = [mallory.handle()?, alice.handle()?, mallory.handle()?];
    thread::scope(|scope| {
        scope.spawn(|| flood(&sender, &mark, &read, &done));
        scope.spawn(|| read_to_the_end(&hers, &by_alice));
        scope.spawn(|| read_to_the_end(&his, &by_mallory));
        let outcome = watch(&mut alice, &mut bob, &mark);
        done.store(true, Ordering::Relaxed);
        // It ends these threads, whatever they wait for. An error means that the connection has ended.
        for socket in [&hers, &his] {
            let _ = socket.shutdown(Shutdown::Both);
        }
        outcome
    })
}

const FLOOD_TEXT: &str = "and so on, and so forth";

/// Reads to the end of the connection, and counts the lines.
fn read_to_the_end(mut screen: &TcpStream, count: &AtomicUsize) {
    let _ = screen.set_read_timeout(None);
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = screen.read(&mut buffer) {
        let lines = buffer[..length].iter().filter(|byte| **byte == b'\n').count();
        count.fetch_add(lines, Ordering::Relaxed);
    }
}

/// Sends lines until it is done, or the server does not want them any more. `read` counts the lines that each
/// reader has got.
fn flood(mut socket: &TcpStream, mark: &str, read: &[Arc<AtomicUsize>], done: &AtomicBool) {
    const BATCH: usize = 100;
    let batch = format!("{mark} {FLOOD_TEXT}\n").repeat(BATCH);
    let count = || read.iter().map(|count| count.load(Ordering::Relaxed));
    let (before, mut sent): (Vec<usize>, _) = (count().collect(), 0);
    while !done.load(Ordering::Relaxed) {
        if count().zip(&before).any(|(now, before)| before + sent > now + MOST_UNSEEN) {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        sent += BATCH;
        match socket.write_all(batch.as_bytes()) {
            Err(error) if !is_timeout(&error) => return,
            _ => (),
        }
    }
}

/// alice speaks and bob reads, and the lines of the flood are counted.
fn talk_beside(alice: &mut Person, bob: &mut Person, mark: &str) -> Outcome {
    let start = Instant::now();
    let mut flooded = 0;
    bob.reads_until_one("the flood", |line| line.contains(mark))?;
    while start.elapsed() < FLOOD {
        let text = token();
        alice.says(&text)?;
        let mut next_word = None;
        while next_word.is_none_or(|time| Instant::now() < time) {
            let deadline = next_word.unwrap_or_else(|| Instant::now() + patience());
            match bob.next_line(deadline) {
                Next::Line(line) if line.contains(&text) => next_word = Some(Instant::now() + FLOOD / 6),
                Next::Line(line) => flooded += usize::from(line.contains(mark)),
                Next::Nothing if next_word.is_some() => (),
                Next::Nothing => {
                    return broken!("alice's line did not come within {} s", patience().as_secs());
                }
                Next::End => return broken!("bob's connection ended"),
            }
            if flooded > MOST_LINES {
                return broken!("{flooded} lines of the flood within {:.1} s", start.elapsed().as_secs_f32());
            }
        }
    }
    Ok(format!("{flooded} lines of the flood in {} s", FLOOD.as_secs()))
}

/// A line of alice's takes a few milliseconds where nobody floods.
const LATE: Duration = Duration::from_secs(1);

/// Between two of her lines.
const PAUSE: Duration = Duration::from_millis(100);

/// alice says one line after the other, and bob must see half of them in time.
fn time_beside(alice: &mut Person, bob: &mut Person, mark: &str) -> Outcome {
    let start = Instant::now();
    let mut times = Vec::new();
    bob.reads_until_one("the flood", |line| line.contains(mark))?;
    while start.elapsed() < FLOOD || times.is_empty() {
        let (text, said) = (token(), Instant::now());
        alice.says(&text)?;
        bob.sees(&text)?;
        times.push(said.elapsed());
        // Both keep up with the flood meanwhile.
        bob.reads_for(PAUSE);
    }
    times.sort_unstable();
    let (half, most) = (times[times.len() / 2], times[times.len() - 1]);
    let figures = format!(
        "half of alice's lines took {} ms or more, the slowest {} ms",
        half.as_millis(),
        most.as_millis()
    );
    if half >= LATE { broken!("{figures}") } else { Ok(figures) }
}
