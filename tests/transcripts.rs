//! Every transcript in README.md and in `src` is played with a real server, and must be what really happens.
//!
//! A transcript is a block with the info string `text` whose first line starts the server. Each of its lines says
//! who, and what happens next:
//!
//! | line | what it says |
//! |---|---|
//! | `server$ chat-server FLAGS` | the server is started (here on a free port of the loopback interface) |
//! | `alice$ nc HOST 12345` | alice connects (here without netcat) |
//! | `alice> text` | she types this; `^D` ends her input, `^C` ends her netcat or, typed by `server`, the server |
//! | `alice: text` | the next line that she sees |
//! | `server: text` | the next line of the server's log |
//!
//! Nobody sees anything but these lines, also not after the last one. What differs from run to run is compared by its
//! shape: in the log the date and time, addresses and ports (the same one must stay the same) and how long somebody
//! stayed; on a screen the time `[14:03]` at the beginning of a line. Before somebody else types or connects,
//! somebody must see what came of the last thing; otherwise the order would be left to chance.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::Receiver;
use support::{DEADLINE, chat_server, lines_of};

/// The first line that the server logs when it is told to stop.
const STOPS: &str = "shutting down; a second signal ends the server at once";
const GOODBYE: &str = "*** The server is shutting down. Goodbye!";

#[test]
fn every_transcript_is_what_really_happens() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut failures = Vec::new();
    for path in texts(root) {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let found = transcripts(&fs::read_to_string(&path).unwrap());
        assert!(!found.is_empty() || name != "README.md", "the README has a transcript");
        for transcript in found {
            if let Err((line, why)) = play(&transcript) {
                failures.push(format!("{name}:{line}: {why}"));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// README.md, and all files below `src`.
fn texts(root: &Path) -> Vec<PathBuf> {
    let mut texts = vec![root.join("README.md")];
    let mut directories = vec![root.join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                texts.push(path);
            }
        }
    }
    texts.sort();
    texts
}

/// The lines of one transcript, each with its number in the file.
type Transcript = Vec<(usize, String)>;

/// The transcripts in a text in Markdown, or in the documentation of Rust code.
fn transcripts(text: &str) -> Vec<Transcript> {
    let lines = text.lines().map(|line| {
        let line = line.trim_start();
        ["//! ", "/// ", "//!", "///"].iter().find_map(|comment| line.strip_prefix(comment)).unwrap_or(line)
    });
    let mut lines = (1..).zip(lines);
    let mut found = Vec::new();
    while lines.any(|(_, line)| line == "```text") {
        let block = lines
            .by_ref()
            .take_while(|(_, line)| *line != "```")
            .map(|(number, line)| (number, line.to_owned()));
        let block: Transcript = block.collect();
        // The transcripts of the lesson start one of its steps, and `tests/steps.rs` plays them.
        let first = block.first().and_then(|(_, line)| step(line));
        if first
            .is_some_and(|step| matches!(step, Step::Starts(_, command) if !command.starts_with("cargo run")))
        {
            found.push(block);
        }
    }
    found
}

/// What one line of a transcript says.
#[derive(Clone, Copy)]
enum Step<'a> {
    Starts(&'a str, &'a str),
    Types(&'a str, &'a str),
    Sees(&'a str, &'a str),
}

fn step(line: &str) -> Option<Step<'_>> {
    let end = line.find(|c: char| !c.is_alphanumeric()).filter(|end| *end > 0)?;
    let (name, rest) = line.split_at(end);
    let (mark, text) = rest.split_at_checked(2)?;
    match mark {
        "$ " => Some(Step::Starts(name, text)),
        "> " => Some(Step::Types(name, text)),
        ": " => Some(Step::Sees(name, text)),
        _ => None,
    }
}

/// Plays a transcript. If reality differs, says in which line and how.
fn play(transcript: &Transcript) -> Result<(), (usize, String)> {
    let mut stage = Stage::default();
    for (number, line) in transcript {
        let done = match step(line) {
            Some(Step::Starts(name, command)) => stage.starts(name, command),
            Some(Step::Types(name, text)) => stage.types(name, text),
            Some(Step::Sees(name, text)) => stage.sees(name, text),
            None => Err("this is no line of a transcript".to_owned()),
        };
        done.map_err(|why| (*number, why))?;
    }
    let last = transcript.last().map_or(0, |(number, _)| *number);
    stage.ends().map_err(|why| (last, why))
}

/// Whom a transcript has started so far.
#[derive(Default)]
struct Stage {
    server: Option<Server>,
    people: HashMap<String, Screen>,
    /// Addresses and ports as they are written, and what they are this time.
    known: HashMap<String, String>,
    /// Who did something last, if nobody has seen anything since.
    unseen: Option<String>,
}

