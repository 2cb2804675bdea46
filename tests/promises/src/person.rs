//! A person at a client: says lines, and sees lines. The checks are written in these words.
//!
//! A person reads only when a check asks it to, so no thread is needed, and a person who is not asked is a
//! reader who has stopped. Nothing here waits for a fixed time: a person waits for what must come, up to a
//! deadline that a busy machine does not reach.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use crate::outcome::{Finding, broken};
use crate::text::author;
use crate::transcript::Transcript;

/// `--timeout`.
pub static TIMEOUT: OnceLock<Duration> = OnceLock::new();

/// How long a person waits for the next line that must come.
pub fn patience() -> Duration {
    TIMEOUT.get().copied().unwrap_or(Duration::from_secs(10))
}

/// How often the line may be another one, and the waiting begins again: a bound for one that floods its
/// reader.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The lines that a report of a failure may quote.
const QUOTED: usize = 2;

/// Between two packets. Nothing tells when the server has read the first one.
pub const BETWEEN_PACKETS: Duration = Duration::from_millis(20);

pub struct Person {
    /// This person's name in the checks.
    pub label: String,
    notes: Transcript,
    /// Whether each of its lines must be a packet of its own, or the server would take several for one.
    pub sends_packets: bool,
    last_sent: Option<Instant>,
    /// Its name in the room; the label where there are no names.
    pub name: String,
    /// The lines that came before its own first one.
    pub welcome: Vec<String>,
    reader: BufReader<TcpStream>,
    lines_read: Arc<AtomicUsize>,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    recent: VecDeque<String>,
}

/// The result of reading.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Line(String),
    /// The server has closed the connection, or reset it.
    End,
    /// Nothing came in time.
    Nothing,
}

impl Person {
    pub fn connect(name: &str, address: SocketAddr, notes: &Transcript) -> Result<Person, Finding> {
        let label = notes.introduces(name);
        notes.notes(&label, '$', &format!("nc {} {}", address.ip(), address.port()));
        match TcpStream::connect_timeout(&address, patience()) {
            Ok(socket) => Ok(Person::at(socket, &label, notes)),
            Err(error) => broken!("{label} cannot connect: {error}"),
        }
    }

    /// A person at a connection that is there already.
    pub fn at(socket: TcpStream, label: &str, notes: &Transcript) -> Person {
        // Both fail only on a connection that has ended, which the next call reports.
        let _ = socket.set_nodelay(true);
        let _ = socket.set_write_timeout(Some(patience()));
        Person {
            label: label.to_owned(),
            notes: notes.clone(),
            sends_packets: false,
            last_sent: None,
            name: label.to_owned(),
            welcome: Vec::new(),
            reader: BufReader::with_capacity(1 << 16, socket),
            lines_read: Arc::default(),
            partial: Vec::new(),
            recent: VecDeque::new(),
        }
    }

    pub fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub fn says(&mut self, line: &str) -> Result<(), Finding> {
        self.says_lines(&format!("{line}\n"))
    }

    /// The name under which this person's text stands in the line: its own, its address, or what is in that
    /// place.
    pub fn author_in(&self, line: &str, text: &str) -> String {
        author(line, text, &[&self.name, &self.address()])
    }

    /// As some servers call it.
    pub fn address(&self) -> String {
        self.socket().local_addr().map_or(String::new(), |address| address.to_string())
    }

    /// Says several lines at once, or one after the other where the server takes each packet for a line.
    pub fn says_lines(&mut self, lines: &str) -> Result<(), Finding> {
        if !self.sends_packets {
            return self.sends(lines.as_bytes());
        }
        lines.split_inclusive('\n').try_for_each(|line| {
            let rest = self.last_sent.and_then(|last| BETWEEN_PACKETS.checked_sub(last.elapsed()));
            thread::sleep(rest.unwrap_or_default());
            self.sends(line.as_bytes())
        })
    }

