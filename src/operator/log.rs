//! The log, which must not stop the chat: a thread that logs formats the line and puts it into the
//! [queue](super::line_queue) of each destination. It takes no lock and waits for no disk and no terminal.

use super::line_queue::LineQueue;
use jiff::ZonedDateTime;
use log::{Level, LevelFilter, Log, Metadata, Record, error};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{panic, thread};

/// The mode of a new log file: people's talk is for their operator alone.
const MODE: u32 = 0o600;

/// Where log lines go.
struct Logger {
    stderr: Arc<LineQueue>,
    /// Whether the terminal shows colours.
    colours: bool,
    file: Option<LineQueue>,
}

/// Starts logging to stderr, and at the end of `file` too if there is one.
///
/// # Errors
/// The file cannot be opened, or a thread cannot be started.
pub fn start(level: LevelFilter, file: Option<&Path>) -> io::Result<()> {
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let stderr = Arc::new(LineQueue::start("log-stderr", io::stderr(), |_| {})?);
    let file = file.map(|path| log_file(path, stderr.clone())).transpose()?;
    log::set_boxed_logger(Box::new(Logger { stderr, colours, file })).map_err(io::Error::other)?;
    log::set_max_level(level);

    // A panic is reported in the same way, not by a direct write to stderr, which might wait.
    panic::set_hook(Box::new(|panic| error!("{panic}")));
    Ok(())
}

/// A queue to the file. That it cannot be written, and that it can again, is said on stderr at every log level.
fn log_file(path: &Path, stderr: Arc<LineQueue>) -> io::Result<LineQueue> {
    let file = OpenOptions::new().create(true).append(true).mode(MODE).open(path)?;
    let path = PathBuf::from(path);
    LineQueue::start("log-file", file, move |failure| {
        let (level, news) = match failure {
            Some(error) => (Level::Error, format!("cannot be written: {error}; lines for it are lost")),
            None => (Level::Warn, "is written again; it says how many lines are lost".to_owned()),
        };
        stderr.enqueue(line(&now(), level, false, &format!("the log file {} {news}", path.display())));
    })
}

/// Waits until all log lines are written, but for a second or two at most.
pub fn finish() {
    log::logger().flush();
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut text = record.args().to_string();
        if record.level() == Level::Trace {
            text = format!("({}) {text}", thread::current().name().unwrap_or("?"));
        }
        let now = now();
        self.stderr.enqueue(line(&now, record.level(), self.colours, &text));
        self.file.iter().for_each(|file| file.enqueue(line(&now, record.level(), false, &text)));
    }

    fn flush(&self) {
        self.stderr.flush();
        self.file.iter().for_each(LineQueue::flush);
    }
}

/// One line: the time, the level, the text.
fn line(now: &str, level: Level, coloured: bool, text: &str) -> Vec<u8> {
    let colour = match level {
        _ if !coloured => return format!("{now} [{level}] {text}\n").into_bytes(),
        Level::Error => 31,
        Level::Warn => 33,
        Level::Info => 32,
        Level::Debug => 36,
        Level::Trace => 35,
    };
    format!("{now} \x1b[{colour}m[{level}]\x1b[0m {text}\n").into_bytes()
}

/// The time by the same clock as in the chat, with its offset from UTC. Both follow daylight saving time.
fn now() -> String {
    ZonedDateTime::now().strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
}
