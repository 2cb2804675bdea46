//! One client's connection, as the dispatcher sees it: what waits for it, and how it is sent, up to the last
//! line.

use crate::chat::ClientId;
use crate::credit::Creditor;
use crate::ending::has_arrived;
use crate::outbox::Outbox;
use log::trace;
use rustix::io::Errno;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A client with a backlog counts as reading if its backlog has become smaller within this time. It may be
/// slow, or its machine busy; one that has stopped is not waited for.
const STILL_READING: Duration = Duration::from_millis(100);

/// How soon the kernel is asked again whether the last line of a client that leaves has arrived.
const SHORTEST_ASK: Duration = Duration::from_millis(10);

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ClientId,
    pub(crate) peer: SocketAddr,
    pub(crate) since: Instant,
    pub(crate) outbox: Outbox,
    /// When the backlog last began or became smaller.
    shrank: Instant,
    pub(super) wants_time: bool,
    pub(super) stage: Stage,
    /// To the client's thread. It ends with this connection, which tells that thread that all is done.
    _creditor: Creditor,
    /// An upper bound of the waiting bytes that the client has asked for itself. Nobody else waits because of
    /// them.
    pub(super) own: usize,
}

/// Whether a client is in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Present,
    /// It has left the room, and gets no new lines, only those that wait.
    Leaving(Leaving),
    /// It has got everything.
    Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaving {
    /// How long it may take. Without a limit at the shutdown, which has its own.
    until: Option<Instant>,
    /// Since when our half is closed.
    closed: Option<Instant>,
    /// When to ask next whether all has arrived.
    ask: Instant,
}

/// The findings of a flush.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    /// For each of these clients too much waits, so many bytes.
    pub(crate) too_slow: Vec<(ClientId, usize)>,
    /// These have a backlog, or are leaving.
    pub(super) behind: Vec<ClientId>,
    /// A client that is leaving has got everything.
    pub(super) finished: bool,
    /// A backlog began or became smaller.
    pub(crate) progress: bool,
    /// A client that reads is behind by more than half of what is allowed. Let it catch up before more is
    /// said.
    pub(crate) reader_is_behind: bool,
}

impl Flushed {
    pub(super) fn and(mut self, other: Flushed) -> Flushed {
        self.too_slow.extend(other.too_slow);
        self.behind.extend(other.behind);
        self.finished |= other.finished;
        self.progress |= other.progress;
        self.reader_is_behind |= other.reader_is_behind;
        self
    }
}

impl Connection {
    /// The connection of a client that gets everything said after `public`.
    pub(super) fn new(
        id: ClientId,
        peer: SocketAddr,
        socket: Arc<TcpStream>,
        creditor: Creditor,
        public: &[u8],
    ) -> Connection {
        let now = Instant::now();
        Connection {
            id,
            peer,
            since: now,
            outbox: Outbox::new(socket, public),
            shrank: now,
            wants_time: false,
            stage: Stage::Present,
            _creditor: creditor,
            own: 0,
        }
    }

    /// It gets no new lines from now on. All that it still gets may take `until` then.
    pub(super) fn leave(&mut self, until: Option<Instant>) {
        self.stage = Stage::Leaving(Leaving { until, closed: None, ask: self.since });
    }

    /// How many bytes wait for the client.
    pub(crate) fn backlog(&self) -> usize {
        self.outbox.backlog()
    }

    /// Sends as much as the kernel accepts, and notes the outcome.
    pub(super) fn flush(&mut self, public: &[u8], max_backlog: usize, now: Instant, flushed: &mut Flushed) {
        let before = self.backlog();
        self.outbox.flush(if self.stage == Stage::Present { public } else { &[] });
        let backlog = self.backlog();
        trace!("client {}: sent, {backlog} bytes are left", self.id);
        if before == 0 || backlog < before {
            self.shrank = now;
        }
        match self.stage {
            Stage::Leaving(leaving) => {
                flushed.progress |= backlog < before;
                return self.see_off(leaving, now, flushed);
            }
            _ if backlog > max_backlog || self.outbox.failure() == Some(Errno::NOMEM) => {
                return flushed.too_slow.push((self.id, backlog));
            }
            _ if backlog == 0 => return self.own = 0,
            _ => {}
        }
        flushed.behind.push(self.id);
        flushed.progress |= self.shrank == now;
        let reads = now.duration_since(self.shrank) < STILL_READING;
        flushed.reader_is_behind |= reads && backlog.saturating_sub(self.own) > max_backlog / 2;
    }

    /// Closes our half when the last line is sent, and both when that has arrived or the client's time is
    /// over. This wakes the client's thread, if it still reads.
    fn see_off(&mut self, mut leaving: Leaving, now: Instant, flushed: &mut Flushed) {
        if self.backlog() == 0 && leaving.closed.is_none() {
            let _ = self.outbox.socket().shutdown(Shutdown::Write);
            leaving.closed = Some(now);
        }
        let mut is_over = leaving.until.is_some_and(|until| now >= until);
        if let Some(closed) = leaving.closed.filter(|_| now >= leaving.ask) {
            is_over |= has_arrived(self.outbox.socket());
            // The kernel is asked ever more rarely, so that many who do not read cost little.
            leaving.ask = now + now.duration_since(closed).max(SHORTEST_ASK);
        }
        if is_over {
            self.stage = Stage::Finished;
            self.close();
            flushed.finished = true;
        } else {
            self.stage = Stage::Leaving(leaving);
            flushed.behind.push(self.id);
        }
    }

    pub(super) fn close(&self) {
        let _ = self.outbox.socket().shutdown(Shutdown::Both);
    }
}
