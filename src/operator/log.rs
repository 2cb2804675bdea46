//! The log, which must not stop the chat: a thread that logs formats the line and puts it into the
//! [queue](super::line_queue) of each destination.
//!
//! The logger of simplelog has a lock of its own, which the thread holds while it formats. No thread waits for a disk or a
//! terminal while it holds that lock, because behind it there are only the queues.

use super::line_queue::LineQueue;
use log::{LevelFilter, error, warn};
use simplelog::{CombinedLogger, ConfigBuilder, SharedLogger, ThreadLogMode, ThreadPadding, WriteLogger};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::{mem, panic};
use time::macros::format_description;

/// The mode of a new log file: people's talk is for their operator alone.
const MODE: u32 = 0o600;

/// Starts logging to stderr, and at the end of `file` too if there is one.
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
        .set_thread_level(LevelFilter::Trace)
        .set_thread_mode(ThreadLogMode::Names)
        .set_thread_padding(ThreadPadding::Off)
        .set_location_level(LevelFilter::Off);
    // The offset from UTC stays what it is now, and every line has it. Without a known time zone it is +00:00.
    let _ = config.set_time_offset_to_local();
    let config = config.build();

    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut loggers: Vec<Box<dyn SharedLogger>> = Vec::new();
    let mut add = |queue, colours| {
        let destination = Destination { line: Vec::new(), colours, queue };
        loggers.push(WriteLogger::new(level, config.clone(), destination));
    };
    add(LineQueue::start("log-stderr", io::stderr(), |_| {})?, colours);
    if let Some(path) = file {
        add(log_file(path)?, false);
    }
    CombinedLogger::init(loggers).map_err(io::Error::other)?;

    // A panic is reported in the same way, not by a direct write to stderr, which might wait.
    panic::set_hook(Box::new(|panic| error!("{panic}")));
    Ok(())
}

/// A queue to the file. The other log says when the file cannot be written, and when it can again.
fn log_file(path: &Path) -> io::Result<LineQueue> {
    let file = OpenOptions::new().create(true).append(true).mode(MODE).open(path)?;
    let path = PathBuf::from(path);
    LineQueue::start("log-file", file, move |failure| match failure {
        Some(error) => {
            error!("the log file {} cannot be written: {error}; lines for it are lost", path.display())
        }
        None => warn!("the log file {} is written again; it says how many lines are lost", path.display()),
    })
}

/// Waits until all log lines are written, but for a second or two at most.
pub fn finish() {
    log::logger().flush();
}

/// Collects the pieces of a line that simplelog writes.
struct Destination {
    line: Vec<u8>,
    /// Whether the level is coloured.
    colours: bool,
    queue: LineQueue,
}

impl Write for Destination {
    /// Never waits and never fails. A line goes out when its line break has been written.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(piece);
        if self.line.ends_with(b"\n") {
            let line = mem::take(&mut self.line);
            self.queue.enqueue(if self.colours { paint(line) } else { line });
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.queue.flush();
        Ok(())
    }
}

/// Colours the level, the first word in brackets: `[WARN]`.
fn paint(line: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&line);
    let colours = [("[ERROR]", 31), ("[WARN]", 33), ("[INFO]", 32), ("[DEBUG]", 36), ("[TRACE]", 35)];
    match colours.iter().find(|(level, _)| text.split(' ').nth(2) == Some(level)) {
        Some((level, colour)) => {
            text.replacen(level, &format!("\x1b[{colour}m{level}\x1b[0m"), 1).into_bytes()
        }
        None => line,
    }
}
