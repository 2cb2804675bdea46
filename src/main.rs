//! The program: understand the arguments, start the log, catch the signals, run the server.

use chat_server::operator::console::{self, Console};
use chat_server::operator::{invitation, log as logging};
use chat_server::{Config, Server};
use clap::{CommandFactory, Parser};
use log::{Level, LevelFilter, info, log_enabled, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, IsTerminal, Write, stderr};
use std::path::PathBuf;
use std::process::{ExitCode, exit};

/// The exit code for arguments that make no sense.
const USAGE: u8 = 2;

/// The exit code after a second Ctrl-C, as a shell reports a program that SIGINT ended: 128 + 2.
const INTERRUPTED: i32 = 130;

const EXAMPLES: &str = "\
Examples:
  chat-server                                everybody on the LAN can come in: nc HOST 12345
  chat-server --listen 127.0.0.1:0           only this machine, on a free port that is printed
  chat-server --log-file chat.log            keep a log as well

Every option can also be set by its environment variable, which the command line overrides.";

/// A chat server for a LAN that needs only netcat: start it, and everybody else types `nc HOST 12345`.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    config: Config,

    /// Take part from stdin even where that is no terminal; on a terminal this is so anyway
    #[arg(long, env = "CHAT_CONSOLE", value_parser = clap::builder::FalseyValueParser::new())]
    console: bool,

    /// How much to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "CHAT_LOG_LEVEL", default_value = "info", value_parser = level)]
    log_level: LevelFilter,

    /// Log to this file too, at its end
    #[arg(long, value_name = "PATH", env = "CHAT_LOG_FILE")]
    log_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => return fail(USAGE, &sentence(&error)),
        Err(help_or_version) => {
            let _ = help_or_version.print();
            return ExitCode::SUCCESS;
        }
    };
    if let Err(error) = logging::start(arguments.log_level, arguments.log_file.as_deref()) {
        let path = arguments.log_file.unwrap_or_default();
        return fail(1, &format!("cannot log to {}: {error}; choose another --log-file", path.display()));
    }
    let ended = serve(arguments);
    logging::finish();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => fail(USAGE, &format!("{error}")),
        Err(error) => fail(1, &error.to_string()),
    }
}

/// Runs the server until a signal ends it.
fn serve(arguments: Arguments) -> io::Result<()> {
    raise_descriptor_limit();
    let allowed: Vec<_> = arguments.config.allowed().iter().map(ToString::to_string).collect();
    let mut server = Server::bind(arguments.config)?;
    let stopper = server.stopper();
    let mut asked_before = false;
    let caught = ctrlc::set_handler(move || {
        if asked_before {
            exit(INTERRUPTED);
        }
        asked_before = true;
        info!("shutting down; a second signal ends the server at once");
        stopper.stop();
    });
    caught.map_err(|error| io::Error::other(format!("cannot catch signals: {error}")))?;

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
        server.attach(Console::open(!chat_is_in_the_log)?);
        announce("Type to take part, /help for the operator's commands.");
    }
    server.run()?;
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

/// Says something that the operator must see, whatever the log level is.
fn announce(line: &str) {
    if log_enabled!(Level::Info) {
        info!("{line}");
    } else {
        let _ = writeln!(stderr(), "{line}");
    }
}

/// One sentence for bad arguments, in place of clap's paragraphs.
fn sentence(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
    let complaint = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let complaint = complaint.collect::<Vec<_>>().join("; ");
    let name = Arguments::command().get_name().to_owned();
    format!("{}; see {name} --help", complaint.trim_start_matches("error: "))
}

fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse().map_err(|_| "one of off, error, warn, info, debug and trace is needed".to_owned())
}

fn fail(code: u8, sentence: &str) -> ExitCode {
    let _ = writeln!(stderr(), "chat-server: {sentence}");
    ExitCode::from(code)
}
