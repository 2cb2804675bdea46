//! The acceptor: it listens, lets clients in and starts a thread for each.
//!
//! [`Server::run`] is the acceptor's thread. It starts the [dispatcher](crate::dispatcher) and gives every
//! [client](crate::client) a sender of the one event channel. Stopping is closing things in the right order: first
//! the listeners, so that nobody new comes in; then the dispatcher's stop channel; then the dispatcher closes the
//! clients' sockets, their threads end, and with the last of them the event channel.

use crate::admission::{Admission, Permit};
use crate::client::{Client, STACK_SIZE};
use crate::config::Config;
use crate::dispatcher::Dispatcher;
use crate::event::{self, Event};
use crate::protocol::ClientId;
use crate::protocol::reply::{Refusal, Reply};
use crossbeam_channel::{Sender, bounded};
use log::{info, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{SendFlags, listen, send};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;
use std::{error, fmt, io, thread};

/// How many connections may wait to be accepted. With the 128 of std, a classroom that connects at once loses
/// packets and waits a second for TCP to try again: 1,000 connects took 5 to 7 s, and 0.02 s with this.
const LISTEN_BACKLOG: i32 = 4096;

/// The kernel's buffers for one client, in bytes. Left to itself Linux grows them to many MiB, so that a thousand
/// clients that do not read would hold gigabytes that no flag mentions. A larger one makes nothing faster here.
const SEND_BUFFER: usize = 128 * 1024;
const RECEIVE_BUFFER: usize = 64 * 1024;

/// A client that has been silent for this long is asked whether it is still there, so often, at such intervals.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// How long the acceptor rests when the system has no descriptor left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

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
}

/// Stops a [`Server`] from any thread. Clones stop the same server.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<UnixStream>);