struct Server {
    name: String,
    /// The port as it is written.
    port: String,
    address: SocketAddr,
    child: Child,
    log: Screen,
    stopping: bool,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What somebody sees, line by line.
struct Screen {
    early: VecDeque<String>,
    lines: Receiver<String>,
    socket: Option<TcpStream>,
}

impl Screen {
    /// The next line; `None` at the end.
    fn next(&mut self) -> Result<Option<String>, String> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        if let Some(line) = self.early.pop_front() {
            return Ok(Some(line));
        }
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => Ok(Some(line)),
            Err(Disconnected) => Ok(None),
            Err(Timeout) => Err("nothing more came".to_owned()),
        }
    }
}

impl Stage {
    fn starts(&mut self, name: &str, command: &str) -> Result<(), String> {
        match command.split(' ').collect::<Vec<_>>()[..] {
            ["chat-server", ref flags @ ..] => self.starts_server(name, flags),
            ["nc", _, port] => self.connects(name, port),
            _ => Err(format!("{command:?} is neither chat-server nor nc HOST PORT")),
        }
    }

    fn starts_server(&mut self, name: &str, flags: &[&str]) -> Result<(), String> {
        if self.server.is_some() {
            return Err("there is a server already; one transcript has one".to_owned());
        }
        let mut listen = "[::]:12345";
        let mut command = chat_server();
        let mut flags = flags.iter();
        while let Some(flag) = flags.next() {
            if *flag == "--listen" {
                listen = flags.next().ok_or("--listen needs an address")?;
            } else {
                command.arg(flag);
            }
        }
        // So that the log does not depend on how many files may be open here.
        command.env("CHAT_MAX_CLIENTS", "100");
        command.args(["--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut server = Server {
            name: name.to_owned(),
            port: listen.rsplit(':').next().unwrap_or_default().to_owned(),
            address: SocketAddr::from(([0; 4], 0)),
            log: Screen {
                early: VecDeque::new(),
                lines: lines_of(child.stderr.take().unwrap()),
                socket: None,
            },
            child,
            stopping: false,
        };
        let mut early = VecDeque::new();
        loop {
            let line = server.log.next()?.ok_or_else(|| {
                format!("the server ended at once: {}", Vec::from(early.clone()).join("\n"))
            })?;
            early.push_back(line.clone());
            if let Some((_, address)) = line.split_once("Listening on ") {
                server.address = address.parse().map_err(|_| format!("no address: {line}"))?;
                break;
            }
        }
        server.log.early = early;
        let port = server.address.port().to_string();
        self.known.insert(server.port.clone(), port);
        self.known.insert(listen.to_owned(), server.address.to_string());
        self.server = Some(server);
        Ok(())
    }

    fn connects(&mut self, name: &str, port: &str) -> Result<(), String> {
        self.acts(name)?;
        let server = self.server.as_ref().ok_or("there is no server yet")?;
        if port != server.port {
            return Err(format!("the server listens on port {}", server.port));
        }
        let socket = TcpStream::connect(server.address).map_err(|error| error.to_string())?;
        let screen = Screen {
            early: VecDeque::new(),
            lines: lines_of(socket.try_clone().unwrap()),
            socket: Some(socket),
        };
        match self.people.insert(name.to_owned(), screen) {
            Some(mut before) => nothing_more(name, &mut before),
            None => Ok(()),
        }
    }

    fn types(&mut self, name: &str, text: &str) -> Result<(), String> {
        self.acts(name)?;
        if let Some(server) = self.server.as_mut().filter(|server| server.name == name) {
            if text != "^C" {
                return Err(format!("all that {name} can type here is ^C"));
            }
            return server.stop(Signal::INT);
        }
        let screen = self.people.get(name).ok_or("who is that?")?;
        let mut socket = screen.socket.as_ref().expect("people have a connection");
        match text {
            "^C" => socket.shutdown(Shutdown::Both),
            "^D" => socket.shutdown(Shutdown::Write),
            _ => socket.write_all(format!("{text}\n").as_bytes()),
        }
        .map_err(|error| format!("{name} cannot type: {error}"))
    }

    /// Nobody acts before somebody has seen what came of what somebody else did.
    fn acts(&mut self, name: &str) -> Result<(), String> {
        match self.unseen.replace(name.to_owned()) {
            Some(before) if before != name => Err(format!(
                "somebody must see what {before} did before {name} goes on, or it is chance who is first"
            )),
            _ => Ok(()),
        }
    }

    fn sees(&mut self, name: &str, written: &str) -> Result<(), String> {
        self.unseen = None;
        let mut server = self.server.as_mut().filter(|server| server.name == name);
        let screen = match &mut server {
            Some(server) => Some(&mut server.log),
            None => self.people.get_mut(name),
        };
        let screen = screen.ok_or("who is that?")?;
        let really = screen.next().map_err(|why| format!("{name} should see\n  {written}\nbut {why}"))?;
        let is_log = server.is_some();
        let same = really.as_ref().is_some_and(|really| {
            if is_log {
                is_same_log_line(written, really, &mut self.known)
            } else {
                is_same_line(written, really)
            }
        });
        if same {
            return Ok(());
        }
        let really = really.unwrap_or_else(|| "(the end)".to_owned());
        Err(format!("{name} should see\n  {written}\nand really sees\n  {really}"))
    }

    /// Nobody has anything left to see. That the server stops is the barrier: it says goodbye after everything else.
    fn ends(mut self) -> Result<(), String> {
        if let Some(name) = &self.unseen {
            return Err(format!("somebody must see what {name} did last"));
        }
        let mut server = self.server.take().ok_or("there is no server")?;
        let stopped_by_itself = server.stopping;
        if !stopped_by_itself {
            server.stop(Signal::TERM)?;
        }
        for (name, screen) in &mut self.people {
            match screen.next()? {
                Some(line) if line.ends_with(GOODBYE) && !stopped_by_itself => nothing_more(name, screen)?,
                Some(line) => return Err(format!("{name} also sees\n  {line}")),
                None => {}
            }
        }
        match server.log.next()? {
            Some(line) if line.ends_with(STOPS) && !stopped_by_itself => {}
            Some(line) => return Err(format!("{} also sees\n  {line}", server.name)),
            None => {}
        }
        while server.log.next()?.is_some() {}
        match server.child.wait() {
            Ok(status) if status.success() => Ok(()),
            end => Err(format!("the server did not end well: {end:?}")),
        }
    }
}

impl Server {
    fn stop(&mut self, signal: Signal) -> Result<(), String> {
        self.stopping = true;
        kill_process(Pid::from_child(&self.child), signal).map_err(|error| error.to_string())
    }
}

fn nothing_more(name: &str, screen: &mut Screen) -> Result<(), String> {
    match screen.next()? {
        None => Ok(()),
        Some(line) => Err(format!("{name} also sees\n  {line}")),
    }
}

/// A line on a screen: only the clock may show another time.
fn is_same_line(written: &str, really: &str) -> bool {
    let split = |line: &str| {
        let (time, text) = line.split_at_checked("[14:03] ".len())?;
        (shape(time) == "[00:00] ").then(|| text.to_owned())
    };
    match (split(written), split(really)) {
        (Some(written), Some(really)) => written == really,
        _ => written == really,
    }
}

/// A line of the log: word by word, each the same or of the same shape.
fn is_same_log_line(written: &str, really: &str, known: &mut HashMap<String, String>) -> bool {
    let written: Vec<_> = written.split(' ').collect();
    let really: Vec<_> = really.split(' ').collect();
    let mut is_same_word = |n: usize| {
        let (a, b) = (written[n], really[n]);
        let both = |is_one: &dyn Fn(&str) -> bool| is_one(a) && is_one(b);
        let is_number = |word: &str| word.parse::<u64>().is_ok();
        let after = |word, back| n >= back && written[n - back] == word;
        let mut is_known = |a: &str, b: &str| {
            let known = known.entry(a.to_owned()).or_insert_with(|| b.to_owned());
            known == b
        };
        if a == b {
            return true;
        }
        match n {
            0 => both(&|word| shape(word) == "0000-00-00"),
            1 => both(&|word| shape(word).replace('-', "+") == "00:00:00+00:00"),
            _ if both(&is_number) && after("after", 1) => written.get(n + 1) == Some(&"s"),
            _ if both(&is_number) && after("nc", 2) => is_known(a, b),
            _ => match (address(a), address(b)) {
                (Some(from), Some(to)) => a.replace(from, to) == b && is_known(from, to),
                _ => false,
            },
        }
    };
    written.len() == really.len() && (0..written.len()).all(&mut is_same_word)
}

/// The text with 0 for every digit.
fn shape(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "0")
}

