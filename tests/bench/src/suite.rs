//! The whole comparison: every load on every server, in rounds, so that what else the machine does meanwhile
//! falls on all of them alike.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::load::{Load, Pace};
use crate::peer::Peer;
use crate::room::{Room, Sample};

/// Rooms that every server is measured in.
const ROOMS: [usize; 3] = [10, 100, 1_000];
/// Rooms that take too long, or too much memory, with a JVM or with ncat.
const LARGE_ROOMS: [usize; 2] = [5_000, 9_000];

/// Two senders in a room of ten, else four, each with 32 lines on their way at once.
pub const FLOOD: Pace = Pace::Flood { window: 32 };
/// Deliveries per second, to all clients of a room together.
const SLOW: Pace = Pace::Steady { deliveries: 2_000 };
pub const BRISK: Pace = Pace::Steady { deliveries: 20_000 };

const FLOOD_TIME: Duration = Duration::from_millis(300);
/// In rooms of 1,000 and more, where lines are few; half of it in smaller ones.
const STEADY_TIME: Duration = Duration::from_millis(1_000);
/// Long enough that the moment in which a server finds out that somebody does not read is not all that is seen.
const STALL_TIME: Duration = Duration::from_secs(2);
const WARM_UP_TIME: Duration = Duration::from_millis(100);
const JVM_WARM_UP_TIME: Duration = Duration::from_millis(1_500);
pub const IDLE_TIME: Duration = Duration::from_secs(10);

/// What was seen of a server with 1,000 idle clients.
pub struct Idle {
    pub threads: usize,
    pub wake_ups: u64,
}

/// Everything measured. The vectors hold one value per round.
#[derive(Default)]
pub struct Results {
    pub loads: BTreeMap<(Pace, usize, Peer), Vec<Sample>>,
    /// Milliseconds until everybody was in.
    pub joins: BTreeMap<(usize, Peer), Vec<f64>>,
    /// What each other client got when one did not read, in percent of what it got when all did.
    pub stalls: BTreeMap<Peer, Vec<f64>>,
    pub idle: BTreeMap<Peer, Idle>,
    /// KiB resident, by how many idle clients there were.
    pub memory: BTreeMap<(Peer, usize), u64>,
    pub versions: Vec<String>,
    /// What did not run, and why.
    pub not_run: BTreeSet<String>,
}

/// Runs everything. What fails is noted and left out; the rest still counts.
pub fn run(ours: &Path, rounds: usize) -> Results {
    let mut results = Results::default();
    let peers = results.available(ours);
    let mut warm = BTreeMap::new();
    for round in 1..=rounds {
        for &peer in &peers {
            eprintln!("round {round} of {rounds}: {peer}");
            {
                let outcome = results.small_rooms(peer, ours, &mut warm);
                results.note(peer, outcome);
            }
            if matches!(peer, Peer::Ours | Peer::Tokio | Peer::TokioDesign) {
                let outcome = results.large_rooms(peer, ours);
                results.note(peer, outcome);
            }
        }
    }
    drop(warm);
    eprintln!("idle clients");
    if let Err(error) = results.idle_rooms(&peers, ours) {
        results.not_run.insert(format!("idle clients: {error:#}"));
    }
    results
}

/// Runs every load for a moment on every server that exists, and fails if anything is lost.
pub fn smoke(ours: &Path) -> Result<()> {
    let mut results = Results::default();
    let peers = results.available(ours);
    results.not_run.iter().for_each(|reason| println!("not run: {reason}"));
    ensure!(peers.contains(&Peer::Ours), "there is no chat-server to measure");
    for peer in peers {
        let mut room = Room::open(peer, ours)?;
        room.grow(12)?;
        room.server.resident()?;
        room.server.voluntary_switches()?;
        let stalled = usize::from(bears_a_stall(peer));
        for (pace, stalled) in [(SLOW, 0), (FLOOD, 0), (FLOOD, stalled)] {
            let load = Load { pace, senders: 2, duration: Duration::from_millis(300), stalled };
            let sample = room.measure(&load)?;
            let fine = sample.lost == 0 && sample.wrong == 0 && sample.rate > 0.0;
            ensure!(fine, "{peer}, {load:?}: {sample:?}");
        }
        println!("{peer}: lost nothing");
    }
    Ok(())
}

/// The other servers wait for whoever does not read, once the kernel's buffers are full: after that there is no rate.
fn bears_a_stall(peer: Peer) -> bool {
    matches!(peer, Peer::Ours | Peer::Tokio | Peer::TokioDesign | Peer::Floor)
}

fn load(pace: Pace, clients: usize, duration: Duration) -> Load {
    Load { pace, senders: if clients < 100 { 2 } else { 4 }, duration, stalled: 0 }
}

