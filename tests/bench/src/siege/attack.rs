//! The attacks: the room in which each happens, and what every attacking connection does.

use std::fmt;

use clap::ValueEnum;

use super::crowd::SLOW;
use crate::peer::Peer;

/// chat-server's defaults: a burst of lines, how long a line may be with its line break, and how many clients
/// there may be.
const BURST: usize = 200;
const LONGEST_LINE: usize = 4096;
const PLACES: usize = 4_096;
const KIB: usize = 1024;

/// How many places attackers leave free where there are enough, for sentinels, for newcomers, and for those
/// who come again before the server has let go of them.
const SPARE_PLACES: usize = 256;

/// What is said for ever is said in pieces of at least this size.
const PIECE: usize = 16 * KIB;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Attack {
    Control,
    X01,
    X80,
    X01Msg,
    X80Msg,
    #[value(alias = "a")]
    Burst,
    #[value(alias = "b")]
    Victim,
    #[value(alias = "h")]
    LastWords,
    #[value(alias = "g")]
    Doors,
    Idle,
    Rename,
    Log,
    Endless,
    IacSb,
    #[value(alias = "c")]
    Behind,
    #[value(alias = "d")]
    List,
    #[value(alias = "e")]
    Nobody,
    Short,
    #[value(alias = "f")]
    Long,
    History,
    Stamps,
}

/// A line of the table of attacks.
struct Row {
    what: &'static str,
    /// How many people are in the room, in one siege each.
    rooms: &'static [usize],
    /// How many connections each attacking address makes.
    connections: usize,
    seconds: u64,
}

/// What one attacking connection does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// Says the beginning and then the other, if it is not empty, again and again, as fast as it can; reads
    /// all it gets. One that has said all stays, or ends its half, waits a moment for the other half's end,
    /// and comes again.
    Says { beginning: Vec<u8>, for_ever: Vec<u8>, comes_again: bool },
    /// Asks for lists, and reads so slowly that much is always waiting for it, but never so much that it is
    /// cut off.
    Behind,
}

impl fmt::Display for Attack {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(self.to_possible_value().expect("no variant is skipped").get_name())
    }
}

impl Attack {
    fn row(self) -> Row {
        let row = |what, rooms, connections| Row { what, rooms, connections, seconds: 3 };
        match self {
            Self::Control => row("control: nobody attacks", &[], 0),
            Self::X01 => row("lines of `\\x01`, reconnecting", &[40], 5),
            Self::X80 => row("lines of `\\x80`, reconnecting", &[40], 5),
            Self::X01Msg => row("lines of `\\x01`, by `/msg` to one", &[40], 5),
            Self::X80Msg => row("lines of `\\x80`, by `/msg` to one", &[40], 5),
            Self::Burst => row("A: bursts of talk", &[40], 4),
            Self::Victim => row("B: bursts of `/msg` to one, reconnecting", &[40], 4),
            Self::LastWords => row("H: `/quit` with last words", &[40], 2),
            Self::Doors => row("G: come and go", &[100], 64),
            Self::Idle => row("idle: take all places", &[40], 64),
            Self::Rename => Row { seconds: 6, ..row("renames push a kept name out", &[40], 8) },
            Self::Log => Row { seconds: 6, ..row("lines to all and to one, to fill the log", &[40], 8) },
            Self::Endless => row("bytes without a line end", &[40], 64),
            Self::IacSb => row("`IAC SB` without end", &[40], 64),
            Self::Behind => row("C: ask for lists, read slowly", &[1_000], 64),
            Self::List => row("D: `/list`, reconnecting", &[1_000, 3_900], 64),
            Self::Nobody => row("E: `/msg` to nobody", &[1_000], 64),
            Self::Short => row("short talk", &[1_000], 64),
            Self::Long => row("F: lines of 4 KiB", &[1_000], 64),
            Self::History => row("F: the same with `/history`", &[1_000], 64),
            Self::Stamps => row("`/timestamps on` and talk", &[1_000], 64),
        }
    }

