//! Random and mutated input for everything that reads what strangers send, for as long as one likes: `make fuzz`.
//!
//! The targets need what is private to the crate, so they are tests of the library and need no other toolchain. Each runs
//! for FUZZ_SECONDS (10 if it is not set), with a seed that a failure prints, and says how often it ran.

use crate::chat::clock::Moment;
use crate::chat::command::{Command, Order, Request};
use crate::chat::nickname::Nickname;
use crate::chat::room::{Recipients, Room};
use crate::chat::{ClientId, reply::Reply};
use crate::guard::foreign::Foreign;
use crate::guard::line_reader::{Line, LineReader};
use crate::guard::text::{printable, visible};
use fastrand::Rng;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// Pieces from which input is made: what means something to a reader, a terminal, a parser or a name.
const PIECES: [&str; 44] = [
    "\n",
    "\r",
    "\r\n",
    "\r\0",
    "\0",
    "\x08",
    "\x7f",
    "\x03",
    "\x04",
    "\x1a",
    "\t",
    " ",
    "        ",
    "/",
    "//",
    "／",
    "/msg ",
    "/w ",
    "/r ",
    "/nick ",
    "/me ",
    "/list",
    "/quit ",
    "/echo off",
    "/history",
    "/help",
    "alice",
    "bob",
    "guest1",
    "server",
    "a1ice",
    "аlice",
    "e\u{301}",
    "\u{301}",
    "\u{200b}",
    "\u{feff}",
    "\u{202e}",
    "\u{1ac5}",
    "👩‍👩‍👧",
    "你好",
    "\x1b[2J",
    "GET / HTTP/1.1",
    "x",
    "secret",
];

fn input(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(..12) {
        match rng.u8(..10) {
            0 => bytes.push(rng.u8(..)),
            1 => bytes.extend([255, rng.u8(236..)]), // Telnet.
            2 => bytes.extend("y".repeat(rng.usize(..40)).bytes()),
            _ => bytes.extend(rng.choice(PIECES).unwrap().bytes()),
        }
    }
    if !bytes.is_empty() && rng.u8(..4) == 0 {
        let at = rng.usize(..bytes.len());
        bytes[at] ^= 1 << rng.u8(..8);
    }
    bytes
}

fn text(rng: &mut Rng) -> String {
    String::from_utf8_lossy(&input(rng)).into_owned()
}

/// Runs a target until its time is over.
fn fuzz(target: &str, mut run: impl FnMut(&mut Rng)) {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(10);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut executions = 0_u64;
    while Instant::now() < until {
        for _ in 0..100 {
            let seed = fastrand::u64(..);
            let ran =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&mut Rng::with_seed(seed))));
            assert!(ran.is_ok(), "{target} fails with the seed {seed}");
            executions += 1;
        }
    }
    println!("{target}: {executions} executions");
}

/// A network that cuts the bytes into pieces.
struct Network<'a>(&'a [u8], Rng);

impl Read for Network<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.1.usize(1..9).min(buffer.len());
        self.0.take(size as u64).read(buffer).inspect(|&n| self.0 = &self.0[n..])
    }
}

fn lines(source: impl Read, max: usize) -> Vec<Result<Vec<u8>, String>> {
    let (mut reader, mut lines) = (LineReader::new(source, max), Vec::new());
    loop {
        match reader.next_line() {
            Ok(None) => return lines,
            Ok(Some(line)) => {
                let (Line::Whole(bytes) | Line::TooLong(bytes)) = line;
                let _ = Foreign::by_first_line(bytes, matches!(line, Line::Whole(_)));
                lines.push(line.whole(max).map(<[u8]>::to_vec));
            }
            Err(error) => {
                lines.push(Err(error.to_string()));
                return lines;
            }
        }
    }
}

#[test]
#[ignore = "it runs for as long as one likes: make fuzz"]
fn the_reader_gives_the_same_lines_however_they_are_cut() {
    fuzz("reader", |rng| {
        let (bytes, max) =
            ((0..rng.usize(1..6)).flat_map(|_| input(rng)).collect::<Vec<u8>>(), rng.usize(1..60));
        assert_eq!(lines(Network(&bytes, rng.fork()), max), lines(&bytes[..], max), "{bytes:?}");
    });
}

#[test]
#[ignore = "it runs for as long as one likes: make fuzz"]
fn nothing_that_a_terminal_obeys_leaves_the_parser() {
    fuzz("parser", |rng| {
        let line = text(rng);
        let (shown, seen) = (printable(&line), visible(&line));
        assert!(!shown.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{line:?}");
        for problem in [
            Command::parse(&shown, &seen).and_then(Result::err),
            Order::parse(&shown, &seen).and_then(Result::err),
            Nickname::parse(&line).err(),
        ] {
            assert!(!problem.unwrap_or_default().chars().any(char::is_control), "{line:?}");
        }
    });
}

#[test]
#[ignore = "it runs for as long as one likes: make fuzz"]
fn a_room_keeps_names_apart_and_private_lines_private() {
    fuzz("room", |rng| {
        let (mut room, mut here) = (Room::new(5, 2_000), Vec::new());
        let now = Moment::default();
        for step in 0..60 {
            let id = ClientId(rng.u64(1..6));
            match rng.u8(..10) {
                0 if !here.contains(&id) => {
                    room.join(id, IpAddr::V4(Ipv4Addr::new(127, 0, 0, rng.u8(1..4))), now);
                    here.push(id);
                }
                1 => {
                    room.leave(id, None, rng.bool());
                    here.retain(|other| *other != id);
                }
                _ => {
                    let line = text(rng);
                    let Some(Ok(Command::Room(request))) = Command::parse(&printable(&line), &visible(&line))
                    else {
                        continue;
                    };
                    let is_private = matches!(request, Request::Msg { .. } | Request::Reply(_));
                    for delivery in room.act(id, request, now) {
                        let is_whisper =
                            matches!(delivery.reply, Reply::Whispered(..) | Reply::WhisperSent(..));
                        let is_for_one = matches!(delivery.to, Recipients::Only(_) | Recipients::Asker(_));
                        assert!(!(is_private || is_whisper) || is_for_one, "step {step}: {line:?} is public");
                    }
                }
            }
            assert_eq!(room.len(), here.len());
        }
        let names: Vec<Nickname> = here.iter().map(|id| room.member(*id).unwrap().name.clone()).collect();
        for (i, one) in names.iter().enumerate() {
            assert!(names[i + 1..].iter().all(|other| !one.looks_like(other)), "{names:?}");
        }
    });
}
