//! The acceptor: it waits for connections, lets them in or turns them away, and starts a thread for each
//! client.
//!
//! It runs in the thread that calls [`Server::run`](crate::Server::run).

use crate::chat::{ClientId, command::AROUND};
use crate::client::Client;
use crate::client::LINES_PER_EVENT;
use crate::config::Config;
use crate::ending::{Ending, Row};
use crate::event::Event;
use crate::guard::admission::{Admission, EXHAUSTED, Refusal};
use crate::guard::{listener, turned_away::TurnedAway};
use crossbeam_channel::Sender;
use log::warn;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use std::{io, sync::Arc, thread};

/// How long the acceptor rests when the system has nothing left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// The state of the acceptor.
#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) config: Config,
    /// These must not block.
    pub(crate) listeners: Vec<TcpListener>,
    /// Readable when the server is to stop.
    pub(crate) stopped: UnixStream,
    pub(crate) admission: Admission,
    /// Each client's thread gets a clone.
    pub(crate) events: Sender<Event>,
    /// The number of the last client. The next one gets the next number.
    pub(crate) clients: u64,
    pub(crate) turned_away: TurnedAway,
}

impl Acceptor {
    /// Lets clients in until the server is stopped, and then says so to the dispatcher. Closes the listeners.
    ///
    /// # Errors
    /// The system does not let it wait for connections.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let result = self.accept_until_stopped();
        let _ = self.events.send(Event::Stop); // It fails only when the dispatcher has ended already.
        result
    }

    fn accept_until_stopped(&mut self) -> io::Result<()> {
        loop {
            let mut waiting: Vec<_> = self.listeners.iter().map(|l| PollFd::new(l, PollFlags::IN)).collect();
            waiting.push(PollFd::new(&self.stopped, PollFlags::IN));
            match poll(&mut waiting, self.turned_away.timeout().as_ref()) {
                Err(Errno::INTR) => continue,
                Ok(0) => self.turned_away.hang_up(),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let ready: Vec<bool> = waiting.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready.last() == Some(&true) {
                return Ok(());
            }
            for at in (0..self.listeners.len()).filter(|at| ready[*at]) {
                // The listeners do not block, because a connection may be gone by now; the connections do.
                match self.listeners[at].accept() {
                    Ok((socket, peer)) => {
                        // An IPv4 client of an IPv6 socket is treated and shown as what it is.
                        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                        self.receive(socket, peer);
                    }
                    Err(error) => self.recover(&error),
                }
            }
        }
    }

    fn receive(&mut self, socket: TcpStream, peer: SocketAddr) {
        let socket = Arc::new(socket);
        let permit = match self.admission.admit(peer.ip(), Instant::now()) {
            Ok(permit) => permit,
            Err(refusal) => return self.refuse(socket, peer, refusal, None),
        };
        if let Err(error) = listener::tune(&socket) {
            return warn!("refused {peer}: {error}"); // It is gone already.
        }
        self.clients += 1;
        // With a pace, the slots of an address count single lines. Turns of one event show what batching
        // brings.
        let together = if self.config.is_paced() { 1 } else { LINES_PER_EVENT };
        let client = Client {
            id: ClientId(self.clients),
            peer,
            socket: socket.clone(),
            max_line: self.config.max_line,
            max_shown: (self.config.max_backlog / 2).saturating_sub(AROUND).max(self.config.max_line),
            permit,
            waited: Duration::ZERO,
            ready: Vec::new(),
            lines_per_event: together.min(self.config.events_per_turn),
            events: self.events.clone(),
        };
        if let Err(error) = client.start() {
            self.refuse(socket, peer, EXHAUSTED, Some(error));
        }
    }

    /// The log gets the cause where it knows more than the client is told.
    fn refuse(&mut self, socket: Arc<TcpStream>, peer: SocketAddr, told: Refusal, cause: Option<io::Error>) {
        let Row { log, problem, .. } = Ending::Refused { told, cause }.row();
        warn!("refused {peer}: {log}");
        self.turned_away.refuse(socket, &format!("!!! {}", problem.unwrap_or_default()));
    }

    /// A connection could not be accepted. If it was gone before, that is over; otherwise the system has most
    /// likely run out of something, the connection is still there, and trying again at once would only keep a
    /// core busy.
    fn recover(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, WouldBlock};
        if !matches!(error.kind(), ConnectionAborted | WouldBlock) {
            warn!("refused a newcomer for the moment: {error}");
            thread::sleep(EXHAUSTED_PAUSE);
        }
    }
}
