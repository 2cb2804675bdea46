//! A whole server. [`bind`](Server::bind) listens. [`run`](Server::run) makes the event channel, starts the
//! [dispatcher](crate::dispatcher) in a thread of its own, and is itself the [acceptor](crate::acceptor)
//! until the server is stopped. The thread that calls it is usually the main thread.
//!
//! Stopping is mostly closing things in the right order; each thread sees that something has ended:
//!
//! | step | done by | what ends | noticed by |
//! |---|---|---|---|
//! | 1 | a signal, `/stop`, a test | the [`Stopper`]'s socket | the acceptor, which waits for that and for clients in one `poll` |
//! | 2 | the acceptor | the listeners; its last word is [`Event::Stop`](crate::event::Event::Stop) | the dispatcher, which says goodbye and sends what waits |
//! | 3 | the dispatcher | our half of the connections, and the credit | the clients' threads, which wait a little for the clients to hang up, close the sockets and end |
//! | 4 | the last of these threads | the event channel, as the acceptor has ended already | the dispatcher, which ends |

use crate::acceptor::Acceptor;
use crate::guard::{admission::Admission, listener, turned_away::TurnedAway};
use crate::operator::{clock, console::Console, stopper::Stopper};
use crate::{config::Config, dispatcher::Dispatcher, event};
use crossbeam_channel::bounded;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::{io, thread};

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
    /// Listens on the addresses of `config`, and lets no client in yet.
    ///
    /// # Errors
    /// A sentence for a person: which choice contradicts another ([`io::ErrorKind::InvalidInput`]), or which
    /// address cannot be listened on, and what to do about it.
    pub fn bind(config: Config) -> io::Result<Server> {
        config.check().map_err(|problem| io::Error::new(io::ErrorKind::InvalidInput, problem))?;
        let listeners = listener::bind_all(&config.listen)?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        let (stopper, stopped) = Stopper::pair()?;
        Ok(Server { config, listeners, addresses, stopper, stopped, console: None })
    }

    /// The addresses on which the server listens, with the ports that the kernel picked where port 0 was
    /// asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A handle that stops the server, from any thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Lets a person take part at `console`, as the operator.
    pub fn attach(&mut self, console: Console) {
        self.console = Some(console);
    }

    /// Serves until it is stopped. When it returns, all connections are closed, and no client's thread will
    /// do anything any more.
    ///
    /// # Errors
    /// When the system does not let it start its dispatcher or wait for connections, and after a panic of the
    /// dispatcher, which would be a bug: then clients' threads may still be there, and the program should
    /// end.
    pub fn run(self) -> io::Result<()> {
        let (events, inbox) = bounded(event::CAPACITY);
        let admission = Admission::new(&self.config);
        clock::look_up_time_zone(); // The dispatcher must not read files.
        let mut dispatcher = Dispatcher::new(&self.config, admission.clone(), self.console, self.stopper);
        dispatcher.listening = self.addresses;
        let builder = thread::Builder::new().name("dispatcher".to_owned());
        let dispatcher_thread = builder.spawn(move || dispatcher.run(&inbox))?;

        // This thread is the acceptor.
        let Server { config, listeners, stopped, .. } = self;
        let places = admission.clone();
        let turned_away = TurnedAway::default();
        let acceptor = Acceptor { config, listeners, stopped, admission, events, clients: 0, turned_away };
        let accepted = acceptor.run();
        dispatcher_thread.join().map_err(|_| io::Error::other("the dispatcher panicked"))?;
        debug_assert_eq!(places.places_taken(), 0, "no client's thread is left");
        accepted
    }
}
