//! Fuzzing: random and mutated input for everything that takes input, for as long as `FUZZ_SECONDS` says
//! (`make fuzz`).
//!
//! It is a test inside the library because what it feeds is `pub(crate)`, and no feature should open that to
//! the world. cargo-fuzz would be guided by coverage, and needs a nightly compiler; here the guide is
//! [`PIECES`] and [`TEXTS`], which mean something to some rule. Each execution follows from one number, which
//! a failure names: `FUZZ_TARGET=names FUZZ_SEED=17 make fuzz` does that one alone. Only `server` has a past,
//! the talk of earlier executions.

use crate::Config;
use crate::audience::Audience;
use crate::chat::command::{COMMANDS, Request};
use crate::chat::room::{Recipients, Room, problem};
use crate::chat::{ClientId, Now, nickname::Nickname};
use crate::ending::Ending;
use crate::guard::admission::Admission;
use crate::guard::line_reader::LineReader;
use crate::operator::orders::{Effect, Orders};
use fastrand::Rng;
use proptest::test_runner::{Config as Properties, FileFailurePersistence::SourceParallel};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs};
use unicode_normalization::UnicodeNormalization;

#[path = "server/tests.rs"]
mod server;

/// How the properties beside the code are tested. The cases that failed once are kept, and tried first.
pub(crate) fn properties() -> Properties {
    Properties::with_failure_persistence(SourceParallel("tests/regressions"))
}

/// What some rule knows, with `|` between: line breaks, erasing, what ends a stream, telnet's commands, half
/// characters, foreign protocols;
const PIECES: &[u8] = b"\n|\n|\n|\r\n|\r|\r\0|\0|\x08|\x7f|\x03|\x04|\x1a|\t| |         |\xff|\xff\xf4|\xff\xec|\xff\xfb\x01|\xff\xfd|\
    \xff\xfa\x18\0|\xff\xf0|\xff\xff|\xc2\x9b|\xc3|\xa9|\xef\xbb\xbf|GET / HTTP/1.1|SSH-2.0-x|\x16\x03\x01|\x03\0\0|\0a\nz\xffSMB|\
    USER a b c d|*1|EHLO x|\0\x01\0\0\x21\x12\xa4\x42";

/// what terminals obey or do not show, names, and commands.
const TEXTS: &str = "\x1b[2J|\x1b[1;31m|\u{202e}|\u{2028}|\u{9b}|\u{200b}|\u{200d}|\u{e0041}|\u{fff9}|\u{206a}|\u{301}\u{301}\u{301}\u{301}\u{301}\
    |\u{3164}|\u{2800}|／|é|🏴\u{e0067}\u{e007f}|👩\u{200d}💻|alice|bob|b0b|eve|guest1|guest2|server|you|ТОМ|愛麗絲|/msg bob psst\n|/w |/reply x\n|\
    /r |/nick |/nick bob\n|/list\n|/who |/me |/history\n|/echo off\n|/timestamps on\n|/help\n|/quit |//|// |/|/m|hello";

/// For the operator.
const ORDERS: &str = "/kick |/kick bob |/kick #2 |/ban |/ban 10.0.0.0/8|/ban ::1|/unban |/bans|/list|/help|/stop|/ban 127.0.0.1|\
    /ban #1|10.1.2.3/33|\n";

/// How much the process may grow in one target, in KiB. What is bounded is small: a room, a few lines.
const GROWTH: u64 = 64 * 1024;

static PANICS: AtomicUsize = AtomicUsize::new(0);

type Target = Box<dyn FnMut(&mut Rng)>;

fn targets() -> Vec<(&'static str, Target)> {
    let (running, admission) = (server::Running::start(), Admission::new(&Config::default()));
    vec![
        ("reader", Box::new(the_reader_does_not_care_for_packets)),
        ("chat", Box::new(whatever_is_typed_the_room_stays_sound)),
        ("names", Box::new(no_two_names_differ_only_by_what_nobody_sees)),
        ("operator", Box::new(move |rng| the_operator_may_type_anything(rng, &admission))),
        ("server", Box::new(move |rng| server::a_whole_server_bears_it(rng, &running))),
    ]
}

