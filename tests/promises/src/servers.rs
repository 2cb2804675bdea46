//! The servers of the table. One that is added here has a row; nothing else needs to know of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::Process;

/// A server, and how it is started.
#[derive(Clone, Debug)]
pub struct Server {
    pub name: String,
    /// The head of its column in a narrow table.
    pub short: String,
    /// The program and its arguments. `{address}`, `{host}` and `{port}` say where to listen; `{bin}` is the
    /// directory of this program, and `{root}` that of the repository.
    command: Vec<String>,
    /// Files without which it cannot run.
    files: Vec<String>,
    /// Flags for checks with more clients than one machine is allowed by default.
    crowd: Vec<String>,
    /// Flags for checks that need more lines than one client is allowed by default.
    flood: Vec<String>,
    /// Whether it starts so slowly that the harmless checks share one process.
    pub starts_slowly: bool,
    start_patience: Duration,
    /// Where it listens, if it takes no port.
    address: Option<SocketAddr>,
}

/// The process that a check needs. A server that starts fast is new for each check in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Other checks may have used it.
    Shared,
    /// The same, with no limit on the connections from one address.
    Crowd,
    /// The same, with no limit on the lines from one client.
    Flood,
    /// Its memory is measured, so it is new: one that has grown already hides what it grows by.
    Alone,
    /// Both of the last two.
    FloodAlone,
}

/// The program whose broken promises fail the run.
pub const OURS: &str = "chat-server";

pub fn all() -> Vec<Server> {
    let step = |number| {
        let program = format!("{{bin}}/step_{number}");
        Server::new(&format!("step_{number}"), &format!("s{number}"), &[&program, "{address}"])
    };
    let sibling_in_rust =
        |name, short| Server::new(name, short, &["{bin}/chat-bench", "peer", name, "--port", "{port}"]);
    let mut servers: Vec<Server> = (1..=7).map(step).collect();
    let java = "{root}/tests/bench/peers/java/ChatServer.java";
    servers.push(Server::new("java", "java", &jvm(&[java, "{address}"])).needs(&[java]).slow());
    // The bench finds a JDK with virtual threads, and says so where there is none.
    let flags = format!("JDK_JAVA_OPTIONS={}", JVM_FLAGS.join(" "));
    let virtual_threads = ["env", &flags, "{bin}/chat-bench", "peer", "java-virtual", "--port", "{port}"];
    servers.push(Server::new("java-virtual", "jvirt", &virtual_threads).needs(&[java]).slow());
    let clojure = "{root}/tests/bench/peers/clojure/chat.clj";
    servers.push(
        Server::new(
            "clojure",
            "clj",
            &jvm(&["-cp", "/usr/share/java/*", "clojure.main", clojure, "{address}"]),
        )
        .needs(&[clojure, "/usr/share/java/clojure.jar", "/usr/share/java/core.async.jar"])
        .slow(),
    );
    servers.push(sibling_in_rust("tokio", "tok"));
    servers.push(sibling_in_rust("tokio-design", "tokd"));
    let mut ours = Server::new(OURS, "chat", &["{bin}/chat-server", "--listen", "{address}"]);
    ours.crowd = words(&["--max-per-ip", "0"]);
    ours.flood = words(&["--rate", "0"]);
    servers.push(ours);
    servers.push(Server::new("ncat", "ncat", &["ncat", "--listen", "--chat", "{host}", "{port}"]));
    servers
}

impl Server {
    fn new(name: &str, short: &str, command: &[&str]) -> Server {
        let (crowd, flood) = (Vec::new(), Vec::new());
        let (name, short) = (name.to_owned(), short.to_owned());
        Server {
            name,
            short,
            command: words(command),
            files: Vec::new(),
            crowd,
            flood,
            starts_slowly: false,
            start_patience: Duration::from_secs(30),
            address: None,
        }
    }

    /// A server that the person at the shell starts with this line.
    pub fn of_command(line: &str, address: Option<SocketAddr>) -> Server {
        let mut server = Server::new("command", "here", &["sh", "-c", line]);
        server.address = address;
        // It may be a JVM.
        server.starts_slowly = true;
        server
    }

    /// A server that runs already. Only its name is used.
    pub fn running(address: &str) -> Server {
        Server::new(address, "here", &[])
    }

    fn needs(mut self, files: &[&str]) -> Server {
        self.files = words(files);
        self
    }

    /// A virtual machine compiles its program first, which takes seconds, or a minute on a busy machine.
    fn slow(mut self) -> Server {
        self.starts_slowly = true;
        self.start_patience = Duration::from_secs(90);
        self
    }

    /// Starts it for a check, or says why it cannot run here.
    pub fn start(&self, stage: Stage) -> Result<Process> {
        if let Some(missing) =
            self.files.iter().map(|file| locate(file)).find(|file| !Path::new(file).exists())
        {
            bail!("there is no {missing} here");
        }
        let program = locate(&self.command[0]);
        if program.contains('/') && !Path::new(&program).exists() {
            bail!("there is no {program} here");
        }
        let extra: &[String] = match stage {
            Stage::Shared | Stage::Alone => &[],
            Stage::Crowd => &self.crowd,
            Stage::Flood | Stage::FloodAlone => &self.flood,
        };
        let command: Vec<String> = self.command.iter().chain(extra).map(|word| locate(word)).collect();
        Process::start(&command, self.address, self.start_patience)
    }
}

/// With these a JVM starts fast, and its heap grows with what lives in it and hardly with garbage: so its
/// memory means something.
const JVM_FLAGS: [&str; 3] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xms16m"];

fn jvm<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["java"], &JVM_FLAGS[..], arguments].concat()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn locate(word: &str) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("."));
    let bin = program.parent().unwrap_or(Path::new("."));
    word.replace("{bin}", &bin.display().to_string())
        .replace("{root}", concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