/// The address in a word such as `192.168.1.20:50000)`. A network is none.
fn address(word: &str) -> Option<&str> {
    let word = word.trim_matches(['(', ')', ',']);
    let is_address = word.parse::<SocketAddr>().is_ok() || word.parse::<IpAddr>().is_ok();
    is_address.then_some(word)
}

// That it can fail.

/// What really happens.
const TRUE: &str = "\
server$ chat-server --listen 0.0.0.0:12345 --allow 127.0.0.0/8
server: 2026-11-24 14:03:12+01:00 [INFO] Chat server started...
server: 2026-11-24 14:03:12+01:00 [INFO] Listening on 0.0.0.0:12345
server: 2026-11-24 14:03:12+01:00 [INFO] Others connect with: nc 192.168.1.20 12345
server: 2026-11-24 14:03:12+01:00 [INFO] Who may connect: 127.0.0.0/8
alice$ nc 192.168.1.20 12345
alice: *** Welcome to chat-server! You are guest1.
alice: *** Type a line to say it to everyone. /nick NAME to be known by name, /help for the rest.
alice: *** 1 here: guest1
bob$ nc 192.168.1.20 12345
alice: *** guest2 joined
bob: *** Welcome to chat-server! You are guest2.
bob: *** Type a line to say it to everyone. /nick NAME to be known by name, /help for the rest.
bob: *** 2 here: guest1, guest2
bob> ^D
alice: *** guest2 left
alice> /timestamps on
alice: [14:03] *** Timestamps are on: each line begins with its time.
alice> hello
alice: [14:03] <guest1> hello
server: 2026-11-24 14:03:20+01:00 [INFO] client 1 connected from 192.168.1.21:50210
server: 2026-11-24 14:03:20+01:00 [INFO] client 2 connected from 192.168.1.22:41874
server: 2026-11-24 14:04:40+01:00 [INFO] client 2 (guest2, 192.168.1.22:41874) disconnected: it closed the connection, lines said: 0, after 10 s
server: 2026-11-24 14:05:20+01:00 [INFO] guest1: hello";