#[test]
#[ignore = "it runs for FUZZ_SECONDS: make fuzz"]
fn fuzz() {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (only, seed) = (env::var("FUZZ_TARGET").ok(), number("FUZZ_SEED"));
    let mut targets = targets();
    targets.retain(|(name, _)| only.as_deref().is_none_or(|only| only == *name));
    assert!(!targets.is_empty(), "there is no target {only:?}");
    let time = Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(60)) / targets.len() as u32;
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(info);
    }));
    for (name, mut target) in targets {
        let (start, before, mut executions, mut slowest) =
            (Instant::now(), resident(), 0_u64, (Duration::ZERO, 0));
        while executions == 0 || (seed.is_none() && start.elapsed() < time) {
            let seed = seed.unwrap_or_else(|| fastrand::u64(..));
            let begun = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| target(&mut Rng::with_seed(seed))));
            let again = format!("again with FUZZ_TARGET={name} FUZZ_SEED={seed} make fuzz");
            assert!(outcome.is_ok() && PANICS.load(Ordering::SeqCst) == 0, "{again}");
            executions += 1;
            slowest = slowest.max((begun.elapsed(), seed));
        }
        let grown = resident().zip(before).map_or(0, |(now, before)| now.saturating_sub(before));
        let ((longest, seed), time) = (slowest, start.elapsed());
        println!(
            "{name}: {executions} executions in {time:.1?}, {grown} KiB more memory, the slowest in {longest:.1?} (seed {seed})"
        );
        assert!(grown < GROWTH, "{name} took {grown} KiB of memory");
    }
}

/// The memory of this process in KiB, where the system tells it (Linux).
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

fn one_of<'a>(rng: &mut Rng, pieces: &'a [u8]) -> &'a [u8] {
    let mut pieces = pieces.split(|byte| *byte == b'|');
    let count = pieces.clone().count();
    pieces.nth(rng.usize(0..count)).unwrap_or_default()
}

/// Pieces, characters and single bytes in a row, some of it changed afterwards.
fn input(rng: &mut Rng, more: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(1..30) {
        match rng.u32(0..10) {
            0 => bytes.push(rng.u8(..)),
            1 => bytes.extend(rng.char(..).to_string().bytes()),
            2 => bytes.extend(b"x".repeat(rng.usize(0..100))),
            3 | 4 => bytes.extend(one_of(rng, PIECES)),
            5..8 if !more.is_empty() => bytes.extend(one_of(rng, more.as_bytes())),
            _ => bytes.extend(one_of(rng, TEXTS.as_bytes())),
        }
    }
    for _ in 0..rng.usize(0..4) {
        let at = rng.usize(0..bytes.len().max(1));
        match rng.u32(0..4) {
            0 => drop(bytes.drain(at.min(bytes.len())..(at + rng.usize(0..8)).min(bytes.len()))),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.u32(0..8)),
            2 => bytes.extend_from_within(at.min(bytes.len())..),
            // More than a line may hold.
            _ => bytes.extend(b"y".repeat(if rng.u32(0..20) == 0 { 5_000 } else { 1 })),
        }
    }
    bytes
}

/// A network that delivers the bytes in packets of any size up to `largest`.
struct Packets<'a>(&'a [u8], Rng, usize);

impl Read for Packets<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.1.usize(1..=self.2).min(buffer.len());
        self.0.take(size as u64).read(buffer).inspect(|&count| self.0 = &self.0[count..])
    }
}

/// The lines in a stream as a client's thread takes them, each whole or a problem, and the error that ends
/// them.
fn lines(bytes: &[u8], rng: &mut Rng, largest: usize, max: usize) -> Vec<Result<String, String>> {
    let mut reader = LineReader::new(Packets(bytes, rng.fork(), largest), max);
    let mut lines = Vec::new();
    loop {
        match reader.next_piece() {
            Ok(None) => return lines,
            Ok(Some(piece)) => lines.extend(piece.line),
            Err(error) => {
                lines.push(Err(error.to_string()));
                return lines;
            }
        }
    }
}

fn the_reader_does_not_care_for_packets(rng: &mut Rng) {
    let bytes = input(rng, "");
    let max = [1, 5, 30, 4096][rng.usize(0..4)];
    let whole = lines(&bytes, rng, 4096, max);
    for largest in [1, 3, 20] {
        assert_eq!(
            lines(&bytes, rng, largest, max),
            whole,
            "{:?}, at most {max}",
            bytes.escape_ascii().to_string()
        );
    }
}

