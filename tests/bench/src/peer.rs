//! The servers that are measured: how each is started, what the generator must know of it, and why it cannot
//! run where its runtime is missing.

mod floor;
mod java;

use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fmt, fs};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::clients::Manners;

/// A flag of chat-server that `--help` does not show.
const ONE_EVENT_PER_TURN: [&str; 2] = ["--events-per-turn", "1"];

/// A file of a sibling that is not built beforehand.
macro_rules! peer_file {
    ($path:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/peers/", $path)
    };
}

const JAVA: &str = peer_file!("java/ChatServer.java");

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    /// chat-server itself.
    Ours,
    /// chat-server with turns of one event, to show what batching brings.
    OursUnbatched,
    /// The sibling after tokio's `examples/chat.rs`: a task and an unbounded channel per client.
    Tokio,
    /// The sibling with chat-server's design in tokio: the hardest peer.
    TokioDesign,
    /// The sibling in Java: two platform threads and a bounded queue per client.
    Java,
    /// The same with virtual threads: one line of it is another.
    JavaVirtual,
    /// The sibling in Clojure: core.async.
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
            Self::OursUnbatched => {
                // A server that does not know the flag must not be measured as if it obeyed it.
                let output = Command::new(ours).args(ONE_EVENT_PER_TURN).arg("--version").output()?;
                ensure!(output.status.success(), "chat-server does not know {}", ONE_EVENT_PER_TURN[0]);
                Ok("chat-server with turns of one event".to_owned())
            }
            Self::Tokio | Self::TokioDesign => {
                let program = self.sibling()?;
                ensure!(program.exists(), "{} has not been built", program.display());
                Ok("part of this bench".to_owned())
            }
            Self::Floor => Ok("part of this bench".to_owned()),
            Self::Java => first_line(Command::new("java").arg("--version")),
            Self::JavaVirtual => Ok(java::with_virtual_threads()?.1),
            Self::Clojure => {
                Self::Java.version(ours)?;
                clojure_version()
            }
            Self::Ncat => first_line(Command::new("ncat").arg("--version")),
        }
    }

    /// The JVM is slow until it has compiled the code that is used most.
    pub fn warms_up(self) -> bool {
        matches!(self, Self::Java | Self::JavaVirtual | Self::Clojure)
    }

    pub fn manners(self) -> Manners {
        let burst = match self {
            // Below the listen backlogs: 4096, 1024 (Java and Clojure), 128 (tokio's default) and 10.
            Self::Ours | Self::OursUnbatched | Self::TokioDesign | Self::Floor => 4_000,
            Self::Java | Self::JavaVirtual | Self::Clojure => 1_000,
            Self::Tokio => 120,
            Self::Ncat => 8,
        };
        let greets = !matches!(self, Self::Floor | Self::Ncat);
        // chat-server says that a client has joined a quarter of a second after it came.
        let late = matches!(self, Self::Ours | Self::OursUnbatched);
        let pause = Duration::from_millis(if late { 400 } else { 100 });
        Manners { echoes: self != Self::Ncat, greets, burst, pause }
    }

    /// Turns this process into the server, listening on 127.0.0.1:`port`. Returns only if that fails.
    /// chat-server has no limits then; or all of its defaults, and listens on this address.
    pub fn become_server(self, port: u16, ours: &Path, as_shipped: Option<IpAddr>) -> Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let address = format!("127.0.0.1:{port}");
        let mut command = match self {
            Self::Floor => return floor::serve(&address),
            Self::Ours | Self::OursUnbatched => {
                let mut command = Command::new(ours);
                if let Some(listen) = as_shipped {
                    command.args(["--listen", &SocketAddr::new(listen, port).to_string()]);
                    return Err(command.exec()).with_context(|| format!("cannot run {command:?}"));
                }
                command.args(["--listen", &address, "--max-clients", "20000", "--log-level", "warn"]);
                // Not as arguments, so that a version from before there were these
                // limits can be measured too.
                command.envs([("CHAT_RATE", "0"), ("CHAT_MAX_PER_IP", "0")]);
                if self == Self::OursUnbatched {
                    command.args(ONE_EVENT_PER_TURN);
                }
                command
            }
            Self::Tokio | Self::TokioDesign => {
                let mut command = Command::new(self.sibling()?);
                command.arg(&address);
                command
            }
            Self::Java => {
                let mut command = Command::new("java");
                command.args([JAVA, &address]);
                command
            }
            Self::JavaVirtual => {
                let mut command = Command::new(java::with_virtual_threads()?.0);
                command.arg(java::virtual_source(JAVA)?).arg(&address);
                command
            }
            Self::Clojure => {
                let mut command = Command::new("java");
                command.args(["-cp", "/usr/share/java/*", "clojure.main"]);
                command.args([peer_file!("clojure/chat.clj"), &address]);
                command
            }
            Self::Ncat => {
                let mut command = Command::new("ncat");
                command.args(["--listen", "--chat", "--max-conns", "1100", "127.0.0.1", &port.to_string()]);
                command
            }
        };
        command.env("CHAT_LOG", "off");
        Err(command.exec()).with_context(|| format!("cannot run {command:?}"))
    }

    /// The program of a sibling in Rust, which cargo builds beside the bench.
    fn sibling(self) -> Result<PathBuf> {
        Ok(std::env::current_exe()?.with_file_name(format!("sibling-{self}")))
    }
}

/// The first line of what a program prints, or that it is not there.
pub fn first_line(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("there is no {program} here"))?;
    let text = String::from_utf8([output.stdout, output.stderr].concat())?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Debian puts the libraries of core.async into one directory, as links to files that are
/// named after their versions.
fn clojure_version() -> Result<String> {
    let mut versions = Vec::new();
    for jar in ["clojure", "core.async"] {
        let file = fs::canonicalize(format!("/usr/share/java/{jar}.jar"))
            .with_context(|| format!("no {jar} here; Debian's package is libcore-async-clojure"))?;
        versions.extend(file.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    Ok(versions.join(", "))
}
