//! Everybody's outbox, and the one place where lines become bytes.
//!
//! | how a client ends | who asks for it | what becomes of it |
//! |---|---|---|
//! | [`Room::leave`](crate::room::Room::leave) | the dispatcher, always | it is in the room no more, its name is free |
//! | [`dismiss`](Audience::dismiss) | it left by itself, or was kicked | it is sent what it is owed, then our side is closed |
//! | [`stop_listening`](Audience::stop_listening) | it was kicked | its thread sees the end of its input |
//! | [`cut_off`](Audience::cut_off) | it is broken or too slow | it is sent nothing more, and closed with a reset |
//!
//! Lines for everyone are rendered once a turn, into one buffer that all outboxes send from. Only the dispatcher's
//! thread owns an `Audience`.
//!
//! Next on the tour: [`outbox`](crate::outbox), the last stop of a line.

use crate::event::Departure;
use crate::outbox::Outbox;
use crate::protocol::ClientId;
use crate::protocol::clock::ClockTime;
use crate::room::Recipients;
use log::trace;
use rustix::net::sockopt::set_socket_linger;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// A client with a backlog still reads if its kernel has taken something within this time. It may be slow, or its
/// machine busy; one that has stopped is not waited for.
const STILL_READING: Duration = Duration::from_millis(100);

/// All outboxes, and what was said in this turn.
#[derive(Debug)]
pub struct Audience {
    max_backlog: usize,
    seats: BTreeMap<ClientId, Seat>,
    /// The lines for everyone of this turn: as they are, and with their time in front for those who want that.
    public: Vec<u8>,
    stamped_public: Vec<u8>,
    /// How many want that. While nobody does, nothing is rendered for them.
    stamped: usize,
    /// How many bytes were said to single clients in this turn.
    private: usize,
    /// Only this thread touches the outboxes. The compiler sees to it that only one does at a time.
    owner: Option<ThreadId>,
    /// Whose outbox has something of its own in it: lines for that client alone, or a backlog.
    owed: Vec<ClientId>,
}

/// One client's place in the audience.
#[derive(Debug)]
struct Seat {
    outbox: Outbox,
    /// When its kernel took something last, as far as it has a backlog.
    took: Instant,
    /// It gets each line with its time in front.
    stamped: bool,
    /// It hears nothing new and is only sent what it was still owed.
    leaving: bool,
}

/// What a flush found out.
#[derive(Debug, Default)]
pub struct Flushed {
    /// These could not be served any more.
    pub lost: Vec<(ClientId, Departure)>,
    /// A client that has a backlog took some of it, or has one only now.
    pub progress: bool,
    /// A client that reads is behind by more than half of what is allowed: let it catch up before saying more.
    pub crowded: bool,
}

impl Audience {
    /// Nobody yet. A client for which more than `max_backlog` bytes are waiting is lost.
    pub fn new(max_backlog: usize) -> Audience {
        Audience {
            max_backlog,
            seats: BTreeMap::new(),
            public: Vec::new(),
            stamped_public: Vec::new(),
            stamped: 0,
            private: 0,
            owner: None,
            owed: Vec::new(),
        }
    }

    /// A client that hears what is said from now on.
    pub fn add(&mut self, id: ClientId, socket: Arc<TcpStream>) {
        let outbox = Outbox::new(socket, &self.public);
        let seat = Seat { outbox, took: Instant::now(), stamped: false, leaving: false };
        self.seats.insert(id, seat);
    }

    /// Says one line, or several in one text, to those whom it concerns, and with `stamp` in front of each line to those
    /// of them who want that.
    pub fn say(&mut self, to: Recipients, line: &impl Display, stamp: Option<ClockTime>) {
        match to {
            Recipients::Everyone => self.publish(line, stamp),
            Recipients::EveryoneBut(id) => {
                // This one takes over what came before the line, and then passes over the line.
                self.with_outbox(id, |seat, public| seat.outbox.catch_up(public));
                self.publish(line, stamp);
                self.with_outbox(id, |seat, public| seat.outbox.skip(public));
            }
            Recipients::Only(id) => self.with_outbox(id, |seat, public| {
                let stamp = stamp.filter(|_| seat.stamped);
                write_lines(seat.outbox.after(public), line, stamp);
            }),
        }
    }

    fn publish(&mut self, line: &impl Display, stamp: Option<ClockTime>) {
        write_lines(&mut self.public, line, None);
        if self.stamped > 0 {
            write_lines(&mut self.stamped_public, line, stamp);
        }
        trace!("said to everyone, {} bytes in this turn", self.public.len());
    }

    /// Does something with one client's outbox and the public lines as that client gets them, and remembers to flush it.
    /// Does nothing for a client that is leaving, or gone.
    fn with_outbox(&mut self, id: ClientId, act: impl FnOnce(&mut Seat, &[u8])) {
        if let Some(seat) = self.seats.get_mut(&id).filter(|seat| !seat.leaving) {
            let public = seat.hears(&self.public, &self.stamped_public);
            let before = seat.outbox.backlog();
            act(seat, public);
            self.private += seat.outbox.backlog() - before;
            self.owed.push(id);
        }
    }

    /// From now on, a client gets each line with its time in front, or without.
    pub fn set_timestamps(&mut self, id: ClientId, on: bool) {
        self.with_outbox(id, |seat, public| seat.outbox.catch_up(public));
        let seat = self.seats.get_mut(&id).filter(|seat| !seat.leaving && seat.stamped != on);
        if let Some(seat) = seat {
            seat.stamped = on;
            if on { self.stamped += 1 } else { self.stamped -= 1 }
        }
        self.with_outbox(id, |seat, public| seat.outbox.skip(public));
    }

