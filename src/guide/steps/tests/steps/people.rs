//! A step as a process, and the people who connect to it.

use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a test waits for what must come. Far more than is needed, so that a busy machine fails no test.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// One step, on a free port of the loopback interface.
pub struct Step {
    pub child: Child,
    pub address: SocketAddr,
    pub log: Receiver<String>,
    log_reader: Option<JoinHandle<()>>,
}

impl Step {
    pub fn start(number: u32) -> Step {
        let mut child = Command::new(program(number))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the step starts");
        let (to_log, log) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        let log_reader = thread::spawn(move || {
            let _ = output.lines().map_while(Result::ok).try_for_each(|line| to_log.send(line));
        });
        assert_eq!(log.recv_timeout(DEADLINE).as_deref(), Ok("Chat server started..."));
        let line = log.recv_timeout(DEADLINE).unwrap();
        let address = line.strip_prefix("Listening on ").unwrap().parse().unwrap();
        Step { child, address, log, log_reader: Some(log_reader) }
    }

    /// A client who has read the welcome. Its name is guestN for the Nth client.
    pub fn guest(&self) -> Person {
        let mut person = Person::connect(self.address);
        person.sees_welcome();
        person
    }

    /// The same, with a network that holds next to nothing between the server and a reader who stops.
    pub fn guest_with_a_tiny_buffer(&self) -> Person {
        let tiny = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_recv_buffer_size(&tiny, 4096).unwrap();
        connect(&tiny, &self.address).unwrap();
        let mut person = Person::of(TcpStream::from(tiny));
        person.sees_welcome();
        person
    }

    pub fn logs(&self, expected: &str) {
        let line = self.log.recv_timeout(DEADLINE).expect("a line in the log");
        // An address differs from run to run.
        assert_eq!(line.split(" from ").next(), Some(expected));
    }

    /// Nobody reads its log any more, when it has logged what `provoke` makes it log.
    pub fn loses_its_log(&mut self, provoke: impl FnOnce()) {
        self.log = channel().1;
        provoke();
        self.log_reader.take().unwrap().join().unwrap();
    }

    /// KiB of memory, or `None` where the system does not tell.
    pub fn memory(&self) -> Option<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim_end_matches("kB").trim().parse().ok()
    }

    pub fn is_told(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it with a signal, and waits until it has closed its log; its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.is_told(Signal::TERM);
        loop {
            match self.log.recv_timeout(DEADLINE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap().code(),
                Err(RecvTimeoutError::Timeout) => panic!("it does not end"),
            }
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where cargo has built this step.
fn program(number: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_step_1")).with_file_name(format!("step_{number}"))
}

pub struct Person {
    pub socket: BufReader<TcpStream>,
    /// All lines of the server's that it has seen.
    pub news: Vec<String>,
}

impl Person {
    pub fn connect(address: SocketAddr) -> Person {
        Person::of(TcpStream::connect(address).unwrap())
    }

    pub fn of(socket: TcpStream) -> Person {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Person { socket: BufReader::new(socket), news: Vec::new() }
    }

    pub fn says(&mut self, line: &str) {
        self.types(&format!("{line}\n"));
    }

    pub fn types(&mut self, bytes: &str) {
        self.socket.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    /// The next line, or `None` if none comes in time.
    pub fn reads(&mut self, wait: Duration) -> Option<String> {
        self.socket.get_ref().set_read_timeout(Some(wait)).unwrap();
        let mut line = Vec::new();
        match self.socket.read_until(b'\n', &mut line) {
            Ok(_) => {
                let line = String::from_utf8(line).unwrap().trim_end_matches('\n').to_owned();
                if line.starts_with("*** ") {
                    self.news.push(line.clone());
                }
                Some(line)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub fn sees(&mut self, expected: &str) {
        let line = self.reads(DEADLINE);
        assert!(line.as_deref() == Some(expected), "expected {expected:.200}, saw {line:.200?}");
    }

    pub fn sees_welcome(&mut self) {
        while !self.reads(DEADLINE).expect("a welcome").contains(" here: ") {}
    }

    /// Reads until this line has come; how many bytes that was, and whether it came.
    pub fn skips_to(&mut self, expected: &str, wait: Duration) -> (usize, bool) {
        let mut bytes = 0;
        while let Some(line) = self.reads(wait) {
            assert!(!line.is_empty(), "the connection ended, and {expected:?} never came");
            bytes += line.len() + 1;
            if line == expected {
                return (bytes, true);
            }
        }
        (bytes, false)
    }

    pub fn sees_the_end(&mut self) {
        let mut rest = String::new();
        self.socket.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
}