/// How the server ends, if a transcript shows it.
const TRUE_END: &str = "\
server> ^C
server: 2026-11-24 14:06:20+01:00 [INFO] shutting down; a second signal ends the server at once
server: 2026-11-24 14:06:20+01:00 [INFO] client 1 (guest1, 192.168.1.21:50210) disconnected: the server stops, lines said: 1, after 60 s
server: 2026-11-24 14:06:20+01:00 [INFO] Chat server stopped.
alice: [14:06] *** The server is shutting down. Goodbye!";

fn played(text: &str) -> Result<(), String> {
    let block = format!("```text\n{text}\n```\n");
    let found = transcripts(&block);
    assert_eq!(found.len(), 1, "{block}");
    play(&found[0]).map_err(|(line, why)| format!("{line}: {why}"))
}

#[test]
fn what_really_happens_passes_and_every_change_to_it_fails() {
    let whole = format!("{TRUE}\n{TRUE_END}");
    for text in [TRUE, &whole] {
        played(text).unwrap();
    }
    for (what, instead, complaint) in [
        (
            "<guest1> hello",
            "<guest1> hullo",
            "21: alice should see\n  [14:03] <guest1> hullo\nand really sees",
        ),
        ("alice: [14:03] <", "alice: [1403] <", "alice should see"),
        ("alice: *** 1 here: guest1\n", "", "11: alice should see"),
        ("alice: *** guest2 joined\n", "", "alice should see"),
        ("alice: *** guest2 left\n", "", "17: somebody must see"),
        ("alice: [14:03] <guest1> hello\n", "", "alice also sees"),
        ("[INFO] guest1: hello", "guest1: hello", "server should see"),
        ("\nserver: 2026-11-24 14:05:20+01:00 [INFO] guest1: hello", "", "server also sees"),
        ("2026-11-24 14:05:20", "24.11.2026 14:05:20", "should see"),
        ("from 192.168.1.21:50210", "from alice", "should see"),
        ("(guest2, 192.168.1.22:41874)", "(guest2, 192.168.1.21:50210)", "should see"),
        ("said: 0", "said: 1", "should see"),
        ("connect: 127.0.0.0/8", "connect: 10.0.0.0/8", "should see"),
        ("alice$ nc 192.168.1.20 12345", "alice$ nc 192.168.1.20 12346", "the server listens on port 12345"),
        ("bob> ^D", "bob ends", "this is no line of a transcript"),
        ("alice> hello\n", "alice> hello\nbob> hello\n", "chance"),
    ] {
        let changed = TRUE.replacen(what, instead, 1);
        assert_ne!(changed, TRUE, "{what:?} is not there");
        let why = played(&changed).expect_err(what);
        assert!(why.contains(complaint), "{what:?}: {why}");
    }
    let without_goodbye = &whole[..whole.rfind('\n').unwrap()];
    let why = played(without_goodbye).expect_err("a goodbye that nobody sees");
    assert!(why.contains("alice also sees"), "{why}");
}

#[test]
fn transcripts_are_found_in_markdown_and_in_documentation() {
    let rust =
        "//! ```text\n//! server$ chat-server\n//! ```\n/// ```text\n/// a diagram\n/// ```\nfn main() {}\n";
    assert_eq!(transcripts(rust), [[(2, "server$ chat-server".to_owned())].to_vec()]);
    let markdown = "```text\nno transcript\n```\n\n```sh\nmake run\n```\n```text\nalice$ nc HOST 1\n```\n";
    assert_eq!(transcripts(markdown), [[(9, "alice$ nc HOST 1".to_owned())].to_vec()]);
}