    /// Sends one client bytes that are not a line.
    pub fn send_bytes(&mut self, id: ClientId, bytes: &[u8]) {
        self.with_outbox(id, |seat, public| {
            let _ = seat.outbox.after(public).write_all(bytes);
        });
    }

    /// How many bytes wait for a client.
    pub fn backlog(&self, id: ClientId) -> usize {
        self.seats.get(&id).map_or(0, |seat| seat.outbox.backlog())
    }

    /// A client has left: it gets what it is owed up to here, and then its connection is closed from our side.
    pub fn dismiss(&mut self, id: ClientId) {
        self.set_timestamps(id, false);
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.leaving = true;
        }
    }

    /// What a client still sends is not wanted any more. The `read` of its thread returns.
    pub fn stop_listening(&self, id: ClientId) {
        if let Some(seat) = self.seats.get(&id) {
            let _ = seat.outbox.socket().shutdown(Shutdown::Read);
        }
    }

    /// Ends a connection that does not end by itself. The `read` of its client's thread returns.
    pub fn cut_off(&mut self, id: ClientId) {
        if let Some(seat) = self.seats.remove(&id) {
            self.stamped -= usize::from(seat.stamped);
            if !seat.leaving {
                // What the kernel still holds for it will not be read: let go of that memory at once, with a reset.
                let _ = set_socket_linger(seat.outbox.socket(), Some(Duration::ZERO));
            }
            let _ = seat.outbox.socket().shutdown(Shutdown::Both);
        }
    }

    /// How many bytes were said in this turn so far, to everyone and to single clients.
    pub fn said(&self) -> usize {
        self.public.len() + self.private
    }

    /// Is there anything to send that is not for everyone, a backlog above all?
    pub fn is_owed(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Is there nobody left, not even somebody who is leaving?
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// The sockets of all.
    pub fn sockets(&self) -> Vec<Arc<TcpStream>> {
        self.seats.values().map(|seat| seat.outbox.socket().clone()).collect()
    }

    /// Ends the turn: sends each client what it has not got yet, with one system call where the kernel takes it all.
    pub fn flush(&mut self) -> Flushed {
        debug_assert_eq!(*self.owner.get_or_insert(thread::current().id()), thread::current().id());
        let (mut flushed, mut finished, now) = (Flushed::default(), Vec::new(), Instant::now());
        let mut owed = mem::take(&mut self.owed);
        owed.sort_unstable();
        owed.dedup();

        let mut settle = |id: ClientId, seat: &mut Seat| {
            let settled = seat.settle(seat.hears(&self.public, &self.stamped_public), self.max_backlog, now);
            trace!("client {id}: sent, {} bytes are left", seat.outbox.backlog());
            match settled {
                Ok(Settled::Served) => {}
                Ok(Settled::Finished) => finished.push(id),
                Ok(Settled::Behind { progress, crowded }) => {
                    flushed.progress |= progress;
                    flushed.crowded |= crowded;
                    self.owed.push(id);
                }
                Err(why) => flushed.lost.push((id, why)),
            }
        };
        if self.public.is_empty() {
            for id in owed {
                if let Some(seat) = self.seats.get_mut(&id) {
                    settle(id, seat);
                }
            }
        } else {
            self.seats.iter_mut().for_each(|(&id, seat)| settle(id, seat));
        }
        self.public.clear();
        self.stamped_public.clear();
        self.private = 0;
        for id in finished {
            if let Some(seat) = self.seats.remove(&id) {
                let _ = seat.outbox.socket().shutdown(Shutdown::Write);
            }
        }
        flushed
    }
}

/// How one client stands at the end of a turn.
enum Settled {
    /// Nothing waits for it.
    Served,
    /// Nothing waits for it, and it was leaving.
    Finished,
    /// Something waits. Its kernel took some of it now, or all up to now; it reads, and far more waits than should.
    Behind { progress: bool, crowded: bool },
}

impl Seat {
    /// The public lines as this client gets them.
    fn hears<'a>(&self, plain: &'a [u8], stamped: &'a [u8]) -> &'a [u8] {
        if self.stamped { stamped } else { plain }
    }

    /// Sends what the kernel takes.
    fn settle(&mut self, public: &[u8], max_backlog: usize, now: Instant) -> Result<Settled, Departure> {
        let before = self.outbox.backlog();
        self.outbox.flush(if self.leaving { &[] } else { public }).map_err(Departure::Failed)?;
        match self.outbox.backlog() {
            0 if self.leaving => Ok(Settled::Finished),
            0 => Ok(Settled::Served),
            backlog if backlog > max_backlog && !self.leaving => Err(Departure::TooSlow(backlog)),
            backlog => {
                let progress = before == 0 || backlog < before;
                if progress {
                    self.took = now;
                }
                let reads = now.duration_since(self.took) < STILL_READING;
                Ok(Settled::Behind { progress, crowded: reads && backlog > max_backlog / 2 })
            }
        }
    }
}

/// Writes to memory, which cannot fail.
fn write_lines(memory: &mut impl Write, text: &impl Display, stamp: Option<ClockTime>) {
    let Some(stamp) = stamp else {
        let _ = writeln!(memory, "{text}");
        return;
    };
    for line in text.to_string().lines() {
        let _ = writeln!(memory, "{stamp} {line}");
    }
}

#[cfg(test)]
mod tests;
