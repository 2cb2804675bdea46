//! The program, as a process of its own.

use crate::{DEADLINE, Person, eventually, lines_of};
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

/// The program itself, as its own process on a free port of the loopback interface.
pub struct ServerProcess {
    pub child: Child,
    pub address: SocketAddr,
    /// The lines on stderr up to where it listens.
    pub first_lines: Vec<String>,
    /// The lines on stderr from then on.
    pub log: Receiver<String>,
}

/// The program that cargo has built with the tests: one directory above theirs, so of the same profile.
pub fn program() -> PathBuf {
    let test = env::current_exe().expect("a test knows where it is");
    let deps = test.parent().expect("it is in a directory");
    deps.with_file_name(format!("chat-server{}", env::consts::EXE_SUFFIX))
}

/// The program itself, not started yet.
pub fn chat_server() -> Command {
    Command::new(program())
}

/// The same with less of everything: started by a shell with these words for `ulimit`, on a free port.
pub fn limited(ulimit: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("ulimit {ulimit} && exec \"$0\" --listen 127.0.0.1:0");
    shell.args(["-c", &script]).arg(program()).env("CHAT_MAX_PER_IP", "0");
    shell
}

impl ServerProcess {
    pub fn start(arguments: &[&str]) -> ServerProcess {
        let mut command = chat_server();
        command.env("CHAT_MAX_PER_IP", "0").args(["--listen", "127.0.0.1:0"]);
        ServerProcess::spawn(command.args(arguments))
    }

    pub fn spawn(command: &mut Command) -> ServerProcess {
        ServerProcess::try_spawn(command).expect("the server says where it listens")
    }

    /// The same; `None` if it ends before it listens.
    pub fn try_spawn(command: &mut Command) -> Option<ServerProcess> {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = lines_of(child.stderr.take().unwrap());
        let address = SocketAddr::from(([0; 4], 0));
        let mut server = ServerProcess { child, address, first_lines: Vec::new(), log };
        loop {
            match server.log.recv_timeout(DEADLINE) {
                Err(RecvTimeoutError::Timeout) => panic!("the server does not say where it listens"),
                Err(RecvTimeoutError::Disconnected) => return None,
                Ok(line) => {
                    server.first_lines.push(line.clone());
                    if let Some((_, address)) = line.split_once("Listening on ") {
                        server.address = address.parse().expect("an address");
                        return Some(server);
                    }
                }
            }
        }
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
