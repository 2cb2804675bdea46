//! A server as a process of its own: started on a free port of the loopback interface, watched through /proc
//! (see proc(5)), and killed when it goes out of scope, whatever happens. Where there is no /proc, it is not
//! watched, and the checks that need that are not run.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::net::{AddressFamily, SocketType, bind, socket};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, prlimit, set_parent_process_death_signal};
#[cfg(not(target_os = "linux"))]
use rustix::process::{WaitId, WaitIdOptions, waitid};

/// The hidden first argument with which this program starts servers.
pub const START_SERVER: &str = "start-server";

pub struct Process {
    pub address: SocketAddr,
    child: Child,
    /// The process that listens: the child, or one that the child has started.
    listener: Pid,
}

impl Process {
    /// Starts the program and waits until it listens: at this address, or at a free one. Each `{address}`,
    /// `{host}` and `{port}` in the arguments is filled in.
    ///
    /// This program starts itself, asks the kernel to be killed when we die, and then becomes the server
    /// ([`become_server`]): so a run that is killed outright leaves no server behind.
    pub fn start(command: &[String], at: Option<SocketAddr>, patience: Duration) -> Result<Process> {
        let start = Instant::now();
        let Some(at) = at else { return Process::start_at(free_address()?, command, patience) };
        loop {
            match Process::start_at(at, command, patience) {
                Err(_) if !can_bind(at) && start.elapsed() < TIME_WAIT => {
                    thread::sleep(Duration::from_secs(1))
                }
                started => return started,
            }
        }
    }

    fn start_at(address: SocketAddr, command: &[String], patience: Duration) -> Result<Process> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(START_SERVER)
            .args(command.iter().map(|argument| fill_in(argument, address)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let log = lines_of(child.stderr.take().context("a pipe was asked for")?);
        let listener = Pid::from_child(&child);
        RUNNING.lock().expect("no holder panics").push(listener);
        let mut process = Process { address, child, listener };
        let start = Instant::now();
        loop {
            if let Some(listener) = process.find_listener() {
                process.listener = listener;
                return Ok(process);
            }
            if let Some(status) = process.child.try_wait()? {
                let said = log.recv_timeout(Duration::from_secs(1)).unwrap_or_else(|_| status.to_string());
                bail!("it ended at its start: {said}");
            }
            if start.elapsed() > patience {
                bail!("it does not listen on {address} after {} s", patience.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Without /proc, the port tells: a second socket cannot be bound to it.
    #[cfg(not(target_os = "linux"))]
    fn find_listener(&self) -> Option<Pid> {
        TcpListener::bind(self.address).is_err().then(|| Pid::from_child(&self.child))
    }

    /// The process of our group that has a listening socket at the port, if there is one yet. Merely to
    /// connect would be no proof, and would be a first client that leaves without a word.
    #[cfg(target_os = "linux")]
    fn find_listener(&self) -> Option<Pid> {
        let inodes = listening_inodes(self.address.port());
        let has_one = |pid: &Pid| {
            let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
            open.flatten().any(|fd| {
                fs::read_link(fd.path())
                    .is_ok_and(|file| inodes.iter().any(|inode| file == std::path::Path::new(inode)))
            })
        };
        if inodes.is_empty() {
            return None;
        }
        let group = Pid::from_child(&self.child);
        let everyone = fs::read_dir("/proc").ok()?.flatten();
        let pids = everyone.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
        let mut of_the_group =
            pids.filter(|pid| stat_field(*pid, 5).is_some_and(|pgrp| pgrp == group.to_string()));
        of_the_group.find(has_one)
    }

    #[cfg(not(target_os = "linux"))]
    pub fn has_ended(&self) -> bool {
        // It stays a zombie, so that its number stays its own.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.listener), options), Ok(None))
    }

    #[cfg(target_os = "linux")]
    pub fn has_ended(&self) -> bool {
        // A child that has ended is a zombie until it is waited for.
        stat_field(self.listener, 3).is_none_or(|state| state == "Z" || state == "X")
    }

    pub fn terminate(&self) {
        // It fails only if the process has ended, which the check is about to see.
        let _ = kill_process(self.listener, Signal::TERM);
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.listener)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    pub fn threads(&self) -> usize {
        self.count("task")
    }

    pub fn descriptors(&self) -> usize {
        self.count("fd")
    }

    fn count(&self, what: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{what}", self.listener)).map_or(0, Iterator::count)
    }

    /// The time for which its threads have run, or would have if a processor had been free (schedstat,
    /// sched-stats in the kernel's documentation). So a thread that never rests shows on a busy machine too.
    pub fn awake(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.listener)).into_iter().flatten().flatten();
        let nanoseconds = tasks.filter_map(|task| {
            let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let mut numbers = stat.split_whitespace().map_while(|word| word.parse::<u64>().ok());
            Some(numbers.next()? + numbers.next()?)
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Leaves the process `spare` numbers for more descriptors (getrlimit(2)); returns the limits to restore.
    /// A number beyond the limit that is open already stays open, and free ones below it count.
    #[cfg(target_os = "linux")]
    pub fn limit_descriptors(&self, spare: usize) -> Result<Rlimit> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.listener))?.flatten();
        let open: Vec<u64> = open.filter_map(|fd| fd.file_name().to_str()?.parse().ok()).collect();
        let last = (0..).filter(|number| !open.contains(number)).nth(spare).context("numbers have no end")?;
        let before = self.descriptor_limits().context("/proc/PID/limits has no limit of open files")?;
        let limit = Rlimit { current: Some(last), maximum: before.maximum };
        prlimit(Some(self.listener), Resource::Nofile, limit)?;
        Ok(before)
    }

    #[cfg(target_os = "linux")]
    fn descriptor_limits(&self) -> Option<Rlimit> {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.listener)).ok()?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        // A word in the place of a number is "unlimited".
        let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
        Some(Rlimit { current: numbers.next()?, maximum: numbers.next()? })
    }

    #[cfg(target_os = "linux")]
    pub fn restore_descriptors(&self, limits: Rlimit) -> Result<()> {
        prlimit(Some(self.listener), Resource::Nofile, limits)?;
        Ok(())
    }
}

/// Nobody else can lower the limit of a process there.
#[cfg(not(target_os = "linux"))]
impl Process {
    pub fn limit_descriptors(&self, _spare: usize) -> Result<()> {
        bail!("prlimit(2) is Linux's")
    }