impl Stopper {
    /// Lets [`Server::run`] say goodbye to everyone and return. Further calls do nothing.
    pub fn stop(&self) {
        // The far end becomes readable (end of file), which wakes the acceptor.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Server {
    /// Listens on the addresses of `config`, without letting anybody in yet.
    ///
    /// # Errors
    /// Names the address that cannot be listened on, and what to do about it.
    pub fn bind(config: Config) -> Result<Server, BindError> {
        let listeners = if config.listen.is_empty() {
            bind_everywhere()?
        } else {
            config
                .listen
                .iter()
                .map(|&address| bind(address))
                .collect::<Result<_, _>>()?
        };
        let pair = || -> io::Result<_> {
            let addresses = listeners
                .iter()
                .map(TcpListener::local_addr)
                .collect::<Result<_, _>>()?;
            Ok((addresses, UnixStream::pair()?))
        };
        let (addresses, (stopper, stopped)) = pair().map_err(|error| BindError {
            address: None,
            error,
        })?;
        Ok(Server {
            config,
            listeners,
            addresses,
            stopper: Stopper(Arc::new(stopper)),
            stopped,
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

    /// Serves until it is stopped. When it returns, all connections are closed and all threads have ended.
    ///
    /// # Errors
    /// When the system does not let it start its dispatcher or wait for connections.
    pub fn run(self) -> io::Result<()> {
        let (events, inbox) = bounded(event::CAPACITY);
        let (stop, stopping) = bounded(0);
        let dispatcher = Dispatcher::new(&self.config);
        let stopper = self.stopper();
        let dispatcher = thread::Builder::new()
            .name("dispatcher".to_owned())
            .spawn(move || {
                let _stop_accepting_even_after_a_panic = StopOnDrop(stopper);
                dispatcher.run(&inbox, &stopping);
            })?;

        let accepted = self.accept_until_stopped(events);
        drop::<Sender<()>>(stop);
        dispatcher
            .join()
            .map_err(|_| io::Error::other("the dispatcher panicked"))?;
        accepted
    }

    /// The acceptor's loop. Closes the listeners and drops its sender of events when it ends.
    fn accept_until_stopped(self, events: Sender<Event>) -> io::Result<()> {
        let admission = Admission::new(self.config.max_clients);
        let mut ids = ClientId::sequence();
        loop {
            let mut waiting: Vec<_> = self
                .listeners
                .iter()
                .map(|l| PollFd::new(l, PollFlags::IN))
                .collect();
            waiting.push(PollFd::new(&self.stopped, PollFlags::IN));
            match poll(&mut waiting, None) {
                Err(Errno::INTR) => continue,
                ready => ready?,
            };
            let ready: Vec<bool> = waiting.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready[self.listeners.len()] {
                return Ok(());
            }
            for (listener, _) in self.listeners.iter().zip(ready).filter(|(_, ready)| *ready) {
                match listener.accept() {
                    Ok((socket, peer)) => match admission.admit() {
                        Ok(permit) => {
                            if let Some(id) = ids.next() {
                                self.start_client(id, socket, peer, permit, &events);
                            }
                        }
                        Err(refusal) => {
                            info!("refused {peer}: {refusal}");
                            refuse(&socket, &Reply::Refused(refusal));
                        }
                    },
                    Err(error) => self.recover(&error),
                }
            }
        }
    }

    /// Starts the thread of one client. If there is no room for another thread, the newcomer is told so.
    fn start_client(
        &self,
        id: ClientId,
        socket: TcpStream,
        peer: SocketAddr,
        permit: Permit,
        events: &Sender<Event>,
    ) {
        if let Err(error) = tune(&socket) {
            info!("client {id} from {peer} was gone at once: {error}");
            return;
        }
        let socket = Arc::new(socket);
        let client = Client {
            id,
            peer,
            socket: socket.clone(),
            max_line: self.config.max_line,
            permit,
        };
        let events = events.clone();
        let builder = thread::Builder::new()
            .name(format!("client-{id}"))
            .stack_size(STACK_SIZE);
        if let Err(error) = builder.spawn(move || client.run(events)) {
            warn!("refused {peer}: no thread for it: {error}");
            refuse(&socket, &Reply::Refused(Refusal::Exhausted));
        }
    }

    /// A connection could not be accepted. If the fault is the client's it is over already; if the system has run
    /// out of something, the connection stays in the queue, and trying again at once would only keep a core busy.
    fn recover(&self, error: &io::Error) {
        let ours = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        if ours
            .iter()
            .any(|errno| Some(errno.raw_os_error()) == error.raw_os_error())
        {
            warn!("cannot accept connections at the moment: {error}");
            let rest = Timespec::try_from(EXHAUSTED_PAUSE).ok();
            let _ = poll(
                &mut [PollFd::new(&self.stopped, PollFlags::IN)],
                rest.as_ref(),
            );
        }
    }
}

struct StopOnDrop(Stopper);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// All addresses of this machine: IPv6, and IPv4 too, with one socket where the system can do that (RFC 3493, 5.3).
fn bind_everywhere() -> Result<Vec<TcpListener>, BindError> {
    match bind(Config::ANY_IPV6) {
        Ok(both) if matches!(sockopt::ipv6_v6only(&both), Ok(false)) => Ok(vec![both]),
        Ok(only_ipv6) => Ok(vec![only_ipv6, bind(Config::ANY_IPV4)?]),
        Err(BindError { error, .. }) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(BindError {
                address: Some(Config::ANY_IPV6),
                error,
            })
        }
        Err(_no_ipv6) => Ok(vec![bind(Config::ANY_IPV4)?]),
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listening = || {
        let listener = TcpListener::bind(address)?;
        // What is accepted from it inherits these.
        sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER)?;
        sockopt::set_socket_recv_buffer_size(&listener, RECEIVE_BUFFER)?;
        listen(&listener, LISTEN_BACKLOG)?;
        // A connection may be gone between `poll` and `accept`, and then `accept` must not wait for the next one.
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listening().map_err(|error| BindError {
        address: Some(address),
        error,
    })
}

fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nonblocking(false)?; // The BSDs and macOS let it inherit that from the listener.
    socket.set_nodelay(true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    #[cfg(not(target_os = "openbsd"))] // There these are for the whole system only.
    {
        sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?;
    }
    Ok(())
}

/// Tells somebody why not, as far as that is possible without waiting.
fn refuse(socket: &TcpStream, reply: &Reply) {
    let _ = send(socket, format!("{reply}\n").as_bytes(), SendFlags::DONTWAIT);
    let _ = socket.shutdown(Shutdown::Write);
}

/// Why a server cannot listen.
#[derive(Debug)]
pub struct BindError {
    address: Option<SocketAddr>,
    error: io::Error,
}

impl error::Error for BindError {}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(address) = self.address else {
            return write!(f, "cannot listen: {}", self.error);
        };
        let advice = match self.error.kind() {
            io::ErrorKind::AddrInUse => {
                "the address is in use; stop the other server, or choose another port, for example with --listen 0.0.0.0:12346"
            }
            io::ErrorKind::PermissionDenied => {
                "this port needs special rights; choose one above 1023, for example with --listen 0.0.0.0:12345"
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine does not have that address; choose one of its own, or 0.0.0.0 for all"
            }
            _ => return write!(f, "cannot listen on {address}: {}", self.error),
        };
        write!(f, "cannot listen on {address}: {advice}")
    }
}
