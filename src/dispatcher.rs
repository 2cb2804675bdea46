//! The dispatcher: the one thread that owns the room and writes to every socket.
//!
//! It works in turns. [`wait`](Dispatcher::wait) only waits: for the next thing that happens.
//! [`handle`](Dispatcher::handle) only acts: an event becomes lines in outboxes. A turn takes the other
//! events that have happened meanwhile, and then [`send`](Dispatcher::send) gives each client all its lines
//! in one system call. Under load a turn moves many lines; when it is quiet, a line goes out at once. A
//! client whose kernel does not take everything has a backlog, and a timer tries it again; the timer exists
//! only while there is a backlog or a client is leaving, so an idle server does not wake up.
//!
//! The room and the outboxes are not shared, so they need no lock: one thread owns all writers. The compiler
//! holds us to that: [`Server::run`](crate::Server::run) moves the dispatcher into its thread, and code
//! elsewhere that still used it would not compile.
//!
//! It never blocks on a client, a terminal or a disk. Its deliberate waits have a limit: 20 ms a turn for
//! readers that are behind, where the pace does not keep backlogs small; the grace time of the goodbye; after
//! it two seconds for the screen, and then a second or two for the clients' threads to end. A turn that takes
//! longer than [`OVERLONG`] is in the log. The dispatcher must never panic: everyone depends on it.

mod shutdown;

use crate::audience::Audience;
use crate::chat::command::{Line, Request, is_said};
use crate::chat::room::{self, Delivery, Member, Recipients, Room};
use crate::chat::{ClientId, Now};
use crate::config::Config;
use crate::ending::{Close, Ending, PATIENCE, Row, has_ended_its_input};
use crate::event::Event;
use crate::guard::pace::{Bucket, RoomPace, tokens};
use crate::guard::{admission::Admission, listener::SEND_BUFFER};
use crate::operator::clock;
use crate::operator::console::{Console, Typed};
use crate::operator::invitation;
use crate::operator::orders::{BANNED, Effect, Orders};
use crate::operator::stopper::Stopper;
use crossbeam_channel::{Receiver, never, select};
use log::{info, trace, warn};
use std::io::ErrorKind::NotConnected;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{collections::VecDeque, mem, thread};

/// A turn ends with the event that brings it to so many bytes. A client that keeps up has an empty kernel
/// buffer, and a usual turn then fits into it.
const BYTES_PER_TURN: usize = 64 * 1024;
const _: () = assert!(BYTES_PER_TURN < SEND_BUFFER);

/// When to try a backlog again: soon, and then ever more rarely while no kernel accepts any of it.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// How long a turn waits at most for clients that read and are far behind, where nothing paces the talk.
/// Without it an unpaced flood would cut off readers whose only fault is that their thread had to wait for a
/// processor. With a pace, little waits for a reader, and a client that stays behind on purpose must not hold
/// up the room.
const CATCHING_UP: Duration = Duration::from_millis(20);

/// How long a newcomer that says nothing stays unannounced. Port scans and health checks are gone before.
const UNANNOUNCED: Duration = Duration::from_millis(250);

/// A turn that takes longer is worth a line in the log: it never waits for a client, so its machine is
/// overloaded, or this promise is broken.
const OVERLONG: Duration = Duration::from_millis(100);

/// OpenBSD's `nc` ends only when its user presses Enter, or at our reset a second later.
const PRESS_ENTER: &str = "Press Enter if your prompt does not come back.";

/// The state of the dispatcher's thread.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    room: Room,
    audience: Audience,
    /// When this dispatcher began.
    started: Instant,
    /// The time of this turn.
    now: Now,
    /// How long until the backlogs are tried again.
    pause: Duration,
    /// Clients that are perhaps still unannounced, and when their announcement is due.
    newcomers: VecDeque<(Instant, ClientId)>,
    is_stopping: bool,
    /// How fast the operator's talk goes out: no faster than that of all clients.
    operators_pace: Bucket,
    operator_waits_until: Instant,
    config: Config,
    /// For the operator's `/addresses`.
    pub(crate) listening: Vec<SocketAddr>,
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
    /// It is time to try the backlogs again, to announce newcomers, or to listen to the operator again.
    Timer,
}

