//! The log, which must not stop the chat: a thread that logs formats the line and puts it into the
//! [queue](super::line_queue) of each destination.
//!
//! Two locks are held for a moment each: that of the paces, and that of simplelog while it formats a line. No
//! thread waits for a disk or a terminal meanwhile, because behind them there are only the queues. The one
//! exception is the flush at the end of the program, which waits up to two seconds for each destination. The
//! dispatcher has ended by then.

use super::clock;
use super::line_queue::LineQueue;
use super::terminal::InForeground;
use crate::chat::TALK;
use crate::guard::pace::Bucket;
use log::{Level, LevelFilter, Log, Metadata, Record, error, warn};
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use simplelog::{CombinedLogger, ConfigBuilder, SharedLogger, ThreadLogMode, WriteLogger};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Instant;
use std::{env, mem, panic};

/// How a line begins: `2026-11-24 09:02:12+01:00 `.
const STAMP: &str = "%F %T%:z ";

/// How many lines of one part of the program may come: a second, and at once. A classroom may come in at
/// once; a warning that repeats itself says nothing new.
const INFOS: (u32, u32) = (5, 200);
const WARNINGS: (u32, u32) = (1, 5);

/// The mode of a new log file: people's talk is for their operator alone.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Starts logging to stderr, and at the end of `file` too if there is one.
///
/// # Errors
/// The file cannot be opened, or a thread cannot be started.
pub fn start(level: LevelFilter, file: Option<&Path>) -> io::Result<()> {
    let mut config = ConfigBuilder::new();
    config
        .set_time_level(LevelFilter::Off) // `Destination` writes it.
        .set_target_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Trace)
        .set_thread_mode(ThreadLogMode::Names)
        .set_location_level(LevelFilter::Off);
    let config = config.build();

    // An empty NO_COLOR is none (no-color.org).
    let is_plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    let colours = io::stderr().is_terminal() && !is_plain;
    let logger = |queue, colours| -> Box<dyn SharedLogger> {
        WriteLogger::new(level, config.clone(), Destination { line: Vec::new(), colours, queue })
    };
    let mut loggers =
        vec![logger(LineQueue::start("log-stderr", InForeground(io::stderr()), |_| {})?, colours)];
    if let Some(path) = file {
        loggers.push(logger(log_file(path)?, false));
    }
    let paced = Paced { logger: CombinedLogger::new(loggers), paces: Mutex::default() };
    log::set_boxed_logger(Box::new(paced)).map_err(io::Error::other)?;
    log::set_max_level(level);

    // A panic is reported in the same way, not by a direct write to stderr, which might
    // wait. A report is one line.
    panic::set_hook(Box::new(|panic| error!("{}", panic.to_string().replace('\n', " "))));
    Ok(())
}

/// Lines of each part of the program that come faster than a person reads are counted and not listed, so that
/// strangers cannot fill a disk by coming and going. Talk and new names are listed whatever their pace, for
/// the room has one.
struct Paced {
    logger: Box<CombinedLogger>,
    /// By the level and the target of a line, which is the part of the program: how fast, and how many lines
    /// were left out.
    paces: Mutex<HashMap<(Level, String), (Bucket, u64)>>,
}

impl Log for Paced {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        let (rate, burst) = match record.level() {
            Level::Warn => WARNINGS,
            Level::Info if record.target() != TALK => INFOS,
            _ => return self.logger.log(record),
        };
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut paces = self.paces.lock();
        let part = (record.level(), record.target().to_owned());
        let (pace, left_out) = paces.entry(part).or_insert_with(|| (Bucket::new(rate, burst), 0));
        if !pace.take_now(1, Instant::now()) {
            *left_out += 1;
            return;
        }
        let left_out = mem::take(left_out);
        drop(paces);
        if left_out == 0 {
            return self.logger.log(record);
        }
        let args = format_args!("{} ({left_out} other lines like this are left out)", record.args());
        self.logger.log(&Record::builder().metadata(record.metadata().clone()).args(args).build());
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

/// A queue to the file. The other log says when the file cannot be written, and when it can again.
fn log_file(path: &Path) -> io::Result<LineQueue> {
    let file = open(path);
    let path = path.display().to_string();
    let file = file.map_err(|error| {
        io::Error::other(format!("cannot log to {path}: {error}; choose another --log-file"))
    })?;
    LineQueue::start("log-file", file, move |failure| match failure {
        Some(error) => error!("the log file {path} cannot be written: {error}; lines for it are lost"),
        None => warn!("the log file {path} is written again; it says how many lines are lost"),
    })
}

/// Opens a file, or whatever is there, without waiting: a FIFO that nobody reads yet is opened for reading
/// too, and a device need not be ready. Writing may wait again; the queue's thread does that.
fn open(path: &Path) -> io::Result<File> {
    let is_fifo = fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    let access = if is_fifo { OFlags::RDWR } else { OFlags::WRONLY };
    let flags = OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, access | flags, MODE)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file.into())
}

/// Collects the pieces of a line that simplelog writes, and puts the time in front.
struct Destination {
    line: Vec<u8>,
    /// Whether the level is coloured.
    colours: bool,
    queue: LineQueue,
}

impl Write for Destination {
    /// Never waits and never fails. A line goes out when its line break has been written.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.line.is_empty() {
            self.line = clock::now().strftime(STAMP).to_string().into_bytes();
        }
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
    let coloured = colours.iter().find(|(level, _)| text.split(' ').nth(2) == Some(level));
    let Some((level, colour)) = coloured else { return line };
    text.replacen(level, &format!("\x1b[{colour}m{level}\x1b[0m"), 1).into_bytes()
}
