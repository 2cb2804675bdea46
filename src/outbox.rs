//! The write half of one client's socket, with the bytes that the kernel has not accepted yet.
//!
//! Only the dispatcher touches an [`Outbox`], or a thread to which it lends some for one flush, and none of
//! them waits: with `MSG_DONTWAIT`, `send(2)` takes what fits into the kernel's buffer, and the rest stays
//! here. The socket itself remains a blocking one, because the client's thread waits in `read` on it; both
//! share one descriptor.
//!
//! A failed write ends writing only. The client may have said something before its connection broke, and its
//! thread has perhaps not read it yet; so the outbox throws everything away from then on, and the client
//! leaves when its thread has come to the end.

use crate::guard::limits::check_headroom;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::Arc;

/// How much memory a large backlog grows by.
const STEP: usize = 16 * 1024;

/// The lines on their way to one client.
///
/// ```text
/// public, in this turn:   <bob> one ⏎ <bob> two ⏎ <carol> three ⏎
/// alice was served:       ^ nothing yet: all of it is sent to her from there, in one call
/// bob, who asked for /help after his two lines:   ^ up to here, and it waits in his outbox
///                         with the help after it; what follows is added when the turn ends
/// ```
///
/// Most lines are for everyone. The dispatcher keeps those of one turn once, in one buffer that all outboxes
/// read from (`public`), and an outbox copies from it only the bytes that it cannot send at once, or that
/// stand before a line for this client alone. `served` says how far into that buffer this client has got its
/// lines, so that lines for it alone get their place between the others.
#[derive(Debug)]
pub(crate) struct Outbox {
    socket: Arc<TcpStream>,
    waiting: VecDeque<u8>,
    served: usize,
    /// Why nothing can reach this client any more.
    failure: Option<Errno>,
}

impl Outbox {
    /// The outbox of a client that gets everything said after `public`.
    pub(crate) fn new(socket: Arc<TcpStream>, public: &[u8]) -> Outbox {
        Outbox { socket, waiting: VecDeque::new(), served: public.len(), failure: None }
    }

    /// Adds lines to this client alone, which follow all of `public`.
    pub(crate) fn add(&mut self, public: &[u8], lines: &str) {
        self.catch_up(public);
        self.keep(lines.as_bytes());
    }

    /// Takes over all of `public` that this client has not got.
    pub(crate) fn catch_up(&mut self, public: &[u8]) {
        self.keep(public.get(self.served..).unwrap_or_default());
        self.served = public.len();
    }

    /// Passes over the end of `public`: a line for everyone else.
    pub(crate) fn skip(&mut self, public: &[u8]) {
        self.served = public.len();
    }

    /// Sends as much as the kernel accepts now, at best all of `public` in one system call, and keeps the
    /// rest. After this, `public` must start afresh.
    pub(crate) fn flush(&mut self, public: &[u8]) {
        if let Err(error) = self.try_flush(public) {
            self.fail(error);
        }
        self.served = 0;
    }

    fn try_flush(&mut self, public: &[u8]) -> Result<(), Errno> {
        if self.failure.is_some() {
            return Ok(());
        }
        if self.waiting.is_empty() {
            let news = public.get(self.served..).unwrap_or_default();
            let taken = if news.is_empty() { 0 } else { self.offer(news)? };
            self.keep(&news[taken..]);
        } else {
            self.catch_up(public);
            while !self.waiting.is_empty() {
                let (front, _) = self.waiting.as_slices();
                let (offered, taken) = (front.len(), self.offer(front)?);
                self.waiting.drain(..taken);
                if taken < offered {
                    break;
                }
            }
            if self.waiting.is_empty() {
                // Otherwise thousands of idle clients would each keep memory for their largest backlog.
                self.waiting = VecDeque::new();
            }
        }
        Ok(())
    }

    /// Nothing can reach this client any more. The first reason counts.
    fn fail(&mut self, error: Errno) {
        self.failure.get_or_insert(error);
        if error != Errno::NOMEM {
            self.waiting = VecDeque::new(); // It tells how much waited where there was no memory for more.
        }
    }

