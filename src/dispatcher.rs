//! The one thread that owns the room and writes to every socket.
//!
//! It works in turns. A turn waits in `select!` for what happens next, takes what else has happened meanwhile, and then
//! sends each client all that it is owed in one system call. Under load a turn moves many lines; when it is quiet, a
//! line goes out at once. Who does not take all of it has a backlog, which a timer tries to send again; and when
//! somebody who does read has a large one (the room is *crowded*), no events are taken for a moment. Nothing here is shared, so nothing is locked: where the Java version needs a lock around every
//! `PrintWriter`, here one thread owns all writers.
//!
//! That one thread owns it is no convention. Who has given the dispatcher to its thread has it no more:
//!
//! ```compile_fail,E0382
//! # use chat_server::dispatcher::Dispatcher;
//! # use crossbeam_channel::Receiver;
//! # use chat_server::event::Event;
//! fn start(dispatcher: Dispatcher, events: Receiver<Event>, stop: Receiver<()>) {
//!     std::thread::spawn(move || dispatcher.run(&events, &stop));
//!     println!("{dispatcher:?}"); // error: borrow of moved value
//! }
//! ```
//!
//! It never blocks except in `select!`, and it must never panic: it is the only thread that everyone depends on.
//!
//! Next on the tour: [`room`], what it asks.

mod operator;
mod shutdown;

use crate::admission::Admission;
use crate::audience::Audience;
use crate::config::Config;
use crate::console::{self, Console};
use crate::event::{Departure, Event};
use crate::line_reader::Line;
use crate::protocol::ClientId;
use crate::protocol::clock::ClockTime;
use crate::protocol::command::Command;
use crate::protocol::reply::{Problem, Reply};
use crate::room::{self, Delivery, Departed, Recipients, Room};
use crate::stopper::Stopper;
use crate::telnet;
use crossbeam_channel::{Receiver, Sender, after, never, select};
use log::{info, trace};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How many events one turn takes at most before it sends, so that nobody waits for a flood to end.
const EVENTS_PER_TURN: usize = 256;

/// How many bytes of lines end a turn early: less than a kernel's buffer, so that a client that keeps up finds room
/// for all of a turn.
const BYTES_PER_TURN: usize = 64 * 1024;

/// When to try again to send to those whose kernel buffer was full: soon, and then ever more rarely while none of
/// them takes anything.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// How often a large room is told how many came and went, at most.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(1);

/// How long the room waits for somebody who reads and is far behind, at most, before each of its turns. Without it
/// an unpaced flood would cut off readers whose only fault is that their thread had to wait for a processor.
const CATCHING_UP: Duration = Duration::from_millis(20);

/// The state of the dispatcher's thread.
#[derive(Debug)]
pub struct Dispatcher {
    room: Room,
    audience: Audience,
    /// Where each client in the room comes from, and since when it is here.
    arrivals: BTreeMap<ClientId, (SocketAddr, Instant)>,
    /// What the clock shows. All that is said in one turn is said at one time.
    now: ClockTime,
    /// How long until the backlogs are tried again.
    pause: Duration,
    grace: Duration,
    /// Where the operator takes part, if there is one.
    console: Option<Console>,
    /// For the operator's bans.
    admission: Admission,
    /// For the operator's `/stop`.
    stopper: Stopper,
    /// Nothing is ever sent on it: that it is dropped tells the clients' threads to end.
    closing: Option<Sender<Infallible>>,
}

impl Dispatcher {
    /// A dispatcher for an empty room.
    pub fn new(
        config: &Config,
        admission: Admission,
        console: Option<Console>,
        stopper: Stopper,
        closing: Sender<Infallible>,
    ) -> Dispatcher {
        Dispatcher {
            // What a newcomer is told at once must fit into its backlog, with room for what is said meanwhile.
            room: Room::new(config.history, config.max_backlog / 2),
            audience: Audience::new(config.max_backlog),
            arrivals: BTreeMap::new(),
            now: now(),
            pause: SHORTEST_PAUSE,
            grace: config.grace,
            console,
            admission,
            stopper,
            closing: Some(closing),
        }
    }

    /// Runs the room until `stop` is ready or disconnected, then takes leave of everyone and closes what is still open.
    ///
    /// Returns when every client's thread has dropped its sender of `events`.
    pub fn run(mut self, events: &Receiver<Event>, stop: &Receiver<()>) {
        let nothing = never();
        let mut operator = self.console.as_ref().map_or(never(), |console| console.lines.clone());
        let mut crowded_since: Option<Instant> = None;
        let mut summary_timer = None;
        loop {
            // 1. Wait. A timer exists only while there is something for it to do, so an idle server does not wake up.
            // When somebody who reads is far behind (`crowded`), events are not taken for a moment: that arm waits for
            // a channel on which nothing ever comes, and only the retry timer goes on, until there is less waiting.
            select! {
                recv(if crowded_since.is_some() { &nothing } else { events }) -> event => match event {
                    Ok(event) => {
                        self.now = now();
                        self.take(event);
                    }
                    Err(_) => break,
                },
                recv(operator) -> line => match line {
                    Ok(line) => {
                        self.now = now();
                        match line {
                            Line::Text(line) => self.obey(&line),
                            Line::TooLong => self.show(&Reply::Problem(Problem::LineTooLong(console::MAX_LINE))),
                        }
                    }
                    Err(_) => operator = never(), // The end of stdin is the end of the console, not of the server.
                },
                recv(stop) -> _ => break,
                recv(summary_timer.as_ref().unwrap_or(&never())) -> _ => {
                    summary_timer = None;
                    self.now = now();
                    let numbers = self.room.summary();
                    self.deliver(numbers);
                }
                recv(self.retry_timer()) -> _ => {
                    self.pause = LONGEST_PAUSE.min(self.pause * 2);
                    self.now = now();
                    let crowded = self.flush();
                    crowded_since = crowded_since.filter(|since| crowded && since.elapsed() < CATCHING_UP);
                    continue;
                }
            }
            // 2. Take what else has happened.
            self.take_until_full(events.try_iter().take(EVENTS_PER_TURN));
            debug_assert_eq!(self.room.len(), self.arrivals.len(), "who is in the room has arrived");
            // 3. Send.
            crowded_since = self.flush().then(Instant::now);
            if self.room.has_summary() && summary_timer.is_none() {
                summary_timer = Some(after(SUMMARY_INTERVAL));
            }
        }
        self.shut_down(events);
        if let Some(console) = &mut self.console {
            let _ = console.screen.flush();
        }
    }

