//! Everybody's outbox, and the one place where lines become bytes.
//!
//! Lines for everyone are rendered once a turn, into one buffer that all outboxes send from. Only the dispatcher's
//! thread owns an `Audience`.

use crate::event::Departure;
use crate::outbox::Outbox;
use crate::protocol::ClientId;
use crate::protocol::clock::ClockTime;
use crate::room::Recipients;
use rustix::net::sockopt::set_socket_linger;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A client with a backlog still reads if its kernel has taken something within this time. It may be slow, or its
/// machine busy; one that has stopped is not waited for.
const STILL_READING: Duration = Duration::from_millis(100);

/// All outboxes, and what was said in this turn.
#[derive(Debug)]
pub struct Audience {
    max_backlog: usize,
    listeners: BTreeMap<ClientId, Listener>,
    /// The lines for everyone of this turn: as they are, and with their time in front for those who want that.
    public: Vec<u8>,
    stamped_public: Vec<u8>,
    /// How many want that. While nobody does, nothing is rendered for them.
    stamped: usize,
    /// How many bytes were said to single clients in this turn.
    private: usize,
    /// Whose outbox has something of its own in it: lines for that client alone, or a backlog.
    owed: Vec<ClientId>,
}

#[derive(Debug)]
struct Listener {
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
            listeners: BTreeMap::new(),
            public: Vec::new(),
            stamped_public: Vec::new(),
            stamped: 0,
            private: 0,
            owed: Vec::new(),
        }
    }

    /// A client that hears what is said from now on.
    pub fn add(&mut self, id: ClientId, socket: Arc<TcpStream>) {
        let outbox = Outbox::new(socket, &self.public);
        let listener = Listener {
            outbox,
            took: Instant::now(),
            stamped: false,
            leaving: false,
        };
        self.listeners.insert(id, listener);
    }

    /// Says one line, or several in one text, to those whom it concerns, and with `stamp` in front of each line to those
    /// of them who want that.
    pub fn say(&mut self, to: Recipients, line: &impl Display, stamp: Option<ClockTime>) {
        match to {
            Recipients::Everyone => self.publish(line, stamp),
            Recipients::EveryoneBut(id) => {
                self.with_outbox(id, |listener, public| listener.outbox.catch_up(public));
                self.publish(line, stamp);
                self.with_outbox(id, |listener, public| listener.outbox.skip(public));
            }
            Recipients::Only(id) => self.with_outbox(id, |listener, public| {
                let stamp = stamp.filter(|_| listener.stamped);
                write_lines(listener.outbox.after(public), line, stamp);
            }),
        }
    }

    fn publish(&mut self, line: &impl Display, stamp: Option<ClockTime>) {
        write_lines(&mut self.public, line, None);
        if self.stamped > 0 {
            write_lines(&mut self.stamped_public, line, stamp);
        }
    }

    /// Does something with one client's outbox and the public lines as that client gets them.
    fn with_outbox(&mut self, id: ClientId, act: impl FnOnce(&mut Listener, &[u8])) {
        if let Some(listener) = self
            .listeners
            .get_mut(&id)
            .filter(|listener| !listener.leaving)
        {
            let public = if listener.stamped {
                &self.stamped_public
            } else {
                &self.public
            };
            let before = listener.outbox.backlog();
            act(listener, public);
            self.private += listener.outbox.backlog() - before;
            self.owed.push(id);
        }
    }

    /// From now on, a client gets each line with its time in front, or without.
    pub fn set_timestamps(&mut self, id: ClientId, on: bool) {
        self.with_outbox(id, |listener, public| listener.outbox.catch_up(public));
        if let Some(listener) = self
            .listeners
            .get_mut(&id)
            .filter(|listener| listener.stamped != on)
        {
            listener.stamped = on;
            if on {
                self.stamped += 1
            } else {
                self.stamped -= 1
            }
        }
        self.with_outbox(id, |listener, public| listener.outbox.skip(public));
    }

    /// Sends one client bytes that are not a line.
    pub fn send_bytes(&mut self, id: ClientId, bytes: &[u8]) {
        self.with_outbox(id, |listener, public| {
            let _ = listener.outbox.after(public).write_all(bytes);
        });
    }

    /// How many bytes wait for a client.
    pub fn backlog(&self, id: ClientId) -> usize {
        self.listeners
            .get(&id)
            .map_or(0, |listener| listener.outbox.backlog())
    }

    /// A client has left: it gets what it is owed up to here, and then its connection is closed from our side.
    pub fn dismiss(&mut self, id: ClientId) {
        self.set_timestamps(id, false);
        if let Some(listener) = self.listeners.get_mut(&id) {
            listener.leaving = true;
        }
    }

    /// What a client still sends is not wanted any more. The `read` of its thread returns.
    pub fn stop_listening(&self, id: ClientId) {
        if let Some(listener) = self.listeners.get(&id) {
            let _ = listener.outbox.socket().shutdown(Shutdown::Read);
        }
    }

    /// Ends a connection that does not end by itself. The `read` of its client's thread returns.
    pub fn cut_off(&mut self, id: ClientId) {
        if let Some(listener) = self.listeners.remove(&id) {
            self.stamped -= usize::from(listener.stamped);
            if !listener.leaving {
                // What the kernel still holds for it will not be read: let go of that memory at once, with a reset.
                let _ = set_socket_linger(listener.outbox.socket(), Some(Duration::ZERO));
            }
            let _ = listener.outbox.socket().shutdown(Shutdown::Both);
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
        self.listeners.is_empty()
    }

    /// The sockets of all.
    pub fn sockets(&self) -> Vec<Arc<TcpStream>> {
        self.listeners
            .values()
            .map(|listener| listener.outbox.socket().clone())
            .collect()
    }

    /// Ends the turn: sends each client what it has not got yet, with one system call where the kernel takes it all.
    pub fn flush(&mut self) -> Flushed {
        let mut flushed = Flushed::default();
        let mut owed = mem::take(&mut self.owed);
        owed.sort_unstable();
        owed.dedup();

        self.private = 0;
        let now = Instant::now();
        let mut finished = Vec::new();
        let mut settle = |id: ClientId, listener: &mut Listener| {
            let before = listener.outbox.backlog();
            match listener.settle(if listener.stamped {
                &self.stamped_public
            } else {
                &self.public
            }) {
                Err(error) => flushed.lost.push((id, Departure::Failed(error))),
                Ok(0) if listener.leaving => finished.push(id),
                Ok(0) => {}
                Ok(backlog) if backlog > self.max_backlog => {
                    flushed.lost.push((id, Departure::TooSlow(backlog)))
                }
                Ok(backlog) => {
                    if before == 0 || backlog < before {
                        flushed.progress = true;
                        listener.took = now;
                    }
                    let reads = now.duration_since(listener.took) < STILL_READING;
                    flushed.crowded |= reads && backlog > self.max_backlog / 2;
                    self.owed.push(id);
                }
            }
        };
        if self.public.is_empty() {
            for id in owed {
                if let Some(listener) = self.listeners.get_mut(&id) {
                    settle(id, listener);
                }
            }
        } else {
            self.listeners
                .iter_mut()
                .for_each(|(&id, listener)| settle(id, listener));
            self.public.clear();
            self.stamped_public.clear();
        }
        for id in finished {
            if let Some(listener) = self.listeners.remove(&id) {
                let _ = listener.outbox.socket().shutdown(Shutdown::Write);
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

impl Listener {
    /// Sends what the kernel takes, and says how many bytes it did not take.
    fn settle(&mut self, public: &[u8]) -> std::io::Result<usize> {
        self.outbox.flush(if self.leaving { &[] } else { public })?;
        Ok(self.outbox.backlog())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    /// An audience of `n` and the far ends of their sockets.
    fn audience(n: usize, max_backlog: usize) -> (Audience, Vec<(ClientId, BufReader<TcpStream>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut audience = Audience::new(max_backlog);
        let far_ends = ClientId::sequence().take(n).map(|id| {
            let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            audience.add(id, Arc::new(listener.accept().unwrap().0));
            (id, BufReader::new(far))
        });
        let far_ends = far_ends.collect();
        (audience, far_ends)
    }

    fn next_line(far: &mut BufReader<TcpStream>) -> String {
        let mut line = String::new();
        far.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[test]
    fn each_hears_what_is_for_it_in_the_order_in_which_it_was_said() {
        let (mut audience, mut people) = audience(2, 1000);
        let (alice, bob) = (people[0].0, people[1].0);
        audience.say(Recipients::Everyone, &"one", None);
        audience.say(Recipients::Only(bob), &"for bob", None);
        audience.say(Recipients::EveryoneBut(bob), &"not for bob", None);
        audience.say(Recipients::Only(alice), &"for alice", None);
        audience.say(Recipients::Everyone, &"two", None);
        audience.flush();
        let heard =
            |far: &mut BufReader<TcpStream>, n| (0..n).map(|_| next_line(far)).collect::<Vec<_>>();
        assert_eq!(
            heard(&mut people[0].1, 4),
            ["one", "not for bob", "for alice", "two"]
        );
        assert_eq!(heard(&mut people[1].1, 3), ["one", "for bob", "two"]);
    }

    #[test]
    fn lines_have_their_time_in_front_for_those_who_want_that() {
        let (mut audience, mut people) = audience(2, 1000);
        let (alice, bob) = (people[0].0, people[1].0);
        let now = Some(ClockTime::default());
        audience.say(Recipients::Everyone, &"before", now);
        audience.set_timestamps(bob, true);
        audience.say(Recipients::Only(bob), &"yours\nboth", now);
        audience.say(Recipients::Everyone, &"after", now);
        audience.say(Recipients::EveryoneBut(bob), &"not for bob", now);
        audience.say(Recipients::EveryoneBut(alice), &"not for alice", now);
        audience.set_timestamps(bob, false);
        audience.say(Recipients::Everyone, &"plain", now);
        audience.flush();
        let heard =
            |far: &mut BufReader<TcpStream>, n| (0..n).map(|_| next_line(far)).collect::<Vec<_>>();
        assert_eq!(
            heard(&mut people[0].1, 4),
            ["before", "after", "not for bob", "plain"]
        );
        let stamped = [
            "before",
            "[00:00] yours",
            "[00:00] both",
            "[00:00] after",
            "[00:00] not for alice",
            "plain",
        ];
        assert_eq!(heard(&mut people[1].1, 6), stamped);
    }

    #[test]
    fn who_leaves_gets_what_was_said_before_and_then_the_end() {
        let (mut audience, mut people) = audience(2, 1000);
        audience.say(Recipients::Everyone, &"before", None);
        audience.dismiss(people[0].0);
        audience.say(Recipients::Everyone, &"after", None);
        audience.dismiss(people[0].0);
        audience.say(Recipients::Only(people[0].0), &"too late", None);
        assert!(audience.flush().lost.is_empty());
        assert_eq!(
            [(); 2].map(|()| next_line(&mut people[0].1)),
            ["before", ""]
        );
        assert_eq!(
            [(); 2].map(|()| next_line(&mut people[1].1)),
            ["before", "after"]
        );
        assert!(!audience.is_owed());
    }

    #[test]
    fn only_who_does_not_read_is_lost() {
        let (mut audience, mut people) = audience(2, 100_000);
        let (slow, _does_not_read) = people.remove(0);
        let (_, mut reads) = people.remove(0);
        let line = "x".repeat(20_000);
        let lost = (0..10_000).find_map(|_| {
            audience.say(Recipients::Everyone, &line, None);
            let lost = audience.flush().lost;
            assert_eq!(next_line(&mut reads), line);
            lost.into_iter().next()
        });
        assert!(
            matches!(lost, Some((id, Departure::TooSlow(backlog))) if id == slow && backlog > 100_000)
        );
        audience.cut_off(slow);
        assert!(audience.flush().lost.is_empty() && !audience.is_owed());
    }
}