    /// Memory grows in steps, not by doubling, so that a client costs what the limit of its backlog says. A
    /// large backlog leaves memory for everything else: only here can one client be given up in place of the
    /// program.
    fn keep(&mut self, bytes: &[u8]) {
        let more = bytes.len().max(STEP.min(self.waiting.len()));
        if self.waiting.capacity() - self.waiting.len() < bytes.len() {
            let has_room = more < STEP || check_headroom().is_ok();
            if !has_room || self.waiting.try_reserve_exact(more).is_err() {
                self.fail(Errno::NOMEM);
            }
        }
        if self.failure.is_none() {
            self.waiting.extend(bytes);
        }
    }

    /// Why nothing reaches this client any more: its connection is broken, or there was no memory for what
    /// should wait (`NOMEM`).
    pub(crate) fn failure(&self) -> Option<Errno> {
        self.failure
    }

    /// How many bytes are kept here. Public lines of this turn count from when they were copied here.
    pub(crate) fn backlog(&self) -> usize {
        self.waiting.len()
    }

    /// The client's socket.
    pub(crate) fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    /// One `send(2)`: how many of the bytes the kernel took, 0 when its buffer is full.
    fn offer(&self, bytes: &[u8]) -> Result<usize, Errno> {
        loop {
            // No SIGPIPE to think about: Rust programs ignore it from the start.
            match send(&self.socket, bytes, SendFlags::DONTWAIT) {
                Ok(taken) => return Ok(taken),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN | Errno::NOBUFS) => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{Shutdown, TcpListener};

    /// An outbox and the far end of its socket.
    fn connected() -> (Outbox, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        (Outbox::new(Arc::new(near), b""), far)
    }

    fn received(outbox: Outbox, mut far: TcpStream) -> String {
        outbox.socket().shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        far.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn own_lines_keep_their_place_between_public_ones() {
        let (mut outbox, far) = connected();
        outbox.add(b"one\n", "mine\n");
        outbox.catch_up(b"one\ntwo\n");
        outbox.skip(b"one\ntwo\nnot for me\n");
        outbox.flush(b"one\ntwo\nnot for me\nthree\n");
        outbox.flush(b"four\n");
        assert_eq!(received(outbox, far), "one\nmine\ntwo\nthree\nfour\n");
    }

    #[test]
    fn a_newcomer_does_not_get_what_was_said_before() {
        let (outbox, far) = connected();
        let mut outbox = Outbox::new(outbox.socket, b"old\n");
        outbox.flush(b"old\nnew\n");
        assert_eq!(received(outbox, far), "new\n");
    }

    #[test]
    fn a_full_socket_takes_nothing_and_loses_nothing() {
        let (mut outbox, mut far) = connected();
        let mut written = String::new();
        for turn in 0.. {
            let line = format!("{turn} {}\n", "x".repeat(10_000));
            outbox.flush(line.as_bytes());
            written += &line;
            if outbox.backlog() > 100_000 {
                break;
            }
        }
        let (full, backlog) = (written.len(), outbox.backlog());
        outbox.flush(b"");
        assert_eq!(outbox.backlog(), backlog, "a full socket takes no more");

        outbox.add(b"", "the end\n");
        written += "the end\n";
        let mut read = vec![0; full + "the end\n".len()];
        let reader = std::thread::spawn(move || far.read_exact(&mut read).map(|()| read));
        while outbox.backlog() > 0 {
            outbox.flush(b"");
            std::thread::yield_now();
        }
        assert!(reader.join().unwrap().unwrap() == written.as_bytes());
    }

    #[test]
    fn once_a_write_has_failed_everything_is_thrown_away() {
        let (mut outbox, far) = connected();
        drop(far);
        let broken = std::iter::from_fn(|| {
            outbox.flush(b"hello?\n");
            Some(outbox.failure())
        });
        assert!(matches!(broken.flatten().next(), Some(Errno::PIPE | Errno::CONNRESET)));
        outbox.add(b"one\n", "mine\n");
        outbox.flush(b"one\n");
        assert_eq!(outbox.backlog(), 0);
    }
}
