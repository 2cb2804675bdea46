//! The program: understand the arguments, start the log, catch the signals, run the server.

use chat_server::operator::arguments::{Arguments, blame, unknown_variables};
use chat_server::operator::{console::Console, invitation, log as logging, terminal::would_stop};
use chat_server::{Server, Stopper};
use log::{Level, info, log_enabled, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, IsTerminal, Write, stderr, stdin};
use std::process::{ExitCode, exit};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The exit code for arguments that make no sense.
const USAGE: u8 = 2;

/// The exit code after a second Ctrl-C, as a shell reports a program that SIGINT ended: 128 + 2.
const INTERRUPTED: i32 = 130;

/// Signals within this time after the first are one with it.
const ONE_SIGNAL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let stopper = Arc::new(OnceLock::new());
    let caught = stop_on_signals(stopper.clone()); // First of all, so that no signal comes too early.
    let ended = caught.and_then(|()| Arguments::read()).and_then(|arguments| serve(arguments, &stopper));
    log::logger().flush(); // The last lines are written, but that takes four seconds at most.
    let Err(error) = ended else { return ExitCode::SUCCESS };
    let mut sentence = blame(&error.to_string());
    if error.kind() == io::ErrorKind::WouldBlock {
        sentence =
            format!("cannot start a thread: {sentence}; raise ulimit -u, or pids.max of the container");
    }
    let _ = writeln!(stderr(), "chat-server: {sentence}");
    ExitCode::from(if error.kind() == io::ErrorKind::InvalidInput { USAGE } else { 1 })
}

/// Runs the server until a signal ends it.
fn serve(arguments: Arguments, stopper: &OnceLock<Stopper>) -> io::Result<()> {
    logging::start(arguments.log_level, arguments.log_file.as_deref())?;
    unknown_variables().iter().for_each(|sentence| warn!("{sentence}"));
    raise_descriptor_limit();
    let allow = arguments.config.allow.clone();
    let mut server = Server::bind(arguments.config)?;
    stopper.get_or_init(|| server.stopper());

    announce("Chat server started...");
    let listening = server.addresses().iter().map(|address| format!("Listening on {address}"));
    for line in listening.chain(invitation::lines(server.addresses(), &allow)) {
        announce(&line);
    }
    // A terminal may be in use by another program for now: a server in the background can come
    // to the foreground later.
    if arguments.console || stdin().is_terminal() {
        let chat_is_in_the_log = stderr().is_terminal() && log_enabled!(Level::Info);
        server.attach(Console::open(!chat_is_in_the_log)?);
        announce("Type to take part, /help for the operator's commands.");
    }
    server.run()?;
    info!("Chat server stopped.");
    Ok(())
}

/// The first signal stops the server politely, and another at once. A closing terminal sends two together,
/// one from the shell and one from the kernel, so that a signal soon after the first does not count. Before
/// there is a server to stop, nobody can be in it, and the program just ends.
fn stop_on_signals(stopper: Arc<OnceLock<Stopper>>) -> io::Result<()> {
    let mut first = None;
    let handler = move || match first {
        None => {
            first = Some(Instant::now());
            info!("shutting down; another signal, a second from now or later, ends it at once");
            stopper.get().map_or_else(|| exit(0), Stopper::stop);
        }
        Some(first) if first.elapsed() >= ONE_SIGNAL => exit(INTERRUPTED),
        Some(_) => {}
    };
    ctrlc::set_handler(handler).map_err(|error| match error {
        ctrlc::Error::System(error) => error,
        other => io::Error::other(other),
    })
}

/// One descriptor per client: the usual soft limit of 1,024 is for programs that still use `select(2)`.
fn raise_descriptor_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raise_to = |current| setrlimit(Resource::Nofile, Rlimit { current, maximum });
    // macOS calls it unlimited and then allows no more than OPEN_MAX.
    if let Err(error) = raise_to(maximum).or_else(|_| raise_to(Some(10_240))) {
        warn!("cannot raise the limit of open files: {error}");
    }
}

/// Says something that the operator must see, whatever the log level is.
fn announce(line: &str) {
    if log_enabled!(Level::Info) {
        info!("{line}");
    } else if !would_stop(stderr()) {
        let _ = writeln!(stderr(), "{line}");
    }
}
