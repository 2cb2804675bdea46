//! The program, as a process of its own.

use super::{DEADLINE, Person, eventually, lines_of};
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

/// The program itself, as its own process on a free port of the loopback interface.
pub struct ServerProcess {
    pub child: Child,
    pub address: SocketAddr,
    /// What it writes to stderr.
    pub log: Receiver<String>,
}

pub fn chat_server() -> Command {
    Command::new(env!("CARGO_BIN_EXE_chat-server"))
}

impl ServerProcess {
    pub fn start(arguments: &[&str]) -> ServerProcess {
        ServerProcess::spawn(chat_server().args(["--listen", "127.0.0.1:0"]).args(arguments))
    }

    pub fn spawn(command: &mut Command) -> ServerProcess {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = lines_of(child.stderr.take().unwrap());
        let address = loop {
            let line = log.recv_timeout(DEADLINE).expect("the server says where it listens");
            if let Some((_, address)) = line.split_once("Listening on ") {
                break address.parse().expect("an address");
            }
        };
        ServerProcess { child, address, log }
    }

    pub fn person(&self, name: &str) -> Person {
        Person::named(self.address, name)
    }

    /// Sends a signal to the server, by its process id.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for a line in the log.
    pub fn logs(&self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.log.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("the log never said {part:?}, only:\n{}", seen.join("\n")),
            }
        }
    }

    /// Waits for the end of the server; its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
