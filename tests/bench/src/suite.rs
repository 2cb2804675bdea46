//! The whole comparison: every load on every server, in rounds, so that other work of the
//! machine falls on all of them alike.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::load::{Load, Pace};
use crate::peer::Peer;
use crate::progress::Progress;
use crate::report::median;
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

const FLOOD_TIME: Duration = Duration::from_secs(1);
/// The smoke test warns beyond this ratio of CPU in a small room. One and a half to two and a half is usual.
const DEAR: f64 = 3.0;
const STALL_TIME: Duration = Duration::from_secs(1);
const WARM_UP_TIME: Duration = Duration::from_millis(100);
const JVM_WARM_UP_TIME: Duration = Duration::from_millis(1_500);
pub const IDLE_TIME: Duration = Duration::from_secs(10);

/// A server with 1,000 idle clients.
pub struct Idle {
    pub threads: usize,
    pub wake_ups: u64,
}

/// Everything measured. The vectors hold one value per round.
#[derive(Default)]
pub struct Results {
    pub loads: BTreeMap<(Pace, usize, Peer), Vec<Sample>>,
    /// Milliseconds until all were in.
    pub joins: BTreeMap<(usize, Peer), Vec<f64>>,
    /// The rate of each other client when one did not read, in percent of its rate when all did.
    pub stalls: BTreeMap<Peer, Vec<f64>>,
    pub idle: BTreeMap<Peer, Idle>,
    /// KiB resident, by how many idle clients there were.
    pub memory: BTreeMap<(Peer, usize), u64>,
    pub versions: Vec<String>,
    /// The servers and loads that did not run, each with the reason.
    pub not_run: BTreeSet<String>,
}

/// Runs everything. A failure is noted and left out; the rest still counts.
pub fn run(ours: &Path, rounds: usize) -> Results {
    let mut results = Results::default();
    let peers = results.available(ours);
    let jobs = jobs(&peers, rounds);
    let names: Vec<_> = peers.iter().map(Peer::to_string).collect();
    eprintln!("{rounds} rounds in rooms of 10 to 9,000 clients: {}.", names.join(", "));
    results.not_run.iter().for_each(|reason| eprintln!("Not run: {reason}"));
    let mut progress = Progress::start(planned_in_all(&jobs, &peers));
    let mut warm = BTreeMap::new();
    for (round, peer, count) in jobs {
        progress.next(planned(peer, count), &format!("round {round} of {rounds}: {peer}, {count} clients"));
        let outcome = results.room(peer, count, ours, &mut warm);
        results.note(peer, outcome);
    }
    drop(warm);
    progress.next(planned_idle(&peers), "idle clients");
    if let Err(error) = results.idle_rooms(&peers, ours) {
        results.not_run.insert(format!("idle clients: {error:#}"));
    }
    progress.end();
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
    small_room(ours)
}

/// What a delivery in a flood of ten costs, as a multiple of the same design in tokio. A shared machine is
/// too noisy for a limit, so beyond [`DEAR`] this only warns.
fn small_room(ours: &Path) -> Result<()> {
    let cost = |peer| {
        let mut room = Room::open(peer, ours)?;
        room.grow(10)?;
        room.measure(&load(FLOOD, 10, Duration::from_millis(500))).map(|sample| sample.cpu)
    };
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        of_ours.push(cost(Peer::Ours)?);
        of_theirs.push(cost(Peer::TokioDesign)?);
    }
    let ratio = median(of_ours.into_iter()) / median(of_theirs.into_iter());
    println!("a flood of ten costs {ratio:.2} times the CPU of the same design in tokio");
    if ratio > DEAR {
        println!("WARNING: that is more than {DEAR} times; make bench tells more");
    }
    Ok(())
}

/// Every room of every server, round by round.
fn jobs(peers: &[Peer], rounds: usize) -> Vec<(usize, Peer, usize)> {
    let mut jobs = Vec::new();
    for round in 1..=rounds {
        for &peer in peers {
            let worth_it = |&count: &usize| round == 1 || !is_costly(peer, count);
            jobs.extend(rooms(peer).filter(worth_it).map(|count| (round, peer, count)));
        }
    }
    jobs
}

fn rooms(peer: Peer) -> impl Iterator<Item = usize> {
    let large: &[usize] = if grows(peer) { &LARGE_ROOMS } else { &[] };
    ROOMS.into_iter().chain(large.iter().copied())
}

/// The servers that go through the large rooms, and into the chart.
fn grows(peer: Peer) -> bool {
    matches!(peer, Peer::Ours | Peer::Tokio | Peer::TokioDesign)
}

/// `ncat` tells every client of every other one that joins, which takes it ten seconds here. Once is enough.
fn is_costly(peer: Peer, count: usize) -> bool {
    peer == Peer::Ncat && count == 1_000
}

/// The paces at which a server is measured, the flood last.
fn paces(peer: Peer, count: usize) -> Vec<Pace> {
    let mut paces = Vec::new();
    if grows(peer) || peer == Peer::Floor {
        // At so few deliveries a large room hears a line or two in a second, which says nothing.
        if count <= 100 {
            paces.push(SLOW);
        }
        paces.push(BRISK);
    }
    paces.push(FLOOD);
    paces
}

