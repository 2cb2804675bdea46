//! Which promises does a chat server keep? Black-box checks over TCP, for any server that speaks lines: the
//! program of this repository, the steps that lead to it, its siblings in other languages, `ncat --chat`, and
//! the reader's own.
//!
//! A check is written as a conversation: [`person`] has the words, [`visit`] brings people in, and
//! [`manners`] finds out beforehand what the server can do at all. The promises are in [`promise`], each next
//! to its check in [`checks`]; the servers are in [`servers`], and [`process`] runs and watches them. [`run`]
//! brings both together, and [`report`] and [`page`] show what came out.
//!
//! A check that passes by luck is worse than none: `tests/faults.rs` runs each one against a small server
//! with the fault that it looks for.

mod checks;
mod manners;
mod outcome;
mod page;
mod person;
mod process;
mod promise;
mod report;
mod run;
mod servers;
mod text;
mod transcript;
mod visit;
mod words;

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use outcome::{Cell, Verdict};
use promise::Promise;
use servers::{OURS, Server};

/// Checks which promises chat servers keep, and prints a table.
///
/// Exit code: 0, or 1 if chat-server (or the server of --connect or --command) breaks a promise or could not
/// be checked at all, if --check finds a difference, or if --complete misses a server.
#[derive(Parser)]
struct Options {
    /// Check these servers only; can be given several times
    #[arg(long, value_name = "NAME")]
    server: Vec<String>,
    /// Check these promises only; the beginning of a name selects all that begin with it
    #[arg(long, value_name = "NAME")]
    promise: Vec<String>,
    /// Check a server that is running
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "server")]
    connect: Option<String>,
    /// Check a server that this line starts; {address}, {host} and {port} say where it must listen, and
    /// --connect beside it says where it listens if it takes no port
    #[arg(long, value_name = "LINE", conflicts_with = "server")]
    command: Option<String>,
    #[command(flatten)]
    words: words::Given,
    /// Print one JSON object for each server and promise, and nothing else
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
    /// Put the table into these pages, between <!-- promises --> and <!-- /promises -->; the first may name
    /// the servers of its page: <!-- promises: java tokio -->
    #[arg(long, value_name = "FILE", num_args = 1..)]
    write: Vec<PathBuf>,
    /// Fail if the table in these pages says something else; a server that cannot run here is no difference
    #[arg(long, value_name = "FILE", num_args = 1..)]
    check: Vec<PathBuf>,
    /// Fail if one of the servers cannot run here
    #[arg(long)]
    complete: bool,
    /// Tell what a promise means, how it is checked, and how servers break it
    #[arg(long, value_name = "PROMISE")]
    explain: Option<String>,
    /// Write the page that explains all promises
    #[arg(long, value_name = "FILE", hide = true)]
    write_explanations: Option<PathBuf>,
    /// Write the results as JUnit's XML, which CI systems show: a broken promise is a failure
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How long to wait for what must come
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Servers to check at a time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
}

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == process::START_SERVER) {
        process::become_server(arguments)?;
    }
    let options = Options::parse();
    if let Some(name) = &options.explain {
        let texts: Vec<String> =
            selected(std::slice::from_ref(name))?.iter().map(|one| one.explanation()).collect();
        print(&texts.join("\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(path) = &options.write_explanations {
        std::fs::write(path, promise::page()).with_context(|| path.display().to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    process::end_servers_at_a_signal()?;
    check(&options)
}

fn check(options: &Options) -> Result<ExitCode> {
    let promises = selected(&options.promise)?;
    person::TIMEOUT.get_or_init(|| Duration::from_secs(options.timeout));
    let progress = |text: &str| {
        if std::io::stderr().is_terminal() {
            eprintln!("{text}");
        }
    };
    let (servers, cells) = match (&options.connect, &options.command) {
        (Some(name), None) => {
            (vec![Server::running(name)], run::run_running(name, resolve(name)?, &options.words, &promises))
        }
        (at, command) => {
            let servers = match command {
                Some(line) => vec![Server::of_command(line, at.as_deref().map(resolve).transpose()?)],
                None => selected_servers(&options.server)?,
            };
            let cells = run::run(&servers, &options.words, &promises, options.jobs.into(), progress);
            (servers, cells)
        }
    };
    if options.json {
        print(&report::json(&cells)?)?;
    } else if options.markdown {
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        print(&report::markdown(&names, &promises, &cells))?;
    } else {
        print(&report::terminal(&servers, &promises, &cells))?;
    }
    if let Some(path) = &options.junit {
        std::fs::write(path, report::junit(&cells)).with_context(|| path.display().to_string())?;
    }
    for path in &options.write {
        page::write(path, &promises, &cells)?;
    }
    let mut failed = judged_ones_fail(&cells, options.connect.is_some() || options.command.is_some());
    if options.complete {
        for server in servers.iter().filter(|server| !was_run(&server.name, &cells)) {
            eprintln!("{} was not run, and --complete asks for all", server.name);
            failed = true;
        }
    }
    for path in &options.check {
        for difference in page::differences(path, &cells)? {
            eprintln!("{difference}");
            failed = true;
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Whether the server that must keep its promises breaks one, or was not checked at all.
fn judged_ones_fail(cells: &[Cell], all: bool) -> bool {
    let judged: Vec<&Cell> = cells.iter().filter(|cell| all || cell.server == OURS).collect();
    let unchecked = !judged.is_empty() && judged.iter().all(|cell| cell.result == Verdict::NotRun);
    unchecked || judged.iter().any(|cell| cell.result == Verdict::Broken)
}

/// Whether at least one promise of this server was checked.
fn was_run(server: &str, cells: &[Cell]) -> bool {
    cells.iter().any(|cell| cell.server == server && cell.result != Verdict::NotRun)
}

/// The promises with these names; all if there is no name.
fn selected(names: &[String]) -> Result<Vec<&'static Promise>> {
    let all = promise::ALL;
    for name in names {
        if promise::named(name).is_empty() {
            let known = all.map(|promise| promise.name);
            bail!("there is no promise {name}; these are the promises: {}", known.join(", "));
        }
    }
    let wanted = |promise: &&Promise| {
        names.is_empty()
            || names.iter().flat_map(|name| promise::named(name)).any(|one| one.name == promise.name)
    };
    Ok(all.into_iter().filter(wanted).collect())
}

fn selected_servers(names: &[String]) -> Result<Vec<Server>> {
    let all = servers::all();
    for name in names {
        if !all.iter().any(|server| server.name == *name) {
            let known: Vec<&str> = all.iter().map(|server| server.name.as_str()).collect();
            bail!("there is no server {name}; these are the servers: {}", known.join(", "));
        }
    }
    Ok(all.into_iter().filter(|server| names.is_empty() || names.contains(&server.name)).collect())
}

fn resolve(name: &str) -> Result<SocketAddr> {
    let mut addresses = name.to_socket_addrs().with_context(|| format!("{name} is not HOST:PORT"))?;
    addresses.next().with_context(|| format!("{name} has no address"))
}

/// Prints, and does not mind a reader such as `head` that has seen enough.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
