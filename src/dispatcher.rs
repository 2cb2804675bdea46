//! The dispatcher: the one thread that owns the room and writes to every socket.
//!
//! It works in turns. [`wait`](Dispatcher::wait) only waits: for the next thing that happens. [`handle`](Dispatcher::handle)
//! only acts: an event becomes lines in outboxes. A turn takes the other events that have happened meanwhile, and then
//! [`send`](Dispatcher::send) gives each client all its lines in one system call. Under load a turn moves many lines; when
//! it is quiet, a line goes out at once. A client whose kernel does not take everything has a backlog, and a timer tries
//! it again; the timer exists only while there is a backlog, so an idle server does not wake up.
//!
//! The room and the outboxes are not shared, so they need no lock: one thread owns all writers. The compiler holds us to that: [`Server::run`](crate::Server::run) moves the dispatcher into
//! its thread, and code elsewhere that still used it would not compile.
//!
//! It never blocks on a client, a terminal or a disk. Three waits are deliberate and have a limit: 20 ms for readers that are
//! behind, where no `--rate` paces the talk; the grace time of the goodbye; and after it two seconds for the screen. It
//! must never panic: everyone depends on it.

mod shutdown;

use crate::audience::{Audience, Connection};
use crate::chat::room::{self, Delivery, Member, Recipients, Room};
use crate::chat::{ClientId, command::Request};
use crate::config::Config;
use crate::event::{Departure, Event};
use crate::guard::{admission::Admission, listener::SEND_BUFFER, parting::has_ended_its_input};
use crate::operator::console::{Console, Typed};
use crate::operator::orders::{BANNED, Effect, Orders};
use crate::operator::stopper::Stopper;
use crossbeam_channel::{Receiver, after, at, never, select};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use log::{info, trace};
use std::time::{Duration, Instant, SystemTime};
use std::{collections::VecDeque, net::Shutdown, thread};

/// A turn ends with the event that brings it to so many bytes. A client that keeps up has an empty kernel buffer, and a
/// usual turn then fits into it.
const BYTES_PER_TURN: usize = 64 * 1024;
const _: () = assert!(BYTES_PER_TURN < SEND_BUFFER);

/// When to try a backlog again: soon, and then ever more rarely while no kernel accepts any of it.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// How long a turn waits at most for clients that read and are far behind, where nothing paces the talk. Without it an
/// unpaced flood would cut off readers whose only fault is that their thread had to wait for a processor. With a pace,
/// little waits for a reader, and a client that stays behind on purpose must not hold up the room.
const CATCHING_UP: Duration = Duration::from_millis(20);

/// How long a newcomer that says nothing stays unannounced. Port scans and health checks are gone before.
const UNANNOUNCED: Duration = Duration::from_millis(250);

/// OpenBSD's `nc` ends only when its user presses Enter, or at our reset a second later.
const PRESS_ENTER: &str = "Press Enter if your prompt does not come back.";

/// The state of the dispatcher's thread.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    room: Room,
    audience: Audience,
    /// When this dispatcher began: the clock of kept names, which must not jump.
    started: Instant,
    /// How long until the backlogs are tried again.
    pause: Duration,
    /// Clients that are perhaps still unannounced, and when their announcement is due.
    newcomers: VecDeque<(Instant, ClientId)>,
    is_stopping: bool,
    config: Config,
    /// Where the operator takes part, if there is one.
    console: Option<Console>,
    /// For the operator's bans.
    admission: Admission,
    /// For the operator's `/stop`, and for the end of this dispatcher.
    stopper: Stopper,
}

/// When the dispatcher ends, even by a panic, the acceptor must stop too.
impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}

/// The things that the dispatcher waits for.
enum Happening {
    Event(Event),
    /// The operator typed a line, or the input has ended.
    Typed(Option<Typed>),
    /// It is time to try the backlogs again.
    Retry,
    /// It is time to announce newcomers.
    Announce,
}