    pub fn restore_descriptors(&self, (): ()) -> Result<()> {
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        // Both fail only if the process has ended already.
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
        RUNNING.lock().expect("no holder panics").retain(|running| *running != group);
    }
}

/// The process groups of the servers that run now.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// At Ctrl-C nothing goes out of scope, and what a line of `--command` has started would go on.
pub fn end_servers_at_a_signal() -> Result<()> {
    ctrlc::set_handler(|| {
        for group in RUNNING.lock().expect("no holder panics").iter() {
            let _ = kill_process_group(*group, Signal::KILL);
        }
        std::process::exit(130);
    })?;
    Ok(())
}

/// Turns this process into the server. Returns only if that fails.
pub fn become_server(mut command: impl Iterator<Item = OsString>) -> Result<()> {
    #[cfg(target_os = "linux")]
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let program = command.next().context("no program")?;
    let error = Command::new(&program).args(command).exec();
    Err(error).with_context(|| format!("cannot run {}", program.to_string_lossy()))
}

pub fn fill_in(text: &str, address: SocketAddr) -> String {
    text.replace("{address}", &address.to_string())
        .replace("{host}", &address.ip().to_string())
        .replace("{port}", &address.port().to_string())
}

/// A server that does not ask for SO_REUSEADDR cannot listen for a while where connections have ended
/// (TIME_WAIT, RFC 9293, 3.3.2: a minute on Linux).
const TIME_WAIT: Duration = Duration::from_secs(70);

fn can_bind(address: SocketAddr) -> bool {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    socket(family, SocketType::STREAM, None).and_then(|socket| bind(&socket, &address)).is_ok()
}

/// An address that nobody listens on. It is below the ports that the kernel gives to connections
/// (`ip_local_port_range`), so none of them takes it before the server does.
fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..1000 {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 12_000 + (std::process::id() as u16).wrapping_mul(31).wrapping_add(offset) % 20_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free")
}

/// The sockets that listen on this port, in the words of a link in /proc/PID/fd.
#[cfg(target_os = "linux")]
fn listening_inodes(port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let port = format!(":{port:04X}");
    // A server that speaks IPv6 too is in the second table, and without IPv6 there is none.
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let mut inodes = Vec::new();
    for line in tables.iter().flat_map(|table| table.lines()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [_, local, _, LISTEN, _, _, _, _, _, inode, ..] = fields[..] {
            if local.ends_with(&port) {
                inodes.push(format!("socket:[{inode}]"));
            }
        }
    }
    inodes
}

/// A field of /proc/PID/stat, counted from 1 as in proc(5). The name of the program, the second, may hold
/// blanks.
#[cfg(target_os = "linux")]
fn stat_field(pid: Pid, number: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(number - 3).map(str::to_owned)
}

/// The first lines of a stream. All of it is read, so that its writer never waits.
fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        let mut wanted = true;
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            wanted = wanted && sender.send(String::from_utf8_lossy(&line).trim().to_owned()).is_ok();
        }
    });
    lines
}