impl Dispatcher {
    /// A dispatcher for an empty room.
    pub(crate) fn new(
        config: &Config,
        admission: Admission,
        console: Option<Console>,
        stopper: Stopper,
    ) -> Self {
        // A newcomer is sent the history at once. It must fit into the backlog, with space for what is said
        // meanwhile.
        let mut room = Room::new(config.history, config.max_backlog / 2);
        room.has_operator = console.is_some();
        let started = Instant::now();
        Dispatcher {
            room,
            started,
            operators_pace: RoomPace::bucket(config.rate, config.burst),
            operator_waits_until: started,
            now: Now::default(),
            audience: Audience::new(config.max_backlog),
            pause: SHORTEST_PAUSE,
            newcomers: VecDeque::new(),
            is_stopping: false,
            config: config.clone(),
            listening: Vec::new(),
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
            let begun = Instant::now();
            self.now = Now { local: clock::now().datetime(), uptime: begun.duration_since(self.started) };
            match happening {
                Happening::Event(event) => self.handle(event),
                Happening::Typed(Some(line)) => self.obey(line),
                Happening::Typed(None) => {
                    self.room.has_operator = false;
                    self.console.iter_mut().for_each(Console::close);
                }
                // `send` below tries again.
                Happening::Timer => {
                    self.pause = LONGEST_PAUSE.min(self.pause * 2);
                    self.announce_newcomers(|(due, _)| *due <= begun);
                }
            }
            let more = self.take_more(events);
            let handled = begun.elapsed();
            let said = self.audience.said();
            self.send();
            let took = begun.elapsed();
            if took > OVERLONG {
                warn!(
                    "a turn took {took:.0?}: {handled:.0?} for {} events, the rest to send {said} bytes to {}",
                    more + 1,
                    self.room.len()
                );
            }
        }
        self.shut_down(events);
    }

    /// Waits for the next thing that happens.
    fn wait(&self, events: &Receiver<Event>) -> Happening {
        let now = Instant::now();
        let retry = self.audience.is_dirty().then_some(self.pause);
        let announce = self.newcomers.front().map(|(due, _)| due.saturating_duration_since(now));
        let operator = self.operator_waits_until.checked_duration_since(now).filter(|wait| !wait.is_zero());
        let timer = [retry, announce, operator].into_iter().flatten().min().unwrap_or(Duration::MAX);
        let nothing = never();
        let console = self.console.as_ref().filter(|_| operator.is_none());
        let typed = console.map_or(&nothing, |console| &console.lines);
        select! {
            // All senders are gone without a Stop only if the acceptor has panicked.
            recv(events) -> event => Happening::Event(event.unwrap_or(Event::Stop)),
            recv(typed) -> line => Happening::Typed(line.ok()),
            default(timer) => Happening::Timer,
        }
    }

    /// Takes the other events that have happened, as many as one turn may hold: nobody waits for a flood to
    /// end. Says how many they were.
    fn take_more(&mut self, events: &Receiver<Event>) -> usize {
        let most = self.config.events_per_turn - 1;
        let mut taken = 0;
        while taken < most && !self.is_stopping && self.audience.said() <= BYTES_PER_TURN {
            let Ok(event) = events.try_recv() else { break };
            self.handle(event);
            taken += 1;
        }
        self.admission.room.set_people(self.room.len());
        debug_assert_eq!(self.room.len(), self.audience.present().count(), "one connection for each");
        taken
    }

    /// One event becomes lines in outboxes.
    fn handle(&mut self, event: Event) {
        match event {
            Event::Joined { id, peer, socket, creditor } => {
                info!("client {id} connected from {peer}");
                self.audience.add(id, peer, socket, creditor);
                let deliveries = self.room.join(id, self.admission.origin(peer.ip()), self.now);
                self.deliver(deliveries);
                self.newcomers.push_back((Instant::now() + UNANNOUNCED, id));
                // Banned after it was let in, and before this.
                if self.admission.banned(peer.ip()).is_some() {
                    self.part(id, Ending::Kicked(Some(BANNED.into())));
                }
            }
            Event::Lines { id, lines, slot: _slot } => {
                trace!("client {id}: taken");
                lines.into_iter().for_each(|line| self.hear(id, line));
            }
            Event::Slowed { id, how } => self.deliver([room::notice(id, &how)]),
            Event::Left { id, ending } => self.part(id, ending),
            Event::Stop => self.is_stopping = true,
        }
    }

    /// A client sent a line. The others are told that it joined before they hear of it, and before a list of
    /// who is here; a client that only asks is not announced because of that.
    fn hear(&mut self, id: ClientId, line: Line) {
        match &line {
            line if is_said(line) => self.announce(id),
            Ok(Request::List) => self.announce_newcomers(|(_, other)| *other != id),
            _ => {}
        }
        let is_name = matches!(line, Ok(Request::Nick(_)));
        // A matter of the audience; the room only confirms it.
        if let Ok(Request::Timestamps(is_on)) = line {
            self.audience.set_timestamps(id, is_on, self.now.local.date());
        }
        let answer = line.and_then(|request| self.room.act(id, request, self.now));
        let is_named = is_name && answer.is_ok();
        self.deliver(answer.unwrap_or_else(|problem| vec![room::problem(id, &problem)]));
        if is_named {
            self.announce(id);
        }
    }

    fn announce(&mut self, id: ClientId) {
        let joined = self.room.announce(id, || self.admission.room.may_tell(Instant::now()));
        self.deliver(joined);
    }

