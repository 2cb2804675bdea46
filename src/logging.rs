//! The log, which must not stop the chat.
//!
//! Writing to a terminal that was stopped with Ctrl-S, to a pipe that nobody reads or to a disk that hangs can take
//! for ever. So whoever logs only formats the line and puts it into a queue; for each destination a thread of its
//! own takes lines out and may wait as long as it likes. When a queue is full, lines are lost, and when it moves
//! again a line says how many.

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{LevelFilter, error};
use simplelog::{CombinedLogger, ConfigBuilder, SharedLogger, WriteLogger};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{mem, panic, thread};
use time::macros::format_description;

/// How many lines, and how many bytes, may wait for one destination.
const MAX_LINES: usize = 4096;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How long the end of the program waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Starts logging to stderr, and to `file` too if there is one, which is appended to.
///
/// Must be called before any other thread exists: only then can the time zone be asked for safely.
///
/// # Errors
/// The file cannot be opened, or a thread cannot be started.
pub fn start(level: LevelFilter, file: Option<&Path>) -> io::Result<()> {
    let mut config = ConfigBuilder::new();
    config
        .set_time_format_custom(format_description!(
            "[year]-[month]-[day] [hour]:[minute]:[second][offset_hour sign:mandatory]:[offset_minute]"
        ))
        .set_target_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off);
    // Without a known time zone the log is in UTC; every line says so (+00:00).
    let _ = config.set_time_offset_to_local();
    let config = config.build();

    let file = file
        .map(|path| OpenOptions::new().create(true).append(true).open(path))
        .transpose()?;
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut loggers: Vec<Box<dyn SharedLogger>> = Vec::new();
    let mut add = |queue| loggers.push(WriteLogger::new(level, config.clone(), queue));
    add(LineQueue::start("log-stderr", io::stderr(), colours)?);
    if let Some(file) = file {
        add(LineQueue::start("log-file", file, false)?);
    }
    CombinedLogger::init(loggers).map_err(io::Error::other)?;

    // A panic is reported by the same way, not by a direct write to stderr, which might wait.
    panic::set_hook(Box::new(|panic| error!("{panic}")));
    Ok(())
}

/// Waits until what was logged is written, but not for ever.
pub fn finish() {
    log::logger().flush();
}

/// Puts whole lines into a queue, for a thread that writes them.
struct LineQueue {
    line: Vec<u8>,
    queue: Sender<Entry>,
    counts: Arc<Counts>,
}

enum Entry {
    Line(Vec<u8>),
    /// All before this has been written when the sender is dropped.
    Flush(#[allow(dead_code, reason = "dropping it is the message")] Sender<()>),
}

/// What the two ends of a queue know of each other. Nothing is decided by these but what is logged.
#[derive(Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    lost_lines: AtomicUsize,
}

impl LineQueue {
    fn start(
        thread: &str,
        destination: impl Write + Send + 'static,
        colours: bool,
    ) -> io::Result<LineQueue> {
        let (queue, lines) = bounded(MAX_LINES);
        let counts = Arc::<Counts>::default();
        let writer = Writer {
            destination,
            colours,
            counts: counts.clone(),
        };
        thread::Builder::new()
            .name(thread.to_owned())
            .spawn(move || writer.run(&lines))?;
        Ok(LineQueue {
            line: Vec::new(),
            queue,
            counts,
        })
    }

    fn enqueue(&self, line: Vec<u8>) {
        let length = line.len();
        let waiting = self
            .counts
            .waiting_bytes
            .fetch_add(length, Ordering::Relaxed);
        if waiting > MAX_BYTES || self.queue.try_send(Entry::Line(line)).is_err() {
            self.counts
                .waiting_bytes
                .fetch_sub(length, Ordering::Relaxed);
            self.counts.lost_lines.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Write for LineQueue {
    /// Never waits and never fails. The logger writes a line in several pieces and ends it with a line break.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(piece);
        if self.line.ends_with(b"\n") {
            let line = mem::take(&mut self.line);
            self.enqueue(line);
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let (done, written) = bounded(0);
        if self
            .queue
            .send_timeout(Entry::Flush(done), LAST_LINES)
            .is_ok()
        {
            let _ = written.recv_timeout(LAST_LINES);
        }
        Ok(())
    }
}

/// The thread behind a [`LineQueue`].
struct Writer<W> {
    destination: W,
    colours: bool,
    counts: Arc<Counts>,
}

impl<W: Write> Writer<W> {
    fn run(mut self, entries: &Receiver<Entry>) {
        for entry in entries {
            let Entry::Line(line) = entry else { continue };
            self.counts
                .waiting_bytes
                .fetch_sub(line.len(), Ordering::Relaxed);
            let lost = self.counts.lost_lines.swap(0, Ordering::Relaxed);
            // A full disk or a closed pipe: the line is lost, and the next one may find things better.
            if self.write(lost, &line).is_err() {
                self.counts
                    .lost_lines
                    .fetch_add(lost + 1, Ordering::Relaxed);
            }
        }
    }

    fn write(&mut self, lost: usize, line: &[u8]) -> io::Result<()> {
        if lost > 0 {
            writeln!(
                self.destination,
                "[{lost} log lines could not be written and are lost]"
            )?;
        }
        if self.colours {
            self.destination.write_all(&paint(line))
        } else {
            self.destination.write_all(line)
        }
    }
}

/// Colours the level, the first word in brackets: `[WARN]`.
fn paint(line: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    for (level, colour) in [
        ("[ERROR]", "31"),
        ("[WARN]", "33"),
        ("[INFO]", "32"),
        ("[DEBUG]", "36"),
        ("[TRACE]", "35"),
    ] {
        if text.split(' ').nth(2) == Some(level) {
            return text
                .replacen(level, &format!("\x1b[{colour}m{level}\x1b[0m"), 1)
                .into_bytes();
        }
    }
    text.into_owned().into_bytes()
}