impl Results {
    /// The servers that can run here.
    fn available(&mut self, ours: &Path) -> Vec<Peer> {
        let mut peers = Vec::new();
        for &peer in Peer::value_variants() {
            let outcome = peer.version(ours).map(|version| {
                self.versions.push(format!("{peer}: {version}"));
                peers.push(peer);
            });
            self.note(peer, outcome);
        }
        peers
    }

    /// One server through the smaller rooms. A JVM takes seconds to start and to warm up, so it stays in `warm` for
    /// the next round. The others start afresh for every room.
    fn small_rooms(&mut self, peer: Peer, ours: &Path, warm: &mut BTreeMap<Peer, Room>) -> Result<()> {
        for count in ROOMS {
            if !peer.warms_up() {
                warm.remove(&peer);
            }
            let room = match warm.entry(peer) {
                Entry::Occupied(running) => running.into_mut(),
                Entry::Vacant(place) => {
                    let room = place.insert(Room::open(peer, ours)?);
                    if peer.warms_up() {
                        room.grow(count)?;
                        room.measure(&load(FLOOD, count, JVM_WARM_UP_TIME))?;
                    }
                    room
                }
            };
            room.clear()?;
            self.join(room, peer, count)?;
            room.measure(&load(FLOOD, count, WARM_UP_TIME))?;
            if matches!(peer, Peer::Ours | Peer::Tokio | Peer::TokioDesign | Peer::Floor) {
                let duration = if count < 1_000 { STEADY_TIME / 2 } else { STEADY_TIME };
                self.measure(room, peer, &load(SLOW, count, duration))?;
                self.measure(room, peer, &load(BRISK, count, duration))?;
            }
            let all_reading = self.measure(room, peer, &load(FLOOD, count, FLOOD_TIME))?;
            if count == 100 && bears_a_stall(peer) {
                let load = Load { stalled: 1, ..load(FLOOD, count, STALL_TIME) };
                let others = room.measure(&load)?.rate / (count - 1) as f64;
                let kept = 100.0 * others / (all_reading.rate / count as f64);
                self.stalls.entry(peer).or_default().push(kept);
            }
        }
        Ok(())
    }

    fn large_rooms(&mut self, peer: Peer, ours: &Path) -> Result<()> {
        for count in LARGE_ROOMS {
            let room = &mut Room::open(peer, ours)?;
            self.join(room, peer, count)?;
            self.measure(room, peer, &load(BRISK, count, STEADY_TIME))?;
            self.measure(room, peer, &load(FLOOD, count, FLOOD_TIME))?;
        }
        Ok(())
    }

    /// All servers at once, since idle ones do not disturb each other: memory at every size of room, and whether
    /// anything wakes up while nobody says anything. Once, not in rounds, because there is nothing here that varies.
    fn idle_rooms(&mut self, peers: &[Peer], ours: &Path) -> Result<()> {
        let mut rooms = Vec::new();
        for &peer in peers {
            let outcome = Room::open(peer, ours).and_then(|mut room| {
                self.memory(&mut room, peer, &ROOMS)?;
                rooms.push((peer, room));
                Ok(())
            });
            self.note(peer, outcome);
        }
        let wake_ups = |rooms: &[(Peer, Room)]| {
            let each = rooms.iter().map(|(_, room)| room.server.voluntary_switches());
            each.collect::<Result<Vec<_>>>()
        };
        let before = wake_ups(&rooms)?;
        thread::sleep(IDLE_TIME);
        let after = wake_ups(&rooms)?;
        for (((peer, room), before), after) in rooms.iter().zip(before).zip(after) {
            let (threads, wake_ups) = (room.server.threads()?, after - before);
            self.idle.insert(*peer, Idle { threads, wake_ups });
        }
        // The larger ones only after the others are gone: a process may not have descriptors for all of them.
        rooms.retain(|(peer, _)| matches!(peer, Peer::Ours | Peer::Tokio | Peer::TokioDesign));
        for (peer, room) in &mut rooms {
            let outcome = self.memory(room, *peer, &LARGE_ROOMS);
            self.note(*peer, outcome);
        }
        Ok(())
    }

    fn join(&mut self, room: &mut Room, peer: Peer, count: usize) -> Result<()> {
        let joined = room.grow(count)?.as_secs_f64() * 1e3;
        self.joins.entry((count, peer)).or_default().push(joined);
        Ok(())
    }

    fn measure(&mut self, room: &mut Room, peer: Peer, load: &Load) -> Result<Sample> {
        let sample = room.measure(load)?;
        let key = (load.pace, room.clients.all.len(), peer);
        self.loads.entry(key).or_default().push(sample);
        Ok(sample)
    }

    fn memory(&mut self, room: &mut Room, peer: Peer, counts: &[usize]) -> Result<()> {
        for &count in counts {
            room.grow(count)?;
            self.memory.insert((peer, count), room.server.resident()?);
        }
        Ok(())
    }

    fn note(&mut self, peer: Peer, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.not_run.insert(format!("{peer}: {error:#}"));
        }
    }
}
