//! The log, which must not stop the chat: a thread that logs formats the line and puts it into the
//! [queue](super::line_queue) of each destination.
//!
//! The logger of simplelog has a lock of its own, which the thread holds while it formats. No thread waits for a disk or a
//! terminal while it holds that lock, because behind it there are only the queues.

use super::line_queue::LineQueue;
use log::{LevelFilter, error};
use simplelog::{CombinedLogger, ConfigBuilder, SharedLogger, ThreadLogMode, ThreadPadding, WriteLogger};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::panic;
use std::path::Path;
use time::macros::format_description;

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
    // Without a known time zone the log is in UTC; every line says so (+00:00).
    let _ = config.set_time_offset_to_local();
    let config = config.build();

    let file = file.map(|path| OpenOptions::new().create(true).append(true).open(path)).transpose()?;
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut loggers: Vec<Box<dyn SharedLogger>> = Vec::new();
    let mut add = |queue| loggers.push(WriteLogger::new(level, config.clone(), queue));
    add(LineQueue::start("log-stderr", io::stderr(), if colours { paint } else { |line| line })?);
    if let Some(file) = file {
        add(LineQueue::start("log-file", file, |line| line)?);
    }
    CombinedLogger::init(loggers).map_err(io::Error::other)?;

    // A panic is reported in the same way, not by a direct write to stderr, which might wait.
    panic::set_hook(Box::new(|panic| error!("{panic}")));
    Ok(())
}

/// Waits until all log lines are written, but for a second at most.
pub fn finish() {
    log::logger().flush();
}

/// Colours the level, the first word in brackets: `[WARN]`.
fn paint(line: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&line);
    for (level, colour) in
        [("[ERROR]", "31"), ("[WARN]", "33"), ("[INFO]", "32"), ("[DEBUG]", "36"), ("[TRACE]", "35")]
    {
        if text.split(' ').nth(2) == Some(level) {
            return text.replacen(level, &format!("\x1b[{colour}m{level}\x1b[0m"), 1).into_bytes();
        }
    }
    text.into_owned().into_bytes()
}
