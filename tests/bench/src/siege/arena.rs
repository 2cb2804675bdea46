//! One attack on one server: everybody comes in, the attack begins and ends, everybody leaves.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::attack::Attack;
use super::attackers::{Attackers, Done};
use super::crowd::Crowd;
use super::kept::{Kept, Taker};
use super::newcomers::{self, Welcomes};
use super::place::Family;
use super::sentinels::{Sentinels, Watch};
use crate::peer::Peer;
use crate::process::Server;

/// How long a server may take until the threads of those who left have ended.
const PARTING: Duration = Duration::from_secs(3);

/// How long a JVM is used before it is measured.
const WARM_UP: Duration = Duration::from_millis(1_500);

/// A server that is attacked. There may be two builds of chat-server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contestant {
    pub peer: Peer,
    pub name: String,
    /// chat-server's binary.
    pub binary: PathBuf,
}

#[derive(Clone, Debug)]
pub struct Battle {
    pub contestant: Contestant,
    pub attack: Attack,
    pub family: Family,
    /// How many addresses the attackers have.
    pub machines: usize,
    pub people: usize,
    pub duration: Duration,
}

/// What came of it.
pub struct Outcome {
    pub watch: Watch,
    /// How many of the crowd the server has disconnected; see [`Crowd::cut_off`].
    pub cut_off: [usize; 3],
    pub welcomes: Welcomes,
    pub kept: Option<Kept>,
    pub done: Done,
    /// Bytes that the attack added to the log.
    pub logged: u64,
    /// KiB.
    pub peak: u64,
    /// More threads than before anybody came.
    pub threads_left: u64,
}

impl fmt::Display for Battle {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Self { contestant, attack, family, machines, people, .. } = self;
        let connections = attack.connections(*machines, *people);
        write!(
            out,
            "{}: {attack}, {machines} × {connections} connections, {family}, {people} people",
            contestant.name
        )
    }
}

impl Battle {
    /// About how long it takes: the attack, and the time that was seen beside it.
    pub fn planned(&self) -> Duration {
        // A JVM starts slowly, is warmed up, and keeps its threads for longer than anybody waits for their
        // end.
        let peer = self.contestant.peer;
        let start = if peer.warms_up() { 8.0 } else { 0.4 };
        let per_second = if peer.warms_up() { 700.0 } else { 2_500.0 };
        let joins = if peer == Peer::Ncat { 1.0 } else { self.people as f64 / per_second };
        self.duration + Duration::from_secs_f64(start + 1.0 + joins)
    }

    pub fn fight(&self) -> Result<Outcome> {
        self.fight_it().with_context(|| self.to_string())
    }

    fn fight_it(&self) -> Result<Outcome> {
        let Self { contestant: Contestant { peer, binary, .. }, attack, family, machines, people, .. } = self;
        let mut server = Server::start_as_shipped(*peer, binary, family.listen())?;
        let (address, manners) = (family.server(server.address.port()), peer.manners());
        let empty = server.threads_that_must_end()?;
        let mut sentinels = Sentinels::join(*family, address)?;
        let mut crowd = Crowd::new(*family)?;
        crowd.join(address, *people, manners.burst)?;
        crowd.settle(manners.pause)?;
        if peer.warms_up() {
            let end = Instant::now() + WARM_UP;
            run(|| sentinels.watch_until(end), || crowd.read_while(|| Instant::now() < end))?;
        }
        let victim = attack.victim().map(|victim| crowd.name(victim).context("the victim has no name"));
        let victim = victim.transpose()?.unwrap_or_default();
        let force = (*machines, attack.connections(*machines, *people));
        let attackers = Attackers::new(*attack, force, &victim, *family, address)?;
        let logged = server.logged()?;
        let taker = (*attack == Attack::Rename).then(|| Taker::wait_for_the_name(*family, address));
        let taker = taker.transpose()?;
        let end = Instant::now() + self.duration;
        let is_over = AtomicBool::new(false);
        let (watch, welcomes, done, kept) = thread::scope(|scope| -> Result<_> {
            let crowd = scope.spawn(|| crowd.read_while(|| !is_over.load(Ordering::Relaxed)));
            let attack = scope.spawn(|| attackers.attack_until(end));
            let welcomes = scope.spawn(|| match manners.greets {
                true => newcomers::come_until(*family, address, end),
                false => Ok(Welcomes::default()),
            });
            let kept = taker.map(|taker| scope.spawn(move || taker.ask_until(end)));
            let watch = sentinels.watch_until(end);
            is_over.store(true, Ordering::Relaxed);
            joined(crowd)?;
            Ok((watch?, joined(welcomes)?, joined(attack)?, kept.map(joined).transpose()?))
        })?;
        ensure!(server.is_alive()?, "the server has ended");
        let (cut_off, peak, logged) = (crowd.cut_off()?, server.peak()?, server.logged()? - logged);
        drop((crowd, sentinels));
        let threads_left = threads_left(&server, empty)?;
        Ok(Outcome { watch, cut_off, welcomes, kept, done, logged, peak, threads_left })
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
