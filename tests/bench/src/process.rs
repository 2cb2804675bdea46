//! The server under test: a process of its own, started on loopback, read through /proc (see proc(5)), and
//! killed when it goes out of scope, in every case.
//!
//! A peer is always started as `chat-bench peer …`, which asks the kernel to be killed when the bench dies
//! and then becomes the server (`peer.rs`). So even a bench that is killed outright leaves nothing running.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::peer::Peer;

/// A JVM that compiles its program first takes seconds on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    pub address: SocketAddr,
    process: Child,
    /// The server's stderr, shown if it does not start.
    log: PathBuf,
}

/// Nanoseconds on a CPU, by thread.
pub struct CpuTimes(HashMap<String, u64>);

impl Server {
    /// Starts a server without limits on its clients, and waits until it listens. `ours` is the path
    /// of chat-server's binary.
    pub fn start(peer: Peer, ours: &Path) -> Result<Self> {
        Self::start_with(peer, ours, Ipv4Addr::LOCALHOST.into(), &[])
    }

    /// Starts a server as people run it: chat-server with its default flags, listening on this address.
    pub fn start_as_shipped(peer: Peer, ours: &Path, listen: IpAddr) -> Result<Self> {
        Self::start_with(peer, ours, listen, &["--as-shipped", &listen.to_string()])
    }

    fn start_with(peer: Peer, ours: &Path, listen: IpAddr, flags: &[&str]) -> Result<Self> {
        // Not every server can be told to take any free port and say which, so it is found beforehand.
        let address = TcpListener::bind((listen, 0))?.local_addr()?;
        let log = std::env::temp_dir().join(format!("chat-bench-{}.log", address.port()));
        let process = Command::new(std::env::current_exe()?)
            .arg("peer")
            .arg(peer.to_string())
            .args(["--port", &address.port().to_string()])
            .args(flags)
            .arg("--server")
            .arg(ours)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).context("cannot create a log for the server")?)
            .spawn()?;
        let mut server = Self { address, process, log };
        let start = Instant::now();
        while !is_listening(address.port())? {
            if let Some(status) = server.process.try_wait()? {
                let said = fs::read_to_string(&server.log)?;
                bail!("{peer} ended at its start with {status}:\n{said}");
            }
            if start.elapsed() > START_PATIENCE {
                bail!("{peer} does not listen after {START_PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// From schedstat, which counts nanoseconds. The ticks of /proc/PID/stat are ten milliseconds, more than
    /// all that a good server uses in a second of steady load.
    pub fn cpu(&self) -> Result<CpuTimes> {
        let times = self.for_each_thread("schedstat", |text| text.split(' ').next()?.parse().ok())?;
        Ok(CpuTimes(times))
    }

    pub fn threads(&self) -> Result<usize> {
        Ok(self.for_each_thread("comm", |_| Some(0))?.len())
    }

    /// The same without those that flush a large room: once started, they stay.
    pub fn threads_that_must_end(&self) -> Result<u64> {
        let counts = self.for_each_thread("comm", |name| Some(u64::from(!name.starts_with("flush-"))))?;
        Ok(counts.values().sum())
    }

    /// How often any thread has gone to sleep, and hence been woken.
    pub fn voluntary_switches(&self) -> Result<u64> {
        let switches = self.for_each_thread("status", |text| field(text, "voluntary_ctxt_switches:"))?;
        Ok(switches.values().sum())
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        field(&status, "VmRSS:").context("/proc/PID/status has no VmRSS")
    }

    /// The most memory that was ever resident, in KiB.
    pub fn peak(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        field(&status, "VmHWM:").context("/proc/PID/status has no VmHWM")
    }

    /// How many bytes of log it has written.
    pub fn logged(&self) -> Result<u64> {
        Ok(fs::metadata(&self.log)?.len())
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.process.try_wait()?.is_none())
    }

    fn for_each_thread(
        &self,
        file: &str,
        read: impl Fn(&str) -> Option<u64>,
    ) -> Result<HashMap<String, u64>> {
        let mut values = HashMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let thread = thread?;
            // A thread may end between the listing and the reading.
            if let Ok(text) = fs::read_to_string(thread.path().join(file)) {
                let value =
                    read(&text).with_context(|| format!("cannot read /proc/PID/task/TID/{file}: {text}"))?;
                values.insert(thread.file_name().to_string_lossy().into_owned(), value);
            }
        }
        Ok(values)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.log);
    }
}

impl CpuTimes {
    /// The time that all threads used since `earlier`. Threads that ended in between are not seen; servers
    /// that start one per client end them when the clients leave, and no client leaves during a load.
    pub fn since(&self, earlier: &Self) -> Duration {
        let used = |(thread, now): (&String, &u64)| now.saturating_sub(*earlier.0.get(thread).unwrap_or(&0));
        Duration::from_nanos(self.0.iter().map(used).sum())
    }
}

/// Looks for a listener in the kernel's table. To try to connect would be simpler, but ncat quits when its
/// first client leaves at once, and a connection to a port that nobody listens on may get that port itself.
fn is_listening(port: u16) -> Result<bool> {
    const LISTEN: &str = "0A";
    let port = format!(":{port:04X}");
    // A server that speaks IPv6 too is in the second table, and without IPv6 there is none.
    let table =
        fs::read_to_string("/proc/net/tcp")? + &fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    Ok(table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|local| local.ends_with(&port)) && fields.nth(1) == Some(LISTEN)
    }))
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
