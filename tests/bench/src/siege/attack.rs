//! The attacks: the room in which each happens, and what every attacking connection does.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

use crate::peer::Peer;

/// chat-server's defaults: a burst of lines, and how long a line may be with its line break.
const BURST: usize = 200;
const LONGEST_LINE: usize = 4096;
const KIB: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Attack {
    /// Nobody attacks 40 people.
    #[value(name = "none-40")]
    Calm,
    /// A burst, 40 people read at 600 KB/s each.
    #[value(name = "a-600")]
    Burst,
    /// A burst, 20 people read at 100 KiB/s each.
    #[value(name = "a-100")]
    BurstSlow,
    /// Private lines to one victim that reads at 1 MB/s, again and again.
    #[value(name = "b")]
    Victim,
    /// Connects and disconnects, a hundred people look on.
    #[value(name = "g")]
    Doors,
    /// One leaves with a last word, again and again, 40 people look on.
    #[value(name = "h")]
    LastWords,
    /// Nobody attacks a thousand people.
    #[value(name = "none-1000")]
    CalmThousand,
    /// Readers that stay behind and ask for lists, in a room of a thousand.
    #[value(name = "c")]
    Behind,
    /// Bursts of /list, again and again, in a room of a thousand.
    #[value(name = "d")]
    List,
    /// Private lines to a name that nobody has, in a room of a thousand.
    #[value(name = "e")]
    Nobody,
    /// Lines of 4 KiB, again and again, in a room of a thousand.
    #[value(name = "f")]
    Long,
    /// The same with /history.
    #[value(name = "f-history")]
    History,
    /// Nobody attacks 3,900 people.
    #[value(name = "none-3900")]
    CalmFull,
    /// Bursts of /list, again and again, in a room of 3,900.
    #[value(name = "d-3900")]
    ListFull,
}

/// What one attacking connection does.
#[derive(Debug, PartialEq, Eq)]
pub enum Script {
    /// Says this as fast as it can, stays, and reads all it gets.
    Stay(Vec<u8>),
    /// Says this, ends its half, waits a moment for the other half's end, and comes again.
    Again(Vec<u8>),
    /// Asks for lists, and reads so slowly that much is always waiting for it, but never so
    /// much that it is cut off.
    Behind,
}

impl fmt::Display for Attack {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(self.to_possible_value().expect("no variant is skipped").get_name())
    }
}

impl Attack {
    /// How many people are in the room.
    pub fn crowd(self) -> usize {
        match self {
            Self::Victim => 1,
            Self::BurstSlow => 20,
            Self::Calm | Self::Burst | Self::LastWords => 40,
            Self::Doors => 100,
            Self::CalmThousand | Self::Behind | Self::List | Self::Nobody | Self::Long | Self::History => {
                1_000
            }
            Self::CalmFull | Self::ListFull => 3_900,
        }
    }

    /// How many bytes each of them reads in a second, if their link is slow.
    pub fn pace(self) -> Option<f64> {
        match self {
            Self::Burst => Some(600e3),
            Self::BurstSlow => Some(100.0 * 1024.0),
            Self::Victim => Some(1e6),
            _ => None,
        }
    }

    /// How many connections each attacking machine makes.
    pub fn connections(self) -> usize {
        match self {
            Self::Calm | Self::CalmThousand | Self::CalmFull => 0,
            Self::LastWords => 1,
            Self::Burst | Self::BurstSlow | Self::Victim => 4,
            Self::ListFull => 8,
            Self::Behind | Self::List | Self::Nobody | Self::Long | Self::History | Self::Doors => 64,
        }
    }

    pub fn is_calm(self) -> bool {
        self.connections() == 0
    }

    /// The run without an attack that this one is compared with.
    pub fn control(self) -> Self {
        match self.crowd() {
            0..=100 => Self::Calm,
            101..=1_000 => Self::CalmThousand,
            _ => Self::CalmFull,
        }
    }

    /// Whether the attack makes sense for a server. The siblings have no /history, `ncat` has no commands
    /// and takes ten seconds to let a thousand in, and thousands of clients are too many threads for a
    /// JVM to start in a moment.
    pub fn suits(self, peer: Peer) -> bool {
        match peer {
            Peer::Ours => true,
            Peer::Tokio | Peer::TokioDesign => self != Self::History,
            Peer::Java | Peer::Clojure => self != Self::History && self.crowd() <= 1_000,
            Peer::Ncat => matches!(self, Self::Calm | Self::Burst | Self::BurstSlow | Self::Doors),
            Peer::OursUnbatched | Peer::Floor => false,
        }
    }

    /// How long it goes on.
    pub fn duration(self, peer: Peer) -> Duration {
        Duration::from_secs(if peer == Peer::Ours { 4 } else { 2 })
    }

    /// `victim` is the name of somebody in the room.
    pub fn script(self, victim: &str) -> Script {
        let line = |length: usize, beginning: &str| {
            format!("{beginning}{}\n", "x".repeat(length.saturating_sub(beginning.len() + 1))).into_bytes()
        };
        match self {
            Self::Calm | Self::CalmThousand | Self::CalmFull => Script::Stay(Vec::new()),
            Self::Burst | Self::BurstSlow => Script::Stay(line(KIB, "").repeat(BURST)),
            Self::Victim => Script::Again(line(KIB, &format!("/msg {victim} ")).repeat(BURST)),
            // It has to say something to be announced, and does not want to be heard.
            Self::Doors => Script::Again(b"/x\n".to_vec()),
            Self::LastWords => Script::Again(line(3_900, "/quit ")),
            Self::Behind => Script::Behind,
            Self::List | Self::ListFull => Script::Again(b"/list\n".repeat(BURST)),
            // As long as a name may be, which makes it the most costly to compare. Far more
            // than it will get through.
            Self::Nobody => Script::Stay(b"/msg nobody-has-this-nam3 x\n".repeat(50 * BURST)),
            // As many as a burst is worth: chat-server counted a line for each KiB.
            Self::Long => Script::Again(line(LONGEST_LINE, "").repeat(BURST / 4)),
            Self::History => {
                Script::Again([line(LONGEST_LINE, "").repeat(10), b"/history\n".repeat(BURST - 40)].concat())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_as_long_as_it_should_be_and_a_burst_at_most() {
        for attack in Attack::value_variants() {
            let (Script::Stay(bytes) | Script::Again(bytes)) = attack.script("guest17") else { continue };
            assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "{attack}");
            let lines = bytes.split_inclusive(|byte| *byte == b'\n');
            assert!(lines.clone().all(|line| line.len() <= LONGEST_LINE), "{attack}");
            assert!(lines.count() <= BURST || *attack == Attack::Nobody, "{attack}");
        }
        let Script::Stay(burst) = Attack::Burst.script("") else { panic!("a burst is said once") };
        assert_eq!(burst.len(), 200 * 1024);
    }

    #[test]
    fn every_attack_has_a_control_in_a_room_like_its_own() {
        for attack in Attack::value_variants() {
            assert!(attack.control().is_calm());
            assert!(attack.control().control() == attack.control());
            assert!(attack.suits(Peer::Ours) && attack.connections() <= 64);
        }
    }
}