impl Dispatcher {
    /// A dispatcher for an empty room.
    pub(crate) fn new(
        config: &Config,
        admission: Admission,
        console: Option<Console>,
        stopper: Stopper,
    ) -> Self {
        Dispatcher {
            // A newcomer is sent the history at once. It must fit into the backlog, with space for what is said meanwhile.
            room: Room::new(config.history, config.max_backlog / 2),
            started: Instant::now(),
            audience: Audience::new(config.max_backlog),
            pause: SHORTEST_PAUSE,
            newcomers: VecDeque::new(),
            is_stopping: false,
            config: config.clone(),
            console,
            admission,
            stopper,
        }
    }

    /// Runs the room until the acceptor says [`Event::Stop`], then says goodbye to everyone.
    ///
    /// Returns when the acceptor and every client's thread have dropped their senders of `events`.
    pub(crate) fn run(mut self, events: &Receiver<Event>) {
        while !self.is_stopping {
            let happening = self.wait(events);
            (self.room.now, self.room.uptime) = (now(), self.started.elapsed());
            match happening {
                Happening::Event(event) => self.handle(event),
                Happening::Typed(Some(line)) => self.obey(line),
                Happening::Typed(None) => self.console.iter_mut().for_each(Console::close),
                // `send` below tries again.
                Happening::Retry => self.pause = LONGEST_PAUSE.min(self.pause * 2),
                Happening::Announce => self.announce_newcomers(),
            }
            self.take_more(events);
            self.send();
        }
        self.shut_down(events);
    }

    /// Waits for the next thing that happens.
    fn wait(&self, events: &Receiver<Event>) -> Happening {
        let retry = if self.audience.is_dirty() { after(self.pause) } else { never() };
        let announce = self.newcomers.front().map_or(never(), |(due, _)| at(*due));
        let nothing = never();
        let typed = self.console.as_ref().map_or(&nothing, |console| &console.lines);
        select! {
            // All senders are gone without a Stop only if the acceptor has panicked.
            recv(events) -> event => Happening::Event(event.unwrap_or(Event::Stop)),
            recv(typed) -> line => Happening::Typed(line.ok()),
            recv(retry) -> _ => Happening::Retry,
            recv(announce) -> _ => Happening::Announce,
        }
    }

    /// Takes the other events that have happened, as many as one turn may hold: nobody waits for a flood to end.
    fn take_more(&mut self, events: &Receiver<Event>) {
        for event in events.try_iter().take(self.config.events_per_turn.saturating_sub(1)) {
            self.handle(event);
            if self.is_stopping || self.audience.said() > BYTES_PER_TURN {
                break;
            }
        }
        debug_assert_eq!(self.room.len(), self.audience.present().count(), "one connection for each");
    }

    /// One event becomes lines in outboxes.
    fn handle(&mut self, event: Event) {
        match event {
            Event::Joined { id, peer, socket, tickets } => {
                info!("client {id} connected from {peer}");
                self.audience.add(id, peer, socket, tickets);
                let deliveries = self.room.join(id, peer.ip());
                self.deliver(deliveries);
                self.newcomers.push_back((Instant::now() + UNANNOUNCED, id));
                if self.admission.is_banned(peer.ip()) {
                    self.part(id, Departure::Kicked(Some(BANNED.into()))); // Banned after it was let in, and before this.
                }
            }
            Event::Line { id, request } => {
                trace!("client {id}: taken");
                self.audience.taken(id);
                self.announce(id);
                // A matter of the audience; the room only confirms it.
                if let Ok(Request::Timestamps(on)) = request {
                    self.audience.set_timestamps(id, on.then(|| self.room.now.date()));
                }
                let answer = request.and_then(|request| self.room.act(id, request));
                self.deliver(answer.unwrap_or_else(|problem| vec![room::problem(id, &problem)]));
            }
            Event::Slowed { id, how } => self.deliver([room::notice(id, &how)]),
            Event::Left { id, why } => self.part(id, why),
            Event::Stop => self.is_stopping = true,
        }
    }

    fn announce(&mut self, id: ClientId) {
        let joined = self.room.announce(id);
        self.deliver(joined);
    }

    fn announce_newcomers(&mut self) {
        let now = Instant::now();
        while let Some((_, id)) = self.newcomers.front().copied().filter(|(due, _)| *due <= now) {
            self.newcomers.pop_front();
            self.announce(id);
        }
    }

