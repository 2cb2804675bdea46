//! Monkeys at the keyboard: thousands of connections send random and structured garbage and hang up in every
//! way there is. Meanwhile alice and bob chat, and must not miss a line, nor see anything but text.
//!
//! `MONKEY_SECONDS` makes it longer, and `MONKEY_SEED` repeats it: every monkey does the same again, though
//! threads and network mix it differently.

use crate::{Usage, Wire};
use chat_test_support::{ServerProcess, eventually};
use fastrand::Rng;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// The server's flags. alice and bob are never cut off for being slow: on a busy machine they may be.
const FLAGS: [&str; 3] = ["--rate=0", "--max-per-ip=0", "--max-backlog=1073741824"];

/// How many monkeys there are. Each has one connection at a time.
const MONKEYS: usize = 12;

/// When to stop, if the time is not over before: each connection may keep a port busy for a minute.
const MOST_CONNECTIONS: usize = 100_000;

/// The first bytes of strangers that take the port for another: RFC 9112, RFC 8446, RFC
/// 4253, MS-RDPBCGR, MS-SMB2.
const HELLOS: [&[u8]; 7] = [
    b"GET / HTTP/1.1\r\nHost: chat:12345\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 28\r\n\r\n/nick root\n/msg alice hello\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and thirty-two random bytes\n",
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
    b"\x00\x00\x00\x45\xffSMB\x72\x00\x00\x00\x00\x18\x53\xc8",
];

/// Commands, texts that are nearly commands, attempts to pass for alice or the server,
/// and attacks on terminals.
const LINES: [&str; 36] = [
    "/nick alice",
    "/nick ALICE",
    "/nick al\u{456}ce",
    "/nick \u{430}lice",
    "/nick \x1b[31mred",
    "/nick a b",
    "/nick",
    "/nick monkey",
    "/nick server",
    "/nick ***",
    "/nick \u{202e}ecila",
    "/msg alice \x1b]0;title\x07",
    "/msg bob",
    "/msg",
    "/msg  ",
    "/msg \x1b[2J hi",
    "/w alice \u{9b}2J",
    "/r \r\x1bc",
    "/reply",
    "/me \x08\x08\x08\x08",
    "/me",
    "/MSG bob hi",
    "/echo maybe",
    "/echo off",
    "/list",
    "/help",
    "/timestamps on",
    "/",
    "//",
    "/\0",
    "/quit\0now",
    "\r<alice> 1",
    "*** alice left",
    "tab\tand\x7f",
    "\u{2028}*** bob left\u{2029}",
    "\u{2067}<alice> 1\u{85}",
];

/// Telnet (RFC 854): a command, negotiations, a subnegotiation, one that never ends, and an escaped 255.
const TELNET: [&[u8]; 6] = [
    b"\xff\xf4",
    b"\xff\xfd\x06\xff\xfb\x18",
    b"\xff\xfa\x18\x00xterm\xff\xf0",
    b"\xff\xfa\x18",
    b"\xff\xff",
    b"\xff",
];

/// Any bytes that a monkey may come up with.
fn garbage(rng: &mut Rng) -> Vec<u8> {
    let n = rng.usize(..200);
    let any_byte = |rng: &mut Rng| rng.u8(..);
    let mut any = |n: usize, byte: fn(&mut Rng) -> u8| (0..n).map(|_| byte(rng)).collect();
    match n % 10 {
        0 => any(10 * n, any_byte),
        1 => any(n, |rng| rng.u8(..32)),
        2 => any(n, |rng| b"\n\r\0 /"[rng.usize(..5)]),
        3 => any(n, |rng| "🙂漢\u{301}\u{200d}".as_bytes()[rng.usize(..12)]),
        4 => "🙂漢".as_bytes()[..rng.usize(1..7)].repeat(n),
        5 => TELNET[rng.usize(..TELNET.len())].to_vec(),
        6 => HELLOS[rng.usize(..HELLOS.len())].to_vec(),
        7 => vec![rng.u8(..); 1000 * n],
        8 => format!("{}\n", LINES[rng.usize(..LINES.len())]).into_bytes(),
        _ => (0..n).flat_map(|_| [LINES[rng.usize(..LINES.len())].as_bytes(), b"\n"].concat()).collect(),
    }
}

/// One monkey, until the time is over. Returns how many connections it made and how many bytes it sent.
///
/// Before each connection it waits for news from alice and bob, so that they do not fall ever farther behind.
fn monkey(server: SocketAddr, mut rng: Rng, until: Instant, exchanges: &AtomicUsize) -> (usize, usize) {
    let (mut connections, mut bytes, mut heard_of) = (0, 0, 0);
    while Instant::now() < until && connections < MOST_CONNECTIONS / MONKEYS {
        let exchange = exchanges.load(SeqCst);
        if exchange == heard_of {
            thread::sleep(Duration::from_micros(500));
            continue;
        }
        heard_of = exchange;
        // Ports can run out for a moment.
        let Ok(wire) = Wire::connect(server) else {
            continue;
        };
        connections += 1;
        bytes += pester(wire, &mut rng);
    }
    (connections, bytes)
}

