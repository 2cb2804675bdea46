//! Everybody's outbox, and the one place where lines become bytes.
//!
//! Lines for everyone are rendered once a turn, into one buffer that all outboxes send from. Only the dispatcher's
//! thread owns an `Audience`.

use crate::event::Departure;
use crate::outbox::Outbox;
use crate::protocol::ClientId;
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
    /// The lines for everyone of this turn.
    public: Vec<u8>,
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
            leaving: false,
        };
        self.listeners.insert(id, listener);
    }

    /// Says one line, or several in one text, to those whom it concerns.
    pub fn say(&mut self, to: Recipients, line: &impl Display) {
        match to {
            Recipients::Everyone => self.publish(line),
            Recipients::EveryoneBut(id) => {
                self.with_outbox(id, Outbox::catch_up);
                self.publish(line);
                self.with_outbox(id, Outbox::skip);
            }
            Recipients::Only(id) => self.with_outbox(id, |outbox, public| {
                let _ = writeln!(outbox.after(public), "{line}");
            }),
        }
    }

    fn publish(&mut self, line: &impl Display) {
        let _ = writeln!(self.public, "{line}"); // Writing to memory cannot fail.
    }

    fn with_outbox(&mut self, id: ClientId, act: impl FnOnce(&mut Outbox, &[u8])) {
        if let Some(listener) = self.listeners.get_mut(&id) {
            let before = listener.outbox.backlog();
            act(&mut listener.outbox, &self.public);
            self.private += listener.outbox.backlog() - before;
            self.owed.push(id);
        }
    }

    /// Sends one client bytes that are not a line.
    pub fn send_bytes(&mut self, id: ClientId, bytes: &[u8]) {
        self.with_outbox(id, |outbox, public| {
            let _ = outbox.after(public).write_all(bytes);
        });
    }

    /// A client has left: it gets what it is owed up to here, and then its connection is closed from our side.
    pub fn dismiss(&mut self, id: ClientId) {
        self.with_outbox(id, Outbox::catch_up);
        if let Some(listener) = self.listeners.get_mut(&id) {
            listener.leaving = true;
        }
    }

    /// Ends a connection that does not end by itself. The `read` of its client's thread returns.
    pub fn cut_off(&mut self, id: ClientId) {
        if let Some(listener) = self.listeners.remove(&id) {
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
            match listener.settle(&self.public) {
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
        }
        for id in finished {
            if let Some(listener) = self.listeners.remove(&id) {
                let _ = listener.outbox.socket().shutdown(Shutdown::Write);
            }
        }
        flushed
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
        audience.say(Recipients::Everyone, &"one");
        audience.say(Recipients::Only(bob), &"for bob");
        audience.say(Recipients::EveryoneBut(bob), &"not for bob");
        audience.say(Recipients::Only(alice), &"for alice");
        audience.say(Recipients::Everyone, &"two");
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
    fn who_leaves_gets_what_was_said_before_and_then_the_end() {
        let (mut audience, mut people) = audience(2, 1000);
        audience.say(Recipients::Everyone, &"before");
        audience.dismiss(people[0].0);
        audience.say(Recipients::Everyone, &"after");
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
            audience.say(Recipients::Everyone, &line);
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