/// Long enough for twenty lines, as far as patience goes.
fn duration(pace: Pace, count: usize) -> Duration {
    match pace {
        Pace::Flood { .. } => FLOOD_TIME,
        Pace::Steady { deliveries } => {
            let seconds = 20.0 * count as f64 / f64::from(deliveries);
            Duration::from_secs_f64(seconds.clamp(0.5, 1.5))
        }
    }
}

/// `ncat` waits for a client that does not read, once the kernel's buffers are full: then there is no rate.
fn bears_a_stall(peer: Peer) -> bool {
    peer != Peer::Ncat
}

fn stalls(peer: Peer, count: usize) -> bool {
    count == 100 && peer != Peer::OursUnbatched && bears_a_stall(peer)
}

/// About how long one room of one server takes: its loads, and the time that was seen
/// beside them on two cores.
fn planned(peer: Peer, count: usize) -> Duration {
    let loads: Duration = paces(peer, count).into_iter().map(|pace| duration(pace, count)).sum();
    let stall = if stalls(peer, count) { STALL_TIME } else { Duration::ZERO };
    let starts = if peer.warms_up() { 1.5 } else { 0.2 };
    let joins_per_second = if peer.warms_up() { 1_000.0 } else { 5_000.0 };
    let joins = if is_costly(peer, count) { 10.0 } else { count as f64 / joins_per_second };
    WARM_UP_TIME + loads + stall + peer.manners().pause + Duration::from_secs_f64(starts + joins)
}

fn planned_in_all(jobs: &[(usize, Peer, usize)], peers: &[Peer]) -> Duration {
    let loads: Duration = jobs.iter().map(|&(_, peer, count)| planned(peer, count)).sum();
    loads + planned_idle(peers)
}

fn planned_idle(peers: &[Peer]) -> Duration {
    let joins: f64 = idle_peers(peers).map(|peer| if grows(peer) { 3.5 } else { 2.0 }).sum();
    IDLE_TIME + Duration::from_secs_f64(joins)
}

/// One chat-server is enough, and `ncat` takes too long to let 1,000 in.
fn idle_peers(peers: &[Peer]) -> impl Iterator<Item = Peer> {
    peers.iter().copied().filter(|&peer| peer != Peer::OursUnbatched && peer != Peer::Ncat)
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

    /// One server in one room. A JVM takes seconds to start and to warm up, so it stays in `warm` for the
    /// next room and the next round. The others start afresh for every room.
    fn room(&mut self, peer: Peer, count: usize, ours: &Path, warm: &mut BTreeMap<Peer, Room>) -> Result<()> {
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
        for pace in paces(peer, count) {
            self.measure(room, peer, &load(pace, count, duration(pace, count)))?;
        }
        if stalls(peer, count) {
            self.stall(room, peer)?;
        }
        if !peer.warms_up() {
            warm.remove(&peer);
        }
        Ok(())
    }

    /// One client stops reading, under flood.
    fn stall(&mut self, room: &mut Room, peer: Peer) -> Result<()> {
        let count = room.clients.all.len();
        let flood = self.loads.get(&(FLOOD, count, peer)).and_then(|samples| samples.last()).copied();
        let Some(all_reading) = flood else { return Ok(()) };
        let load = Load { stalled: 1, ..load(FLOOD, count, STALL_TIME) };
        let others = room.measure(&load)?.rate / (count - 1) as f64;
        let kept = 100.0 * others / (all_reading.rate / count as f64);
        self.stalls.entry(peer).or_default().push(kept);
        Ok(())
    }

    /// All servers at once, since idle ones do not disturb each other: memory at every size of room, and
    /// whether anything wakes up while the room is silent. Once, not in rounds, because nothing here varies.
    fn idle_rooms(&mut self, peers: &[Peer], ours: &Path) -> Result<()> {
        let mut rooms = Vec::new();
        for peer in idle_peers(peers) {
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
        // The larger ones only after the others are gone, and one at a time: there may not
        // be descriptors for more.
        rooms.retain(|&(peer, _)| grows(peer));
        for (peer, mut room) in rooms {
            let outcome = self.memory(&mut room, peer, &LARGE_ROOMS);
            self.note(peer, outcome);
        }
        Ok(())
    }

    fn join(&mut self, room: &mut Room, peer: Peer, count: usize) -> Result<()> {
        let joined = room.grow(count)?.as_secs_f64() * 1e3;
        self.joins.entry((count, peer)).or_default().push(joined);
        Ok(())
    }

    fn measure(&mut self, room: &mut Room, peer: Peer, load: &Load) -> Result<()> {
        let sample = room.measure(load)?;
        let key = (load.pace, room.clients.all.len(), peer);
        self.loads.entry(key).or_default().push(sample);
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_rounds_of_everything_are_planned_within_six_minutes() {
        let peers = Peer::value_variants();
        let planned = planned_in_all(&jobs(peers, 3), peers);
        assert!(planned < Duration::from_secs(355), "{planned:?}");
    }
}