    /// The operator typed a line.
    fn obey(&mut self, line: Typed) {
        let Dispatcher { room, audience, admission, .. } = self;
        for effect in (Orders { room, audience, admission }).obey(line) {
            match effect {
                Effect::Show(text) => self.console.iter().for_each(|console| console.show(&text)),
                Effect::Say(text) => {
                    let said = self.room.say_as_operator(&text);
                    self.deliver([said]);
                }
                Effect::Kick(id, reason) => self.part(id, Departure::Kicked(reason)),
                Effect::Stop => self.stopper.stop(),
            }
        }
    }

    fn deliver(&mut self, deliveries: impl IntoIterator<Item = Delivery>) {
        for (to, text) in deliveries {
            self.audience.say(to, &text, self.room.now);
            let is_public = matches!(to, Recipients::Everyone | Recipients::EveryoneBut(_));
            if let Some(console) = self.console.as_ref().filter(|console| is_public && console.shows_chat) {
                console.show(&text);
            }
        }
    }

    /// Takes a client out of the room, with a line in the log, tells the others, and ends its connection as the table in
    /// [`audience`](crate::audience) says. Does nothing for a client that has left already: one that is cut off or kicked
    /// leaves here, and the [`Event::Left`] of its thread comes later and finds nobody.
    fn part(&mut self, id: ClientId, why: Departure) {
        match &why {
            Departure::Foreign(foreign) => self.deliver([room::problem(id, &foreign.sentence())]),
            Departure::Kicked(reason) => {
                let because = reason.as_ref().map_or(".".to_owned(), |reason| format!(": {reason}"));
                let problem = format!("You have been sent away by the operator{because}");
                self.deliver([room::problem(id, &problem)]);
            }
            Departure::Quit(_) => self.announce(id),
            _ => {}
        }
        let (reason, told) = why.reason();
        let left = self.room.leave(id, told, matches!(why, Departure::Quit(_)));
        if let (Some((member, farewell)), Some(Connection { peer, since, .. })) =
            (left, self.audience.get(id))
        {
            let (Member { name, lines, .. }, stay) = (member, since.elapsed().as_secs());
            info!("client {id} ({name}, {peer}) disconnected: {reason}, lines said: {lines}, after {stay} s");
            if !matches!(why, Departure::Shutdown) {
                self.deliver(farewell);
            }
        }
        if matches!(why, Departure::Failed(_) | Departure::TooSlow(_)) {
            return self.audience.cut_off(id);
        }
        let Some(socket) = self.audience.get(id).map(|client| client.outbox.socket().clone()) else { return };
        let we_close_first = matches!(why, Departure::Quit(_) | Departure::Kicked(_) | Departure::Shutdown);
        if we_close_first && !has_ended_its_input(&socket) {
            self.deliver([room::notice(id, PRESS_ENTER)]);
        }
        if matches!(why, Departure::Kicked(_)) {
            let _ = socket.shutdown(Shutdown::Read); // It may say nothing more: its thread's `read` returns.
        }
        self.audience.dismiss(id);
    }

    /// Ends the turn. While a client that reads is far behind, waits for it a millisecond at a time, but not long.
    fn send(&mut self) {
        let begun = Instant::now();
        while self.flush() && !self.config.is_paced() && begun.elapsed() < CATCHING_UP {
            thread::sleep(SHORTEST_PAUSE);
        }
    }

    /// Sends everyone the lines of this turn. A client that turns out to be gone or too slow leaves the room, which is
    /// news for the others, and so on until there is no more news.
    ///
    /// Says whether a client that reads is far behind.
    fn flush(&mut self) -> bool {
        let mut reader_is_behind = false;
        loop {
            let flushed = self.audience.flush();
            reader_is_behind |= flushed.reader_is_behind;
            if flushed.progress {
                self.pause = SHORTEST_PAUSE;
            }
            if flushed.lost.is_empty() {
                return reader_is_behind;
            }
            for (id, why) in flushed.lost {
                self.part(id, why);
            }
        }
    }
}

/// The time of day where the server is, in its time zone and with its daylight saving time. A clock that shows a year beyond
/// 9999 is wrong, and must not cost a panic.
fn now() -> DateTime {
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::MAX);
    now.to_zoned_datetime(TimeZone::system()).datetime()
}
