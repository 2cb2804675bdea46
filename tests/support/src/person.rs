//! A person at a keyboard: over a socket, or through a program such as nc.

use crate::{DEADLINE, eventually, lines_of, pseudo_terminal};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt::set_socket_recv_buffer_size};
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::termios::{Winsize, tcsetwinsize};
use std::io::{self, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// The last line to a client that leaves or is sent away, if it has not ended its input.
pub const PRESS_ENTER: &str = "*** Press Enter if your prompt does not come back.";

/// One person and what they have seen so far.
pub struct Person {
    pub name: String,
    input: Option<Box<dyn Write + Send>>,
    lines: Receiver<String>,
    /// All lines so far, for the report of a failure.
    seen: Vec<String>,
    /// The bare connection, where it is one.
    pub socket: Option<TcpStream>,
    child: Option<Child>,
}

impl Person {
    /// Connects, and reads nothing yet.
    pub fn connect(address: SocketAddr) -> Person {
        Person::try_connect(address).expect("the server listens")
    }

    /// The same, where the server may have ended.
    pub fn try_connect(address: SocketAddr) -> io::Result<Person> {
        Person::over(TcpStream::connect(address)?)
    }

    /// Connects from one of this machine's addresses: on Linux, all that begin with 127
    /// stand for other machines.
    pub fn connect_from(origin: IpAddr, address: SocketAddr) -> Person {
        let family = if origin.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket(family, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::new(origin, 0)).expect("an address of this machine");
        connect(&socket, &address).expect("the server listens");
        Person::over(TcpStream::from(socket)).expect("an open socket")
    }

    fn over(socket: TcpStream) -> io::Result<Person> {
        let (input, output) = (socket.try_clone()?, socket.try_clone()?);
        Ok(Person {
            name: "a stranger".to_owned(),
            input: Some(Box::new(input)),
            lines: lines_of(output),
            seen: Vec::new(),
            socket: Some(socket),
            child: None,
        })
    }

    /// Connects, reads the welcome and takes a name.
    pub fn named(address: SocketAddr, name: &str) -> Person {
        let mut person = Person::connect(address);
        person.sees_welcome();
        person.takes_name(name);
        person
    }

    /// Connects as often as it takes until there is a place, and reads the first line of the welcome.
    pub fn once_there_is_room(address: SocketAddr) -> Person {
        let mut person = None;
        eventually("there is room", || {
            let mut guest = Person::connect(address);
            let welcome = guest.next_line().is_some_and(|line| line.starts_with("*** "));
            person = welcome.then_some(guest);
            welcome
        });
        person.expect("there was room")
    }

    /// Starts a program whose input and output are the keyboard and the screen.
    pub fn with_program(command: &mut Command) -> Person {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Person {
            name: "a stranger".to_owned(),
            input: Some(Box::new(child.stdin.take().unwrap())),
            lines: lines_of(child.stdout.take().unwrap()),
            seen: Vec::new(),
            socket: None,
            child: Some(child),
        }
    }

    /// Starts a program at a terminal of its own, as a shell in a window does. The keys go to the terminal,
    /// which may change or show them before the program gets them.
    pub fn at_terminal(program: &Command) -> Person {
        let (controller, terminal) = pseudo_terminal();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        // This makes it the program's controlling terminal.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap()).stderr(terminal);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Person {
            name: "a stranger".to_owned(),
            input: Some(Box::new(controller.try_clone().unwrap())),
            lines: lines_of(controller),
            seen: Vec::new(),
            socket: None,
            child: Some(child),
        }
    }

    /// Takes a name, and waits until it has it.
    pub fn takes_name(&mut self, name: &str) {
        self.says(&format!("/nick {name}"));
        self.sees_one_that(|line| line.starts_with("*** ") && line.ends_with(&format!(" is now {name}")));
        self.name = name.to_owned();
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

    /// The same, for a line that takes its time.
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

    /// Reads on up to the end of the conversation. Leaves out the hint that ends most, which `leaving` tests.
    pub fn reads_to_the_end(&mut self) -> Vec<String> {
        let mut lines: Vec<String> = std::iter::from_fn(|| self.next_line()).collect();
        if lines.last().is_some_and(|line| line == PRESS_ENTER) {
            lines.pop();
        }
        lines
    }

    /// Reads the welcome, and takes the name in it.
    pub fn sees_welcome(&mut self) {
        let welcome =
            self.sees_one_that(|line| line.starts_with("*** Welcome to chat-server! You are guest"));
        let name = welcome.trim_end_matches('.').rsplit(' ').next().unwrap();
        self.name = name.to_owned();
        self.sees_one_that(|line| line.contains(" here: "));
    }

    /// Waits until the program ends by itself, with the keyboard still there.
    pub fn waits_for_the_prompt(&mut self) {
        let child = self.child.as_mut().expect("a program");
        eventually("the program ends", || child.try_wait().unwrap().is_some());
    }

    /// The same for a program that notices only when it cannot send any more.
    pub fn presses_enter_until_the_prompt(&mut self) {
        let (input, child) =
            (self.input.as_mut().expect("a keyboard"), self.child.as_mut().expect("a program"));
        eventually("the program ends", || {
            let _ = input.write_all(b"\n"); // It fails when the program has ended.
            child.try_wait().unwrap().is_some()
        });
    }

    /// Ends the program and all that it started, and waits for it. It must be the leader of a
    /// process group of its own.
    pub fn kill_group(mut self) {
        self.signal_group(Signal::KILL);
        self.child.take().expect("a program").wait().unwrap();
    }

    /// Sends a signal to the program and all that it started.
    pub fn signal_group(&self, signal: Signal) {
        kill_process_group(Pid::from_child(self.child.as_ref().expect("a program")), signal).unwrap();
    }

    fn report(&self) -> String {
        let start = self.seen.len().saturating_sub(50);
        let lines: Vec<String> =
            self.seen[start..].iter().map(|line| line.chars().take(200).collect()).collect();
        format!("The last that {} saw:\n{}", self.name, lines.join("\n"))
    }
}

/// A client that joins and then reads nothing, with a small buffer, so that it is behind soon.
pub fn stalled_reader(address: SocketAddr) -> TcpStream {
    let stalled = TcpStream::connect(address).unwrap();
    set_socket_recv_buffer_size(&stalled, 16 * 1024).unwrap();
    stalled
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
