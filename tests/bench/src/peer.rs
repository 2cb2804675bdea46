//! The servers that are measured: how each is started, what the generator must know of it, and why it cannot run
//! where its runtime is missing.

mod floor;
mod tokio;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fmt, fs};

use anyhow::{Context, Result};
use clap::ValueEnum;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::clients::Manners;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    /// chat-server itself.
    Ours,
    /// A task and an unbounded channel per client, as in tokio's own chat example.
    Tokio,
    /// The same for rooms of thousands: only the newcomer is told that it joined, because to announce 9,000 clients
    /// to each other takes this server 40 million lines and minutes.
    TokioQuiet,
    /// A thread per client, the server that chat-server is a port of.
    Java,
    /// core.async: a channel per client.
    Clojure,
    /// `ncat --chat` as it is.
    Ncat,
    /// A bare relay that parses nothing: the lower bound.
    Floor,
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(self.to_possible_value().expect("no variant is skipped").get_name())
    }
}

impl Peer {
    /// Which version would run here, or why none would.
    pub fn version(self, ours: &Path) -> Result<String> {
        match self {
            Self::Ours => first_line(Command::new(ours).arg("--version")),
            Self::Tokio | Self::TokioQuiet | Self::Floor => Ok("part of this bench".to_owned()),
            Self::Java => first_line(Command::new("java").arg("--version")),
            Self::Clojure => {
                Self::Java.version(ours)?;
                clojure_version()
            }
            Self::Ncat => first_line(Command::new("ncat").arg("--version")),
        }
    }

    /// The JVM is slow until it has compiled what is used most.
    pub fn warms_up(self) -> bool {
        matches!(self, Self::Java | Self::Clojure)
    }

    pub fn manners(self) -> Manners {
        let burst = match self {
            // Below the listen backlogs: 4096, 128 (the standard library's), 50 (ServerSocket's) and 10.
            Self::Ours | Self::Floor => 4_000,
            Self::Tokio | Self::TokioQuiet => 120,
            Self::Java | Self::Clojure => 45,
            Self::Ncat => 8,
        };
        let greets = !matches!(self, Self::Floor | Self::Ncat);
        // chat-server sums up the joins of a second in one line, where there are many.
        let pause = Duration::from_millis(if self == Self::Ours { 1_100 } else { 100 });
        Manners { echoes: self != Self::Ncat, greets, burst, pause }
    }

    /// Turns this process into the server, listening on 127.0.0.1:`port`. Returns only if that fails.
    pub fn become_server(self, port: u16, ours: &Path) -> Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let address = format!("127.0.0.1:{port}");
        let port = port.to_string();
        let mut command;
        match self {
            Self::Tokio => return tokio::serve(&address, true),
            Self::TokioQuiet => return tokio::serve(&address, false),
            Self::Floor => return floor::serve(&address),
            Self::Ours => {
                command = Command::new(ours);
                command.args(["--listen", &address, "--max-clients", "20000", "--log-level", "warn"]);
                // Not as an argument, so that a version from before there was pacing can be measured too.
                command.env("CHAT_RATE", "0");
            }
            Self::Java => {
                command = Command::new("java");
                command.args([concat!(env!("CARGO_MANIFEST_DIR"), "/peers/java/ChatServer.java"), &port]);
            }
            Self::Clojure => {
                command = Command::new("java");
                command.args(["-cp", "/usr/share/java/*", "clojure.main"]);
                command.args([concat!(env!("CARGO_MANIFEST_DIR"), "/peers/clojure/chat.clj"), &port]);
            }
            Self::Ncat => {
                command = Command::new("ncat");
                command.args(["--listen", "--chat", "--max-conns", "1100", "127.0.0.1", &port]);
            }
        }
        Err(command.exec()).with_context(|| format!("cannot run {command:?}"))
    }
}

/// The first line of what a program prints, or that it is not there.
pub fn first_line(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("there is no {program} here"))?;
    let text = String::from_utf8([output.stdout, output.stderr].concat())?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Debian puts what core.async needs into one directory, as links to files that are named after their versions.
fn clojure_version() -> Result<String> {
    let mut versions = Vec::new();
    for jar in ["clojure", "core.async"] {
        let file = fs::canonicalize(format!("/usr/share/java/{jar}.jar"))
            .with_context(|| format!("no {jar} here; Debian's package is libcore-async-clojure"))?;
        versions.extend(file.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    Ok(versions.join(", "))
}
