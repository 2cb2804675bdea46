//! Writing lines to a place that may block for ever, from a thread that must not wait.
//!
//! A terminal stopped with Ctrl-S, a pipe that nobody reads or a disk that hangs makes `write(2)` wait. So a
//! [`LineQueue`] only takes whole lines, and a thread of its own writes them and may wait as long as it
//! likes. When the queue is full, lines are lost, and when it moves again a line says how many.

use crossbeam_channel::{Sender, bounded};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// How many lines, and how many bytes, may wait for one destination.
const MAX_LINES: usize = 4096;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How long [`LineQueue::flush`] waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Puts whole lines into a queue, for a thread that writes them.
#[derive(Debug)]
pub(crate) struct LineQueue {
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
    /// A queue to `destination`, and a thread of this name that writes to it. The thread calls `changed` with
    /// the error when it can write no more, and with none when it can again.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(
        thread: &str,
        mut destination: impl Write + Send + 'static,
        changed: impl Fn(Option<&io::Error>) + Send + 'static,
    ) -> io::Result<LineQueue> {
        let (queue, entries) = bounded(MAX_LINES);
        let counts = Arc::<Counts>::default();
        let queue = LineQueue { queue, counts: counts.clone() };
        let write = move || {
            let mut is_failing = false;
            for entry in entries {
                let Entry::Line(mut line) = entry else { continue };
                counts.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                let lost = counts.lost_lines.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let start = if is_failing { "\n" } else { "" }; // It may have been half a line.
                    let said = format!("{start}[{lost} lines could not be written here and are lost]\n");
                    line.splice(0..0, said.into_bytes());
                }
                // A full disk or a closed pipe: the line is lost, and the next one may find things better.
                let written = destination.write_all(&line).and_then(|()| destination.flush());
                if written.is_err() {
                    counts.lost_lines.fetch_add(lost + 1, Ordering::Relaxed);
                }
                if written.is_err() != is_failing {
                    is_failing = written.is_err();
                    changed(written.as_ref().err());
                }
            }
        };
        thread::Builder::new().name(thread.to_owned()).spawn(write)?;
        Ok(queue)
    }

    /// Takes one line, with its line break. Never waits and never fails.
    pub(crate) fn enqueue(&self, line: Vec<u8>) {
        let length = line.len();
        let waiting = self.counts.waiting_bytes.fetch_add(length, Ordering::Relaxed);
        if waiting > MAX_BYTES || self.queue.try_send(Entry::Line(line)).is_err() {
            self.counts.waiting_bytes.fetch_sub(length, Ordering::Relaxed);
            self.counts.lost_lines.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all is written, but not for ever. This is for the end of the program.
    pub(crate) fn flush(&self) {
        let (done, written) = bounded(0);
        if self.queue.send_timeout(Entry::Flush(done), LAST_LINES).is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::Receiver;
    use std::sync::atomic::AtomicBool;

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
        let queue = LineQueue::start("terminal", Terminal { tokens, screen }, |_| {}).unwrap();
        let megabyte = format!("{}\n", "x".repeat(1 << 20));
        for _ in 0..20 {
            queue.enqueue(megabyte.clone().into_bytes());
        }
        (0..40).for_each(|_| go_on.send(()).unwrap());
        queue.flush();
        queue.enqueue(b"after\n".to_vec());
        queue.flush();
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

    /// A disk that is full until there is space.
    struct Disk {
        has_space: Arc<AtomicBool>,
        file: Sender<Vec<u8>>,
    }

    impl Write for Disk {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            if !self.has_space.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.file.send(text.to_vec()).map_err(io::Error::other)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_told_once_and_so_is_its_end() {
        let has_space = Arc::new(AtomicBool::new(true));
        let (file, written) = crossbeam_channel::unbounded();
        let (changes, changed) = crossbeam_channel::unbounded();
        let disk = Disk { has_space: has_space.clone(), file };
        let tell = move |error: Option<&io::Error>| changes.send(error.map(io::Error::kind)).unwrap();
        let queue = LineQueue::start("disk", disk, tell).unwrap();
        for (space, line) in
            [(true, "one\n"), (false, "two\n"), (false, "three\n"), (true, "four\n"), (true, "five\n")]
        {
            has_space.store(space, Ordering::SeqCst);
            queue.enqueue(line.into());
            queue.flush();
        }
        assert_eq!(changed.try_iter().collect::<Vec<_>>(), [Some(io::ErrorKind::StorageFull), None]);
        let text = written.try_iter().flatten().collect::<Vec<_>>();
        let expected = "one\n\n[2 lines could not be written here and are lost]\nfour\nfive\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
