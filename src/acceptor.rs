//! The acceptor's thread: it waits for connections, lets them in or turns them away, and starts a thread for each.
//!
//! Next on the tour: [`client`](crate::client), what the thread that it starts does.

use crate::admission::{Admission, Permit};
use crate::client::{Client, STACK_SIZE};
use crate::config::{Config, LINGER};
use crate::event::Event;
use crate::listener;
use crate::pace::Pace;
use crate::protocol::reply::{Refusal, Reply};
use crate::protocol::{ClientId, ClientIds};
use crossbeam_channel::{Receiver, Sender};
use log::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Display;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

/// How long the acceptor rests when the system has nothing left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How many connections that were turned away stay half open for a moment.
const MAX_TURNED_AWAY: usize = 8;

/// How much address space must be free for another thread to be started. The standard library ends the whole process
/// if a new thread finds no memory for its signal stack; so there must be far more than that and its ordinary stack,
/// and more than an allocator keeps to itself (glibc: 32 MiB), so that asking for it asks the kernel.
const HEADROOM: usize = 33 * 1024 * 1024;

/// The state of the acceptor's thread.
#[derive(Debug)]
pub struct Acceptor {
    config: Config,
    listeners: Vec<TcpListener>,
    /// Readable when the server is to stop.
    stopped: UnixStream,
    admission: Admission,
    /// For each client's thread to clone: where its events go,
    events: Sender<Event>,
    /// and how it learns that nobody will hear of them any more.
    closing: Receiver<Infallible>,
    ids: ClientIds,
    turned_away: TurnedAway,
}

impl Acceptor {
    /// An acceptor for these listeners, which must not block.
    pub fn new(
        config: Config,
        listeners: Vec<TcpListener>,
        stopped: UnixStream,
        admission: Admission,
        events: Sender<Event>,
        closing: Receiver<Infallible>,
    ) -> Acceptor {
        Acceptor {
            config,
            listeners,
            stopped,
            admission,
            events,
            closing,
            ids: ClientId::sequence(),
            turned_away: TurnedAway::default(),
        }
    }

    /// Lets clients in until the server is stopped. Then the listeners are closed.
    ///
    /// # Errors
    /// The system does not let it wait for connections.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let mut waiting: Vec<_> = self.listeners.iter().map(|l| PollFd::new(l, PollFlags::IN)).collect();
            waiting.push(PollFd::new(&self.stopped, PollFlags::IN));
            match poll(&mut waiting, self.turned_away.timeout().as_ref()) {
                Err(Errno::INTR) => continue,
                Ok(0) => self.turned_away.hang_up(),
                ready => drop(ready?),
            }
            let ready: Vec<bool> = waiting.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready.last() == Some(&true) {
                return Ok(());
            }
            for at in (0..self.listeners.len()).filter(|at| ready[*at]) {
                // The listeners do not block, because who was at the door may be gone; the connections do.
                match self.listeners[at].accept() {
                    Ok((socket, peer)) => {
                        // An IPv4 client of an IPv6 socket is shown as what it is.
                        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                        self.receive(Arc::new(socket), peer);
                    }
                    Err(error) => self.recover(&error),
                }
            }
        }
    }

    /// Somebody is at the door.
    fn receive(&mut self, socket: Arc<TcpStream>, peer: SocketAddr) {
        let permit = match self.admission.admit(peer.ip()) {
            Ok(permit) => permit,
            Err(refusal) => return self.turned_away.refuse(socket, refusal, peer, &refusal),
        };
        if let Err(error) = listener::tune(&socket) {
            return self.turned_away.log(peer, &error); // It is gone already.
        }
        if let Err(error) = self.start_thread(socket.clone(), peer, permit) {
            self.turned_away.refuse(socket, Refusal::Exhausted, peer, &error);
        }
    }

    fn start_thread(&mut self, socket: Arc<TcpStream>, peer: SocketAddr, permit: Permit) -> io::Result<()> {
        // Without the black box the optimiser removes an allocation that nobody uses, and with it the question.
        std::hint::black_box(&mut Vec::<u8>::new()).try_reserve_exact(HEADROOM)?;
        let Some(id) = self.ids.next() else {
            return Err(io::Error::other("no numbers left"));
        };
        let Config { max_line, rate, burst, .. } = self.config;
        let (pace, closing) = (Pace::new(rate, burst), self.closing.clone());
        let client = Client { id, peer, socket, max_line, pace, closing, permit };
        let events = self.events.clone();
        let thread = thread::Builder::new().name(format!("client-{id}")).stack_size(STACK_SIZE);
        thread.spawn(move || client.run(events)).map(drop)
    }

    /// A connection could not be accepted. If it was gone before, that is over; else the system has run out of
    /// something, the connection is still there, and trying again at once would only keep a core busy.
    fn recover(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        if !matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock) {
            self.turned_away.log("a newcomer for the moment", error);
            let rest = Timespec::try_from(EXHAUSTED_PAUSE).ok();
            let _ = poll(&mut [PollFd::new(&self.stopped, PollFlags::IN)], rest.as_ref());
        }
    }
}

/// Who was not let in.
///
/// Their connections are closed a little later than from our side: what they still send would make the kernel send a
/// reset, which can overtake the sentence that tells them why. And the log gets one line a second about them at most,
/// so that strangers cannot fill the disk with them.
#[derive(Debug, Default)]
struct TurnedAway {
    half_open: VecDeque<Arc<TcpStream>>,
    last_line: Option<Instant>,
    unsaid: u64,
}

impl TurnedAway {
    /// Tells somebody why not, as far as that is possible without waiting.
    fn refuse(&mut self, socket: Arc<TcpStream>, refusal: Refusal, peer: SocketAddr, why: &dyn Display) {
        self.log(peer, why);
        let sentence = format!("{}\n", Reply::Refused(refusal));
        let _ = send(&socket, sentence.as_bytes(), SendFlags::DONTWAIT);
        let _ = socket.shutdown(Shutdown::Write);
        self.half_open.truncate(MAX_TURNED_AWAY - 1);
        self.half_open.push_front(socket);
    }

    /// How long until the last of them is hung up on, if nobody else comes.
    fn timeout(&self) -> Option<Timespec> {
        if self.half_open.is_empty() { None } else { LINGER.try_into().ok() }
    }

    fn hang_up(&mut self) {
        self.half_open.clear();
    }

    fn log(&mut self, who: impl Display, why: &dyn Display) {
        if self.last_line.is_some_and(|last| last.elapsed() < Duration::from_secs(1)) {
            self.unsaid += 1;
            return;
        }
        match self.unsaid {
            0 => warn!("refused {who}: {why}"),
            unsaid => warn!("refused {who}: {why} (and {unsaid} others since the last such line)"),
        }
        self.last_line = Some(Instant::now());
        self.unsaid = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn who_is_turned_away_is_told_why_and_hung_up_on_later() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut turned_away = TurnedAway::default();
        assert!(turned_away.timeout().is_none());
        for _ in 0..2 * MAX_TURNED_AWAY {
            let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (near, peer) = listener.accept().unwrap();
            turned_away.refuse(Arc::new(near), Refusal::Full, peer, &Refusal::Full);
            let mut sentence = String::new();
            far.read_to_string(&mut sentence).unwrap();
            assert_eq!(sentence, "!!! Sorry, the server is full; please try again later.\n");
        }
        assert_eq!(turned_away.half_open.len(), MAX_TURNED_AWAY);
        assert!(turned_away.timeout().is_some());
        turned_away.hang_up();
        assert!(turned_away.timeout().is_none());
    }
}
