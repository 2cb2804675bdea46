//! The acceptor: it listens, lets clients in and starts a thread for each.
//!
//! [`Server::run`] is the acceptor's thread. It starts the [dispatcher](crate::dispatcher) and gives every
//! [client](crate::client) a sender of the one event channel. Stopping is closing things in the right order: first
//! the listeners, so that nobody new comes in; then the dispatcher's stop channel; then the dispatcher closes the
//! clients' sockets, their threads end, and with the last of them the event channel.

use crate::admission::{Admission, Permit};
use crate::client::{Client, STACK_SIZE};
use crate::config::{Config, LINGER};
use crate::console::Console;
use crate::dispatcher::Dispatcher;
use crate::event::{self, Event};
use crate::listener::{self, BindError};
use crate::pace::Pace;
use crate::protocol::ClientId;
use crate::protocol::reply::{Refusal, Reply};
use crate::stopper::Stopper;
use crossbeam_channel::{Sender, bounded};
use log::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustix::process::{Resource, getrlimit};
use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

/// How long the acceptor rests when the system has no descriptor left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Descriptors that are not for clients: the standard streams, the listeners, the log, and some to spare.
const RESERVED_DESCRIPTORS: usize = 10 + MAX_REFUSED;

/// How many connections that were refused stay half open for a moment.
const MAX_REFUSED: usize = 8;

/// A chat server that is listening already and begins to chat with [`run`](Server::run).
///
/// ```
/// use chat_server::{Config, Server};
/// use std::io::{BufRead, BufReader};
///
/// let config = Config { listen: vec!["127.0.0.1:0".parse()?], ..Config::default() };
/// let server = Server::bind(config)?;
/// let (address, stopper) = (server.addresses()[0], server.stopper());
/// let running = std::thread::spawn(|| server.run());
///
/// let alice = BufReader::new(std::net::TcpStream::connect(address)?);
/// let first_line = alice.lines().next().unwrap()?;
/// assert_eq!(first_line, "*** Welcome to chat-server! You are guest1.");
///
/// stopper.stop();
/// running.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    config: Config,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    stopper: Stopper,
    stopped: UnixStream,
    console: Option<Console>,
}

impl Server {
    /// Listens on the addresses of `config`, without letting anybody in yet.
    ///
    /// # Errors
    /// Names the address that cannot be listened on, and what to do about it.
    pub fn bind(config: Config) -> Result<Server, BindError> {
        let listeners = listener::bind_all(&config.listen)?;
        let addresses = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()?;
        let (stopper, stopped) = Stopper::pair()?;
        Ok(Server {
            config,
            listeners,
            addresses,
            stopper,
            stopped,
            console: None,
        })
    }

    /// Where the server listens, with the ports that the kernel picked where port 0 was asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Something to stop the server with.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Lets a person take part at `console`, as the operator.
    pub fn attach(&mut self, console: Console) {
        self.console = Some(console);
    }

    /// Serves until it is stopped. When it returns, all connections are closed and all threads have ended.
    ///
    /// # Errors
    /// When the system does not let it start its dispatcher or wait for connections.
    pub fn run(mut self) -> io::Result<()> {
        let (events, inbox) = bounded(event::CAPACITY);
        let (stop, stopping) = bounded(0);
        let admission = Admission::new(
            &self.config,
            places_for_descriptors(self.config.max_clients),
        );
        let stopper = self.stopper();
        let dispatcher = Dispatcher::new(
            &self.config,
            admission.clone(),
            self.console.take(),
            stopper.clone(),
        );
        let dispatcher = thread::Builder::new()
            .name("dispatcher".to_owned())
            .spawn(move || {
                let _stop_accepting_even_after_a_panic = StopOnDrop(stopper);
                dispatcher.run(&inbox, &stopping);
            })?;

        let accepted = self.accept_until_stopped(&admission, events);
        drop::<Sender<()>>(stop);
        dispatcher
            .join()
            .map_err(|_| io::Error::other("the dispatcher panicked"))?;
        accepted
    }