/// One connection of a monkey. The server may end it at any time. Returns how many bytes were sent.
fn pester(mut wire: Wire, rng: &mut Rng) -> usize {
    wire.socket().set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let bytes: Vec<u8> = (0..rng.usize(..5)).flat_map(|_| garbage(rng)).collect();
    let packet = [1, 2, 7, 1000, usize::MAX][rng.usize(..5)];
    // Tiny packets only for so long, since each costs a system call.
    let (slowly, at_once) = bytes.split_at(bytes.len().min(packet.saturating_mul(50)));
    let mut sent = 0;
    for packet in slowly.chunks(packet).chain([at_once]) {
        if wire.send(packet).is_err() {
            break;
        }
        sent += packet.len();
    }
    match rng.u32(..5) {
        0 => wire.reset(),
        1 => drop(wire),
        kind => {
            if kind > 2 {
                let _ = wire.socket().shutdown(Shutdown::Write);
            }
            // Up to a hundred lines, if they come in time.
            let _ = (0..100).find(|_| !matches!(wire.glance(), Ok(Some(_))));
        }
    }
    sent
}

/// Alice or bob.
struct Sentinel {
    name: &'static str,
    wire: Wire,
    lines: usize,
    /// The first line that was more than text.
    not_text: Option<String>,
}

impl Sentinel {
    fn come_in(server: SocketAddr, name: &'static str) -> Sentinel {
        let wire = Wire::connect(server).unwrap();
        let mut sentinel = Sentinel { name, wire, lines: 0, not_text: None };
        sentinel.says(&format!("/nick {name}"));
        sentinel.sees_next(|line| line.ends_with(&format!(" is now {name}")));
        sentinel
    }

    fn says(&mut self, line: &str) {
        self.wire.send(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line for which this holds.
    fn sees_next(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.wire.next_line();
            self.lines += 1;
            if self.not_text.is_none() && !is_text(&line) {
                self.not_text = Some(line.clone());
            }
            if wanted(&line) {
                return line;
            }
        }
    }
}

/// Can a terminal simply print this: no control character, not even a tab, and nothing that reorders text?
fn is_text(line: &str) -> bool {
    let reorders = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = |c| matches!(c, '\u{2028}' | '\u{2029}');
    !line.contains(|c: char| c.is_control() || reorders(c) || breaks(c))
}

#[test]
fn two_people_chat_among_monkeys() {
    let seed = crate::seed("MONKEY_SEED");
    let duration = crate::duration("MONKEY_SECONDS");
    let server = ServerProcess::start(&FLAGS);
    let mut people = ["alice", "bob"].map(|name| Sentinel::come_in(server.address, name));
    let usage = || Usage::of(server.child.id());
    let (before, begun) = (usage(), Instant::now());
    let exchanges = AtomicUsize::new(0);
    let (connections, bytes) = thread::scope(|scope| {
        let monkey = |number| {
            let rng = Rng::with_seed(seed + 1_000_003 * number as u64);
            let (server, until, exchanges) = (server.address, begun + duration, &exchanges);
            scope.spawn(move || monkey(server, rng, until, exchanges))
        };
        let monkeys: Vec<_> = (0..MONKEYS).map(monkey).collect();
        while !monkeys.iter().all(|monkey| monkey.is_finished()) {
            exchange(&mut people, exchanges.fetch_add(1, SeqCst));
        }
        let done = monkeys.into_iter().map(|monkey| monkey.join().unwrap());
        done.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    });

    eventually("only alice and bob are left", || {
        people[0].says("/list");
        people[0].sees_next(|line| line.starts_with("*** ") && line.contains(" here: "))
            == "*** 2 here: alice, bob"
    });
    exchange(&mut people, exchanges.fetch_add(1, SeqCst));
    eventually("all is given back", || crate::same(before, usage()));

    let lines: usize = people.iter().map(|person| person.lines).sum();
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{connections} connections, {bytes} bytes, {seconds:.1} s, {lines} lines seen");
    eprintln!("{exchanges:?} exchanges between alice and bob");
    eprintln!("before: {before:?}\nafter:  {:?}", usage());
    for Sentinel { name, not_text, .. } in people {
        assert_eq!(not_text, None, "{name} saw more than text");
    }
    for line in crate::no_errors_in_the_log(&server.log) {
        assert!(is_text(&line), "the log has more than text: {line:?}");
    }
}

/// Each says a line with this number, and of all lines from alice or bob, both must
/// see exactly this one next.
fn exchange(people: &mut [Sentinel; 2], number: usize) {
    for speaker in 0..2 {
        people[speaker].says(&number.to_string());
        let expected = format!("<{}> {number}", people[speaker].name);
        for listener in people.iter_mut() {
            let from_either = ["<alice> ", "<bob> "];
            let seen = listener.sees_next(|line| from_either.iter().any(|from| line.starts_with(from)));
            assert_eq!(seen, expected, "what {} sees", listener.name);
        }
    }
}
