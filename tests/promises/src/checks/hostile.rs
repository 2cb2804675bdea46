//! Clients that do harm, on purpose or not.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::outcome::{Outcome, broken};
use crate::person::{Next, PATIENCE, Person, is_timeout, shortened, token};
use crate::promise::Promise;
use crate::servers::Stage;
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
    let process = visit.needs_process()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let mallory = visit.arrives("mallory")?;
    let _ = mallory.socket().set_write_timeout(Some(PATIENCE / 2));
    let before = process.resident();
    let mut highest = before;
    let chunk = vec![b'x'; 1 << 20];
    let mut sent_mib = 0;
    while sent_mib < ROUND_MIB * ROUNDS {
        let sent = mallory.socket().write_all(&chunk);
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
        if sent_mib % ROUND_MIB == 0 && is_little {
            visit.meets(&mut alice, &mut bob)?;
            return Ok(format!("{} MiB more for {sent_mib} MiB sent", grown >> 10));
        }
    }
    broken!("memory grew by {} MiB for {} MiB sent", (highest - before) >> 10, sent_mib)
}

pub const NO_ESCAPE_SEQUENCES: Promise = Promise {
    number: 18,
    name: "no-escape-sequences",
    sentence: "Nothing that a terminal obeys reaches another person.",
    how: "mallory says lines with escape sequences, a bell, backspaces and C1 controls, tries a name with \
          one, and leaves with one. bob must get no control character.",
    why: "netcat shows what it gets: a sequence can clear the screen, forge lines, change the title, or type \
          an answer.",
    broken_by: "The server passes text on as it is.",
    stage: Stage::Shared,
    check: no_escape_sequences,
};

fn no_escape_sequences(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let mut mallory = visit.arrives("mallory")?;
    for attack in ["\x1b]0;owned\x07", "\x1b[2J", "\u{9b}2J", "a bell \x07", "me\x08\x08you", "\x7f\x0b\x0c"]
    {
        mallory.says(&format!("{attack} {}", token()))?;
    }
    mallory.says(&visit.manners.words.nick("\x1b[31mevil"))?;
    let last = token();
    mallory.says(&last)?;
    let mut seen = bob.reads_until(&last)?;
    mallory.says(&format!("{} \x1b[2J", visit.manners.words.quit))?;
    mallory.ends_input();
    mallory.reads_to_the_end(Duration::from_secs(3));
    let end = token();
    alice.says(&end)?;
    seen.append(&mut bob.reads_until(&end)?);
    let is_obeyed = |c: char| c.is_control() && c != '\t';
    match seen.iter().find(|line| line.chars().any(is_obeyed)) {
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

/// The flooder keeps up itself: at most so many of its own lines are on their way back to it. Otherwise a
/// server that cuts slow readers off would end the flood on a busy machine, and not on another.
const MOST_UNSEEN: usize = 500;
/// Where its lines do not come back to it, it goes on after this time.
const NO_ECHO: Duration = Duration::from_millis(100);

pub const FLOODER_LEAVES_ROOM: Promise = Promise {
    number: 20,
    name: "flooder-leaves-room",
    sentence: "While one client floods, the others can read: at most 1,000 of its lines come in three seconds.",
    how: "mallory sends lines for three seconds, as fast as the server takes them and sends them back. alice \
          speaks every half second; bob must see all she says, and at most 1,000 lines of the flood.",
    why: "A line among a million is delivered, and nobody reads it.",
    broken_by: "The server takes from each client all that it sends. Back-pressure alone is no pace: a fast \
          server feels none.",
    stage: Stage::Shared,
    check: flooder_leaves_room,
};

fn flooder_leaves_room(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let mallory = visit.arrives("mallory")?;
    let mark = token();
    let done = AtomicBool::new(false);
    let (comes_back, came_back) = channel();
    thread::scope(|scope| {
        scope.spawn(|| flood(mallory.socket(), &mark, came_back, &done));
        scope.spawn(|| {
            let _ = mallory.socket().set_read_timeout(None);
            let lines = BufReader::new(mallory.socket()).split(b'\n').map_while(Result::ok);
            lines.for_each(|_| {
                let _ = comes_back.send(());
            });
        });
        let outcome = talk_beside(&mut alice, &mut bob, &mark);
        done.store(true, Ordering::Relaxed);
        // It ends both threads, whatever they wait for. An error means that the connection has ended already.
        let _ = mallory.socket().shutdown(std::net::Shutdown::Both);
        outcome
    })
}

/// Sends lines until it is done, or the server does not want them any more.
fn flood(mut socket: &TcpStream, mark: &str, came_back: Receiver<()>, done: &AtomicBool) {
    const BATCH: usize = 100;
    let batch = format!("{mark} and so on, and so forth\n").repeat(BATCH);
    let mut unseen = 0;
    while !done.load(Ordering::Relaxed) {
        while unseen > MOST_UNSEEN {
            unseen = came_back.recv_timeout(NO_ECHO).map_or(0, |()| unseen - 1);
        }
        unseen += BATCH;
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
            let deadline = next_word.unwrap_or_else(|| Instant::now() + PATIENCE);
            match bob.next_line(deadline) {
                Next::Line(line) if line.contains(&text) => next_word = Some(Instant::now() + FLOOD / 6),
                Next::Line(line) => flooded += usize::from(line.contains(mark)),
                Next::Nothing if next_word.is_some() => (),
                Next::Nothing => return broken!("alice's line did not come within {} s", PATIENCE.as_secs()),
                Next::End => return broken!("bob's connection ended"),
            }
            if flooded > MOST_LINES {
                return broken!("{flooded} lines of the flood within {:.1} s", start.elapsed().as_secs_f32());
            }
        }
    }
    Ok(format!("{flooded} lines of the flood in {} s", FLOOD.as_secs()))
}