    pub fn what(self) -> &'static str {
        self.row().what
    }

    pub fn rooms(self) -> &'static [usize] {
        self.row().rooms
    }

    pub fn seconds(self) -> u64 {
        self.row().seconds
    }

    pub fn is_control(self) -> bool {
        self == Self::Control
    }

    pub fn fills_the_log(self) -> bool {
        self == Self::Log
    }

    /// How many connections each of so many addresses makes. Only who wants all places does not care for the
    /// people there.
    pub fn connections(self, addresses: usize, people: usize) -> usize {
        let wanted = self.row().connections;
        let free = PLACES.saturating_sub(people);
        let share = (free - SPARE_PLACES.min(free / 3)) / addresses;
        if self == Self::Idle { wanted } else { wanted.min(share.max(1)) }
    }

    /// Whether the attack makes sense for a server. The siblings have no names to keep and no /history,
    /// `ncat` has no commands and takes ten seconds to let a thousand in, and thousands of clients are too
    /// many threads for a JVM to start in a moment.
    pub fn suits(self, peer: Peer, people: usize) -> bool {
        let needs_ours = matches!(
            self,
            Self::Rename | Self::Idle | Self::History | Self::Stamps | Self::Log | Self::IacSb
        );
        match peer {
            Peer::Ours => true,
            Peer::Tokio | Peer::TokioDesign => !needs_ours,
            Peer::Java | Peer::JavaVirtual | Peer::Clojure => !needs_ours && people <= 1_000,
            Peer::Ncat => matches!(self, Self::Control | Self::Burst | Self::Doors) && people <= 100,
            Peer::OursUnbatched | Peer::Floor => false,
        }
    }

    /// What connection number `number` does. `victim` is the name of one who reads.
    pub fn script(self, victim: &str, number: usize) -> Script {
        let to_victim = format!("/msg {victim} x");
        match self {
            Self::Control | Self::Idle => stay(""),
            Self::X01 => full_of(1, "x"),
            Self::X80 => full_of(0x80, "x"),
            Self::X01Msg => full_of(1, &to_victim),
            Self::X80Msg => full_of(0x80, &to_victim),
            Self::Burst => stay(&line(KIB, "").repeat(BURST)),
            // What a connection may say at once, for an address may say more.
            Self::Victim => again(&line(KIB, &to_victim).repeat(BURST * 128 / KIB)),
            // One who has said something has been announced, so that everybody hears of the leave.
            Self::LastWords => again(&format!("x\n{}", line(210, "/quit "))),
            // It has to say something to be announced, and does not want to be heard.
            Self::Doors => again("/x\n"),
            Self::Rename => {
                let names = (0..40).map(|name| format!("/nick c{number}n{name}\n"));
                for_ever("", names.collect::<String>().as_bytes())
            }
            Self::Log => for_ever("", format!("{}{to_victim}\n", line(128, "")).as_bytes()),
            Self::Endless => for_ever("hello\n", b"x"),
            Self::IacSb => Script::Says {
                beginning: b"hello\n\xff\xfa".to_vec(),
                for_ever: vec![b'x'; PIECE],
                comes_again: false,
            },
            Self::Behind => Script::Behind,
            Self::List => again(&"/list\n".repeat(BURST)),
            // As long as a name may be, which makes it the most costly to compare.
            Self::Nobody => for_ever("", b"/msg nobody-has-this-nam3 x\n"),
            Self::Short => for_ever("", b"x\n"),
            Self::Long => for_ever("", line(LONGEST_LINE, "").as_bytes()),
            Self::History => for_ever("", (line(LONGEST_LINE, "") + &"/history\n".repeat(4)).as_bytes()),
            Self::Stamps => for_ever("/timestamps on\n", b"x\n"),
        }
    }

    /// Which of the crowd gets private lines: the first who reads at 100 KiB/s, or at 1 MB/s.
    pub fn victim(self) -> Option<usize> {
        match self {
            Self::X01Msg | Self::X80Msg | Self::Log => Some(0),
            Self::Victim => Some(SLOW[0].0),
            _ => None,
        }
    }
}

/// A line of so many bytes, and its end.
fn line(length: usize, beginning: &str) -> String {
    format!("{beginning}{}\n", "x".repeat(length.saturating_sub(beginning.len())))
}

/// A burst of lines full of one byte, each worth one token of chat-server's pace, and again, because an
/// address has more of them than a connection. The lines begin with a letter, because a line of nothing that
/// one sees is no line. And the first of all is talk, or it might be taken for that of a foreign protocol.
fn full_of(byte: u8, beginning: &str) -> Script {
    let mut line = beginning.as_bytes().to_vec();
    line.resize(127, byte);
    line.push(b'\n');
    let beginning = [b"hello\n".to_vec(), line.repeat(BURST - 1)].concat();
    Script::Says { beginning, for_ever: Vec::new(), comes_again: true }
}

fn stay(text: &str) -> Script {
    Script::Says { beginning: text.into(), for_ever: Vec::new(), comes_again: false }
}

fn again(text: &str) -> Script {
    Script::Says { beginning: text.into(), for_ever: Vec::new(), comes_again: true }
}

fn for_ever(beginning: &str, text: &[u8]) -> Script {
    let for_ever = text.repeat(PIECE.div_ceil(text.len()));
    Script::Says { beginning: beginning.into(), for_ever, comes_again: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_as_long_as_it_may_be_and_has_an_end_unless_that_is_the_attack() {
        for attack in Attack::value_variants() {
            let Script::Says { beginning, for_ever, .. } = attack.script("guest17", 7) else { continue };
            let has_no_end = matches!(attack, Attack::Endless | Attack::IacSb);
            for text in [beginning, for_ever] {
                let longest = text.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
                assert!(has_no_end || longest <= Some(LONGEST_LINE), "{attack}");
                assert!(has_no_end || text.is_empty() || text.ends_with(b"\n"), "{attack}");
            }
        }
    }

    #[test]
    fn attackers_leave_places_free_unless_that_is_the_attack() {
        for attack in Attack::value_variants() {
            for (addresses, people) in [(1, 40), (64, 40), (64, 1_000), (64, 3_900)] {
                let places = people + addresses * attack.connections(addresses, people);
                assert_eq!(places > PLACES - 64, *attack == Attack::Idle && addresses == 64, "{attack}");
            }
        }
        assert_eq!(Attack::Nobody.connections(64, 1_000), 44);
    }

    #[test]
    fn no_two_connections_want_the_same_name() {
        assert_ne!(Attack::Rename.script("", 1), Attack::Rename.script("", 2));
    }
}
