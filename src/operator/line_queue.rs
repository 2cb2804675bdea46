//! Writing lines to a place that may block for ever, from a thread that must not wait.
//!
//! A terminal stopped with Ctrl-S, a pipe that nobody reads or a disk that hangs makes `write(2)` wait. So a
//! [`LineQueue`] only takes whole lines, and a thread of its own writes them and may wait as long as it likes. When the
//! queue is full, lines are lost, and when it moves again a line says how many.

use crossbeam_channel::{Receiver, Sender, bounded};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{mem, thread};

/// How many lines, and how many bytes, may wait for one destination.
const MAX_LINES: usize = 4096;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How long [`LineQueue::flush`] waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Puts whole lines into a queue, for a thread that writes them.
#[derive(Debug)]
pub(crate) struct LineQueue {
    line: Vec<u8>,
    queue: Sender<Entry>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// All before this has been written when the sender is dropped.
    Flush(#[allow(dead_code, reason = "dropping it is the message")] Sender<()>),
}

/// Counters that the two ends of a queue share. They only decide which lines are lost.
#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    lost_lines: AtomicUsize,
}

impl LineQueue {
    /// A queue to `destination`, and a thread of this name that writes to it. `paint` has the last word on each line.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(
        thread: &str,
        destination: impl Write + Send + 'static,
        paint: fn(Vec<u8>) -> Vec<u8>,
    ) -> io::Result<LineQueue> {
        let (queue, lines) = bounded(MAX_LINES);
        let counts = Arc::<Counts>::default();
        let writer = Writer { destination, paint, counts: counts.clone() };
        thread::Builder::new().name(thread.to_owned()).spawn(move || writer.run(&lines))?;
        Ok(LineQueue { line: Vec::new(), queue, counts })
    }

    fn enqueue(&self, line: Vec<u8>) {
        let length = line.len();
        let waiting = self.counts.waiting_bytes.fetch_add(length, Ordering::Relaxed);
        if waiting > MAX_BYTES || self.queue.try_send(Entry::Line(line)).is_err() {
            self.counts.waiting_bytes.fetch_sub(length, Ordering::Relaxed);
            self.counts.lost_lines.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Write for LineQueue {
    /// Never waits and never fails. A line goes out when its line break has been written.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(piece);
        if self.line.ends_with(b"\n") {
            let line = mem::take(&mut self.line);
            self.enqueue(line);
        }
        Ok(piece.len())
    }

    /// Waits until all is written, but not for ever. This is for the end of the program.
    fn flush(&mut self) -> io::Result<()> {
        let (done, written) = bounded(0);
        if self.queue.send_timeout(Entry::Flush(done), LAST_LINES).is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
        Ok(())
    }
}

/// The thread behind a [`LineQueue`].
struct Writer<W> {
    destination: W,
    paint: fn(Vec<u8>) -> Vec<u8>,
    counts: Arc<Counts>,
}

impl<W: Write> Writer<W> {
    fn run(mut self, entries: &Receiver<Entry>) {
        for entry in entries {
            let Entry::Line(line) = entry else { continue };
            self.counts.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            let lost = self.counts.lost_lines.swap(0, Ordering::Relaxed);
            // A full disk or a closed pipe: the line is lost, and the next one may find things better.
            if self.write(lost, line).is_err() {
                self.counts.lost_lines.fetch_add(lost + 1, Ordering::Relaxed);
            }
        }
    }

    fn write(&mut self, lost: usize, line: Vec<u8>) -> io::Result<()> {
        if lost > 0 {
            writeln!(self.destination, "[{lost} lines could not be written here and are lost]")?;
        }
        self.destination.write_all(&(self.paint)(line))?;
        self.destination.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal that can be stopped: it shows a line for each token that it gets.
    struct Terminal {
        tokens: Receiver<()>,
        screen: Sender<String>,
    }

    impl Write for Terminal {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.tokens.recv().map_err(io::Error::other)?;
            self.screen.send(String::from_utf8_lossy(text).into_owned()).map_err(io::Error::other)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stopped_terminal_costs_lines_but_no_time_and_says_so_when_it_goes_on() {
        let (go_on, tokens) = crossbeam_channel::unbounded();
        let (screen, shown) = crossbeam_channel::unbounded();
        let mut queue = LineQueue::start("terminal", Terminal { tokens, screen }, |line| line).unwrap();
        let megabyte = format!("{}\n", "x".repeat(1 << 20));
        for _ in 0..20 {
            queue.write_all(megabyte.as_bytes()).unwrap();
        }
        (0..40).for_each(|_| go_on.send(()).unwrap());
        queue.flush().unwrap();
        queue.write_all(b"after\n").unwrap();
        queue.flush().unwrap();
        let all: String = shown.try_iter().collect();
        let whole = all.matches(&megabyte).count();
        assert!((4..=6).contains(&whole), "{whole} of 20 megabytes were kept");
        // Some may have been lost before the first was taken out, and others after: each time is said.
        let rest = all.replace(&megabyte, "");
        let said =
            rest.lines().filter_map(|line| line.strip_prefix('[')?.split(' ').next()?.parse::<usize>().ok());
        assert_eq!(said.sum::<usize>(), 20 - whole, "{rest}");
        assert!(rest.ends_with("\nafter\n"), "{rest}");
    }
}
