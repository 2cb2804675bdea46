//! One attack on one server: everybody comes in, the attack begins and ends, everybody leaves.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::attack::Attack;
use super::attackers::{Attackers, Done};
use super::crowd::Crowd;
use super::newcomers::{self, Welcomes};
use super::sentinels::{Sentinels, Watch};
use crate::peer::Peer;
use crate::process::Server;

/// The places in the room beside those of crowd and attackers: sentinels, newcomers, and attackers that come
/// again before the server has let go of them.
const SPARE_PLACES: usize = 64;

/// chat-server's default.
const PLACES: usize = 4_096;

/// How long a server may take until the threads of those who left have ended.
const PARTING: Duration = Duration::from_secs(3);

/// How long a JVM is used before it is measured.
const WARM_UP: Duration = Duration::from_millis(1_500);

#[derive(Clone, Copy, Debug)]
pub struct Battle {
    pub peer: Peer,
    pub attack: Attack,
    pub machines: usize,
    pub crowd: usize,
    pub duration: Duration,
}

/// What came of it.
pub struct Outcome {
    pub watch: Watch,
    /// How many of the crowd the server has disconnected.
    pub cut_off: usize,
    pub welcomes: Welcomes,
    pub done: Done,
    /// KiB.
    pub peak: u64,
    /// More threads than before anybody came.
    pub threads_left: u64,
}

impl fmt::Display for Battle {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let addresses = if self.machines == 1 { "address" } else { "addresses" };
        write!(
            out,
            "{}: {}, from {} {addresses}, {} people",
            self.peer, self.attack, self.machines, self.crowd
        )
    }
}

impl Battle {
    /// About how long it takes: the attack, and the time that was seen beside it.
    pub fn planned(&self) -> Duration {
        // A JVM starts slowly, is warmed up, and keeps its threads for longer than
        // anybody waits for their end.
        let start = if self.peer.warms_up() { 8.0 } else { 0.4 };
        let per_second = if self.peer.warms_up() { 700.0 } else { 2_500.0 };
        let joins = if self.peer == Peer::Ncat { 1.0 } else { self.crowd as f64 / per_second };
        self.duration + Duration::from_secs_f64(start + 1.0 + joins)
    }

    pub fn fight(&self, ours: &Path) -> Result<Outcome> {
        let everybody = self.crowd + self.machines * self.attack.connections() + SPARE_PLACES;
        let mut server = Server::start_as_shipped(self.peer, ours, everybody.max(PLACES))?;
        let (address, manners, empty) =
            (server.address, self.peer.manners(), server.threads_that_must_end()?);
        let mut sentinels = Sentinels::join(address)?;
        let mut crowd = Crowd::new(self.attack.pace())?;
        crowd.join(address, self.crowd, manners.burst)?;
        crowd.settle(manners.pause)?;
        if self.peer.warms_up() {
            let end = Instant::now() + WARM_UP;
            run(|| sentinels.watch_until(end), || crowd.read_while(|| Instant::now() < end))?;
        }
        let victim = crowd.first_name().unwrap_or_default();
        let attackers = Attackers::new(self.attack, self.machines, &victim, address)?;
        let end = Instant::now() + self.duration;
        let is_over = AtomicBool::new(false);
        let (watch, welcomes, done) = thread::scope(|scope| -> Result<_> {
            let crowd = scope.spawn(|| crowd.read_while(|| !is_over.load(Ordering::Relaxed)));
            let attack = scope.spawn(|| attackers.attack_until(end));
            let welcomes = scope.spawn(|| match manners.greets {
                true => newcomers::come_until(address, end),
                false => Ok(Welcomes::default()),
            });
            let watch = sentinels.watch_until(end);
            is_over.store(true, Ordering::Relaxed);
            joined(crowd)?;
            Ok((watch?, joined(welcomes)?, joined(attack)?))
        })
        .with_context(|| format!("{self}"))?;
        ensure!(server.is_alive()?, "the server has ended");
        let (cut_off, peak) = (crowd.cut_off()?, server.peak()?);
        drop((crowd, sentinels));
        let threads_left = threads_left(&server, empty)?;
        Ok(Outcome { watch, cut_off, welcomes, done, peak, threads_left })
    }
}

/// Two things at once.
fn run<A: Send>(one: impl FnOnce() -> Result<A> + Send, other: impl FnOnce() -> Result<()>) -> Result<()> {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        other()?;
        joined(one).map(drop)
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Everybody has left. How many threads of the server are there that were not before anybody came.
fn threads_left(server: &Server, before: u64) -> Result<u64> {
    let start = Instant::now();
    loop {
        let left = server.threads_that_must_end()?.saturating_sub(before);
        if left == 0 || start.elapsed() > PARTING {
            return Ok(left);
        }
        thread::sleep(Duration::from_millis(10));
    }
}