    /// Announces those who have said nothing yet and are due. Each is looked at once. Of one that has ended
    /// its input, only what it says is news.
    fn announce_newcomers(&mut self, are_due: impl Fn(&(Instant, ClientId)) -> bool) {
        let (due, later): (VecDeque<_>, _) = mem::take(&mut self.newcomers).into_iter().partition(are_due);
        self.newcomers = later;
        for (_, id) in due {
            if self.audience.get(id).is_some_and(|it| !has_ended_its_input(it.outbox.socket())) {
                self.announce(id);
            }
        }
    }

    /// The operator typed a line.
    fn obey(&mut self, line: Typed) {
        let Dispatcher { room, audience, admission, .. } = self;
        for effect in (Orders { room, audience, admission }).obey(line) {
            match effect {
                Effect::Show(text) => self.show(&text),
                Effect::Say(text) => {
                    let said = self.room.say_as_operator(&text, self.now);
                    let wait = self.operators_pace.take(tokens(text.len()), Instant::now());
                    self.operator_waits_until = Instant::now() + wait;
                    self.deliver([said]);
                }
                Effect::Msg(id, text) => {
                    if let Some((line, shown)) = self.room.whisper_as_operator(id, &text) {
                        self.deliver([line]);
                        self.show(&shown);
                    }
                }
                Effect::Kick(id, reason) => self.part(id, Ending::Kicked(reason)),
                Effect::KeepOut(name) => self.room.keep_out(&name),
                Effect::Forget(name) => {
                    let lines = self.room.forget(&name);
                    self.show(&format!("*** The history has forgotten {lines} lines of {name}."));
                }
                Effect::Invite => {
                    let lines = invitation::lines(&self.listening, &self.config.allow);
                    lines.iter().for_each(|line| self.show(&format!("*** {line}")));
                }
                Effect::Stop => self.stopper.stop(),
            }
        }
    }

    /// Shows the operator something, where there is one.
    fn show(&self, text: &str) {
        self.console.iter().for_each(|console| console.show(text));
    }

    fn deliver(&mut self, deliveries: impl IntoIterator<Item = Delivery>) {
        use Recipients::{Asker, AskerForHistory, Only, Operator};
        for (to, text) in deliveries {
            self.audience.say(to, &text, self.now.local);
            let shows_chat = self.console.as_ref().is_some_and(|console| console.shows_chat);
            let is_public = !matches!(to, Only(_) | Asker(_) | AskerForHistory(_));
            if to == Operator || (is_public && shows_chat) {
                self.show(&text);
            }
        }
    }

    /// Takes a client out of the room, tells the others, and ends its connection, all as the table of
    /// [endings](crate::ending) says. Does nothing for a client that has left already: one that is too slow
    /// or kicked leaves here, and the [`Event::Left`] of its thread comes later and finds nobody.
    fn part(&mut self, id: ClientId, ending: Ending) {
        let Some(connection) = self.audience.get(id) else { return };
        let peer = connection.peer;
        let stay = connection.since.elapsed().as_secs();
        let socket = connection.outbox.socket().clone();
        let ending = match (ending, connection.outbox.failure()) {
            // The kernel tells once why a connection broke, and it told the one who wrote.
            (Ending::Failed(unknown), Some(error)) if unknown.kind() == NotConnected => {
                Ending::Failed(error.into())
            }
            (ending, _) => ending,
        };
        if matches!(ending, Ending::Quit(Some(_))) {
            self.announce(id); // It says something, so the others know of it.
        }
        let Row { log, farewell, problem, close } = ending.row();
        let may_tell = || self.admission.room.may_tell(Instant::now());
        if let Some((member, line)) = self.room.leave(id, farewell, may_tell, self.now) {
            let Member { name, lines, .. } = member;
            info!("client {id} ({name}, {peer}) disconnected: {log}, lines said: {lines}, after {stay} s");
            self.deliver(line);
        }
        self.deliver(problem.map(|problem| room::problem(id, &problem)));
        if close == Close::AfterHint && !has_ended_its_input(&socket) {
            self.deliver([room::notice(id, PRESS_ENTER)]);
        }
        if close == Close::AtOnce {
            return self.audience.cut_off(id);
        }
        let until = (!self.is_stopping).then(|| Instant::now() + PATIENCE);
        self.audience.dismiss(id, until);
        self.pause = SHORTEST_PAUSE; // Its last line arrives soon.
    }

    /// Ends the turn. While a client that reads is far behind, waits for it a millisecond at a time, but not
    /// long.
    fn send(&mut self) {
        let begun = Instant::now();
        while self.flush() && !self.config.is_paced() && begun.elapsed() < CATCHING_UP {
            thread::sleep(SHORTEST_PAUSE);
        }
    }

    /// Sends everyone the lines of this turn. A client that turns out to be too slow leaves the room, which
    /// is news for the others, and so on until there is no more news.
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
            if flushed.too_slow.is_empty() {
                return reader_is_behind;
            }
            for (id, backlog) in flushed.too_slow {
                self.part(id, Ending::TooSlow(backlog));
            }
        }
    }
}
