//! All connections, and the one place where lines become bytes.
//!
//! Lines for everyone are kept once, in one buffer for each turn, which all [outboxes](crate::outbox) send
//! from. Only the dispatcher's thread owns an `Audience`; in a large room it lends the connections to other
//! threads, for a flush.
//!
//! A client leaves the [room](crate::chat::room) before it leaves the audience, because its last lines may
//! still wait: [`dismiss`](Audience::dismiss) lets it have them, and [`cut_off`](Audience::cut_off) does not.
//! The table in [`ending`](crate::ending) says which of them is for whom.

pub(crate) mod connection;

use crate::chat::{ClientId, reply::TIME, room::Recipients};
use crate::credit::Creditor;
use crate::guard::limits::check_headroom;
use connection::{Connection, Flushed, Stage};
use jiff::civil::{Date, DateTime};
use log::trace;
use rayon::{ThreadPool, ThreadPoolBuilder, iter::ParallelIterator, slice::ParallelSliceMut};
use rustix::net::sockopt::set_socket_linger;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{mem, thread};

/// From so many connections on, all cores flush them, in chunks of so many. On two cores chunks of 8 to 128
/// do equally well; with these, four cores can share the smallest such room.
const LARGE_ROOM: usize = 64;
const CHUNK: usize = 16;
const FLUSH_STACK: usize = 256 * 1024;

/// All connections, and the lines of this turn.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    max_backlog: usize,
    cores: usize,
    threads: OnceCell<Option<ThreadPool>>,
    /// In the order of their ids.
    connections: Vec<Connection>,
    /// The lines for everyone of this turn.
    plain: Vec<u8>,
    /// The same with their time in front, while there are clients that want that.
    stamped: Vec<u8>,
    want_time: usize,
    /// The day of the last stamped line.
    day: Date,
    /// How many bytes were said to single clients in this turn.
    private: usize,
    /// The clients whose outbox has bytes of its own: lines for that client alone, or a backlog.
    dirty: BTreeSet<ClientId>,
}

impl Audience {
    /// Nobody yet. A client for which more than `max_backlog` bytes wait is lost.
    pub(crate) fn new(max_backlog: usize) -> Audience {
        // std reads files to know this, and the thread that flushes must not.
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Audience { max_backlog, cores, ..Audience::default() }
    }

    /// Adds a client. It gets the lines that are said from now on.
    pub(crate) fn add(&mut self, id: ClientId, peer: SocketAddr, socket: Arc<TcpStream>, creditor: Creditor) {
        let connection = Connection::new(id, peer, socket, creditor, &self.plain);
        self.connections.insert(self.came_before(id), connection);
    }

    /// How many came before this client.
    fn came_before(&self, id: ClientId) -> usize {
        self.connections.partition_point(|other| other.id < id)
    }

