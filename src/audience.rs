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
        let seat = Seat {
            outbox,
            took: Instant::now(),
            stamped: false,
            leaving: false,
        };
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
            let public = if seat.stamped {
                &self.stamped_public
            } else {
                &self.public
            };
            let before = seat.outbox.backlog();
            act(seat, public);
            self.private += seat.outbox.backlog() - before;
            self.owed.push(id);
        }
    }

    /// From now on, a client gets each line with its time in front, or without.
    pub fn set_timestamps(&mut self, id: ClientId, on: bool) {
        self.with_outbox(id, |seat, public| seat.outbox.catch_up(public));
        if let Some(seat) = self.seats.get_mut(&id).filter(|seat| seat.stamped != on) {
            seat.stamped = on;
            if on {
                self.stamped += 1
            } else {
                self.stamped -= 1
            }
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
        self.seats
            .values()
            .map(|seat| seat.outbox.socket().clone())
            .collect()
    }

    /// Ends the turn: sends each client what it has not got yet, with one system call where the kernel takes it all.
    pub fn flush(&mut self) -> Flushed {
        let mut flushed = Flushed::default();
        let mut owed = mem::take(&mut self.owed);
        owed.sort_unstable();
        owed.dedup();

        debug_assert_eq!(
            *self.owner.get_or_insert(thread::current().id()),
            thread::current().id()
        );
        self.private = 0;
        let now = Instant::now();
        let mut finished = Vec::new();
        let mut settle = |id: ClientId, seat: &mut Seat| {
            let before = seat.outbox.backlog();
            let public = if seat.stamped {
                &self.stamped_public
            } else {
                &self.public
            };
            let settled = seat.settle(public);
            trace!(
                "client {id}: sent, {} bytes are left",
                seat.outbox.backlog()
            );
            match settled {
                Err(error) => flushed.lost.push((id, Departure::Failed(error))),
                Ok(0) if seat.leaving => finished.push(id),
                Ok(0) => {}
                Ok(backlog) if backlog > self.max_backlog => {
                    flushed.lost.push((id, Departure::TooSlow(backlog)))
                }
                Ok(backlog) => {
                    if before == 0 || backlog < before {
                        flushed.progress = true;
                        seat.took = now;
                    }
                    let reads = now.duration_since(seat.took) < STILL_READING;
                    flushed.crowded |= reads && backlog > self.max_backlog / 2;
                    self.owed.push(id);
                }
            }
        };
        if self.public.is_empty() {
            for id in owed {
                if let Some(seat) = self.seats.get_mut(&id) {
                    settle(id, seat);
                }
            }
        } else {
            self.seats
                .iter_mut()
                .for_each(|(&id, seat)| settle(id, seat));
            self.public.clear();
            self.stamped_public.clear();
        }
        for id in finished {
            if let Some(seat) = self.seats.remove(&id) {
                let _ = seat.outbox.socket().shutdown(Shutdown::Write);
            }
        }
        flushed
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

impl Seat {
    /// Sends what the kernel takes, and says how many bytes it did not take.
    fn settle(&mut self, public: &[u8]) -> std::io::Result<usize> {
        self.outbox.flush(if self.leaving { &[] } else { public })?;
        Ok(self.outbox.backlog())
    }
}

#[cfg(test)]
mod tests;