    /// The acceptor's loop. Closes the listeners and drops its sender of events when it ends.
    fn accept_until_stopped(self, admission: &Admission, events: Sender<Event>) -> io::Result<()> {
        let mut refusals = Refusals::default();
        let mut refused = VecDeque::new();
        let mut ids = ClientId::sequence();
        loop {
            let mut waiting: Vec<_> = self
                .listeners
                .iter()
                .map(|l| PollFd::new(l, PollFlags::IN))
                .collect();
            waiting.push(PollFd::new(&self.stopped, PollFlags::IN));
            let timeout = (!refused.is_empty())
                .then(|| Timespec::try_from(LINGER).ok())
                .flatten();
            match poll(&mut waiting, timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                Ok(0) => refused.clear(),
                ready => drop(ready?),
            }
            let ready: Vec<bool> = waiting.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready[self.listeners.len()] {
                return Ok(());
            }
            for (listener, _) in self.listeners.iter().zip(ready).filter(|(_, ready)| *ready) {
                let admitted = listener
                    .accept()
                    .map(|(socket, peer)| (socket, peer, admission.admit(peer.ip())));
                match admitted {
                    Ok((socket, peer, Ok(permit))) => {
                        let started = ids
                            .next()
                            .map(|id| self.start_client(id, socket, peer, permit, &events));
                        if let Some(Err(error)) = started {
                            refusals.log(peer, &error);
                        }
                    }
                    Ok((socket, peer, Err(refusal))) => {
                        refusals.log(peer, &refusal);
                        refuse(&socket, refusal);
                        // Closed a little later: what it still sends would make a reset that overtakes the sentence.
                        refused.truncate(MAX_REFUSED - 1);
                        refused.push_front(socket);
                    }
                    Err(error) => self.rest_if_exhausted(&error, &mut refusals),
                }
            }
        }
    }

    /// Starts the thread of one client. If there is nothing left to make a thread of, the newcomer is told so.
    fn start_client(
        &self,
        id: ClientId,
        socket: TcpStream,
        peer: SocketAddr,
        permit: Permit,
        events: &Sender<Event>,
    ) -> io::Result<()> {
        listener::tune(&socket)?;
        let (socket, events) = (Arc::new(socket), events.clone());
        let Config {
            max_line,
            rate,
            burst,
            ..
        } = self.config;
        let client = Client {
            id,
            peer,
            socket: socket.clone(),
            max_line,
            pace: Pace::new(rate, burst),
            permit,
        };
        let builder = thread::Builder::new()
            .name(format!("client-{id}"))
            .stack_size(STACK_SIZE);
        let started = builder.spawn(move || client.run(events));
        started
            .inspect_err(|_| refuse(&socket, Refusal::Exhausted))
            .map(drop)
    }

    /// A connection could not be accepted. If the fault is the client's, it is over already; if the system has run
    /// out of something, the connection stays in the queue, and trying again at once would only keep a core busy.
    fn rest_if_exhausted(&self, error: &io::Error, refusals: &mut Refusals) {
        let ours = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        if ours
            .iter()
            .any(|errno| Some(errno.raw_os_error()) == error.raw_os_error())
        {
            refusals.log("a newcomer for the moment", error);
            let rest = Timespec::try_from(EXHAUSTED_PAUSE).ok();
            let _ = poll(
                &mut [PollFd::new(&self.stopped, PollFlags::IN)],
                rest.as_ref(),
            );
        }
    }
}

/// How many clients the limit of open descriptors leaves room for: each has one.
fn places_for_descriptors(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
    let places = limit.saturating_sub(RESERVED_DESCRIPTORS).max(1);
    if places < wanted {
        warn!(
            "the limit of {limit} open files leaves room for {places} clients, not {wanted}; raise it with ulimit -n"
        );
    }
    places
}

/// The log lines about those who were not let in: at most one a second, so that nobody can fill the disk with them.
#[derive(Debug, Default)]
struct Refusals {
    last_line: Option<Instant>,
    unsaid: u64,
}

impl Refusals {
    fn log(&mut self, who: impl fmt::Display, why: &dyn fmt::Display) {
        if self
            .last_line
            .is_some_and(|last| last.elapsed() < Duration::from_secs(1))
        {
            self.unsaid += 1;
            return;
        }
        match self.unsaid {
            0 => warn!("refused {who}: {why}"),
            unsaid => warn!("refused {who}: {why} (and {unsaid} others since the last such line)"),
        }
        *self = Refusals {
            last_line: Some(Instant::now()),
            unsaid: 0,
        };
    }
}

struct StopOnDrop(Stopper);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Tells somebody why not, as far as that is possible without waiting.
fn refuse(socket: &TcpStream, refusal: Refusal) {
    let _ = send(
        socket,
        format!("{}\n", Reply::Refused(refusal)).as_bytes(),
        SendFlags::DONTWAIT,
    );
    let _ = socket.shutdown(Shutdown::Write);
}