    /// The clients that are in the room.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter().filter(|connection| connection.stage == Stage::Present)
    }

    /// One client's connection, if the client is in the room.
    pub(crate) fn get(&self, id: ClientId) -> Option<&Connection> {
        self.position(id).map(|at| &self.connections[at]).filter(|it| it.stage == Stage::Present)
    }

    fn position(&self, id: ClientId) -> Option<usize> {
        self.connections.binary_search_by_key(&id, |connection| connection.id).ok()
    }

    /// Says one line, or several in one text, to its recipients. Those who want that get the time in front of
    /// each line.
    pub(crate) fn say(&mut self, to: Recipients, lines: &str, now: DateTime) {
        use Recipients::{Asker, AskerForHistory, Everyone, EveryoneBefore, EveryoneBut, EveryoneFrom, Only};
        if self.want_time > 0 && self.day != now.date() {
            self.day = now.date();
            self.stamped.extend_from_slice(format!("*** {}\n", self.day).as_bytes());
        }
        match to {
            Everyone => self.publish(lines, now, 0..0),
            EveryoneBut(id) => {
                let at = self.position(id).map_or(0..0, |at| at..at + 1);
                self.publish(lines, now, at);
            }
            EveryoneBefore(id) => self.publish(lines, now, self.came_before(id)..self.connections.len()),
            EveryoneFrom(id) => self.publish(lines, now, 0..self.came_before(id)),
            Recipients::Operator => {} // The dispatcher shows it on the screen.
            Only(id) | Asker(id) | AskerForHistory(id) => self.with_outbox(id, |connection, public| {
                let is_stamped = connection.wants_time && !matches!(to, AskerForHistory(_));
                let text = if is_stamped { stamped(lines, now) } else { format!("{lines}\n") };
                connection.outbox.add(public, &text);
                connection.own += if matches!(to, Only(_)) { 0 } else { text.len() };
            }),
        }
    }

    /// Says something to everyone but for the clients at these positions. They take over what came before the
    /// line, and then pass over the line.
    fn publish(&mut self, line: &str, now: DateTime, but: Range<usize>) {
        for at in but.clone() {
            self.with_outbox(self.connections[at].id, |connection, public| {
                connection.outbox.catch_up(public)
            });
        }
        self.plain.extend_from_slice(line.as_bytes());
        self.plain.push(b'\n');
        if self.want_time > 0 {
            self.stamped.extend_from_slice(stamped(line, now).as_bytes());
        }
        for at in but {
            self.with_outbox(self.connections[at].id, |connection, public| connection.outbox.skip(public));
        }
        trace!("said to everyone, {} bytes in this turn", self.plain.len());
    }

    /// Does something with one client's outbox and the public lines as far as they are meant for it, and
    /// remembers to flush it. Does nothing for a client that is leaving, or gone.
    fn with_outbox(&mut self, id: ClientId, act: impl FnOnce(&mut Connection, &[u8])) {
        let Some(at) = self.position(id) else { return };
        let connection = &mut self.connections[at];
        if connection.stage == Stage::Present {
            let before = connection.outbox.backlog();
            act(connection, if connection.wants_time { &self.stamped } else { &self.plain });
            self.private += connection.outbox.backlog() - before;
            self.dirty.insert(id);
        }
    }

    /// From now on, a client gets each line with its time in front, or without. The first line of another day
    /// than `today` comes after its date.
    pub(crate) fn set_timestamps(&mut self, id: ClientId, is_on: bool, today: Date) {
        let mut was_on = is_on;
        self.with_outbox(id, |connection, public| {
            connection.outbox.catch_up(public);
            was_on = mem::replace(&mut connection.wants_time, is_on);
        });
        if was_on == is_on {
            return;
        }
        if self.want_time == 0 {
            self.day = today;
        }
        self.want_time = if is_on { self.want_time + 1 } else { self.want_time - 1 };
        // It goes on in the other of the two texts.
        self.with_outbox(id, |connection, public| connection.outbox.skip(public));
    }

    /// A client has left: it gets the lines up to here, then our half of its connection is closed, and when
    /// that has arrived, the other half. All that may take `until` then.
    pub(crate) fn dismiss(&mut self, id: ClientId, until: Option<Instant>) {
        self.set_timestamps(id, false, self.day);
        self.with_outbox(id, |connection, public| {
            connection.outbox.catch_up(public);
            connection.leave(until);
        });
    }

    /// Ends the connection of a client that would not read the rest: with a reset, which also frees the
    /// kernel's buffers.
    pub(crate) fn cut_off(&mut self, id: ClientId) {
        if let Some(at) = self.position(id) {
            let connection = self.connections.remove(at);
            self.want_time -= usize::from(connection.wants_time);
            let _ = set_socket_linger(connection.outbox.socket(), Some(Duration::ZERO));
            connection.close();
        }
    }

    /// Ends all connections that are left, of clients whose time is over.
    pub(crate) fn close_all(&mut self) {
        self.connections.drain(..).for_each(|connection| connection.close());
    }

    /// How many bytes were said in this turn so far, to everyone and to single clients.
    pub(crate) fn said(&self) -> usize {
        self.plain.len() + self.private
    }

    /// Whether bytes wait for a single client. Between two turns, these are backlogs.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Whether nobody is left, not even a client that is leaving.
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Ends the turn: sends each client the lines that it has not got yet, with one system call where the
    /// kernel accepts them all.
    ///
    /// In a large room the connections are lent to all cores for as long as that takes. Each core gets chunks
    /// of its own, so no two of them ever touch one connection: `par_chunks_mut` would not compile otherwise.
    pub(crate) fn flush(&mut self) -> Flushed {
        let (plain, stamped) = (&self.plain[..], &self.stamped[..]);
        let max_backlog = self.max_backlog;
        let now = Instant::now();
        let serve = |mut flushed: Flushed, connection: &mut Connection| {
            let public = if connection.wants_time { stamped } else { plain };
            connection.flush(public, max_backlog, now, &mut flushed);
            flushed
        };
        let is_large = self.connections.len() >= LARGE_ROOM;
        let threads = is_large.then(|| self.threads.get_or_init(|| start_flush_threads(self.cores)).as_ref());
        let dirty = mem::take(&mut self.dirty);
        let mut flushed = Flushed::default();
        if plain.is_empty() && stamped.is_empty() {
            for id in dirty {
                if let Some(at) = self.position(id) {
                    flushed = serve(flushed, &mut self.connections[at]);
                }
            }
        } else if let Some(threads) = threads.flatten() {
            let chunks = self.connections.par_chunks_mut(CHUNK);
            let served = chunks.map(|chunk| chunk.iter_mut().fold(Flushed::default(), serve));
            flushed = threads.install(|| served.reduce(Flushed::default, Flushed::and));
        } else {
            flushed = self.connections.iter_mut().fold(flushed, serve);
        }
        self.dirty = flushed.behind.drain(..).collect();
        self.plain.clear();
        self.stamped.clear();
        self.private = 0;
        if flushed.finished {
            self.connections.retain(|connection| connection.stage != Stage::Finished);
        }
        flushed
    }
}

/// The threads that flush a large room, the dispatcher's own and one for each other core, if the system lets
/// them start. They exist from the first such flush on, and sleep between two of them.
fn start_flush_threads(cores: usize) -> Option<ThreadPool> {
    check_headroom().ok()?;
    let threads = ThreadPoolBuilder::new().num_threads(cores).use_current_thread().stack_size(FLUSH_STACK);
    threads.thread_name(|n| format!("flush-{n}")).build().ok()
}

/// Lines, each with its time in front.
fn stamped(lines: &str, now: DateTime) -> String {
    let time = now.strftime(TIME);
    lines.lines().map(|line| format!("{time} {line}\n")).collect()
}

#[cfg(test)]
mod tests;
