//! The programs that people chat with, and where they are.

use chat_test_support::TestServer;
use std::env;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Where a program is, by one of its names.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// One program that people chat with.
#[derive(Clone)]
pub struct Program {
    /// The beginning of its tests' names.
    pub name: &'static str,
    /// The program to install where it is missing.
    pub file: &'static str,
    pub found: Option<PathBuf>,
    /// HOST and PORT stand for the server's.
    arguments: &'static [&'static str],
}

impl Program {
    /// The command for this server. The program will be the leader of a process group of its own.
    pub fn command(&self, server: &TestServer) -> Command {
        let mut command = self.command_for(server.address);
        command.process_group(0);
        command
    }

    /// The same for the server at this address, with no process group yet.
    pub fn command_for(&self, server: SocketAddr) -> Command {
        let mut command = Command::new(self.found.as_ref().expect("only run where it is installed"));
        let [host, port] = [server.ip().to_string(), server.port().to_string()];
        let fill_in = |argument: &&str| argument.replace("HOST", &host).replace("PORT", &port);
        command.args(self.arguments.iter().map(fill_in));
        command
    }
}

fn program(name: &'static str, file: &'static str, arguments: &'static [&'static str]) -> Program {
    Program { name, file, found: find(&[file]), arguments }
}

/// Programs whose input and output can be a pipe.
pub fn programs() -> Vec<Program> {
    vec![
        program("nc.openbsd", "nc.openbsd", &["-N", "HOST", "PORT"]),
        program("nc.traditional", "nc.traditional", &["-q", "1", "HOST", "PORT"]),
        program("ncat", "ncat", &["HOST", "PORT"]),
        program("busybox.nc", "busybox", &["nc", "HOST", "PORT"]),
        program("socat", "socat", &["-t", "5", "-", "TCP:HOST:PORT"]),
        program("plink.raw", "plink", &["-batch", "-raw", "-P", "PORT", "HOST"]),
        program("plink.telnet", "plink", &["-batch", "-telnet", "-P", "PORT", "HOST"]),
        program("telnet", "telnet", &["HOST", "PORT"]),
        program("bash", "bash", &["-c", "exec 3<>/dev/tcp/HOST/PORT; cat <&0 >&3 & cat <&3"]),
    ]
}

/// Programs as a script uses them that only speaks and does not wait for an answer.
pub fn one_way() -> Vec<Program> {
    vec![
        program("bash.redirect", "bash", &["-c", "cat >/dev/tcp/HOST/PORT"]),
        program("ncat.send_only", "ncat", &["--send-only", "HOST", "PORT"]),
        program("socat.one_way", "socat", &["-u", "-", "TCP:HOST:PORT"]),
        program("nc.traditional.at_once", "nc.traditional", &["-q", "0", "HOST", "PORT"]),
    ]
}

/// Programs that need a terminal for what they are asked to do here.
pub fn socat_raw() -> Program {
    program("socat.raw", "socat", &["-,raw,echo=0", "TCP:HOST:PORT"])
}

pub fn telnet() -> Program {
    program("telnet.character", "telnet", &["HOST", "PORT"])
}

/// Around the `nc` of OpenBSD.
pub fn rlwrap() -> Program {
    let rlwrap = program("rlwrap.nc", "rlwrap", &["nc.openbsd", "HOST", "PORT"]);
    Program { found: rlwrap.found.and_then(|path| find(&["nc.openbsd"]).map(|_| path)), ..rlwrap }
}

/// No chat client: it must be told so.
pub fn curl() -> Program {
    program("curl", "curl", &["--silent", "--http0.9", "--max-time", "20", "http://HOST:PORT/"])
}