    fn retry_timer(&self) -> Receiver<Instant> {
        if self.audience.is_owed() { after(self.pause) } else { never() }
    }

    /// Takes events until there are no more of them, or as much is to be said as one turn may hold.
    fn take_until_full(&mut self, mut events: impl Iterator<Item = Event>) {
        while self.audience.said() <= BYTES_PER_TURN {
            let Some(event) = events.next() else { break };
            self.take(event);
        }
    }

    /// One event becomes lines in outboxes.
    fn take(&mut self, event: Event) {
        match event {
            Event::Joined { id, peer, socket } => {
                info!("client {id} connected from {peer}");
                self.arrivals.insert(id, (peer, Instant::now()));
                self.audience.add(id, socket);
                let deliveries = self.room.join(id);
                self.deliver(deliveries);
                if self.admission.is_banned(peer.ip()) {
                    self.kick(id, Some(operator::BANNED.into())); // Banned after it was let in, before it was here.
                }
            }
            Event::Line { id, line: Ok(command) } => {
                trace!("client {id}: taken");
                if let Command::Timestamps(on) = command {
                    self.audience.set_timestamps(id, on);
                }
                let deliveries = self.room.act(id, command, self.now);
                debug_assert!(
                    deliveries.is_empty() || self.arrivals.contains_key(&id),
                    "a departed client speaks"
                );
                self.log(id, &deliveries);
                self.deliver(deliveries);
            }
            Event::Line { id, line: Err(problem) } => self.deliver([room::problem(id, problem)]),
            Event::TimingMark { id } => self.audience.send_bytes(id, &telnet::WILL_TIMING_MARK),
            Event::Left { id, why } => {
                if let Departure::Foreign(foreign) = why {
                    self.deliver([Delivery { to: Recipients::Only(id), reply: Reply::NotForYou(foreign) }]);
                }
                self.leave(id, &why);
                self.audience.dismiss(id);
            }
        }
    }

    fn deliver(&mut self, deliveries: impl IntoIterator<Item = Delivery>) {
        for Delivery { to, reply } in deliveries {
            // Lines of the past have their own time already.
            let stamp = (!matches!(reply, Reply::History(_))).then_some(self.now);
            self.audience.say(to, &reply, stamp);
            if let Some(console) = self.console.as_mut().filter(|console| console.shows_chat) {
                if !matches!(to, Recipients::Only(_)) {
                    let _ = writeln!(console.screen, "{reply}");
                }
            }
        }
    }

    /// Takes a client out of the room, with a line in the log, and tells the others. Does nothing if it has left
    /// already: a client that is cut off or kicked leaves here, and the [`Event::Left`] that its thread sends when it
    /// ends comes later and finds nobody.
    fn leave(&mut self, id: ClientId, why: &Departure) {
        let by_itself = matches!(why, Departure::Quit(_));
        let Some(Departed { name, lines, farewell }) = self.room.leave(id, why.reason(), by_itself) else {
            return;
        };
        if let Some((peer, arrived)) = self.arrivals.remove(&id) {
            let stay = arrived.elapsed().as_secs();
            info!("client {id} ({name}, {peer}) disconnected: {why}, lines said: {lines}, after {stay} s");
        }
        if !matches!(why, Departure::Shutdown) {
            self.deliver(farewell);
        }
    }

    /// Sends to everyone what this turn brought. Who turns out to be gone or too slow leaves the room, which is
    /// news for the others, and so on until there is no more news.
    ///
    /// Says whether somebody who reads is far behind.
    fn flush(&mut self) -> bool {
        let mut crowded = false;
        loop {
            let flushed = self.audience.flush();
            crowded |= flushed.crowded;
            if flushed.progress {
                self.pause = SHORTEST_PAUSE;
            }
            if flushed.lost.is_empty() {
                return crowded && self.audience.is_owed();
            }
            for (id, why) in flushed.lost {
                self.leave(id, &why);
                self.audience.cut_off(id);
            }
        }
    }

    /// Public lines are logged whole, private ones without their text.
    fn log(&self, id: ClientId, deliveries: &[Delivery]) {
        for Delivery { to, reply } in deliveries {
            match (reply, to) {
                (Reply::Said(who, text), _) => info!("{who}: {text}"),
                (Reply::Acted(who, text), _) => info!("* {who} {text}"),
                (Reply::Renamed { from, to }, _) => info!("client {id} ({from}) is now {to}"),
                (Reply::Whispered { from, .. }, Recipients::Only(to)) => {
                    if let Some(to) = self.room.name(*to) {
                        info!("{from} wrote to {to} privately");
                    }
                }
                _ => {}
            }
        }
    }
}

/// What the clock on the server's wall shows, in its own time zone and with its daylight saving time.
fn now() -> ClockTime {
    ClockTime::of(&jiff::ZonedDateTime::now())
}