/// Nothing in it moves a cursor, rings a bell or turns the writing around. Said again here, in other words
/// than there.
fn assert_safe(text: &str) {
    let is_obeyed = |c: char| match u32::from(c) {
        0x0a => false,
        0..0x20 | 0x7f..0xa0 | 0x2028..=0x202e | 0x2066..=0x206f | 0xfff9..=0xfffb => true,
        _ => false,
    };
    assert!(!text.contains(is_obeyed), "{text:?}");
}

/// A name without what nobody sees, or sees as part of another letter: what is left is what people go by.
fn as_seen(name: &Nickname) -> String {
    const FORMAT: [RangeInclusive<char>; 9] = [
        '\u{ad}'..='\u{ad}',
        '\u{34f}'..='\u{34f}',
        '\u{61c}'..='\u{61c}',
        '\u{180b}'..='\u{180f}',
        '\u{200b}'..='\u{200f}',
        '\u{2060}'..='\u{206f}',
        '\u{fe00}'..='\u{fe0f}',
        '\u{feff}'..='\u{feff}',
        '\u{e0000}'..='\u{e0fff}',
    ];
    // Those that may stand on a letter of any script. The marks of one script are seen.
    const MARKS: [RangeInclusive<char>; 5] = [
        '\u{300}'..='\u{36f}',
        '\u{1ab0}'..='\u{1aff}',
        '\u{1dc0}'..='\u{1dff}',
        '\u{20d0}'..='\u{20ff}',
        '\u{fe20}'..='\u{fe2f}',
    ];
    let is_unseen = |c: char| FORMAT.iter().chain(&MARKS).any(|range| range.contains(&c));
    name.to_string().nfc().filter(|c| !is_unseen(*c)).flat_map(char::to_lowercase).collect()
}

/// Room for one execution, and what must hold in it after every step.
struct Watched {
    room: Room,
    ids: Vec<ClientId>,
    max_history: (usize, usize),
}

impl Watched {
    fn new(people: u64, history: usize, bytes: usize) -> Watched {
        let mut room = Room::new(history, bytes);
        let ids: Vec<_> = (1..=people).map(ClientId).collect();
        for id in &ids {
            room.join(*id, std::net::Ipv4Addr::LOCALHOST.into(), Now::default());
            room.announce(*id, || true);
        }
        Watched { room, ids, max_history: (history, bytes) }
    }

    fn act(&mut self, from: ClientId, request: Request) {
        let private = match &request {
            Request::Msg(to, _) | Request::SayUnlessHere(_, to, _) => self.room.find(to),
            _ => None,
        };
        let answer = self.room.act(from, request.clone(), Now::default());
        for (to, text) in answer.unwrap_or_else(|why| vec![problem(from, &why)]) {
            match to {
                Recipients::Only(to) if matches!(request, Request::Msg(..)) => {
                    assert_eq!(Some(to), private, "{request:?}");
                }
                Recipients::Only(_) => assert!(matches!(request, Request::Reply(_)), "{request:?}"),
                Recipients::Operator => {
                    assert!(matches!(request, Request::Msg(..) | Request::Reply(_)), "{request:?}")
                }
                Recipients::Asker(to) => assert_eq!(to, from, "{request:?}"),
                Recipients::AskerForHistory(_) => {
                    let (most, bytes) = self.max_history;
                    let (lines, length) = (text.lines().count() - 1, text.len());
                    assert!(lines <= most && length <= bytes + 100, "{lines} lines, {length} bytes");
                }
                Recipients::Everyone
                | Recipients::EveryoneBut(_)
                | Recipients::EveryoneBefore(_)
                | Recipients::EveryoneFrom(_) => {
                    let is_public = match request {
                        Request::SayUnlessHere(..) => private.is_none(),
                        _ => matches!(request, Request::Say(_) | Request::Me(_) | Request::Nick(_)),
                    };
                    assert!(is_public, "{request:?}");
                }
            }
            assert_safe(&text);
        }
        self.check_names();
    }

    fn check_names(&self) {
        let mut seen = BTreeMap::new();
        for member in self.ids.iter().filter_map(|id| self.room.member(*id)) {
            if let Some(other) = seen.insert(as_seen(&member.name), &member.name) {
                panic!("{:?} is here beside {:?}", member.name.to_string(), other.to_string());
            }
        }
    }
}

