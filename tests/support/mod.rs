//! People who talk through a server: the words in which the tests are written.
//!
//! alice says, bob sees. Nothing here sleeps: everybody waits for what must come, up to a deadline.

#![allow(dead_code, unused_imports, reason = "every test program uses another part of this")]

mod process;

pub use process::{ServerProcess, chat_server};

use chat_server::Server;
use chat_server::config::Config;
use chat_server::stopper::Stopper;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long anybody waits for anything. Far more than is ever needed, so that a busy machine fails no test.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A server in this process, on a free port of the loopback interface. It stops when it is dropped.
pub struct TestServer {
    pub address: SocketAddr,
    stopper: Stopper,
    running: Option<JoinHandle<std::io::Result<()>>>,
}

/// A configuration for tests: a free port and no pace, everything else as it is by default.
pub fn test_config() -> Config {
    Config { listen: vec!["127.0.0.1:0".parse().unwrap()], rate: 0, ..Config::default() }
}

impl TestServer {
    pub fn start() -> TestServer {
        TestServer::with(test_config())
    }

    pub fn with(config: Config) -> TestServer {
        let server = Server::bind(config).expect("a free port");
        let (address, stopper) = (server.addresses()[0], server.stopper());
        let running = Some(thread::spawn(|| server.run()));
        TestServer { address, stopper, running }
    }

    /// Somebody who has just come in and has read the welcome.
    pub fn guest(&self) -> Person {
        let mut guest = Person::connect(self.address);
        guest.sees_welcome();
        guest
    }

    /// Somebody who has come in and taken a name.
    pub fn person(&self, name: &str) -> Person {
        Person::named(self.address, name)
    }

    /// Asks the server to stop, without waiting.
    pub fn stop(&self) {
        self.stopper.stop();
    }

    /// Waits until the server has stopped.
    pub fn join(mut self) -> std::io::Result<()> {
        self.running.take().unwrap().join().expect("no panic")
    }
}

/// A server with alice and bob alone in its room, each having seen the other come in.
pub fn alice_and_bob() -> (TestServer, Person, Person) {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let bob = server.person("bob");
    alice.sees("*** guest2 is now bob");
    (server, alice, bob)
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

/// Somebody at a keyboard: over a socket, or through a program such as nc.
pub struct Person {
    pub name: String,
    input: Option<Box<dyn Write + Send>>,
    lines: Receiver<String>,
    /// What this person has seen, for the report of a failure.
    seen: Vec<String>,
    /// The bare connection, where it is one.
    pub socket: Option<TcpStream>,
    child: Option<Child>,
}

impl Person {
    /// Connects, and reads nothing yet.
    pub fn connect(address: SocketAddr) -> Person {
        let socket = TcpStream::connect(address).expect("the server listens");
        let (input, output) = (socket.try_clone().unwrap(), socket.try_clone().unwrap());
        Person {
            name: "somebody".to_owned(),
            input: Some(Box::new(input)),
            lines: lines_of(output),
            seen: Vec::new(),
            socket: Some(socket),
            child: None,
        }
    }

    /// Connects, reads the welcome and takes a name.
    pub fn named(address: SocketAddr, name: &str) -> Person {
        let mut person = Person::connect(address);
        person.sees_welcome();
        person.says(&format!("/nick {name}"));
        person.sees(&format!("*** {} is now {name}", person.name));
        person.name = name.to_owned();
        person
    }

    /// Starts a program whose input and output are the keyboard and the screen.
    pub fn with_program(command: &mut Command) -> Person {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Person {
            name: "somebody".to_owned(),
            input: Some(Box::new(child.stdin.take().unwrap())),
            lines: lines_of(child.stdout.take().unwrap()),
            seen: Vec::new(),
            socket: None,
            child: Some(child),
        }
    }

    /// Types a line.
    pub fn says(&mut self, line: &str) {
        self.sends(format!("{line}\n").as_bytes());
    }

    /// Sends these bytes, all in one packet if the network likes.
    pub fn sends(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the keyboard is still there");
        input.write_all(bytes).and_then(|()| input.flush()).expect("the connection is open");
    }

    /// Types end of file: no more from this person, who goes on reading.
    pub fn ends_input(&mut self) {
        self.input = None;
        if let Some(socket) = &self.socket {
            socket.shutdown(Shutdown::Write).unwrap();
        }
    }

    /// The next line on the screen; `None` at the end of the conversation.
    pub fn next_line(&mut self) -> Option<String> {
        self.next_line_within(DEADLINE)
    }

    /// The same, for what takes its time.
    pub fn next_line_within(&mut self, deadline: Duration) -> Option<String> {
        match self.lines.recv_timeout(deadline) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("{} waited in vain. {}", self.name, self.report())
            }
        }
    }

    /// Reads on until a line for which `wanted` holds, and returns it.
    pub fn sees_one_that(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        self.reads_until(wanted).pop().unwrap()
    }

    /// Reads on until exactly this line.
    pub fn sees(&mut self, line: &str) {
        self.reads_until(|seen| seen == line);
    }

    /// The next line must be exactly this one.
    pub fn sees_next(&mut self, line: &str) {
        let next = self.next_line();
        assert_eq!(next.as_deref(), Some(line), "{}: {}", self.name, self.report());
    }

    /// Reads on up to and including a line for which `wanted` holds.
    pub fn reads_until(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.next_line() {
                None => panic!("{}'s conversation ended too early. {}", self.name, self.report()),
                Some(line) => {
                    let found = wanted(&line);
                    lines.push(line);
                    if found {
                        return lines;
                    }
                }
            }
        }
    }

    /// Reads on up to the end of the conversation.
    pub fn reads_to_the_end(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next_line()).collect()
    }

    /// Reads the welcome, and takes the name in it.
    pub fn sees_welcome(&mut self) {
        let welcome =
            self.sees_one_that(|line| line.starts_with("*** Welcome to chat-server! You are guest"));
        let name = welcome.trim_end_matches('.').rsplit(' ').next().unwrap();
        self.name = name.to_owned();
        self.sees_one_that(|line| line.contains(" here: "));
    }

    /// Ends the program and waits for it.
    pub fn kill(mut self) {
        let mut child = self.child.take().expect("a program");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends the program and all that it started: it must be the leader of a process group of its own.
    pub fn kill_group(mut self) {
        let mut child = self.child.take().expect("a program");
        kill_process_group(Pid::from_child(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
    }

    /// Sends the program a signal, by its process id.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().expect("a program"));
        kill_process(pid, signal).unwrap();
    }

    fn report(&self) -> String {
        let start = self.seen.len().saturating_sub(50);
        let lines: Vec<String> =
            self.seen[start..].iter().map(|line| line.chars().take(200).collect()).collect();
        format!("The last that {} saw:\n{}", self.name, lines.join("\n"))
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            let _ = socket.shutdown(Shutdown::Both);
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The lines of a stream, as they come.
pub fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, received) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if lines.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    received
}

/// Waits until something holds that no event tells of, such as the number of open descriptors.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A pseudo-terminal: the screen and keyboard that a test holds, and the terminal that a program gets.
pub fn pseudo_terminal() -> (File, File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let path = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let terminal = OpenOptions::new().read(true).write(true).open(path).unwrap();
    (File::from(controller), terminal)
}
