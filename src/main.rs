//! The program: understand the arguments, start the log, catch the signals, run the server.

use chat_server::cli::{self, Arguments};
use chat_server::console::{self, Console};
use chat_server::{Server, invitation, logging};
use log::{Level, info, log_enabled, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{IsTerminal, Write, stderr};
use std::process::{ExitCode, exit};

/// The exit code for arguments that make no sense.
const USAGE: u8 = 2;

/// The exit code after a second Ctrl-C, as a shell reports a program that SIGINT ended: 128 + 2.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    let arguments = match Arguments::parse_from_line(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => return fail(USAGE, cli::sentence(&error)),
        Err(help_or_version) => {
            let _ = help_or_version.print();
            return ExitCode::SUCCESS;
        }
    };
    if let Err(error) = logging::start(arguments.log_level, arguments.log_file.as_deref()) {
        let path = arguments.log_file.unwrap_or_default();
        return fail(1, format!("cannot log to {}: {error}; choose another --log-file", path.display()));
    }
    let ended = serve(&arguments);
    logging::finish();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => fail(1, sentence),
    }
}

/// Runs the server until a signal ends it.
fn serve(arguments: &Arguments) -> Result<(), String> {
    raise_descriptor_limit();
    let config = arguments.config();
    let allowed: Vec<_> = config.allow.iter().map(ToString::to_string).collect();
    let mut server = Server::bind(config).map_err(|error| error.to_string())?;
    let stopper = server.stopper();
    let mut asked_before = false;
    ctrlc::set_handler(move || {
        if asked_before {
            exit(INTERRUPTED);
        }
        asked_before = true;
        info!("shutting down; a second signal ends the server at once");
        stopper.stop();
    })
    .map_err(|error| format!("cannot catch signals: {error}"))?;

    announce("Chat server started...");
    for address in server.addresses() {
        announce(&format!("Listening on {address}"));
    }
    for command in invitation::commands(server.addresses()) {
        announce(&format!("Others connect with: {command}"));
    }
    announce(&format!("Who may connect: {}", allowed.join(", ")));
    if arguments.console || console::is_attended() {
        let chat_is_in_the_log = stderr().is_terminal() && log_enabled!(Level::Info);
        let console = Console::open(!chat_is_in_the_log)
            .map_err(|error| format!("cannot open the console: {error}"))?;
        server.attach(console);
        announce("Type to take part, /help for the operator's commands.");
    }
    server.run().map_err(|error| format!("the server ended: {error}"))?;
    info!("Chat server stopped.");
    Ok(())
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

/// Says something that whoever starts the server must see, whatever the log level is.
fn announce(line: &str) {
    if log_enabled!(Level::Info) {
        info!("{line}");
    } else {
        let _ = writeln!(stderr(), "{line}");
    }
}

fn fail(code: u8, sentence: String) -> ExitCode {
    let _ = writeln!(stderr(), "chat-server: {sentence}");
    ExitCode::from(code)
}