/// Everything from the bytes of a socket to the replies, for three people at once.
fn whatever_is_typed_the_room_stays_sound(rng: &mut Rng) {
    let mut watched = Watched::new(3, rng.usize(0..8), rng.usize(0..5_000));
    let mut said: Vec<_> =
        (1..=3).map(|id| (ClientId(id), lines(&input(rng, ""), rng, 50, 4096).into_iter())).collect();
    while !said.is_empty() {
        let turn = rng.usize(0..said.len());
        let (id, lines) = &mut said[turn];
        let id = *id;
        let Some(line) = lines.next() else {
            said.swap_remove(turn);
            continue;
        };
        let command = line.map(|text| COMMANDS.parse(&text));
        match command {
            Ok(None) => {}
            Ok(Some(Ok(Request::Quit(last_word)))) => {
                let farewell = Ending::Quit(last_word).row().farewell;
                let (_, farewell) =
                    watched.room.leave(id, farewell, || true, Now::default()).expect("it was here");
                farewell.iter().for_each(|(_, text)| assert_safe(text));
                said.swap_remove(turn);
            }
            Ok(Some(Ok(request))) => watched.act(id, request),
            Ok(Some(Err(problem))) | Err(problem) => assert_safe(&problem),
        }
    }
}

/// People take names that are made from each other's.
fn no_two_names_differ_only_by_what_nobody_sees(rng: &mut Rng) {
    const NAMES: &str = "alice|bob|server|you|tom|ТОМ|zoë|愛麗絲|אליס|अलीसा|ᎣᏏᏲ|guest2";
    const BETWEEN: [u32; 12] =
        [0x300, 0x34f, 0x1ab0, 0x1dc0, 0x200b, 0x20d0, 0x2060, 0xfe00, 0xfe20, 0x180b, 0xe0100, 0x60];
    let mut watched = Watched::new(4, 0, 0);
    for _ in 0..rng.usize(2..20) {
        let mut name: Vec<char> = String::from_utf8_lossy(one_of(rng, NAMES.as_bytes())).chars().collect();
        for _ in 0..rng.usize(0..3) {
            let block = rng.choice(BETWEEN).unwrap_or_default() + rng.u32(0..0x50);
            let other = if rng.u32(0..4) == 0 { Some(rng.char(..)) } else { char::from_u32(block) };
            name.insert(rng.usize(0..=name.len()), other.unwrap_or('x'));
        }
        let id = *rng.choice(&watched.ids).expect("four are here");
        if let Ok(name) = Nickname::parse(&name.iter().collect::<String>()) {
            let seen = as_seen(&name);
            assert!(
                !matches!(seen.as_str(), "server" | "you" | "everyone"),
                "{:?} passes for {seen}",
                name.to_string()
            );
            assert_eq!(
                Nickname::parse(&name.to_string()).as_ref(),
                Ok(&name),
                "composing again changes nothing"
            );
            watched.act(id, Request::Nick(name));
        }
    }
}

fn the_operator_may_type_anything(rng: &mut Rng, admission: &Admission) {
    let mut watched = Watched::new(3, 5, 1_000);
    watched.act(ClientId(2), Request::Nick(Nickname::parse("bob").expect("a name")));
    let audience = Audience::new(1_000);
    for line in lines(&input(rng, ORDERS), rng, 50, 4096) {
        let orders = Orders { room: &watched.room, audience: &audience, admission };
        for effect in orders.obey(line.clone()) {
            match effect {
                Effect::Show(text) => assert_safe(&text),
                Effect::KeepOut(name) => watched.room.keep_out(&name),
                Effect::Kick(id, _) => assert!(watched.room.member(id).is_some(), "{line:?} kicks nobody"),
                Effect::Say(text) => {
                    assert_safe(&watched.room.say_as_operator(&text, Now::default()).1);
                }
                Effect::Msg(id, text) => {
                    let (line, shown) = watched.room.whisper_as_operator(id, &text).expect("it is here");
                    assert_safe(&line.1);
                    assert_safe(&shown);
                }
                Effect::Forget(name) => {
                    watched.room.forget(&name);
                }
                Effect::Invite | Effect::Stop => {}
            }
        }
    }
    admission.bans().into_iter().for_each(|net| assert!(admission.unban(net)));
}