    /// Sends all of it at once, whatever the server makes of it.
    pub fn sends(&mut self, bytes: &[u8]) -> Result<(), Finding> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.notes.notes(&self.label, '>', String::from_utf8_lossy(line).trim_end_matches('\n'));
        }
        let sent = self.socket().write_all(bytes);
        self.last_sent = Some(Instant::now());
        sent.map_err(|error| Finding::Broken(format!("{} cannot send: {}", self.label, plain(&error))))
    }

    /// Types end of file: no more from this person, who goes on reading.
    pub fn ends_input(&mut self) {
        self.notes.notes(&self.label, '>', "^D");
        // It fails only if the connection has ended.
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Goes away with nothing unread: some servers do not bear a reset.
    pub fn leaves_in_order(mut self) {
        self.ends_input();
        self.reads_to_the_end(Duration::from_millis(500));
    }

    /// Closes the connection, with what it has got unread.
    pub fn hangs_up(self) {
        self.notes.notes(&self.label, '$', "(closes the connection)");
    }

    /// Is gone at once, with a reset in place of an orderly end.
    pub fn vanishes(self) {
        self.resets_when_dropped();
    }

    /// Will be gone with a reset, and all that is on its way thrown away.
    pub fn resets_when_dropped(&self) {
        self.notes.notes(&self.label, '$', "(vanishes, with a reset)");
        // It fails only on a connection that has ended.
        let _ = sockopt::set_socket_linger(self.socket(), Some(Duration::ZERO));
    }

    /// The next line, if one comes before the deadline.
    pub fn next_line(&mut self, deadline: Instant) -> Next {
        loop {
            if self.reader.buffer().is_empty() {
                let left = deadline.saturating_duration_since(Instant::now());
                // No timeout at all would be an error.
                let _ = self.socket().set_read_timeout(Some(left.max(Duration::from_millis(1))));
            }
            let bytes = match self.reader.fill_buf() {
                Ok([]) => return self.end(),
                Ok(bytes) => bytes,
                Err(error) if is_timeout(&error) && Instant::now() < deadline => continue,
                Err(error) if is_timeout(&error) => return Next::Nothing,
                Err(_reset) => return self.end(),
            };
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(bytes.len(), |end| end + 1);
            self.partial.extend_from_slice(&bytes[..taken]);
            self.reader.consume(taken);
            if end.is_some() {
                return Next::Line(self.take_line());
            }
        }
    }

    /// The same connection, for another thread.
    pub fn handle(&self) -> Result<TcpStream, Finding> {
        self.socket().try_clone().map_err(|error| Finding::NotRun(error.to_string()))
    }

    /// How many lines this person has read, for those who wait for that.
    pub fn lines_read(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.lines_read)
    }

    /// What has come since the last line break.
    pub fn prompt(&self) -> String {
        shortened(&String::from_utf8_lossy(&self.partial))
    }

    /// At the end, a last line without a line break is a line too.
    fn end(&mut self) -> Next {
        if !self.partial.is_empty() {
            return Next::Line(self.take_line());
        }
        self.notes.notes(&self.label, '$', "(the connection has ended)");
        Next::End
    }

    fn take_line(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.partial).trim_end_matches(['\r', '\n']).to_owned();
        self.partial.clear();
        self.lines_read.fetch_add(1, Ordering::Relaxed);
        self.notes.notes(&self.label, ':', &line);
        if self.recent.len() == QUOTED {
            self.recent.pop_front();
        }
        self.recent.push_back(shortened(&line));
        line
    }

    /// Reads on up to and including a line that contains `text`; returns all lines read.
    pub fn reads_until(&mut self, text: &str) -> Result<Vec<String>, Finding> {
        self.reads_until_one(&format!("{text:?}"), |line| line.contains(text))
    }

    /// Reads on up to a line for which `wanted` holds. Each line that comes renews the patience.
    pub fn reads_until_one(
        &mut self,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Finding> {
        let start = Instant::now();
        let mut lines = Vec::new();
        while start.elapsed() < LONGEST_WAIT {
            match self.next_line(Instant::now() + patience()) {
                Next::Line(line) => {
                    let found = wanted(&line);
                    lines.push(line);
                    if found {
                        return Ok(lines);
                    }
                }
                Next::End => {
                    return broken!("{}'s connection ended before {what}{}", self.label, self.quote());
                }
                Next::Nothing => break,
            }
        }
        self.notes.notes(&self.label, ':', "(nothing more)");
        broken!("{} did not see {what} within {} s{}", self.label, start.elapsed().as_secs(), self.quote())
    }

    /// Reads on until each of these texts has been seen; returns all lines read.
    pub fn reads_until_all(&mut self, texts: &[String]) -> Result<Vec<String>, Finding> {
        let mut missing: Vec<&String> = texts.iter().collect();
        let mut lines = Vec::new();
        while !missing.is_empty() {
            let what = format!("{} of {} lines", missing.len(), texts.len());
            let is_missing = |line: &str| missing.iter().any(|text| line.contains(text.as_str()));
            lines.append(&mut self.reads_until_one(&what, is_missing)?);
            let line = lines.last().expect("the line that was waited for is the last");
            missing.retain(|text| !line.contains(text.as_str()));
        }
        Ok(lines)
    }

    /// Reads on up to the line that contains `text`, and returns that line.
    pub fn sees(&mut self, text: &str) -> Result<String, Finding> {
        Ok(self.reads_until(text)?.pop().expect("the line that was waited for is the last"))
    }

    /// Whether a line that contains `text` comes within this time.
    pub fn sees_within(&mut self, text: &str, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            match self.next_line(deadline) {
                Next::Line(line) if line.contains(text) => return true,
                Next::Line(_) if Instant::now() < deadline => (),
                _ => return false,
            }
        }
    }

    /// Reads for this time, and returns what came.
    pub fn reads_for(&mut self, time: Duration) -> Vec<String> {
        let deadline = Instant::now() + time;
        let mut lines = Vec::new();
        while let Next::Line(line) = self.next_line(deadline) {
            lines.push(line);
            if Instant::now() >= deadline {
                break;
            }
        }
        lines
    }

    /// Reads on to the end of the connection. The flag says whether it came within `patience` of the last
    /// line.
    pub fn reads_to_the_end(&mut self, patience: Duration) -> (Vec<String>, bool) {
        let start = Instant::now();
        let mut lines = Vec::new();
        while start.elapsed() < LONGEST_WAIT {
            match self.next_line(Instant::now() + patience) {
                Next::Line(line) => lines.push(line),
                Next::End => return (lines, true),
                Next::Nothing => break,
            }
        }
        (lines, false)
    }

    /// The last lines on this screen, as the end of a sentence.
    fn quote(&self) -> String {
        if self.recent.is_empty() {
            return "; the screen stayed empty".to_owned();
        }
        let lines: Vec<&str> = self.recent.iter().map(String::as_str).collect();
        format!("; the last lines were: {}", lines.join(" | "))
    }
}

/// The error without the number that the system adds.
pub fn plain(error: &io::Error) -> String {
    if is_timeout(error) { "the server takes no more".to_owned() } else { error.to_string() }
}

pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// A line as a report can show it: printable, and not too long.
pub fn shortened(line: &str) -> String {
    const MOST: usize = 60;
    let mut text: String = line.chars().take(MOST).flat_map(char::escape_debug).collect();
    if line.chars().nth(MOST).is_some() {
        text.push('…');
    }
    text
}
