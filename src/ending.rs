//! How a connection ends, once: the kinds of endings, and for each of them what happens.
//!
//! | ending | the log says | the others see | the client still gets | closes first | a reset |
//! |---|---|---|---|---|---|
//! | [`Quit`](Ending::Quit) | it quit | `*** alice left`, with her last words behind it; she sees it too | what waits for it, `Press Enter …` | we | in the end |
//! | [`Closed`](Ending::Closed), end of file | it closed the connection | `*** alice left` | what waits for it | the client | no |
//! | [`Failed`](Ending::Failed), a reset or a dead network | the connection broke | `*** alice left`, or `(connection lost)` | nothing can reach it | – | – |
//! | [`TooSlow`](Ending::TooSlow) | it was too slow | `*** alice left (too slow: …)` | nothing more | we | now |
//! | [`Kicked`](Ending::Kicked) | it was kicked | `*** alice left (sent away)`, with the reason | what waits for it, a sentence, `Press Enter …` | we | in the end |
//! | [`Foreign`](Ending::Foreign) | it speaks HTTP | `*** guest7 left`, if it was announced | what waits for it, a sentence | we | in the end |
//! | [`Refused`](Ending::Refused), never let in | refused | nothing | a sentence | we | no |
//! | [`Shutdown`](Ending::Shutdown) | the server stops | the goodbye | what waits for it, with the goodbye; `Press Enter …` | we | in the end |
//! | [`Panicked`](Ending::Panicked) | a bug ended its thread | `*** alice left (an error in the server)` | what waits for it | we | in the end |
//!
//! A connection has two halves: what the client sends, its input, and what we send. A byte that arrives
//! after we have ended the client's input makes our kernel answer with a reset, and a reset destroys
//! everything that the client has not got yet (RFC 9293, 3.10.7; RFC 1122, 4.2.2.13). So the order matters.
//! Where a client still gets something,
//!
//! 1. the dispatcher sends what waits for it, and then closes our half;
//! 2. when that [has arrived](has_arrived), or after [`PATIENCE`], it ends the client's input as well, which
//!    wakes the client's thread if that still waits in `read`, and drops its half of the
//!    [credit](crate::credit): done. A thread that does not wait in `read` hears of it there. Lines that come
//!    after the ending are ignored;
//! 3. the thread [lingers](linger): it gives the client a second to close its own half, and then closes the
//!    connection.
//!
//! "A reset in the end" means: in that last step, if the client has not closed its half, and only when its
//! kernel has acknowledged everything. OpenBSD's `nc`, the default of Debian and Ubuntu, does not end when
//! the server closes its half; it waits for its user to press Enter. It does end at a reset. "Now" means that
//! all of this is skipped: the thread closes the connection at once, with a reset. A refused client has no
//! thread, and [`TurnedAway`](crate::guard::turned_away::TurnedAway) closes its connection.

use crate::chat::{Problem, room::Farewell};
use crate::credit::{Credit, Done};
use crate::guard::{admission::Refusal, foreign::Foreign, sock_diag::has_acknowledged_everything};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_socket_linger, socket_linger};
use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a client may take to get its last lines, but for the shutdown, which has its grace time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client then has to close its own half. On a LAN that takes a few milliseconds.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// How often a thread looks whether the client has closed its half, when `read` does not wait any more.
const POLL: Duration = Duration::from_millis(10);

/// How many bytes of a last word, or of the operator's reason, the others see.
const MAX_LAST_WORDS: usize = 200;

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The client said so, perhaps with last words.
    Quit(Option<Arc<str>>),
    /// The client closed its half: end of file.
    Closed,
    /// The connection broke.
    Failed(io::Error),
    /// It is no chat client at all.
    Foreign(Foreign),
    /// More bytes waited for it than may wait (so many), or than there is memory for.
    TooSlow(usize),
    /// The operator sent it away, perhaps with a reason.
    Kicked(Option<Arc<str>>),
    /// It was not let in. The log may know more than the client is told.
    Refused { told: Refusal, cause: Option<io::Error> },
    /// The server stops.
    Shutdown,
    /// Its thread panicked. That is a bug, and must not harm the others.
    Panicked,
}

/// What happens at one kind of ending: a row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// The reason in the log.
    pub(crate) log: String,
    pub(crate) farewell: Farewell,
    /// A problem that the client is told about last.
    pub(crate) problem: Option<Problem>,
    pub(crate) close: Close,
}

/// How our side closes the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// When the last lines have been sent.
    AfterLastLines,
    /// The same, and the very last line tells its user how to get the shell's prompt back.
    AfterHint,
    /// Now, with a reset.
    AtOnce,
}

impl Ending {
    /// What happens.
    pub(crate) fn row(self) -> Row {
        use Close::{AfterHint, AfterLastLines, AtOnce};
        use Farewell::{Everyone, Nobody, Others};
        let others = |reason: &str| Others(Some(reason.to_owned()));
        let problem = match &self {
            Ending::Foreign(foreign) => Some(foreign.sentence()),
            Ending::Kicked(None) => Some("You have been sent away by the operator.".to_owned()),
            Ending::Kicked(Some(why)) => Some(format!("You have been sent away by the operator: {why}")),
            Ending::Refused { told, .. } => Some(format!("Sorry, {told}.")),
            _ => None,
        };
        let (log, farewell, close) = match self {
            Ending::Quit(None) => ("it quit".to_owned(), Everyone(None), AfterHint),
            Ending::Quit(Some(words)) => {
                (format!("it quit ({words})"), Everyone(Some(quoted(&words))), AfterHint)
            }
            Ending::Closed => ("it closed the connection".to_owned(), Others(None), AfterLastLines),
            Ending::Failed(error) if is_reset(&error) => (broke(&error), Others(None), AtOnce),
            Ending::Failed(error) => (broke(&error), others("connection lost"), AtOnce),
            Ending::Foreign(foreign) => (format!("it speaks {foreign}"), Others(None), AfterLastLines),
            Ending::TooSlow(backlog) => {
                let log = format!("it was too slow, {backlog} bytes were waiting for it");
                (log, others("too slow: too much was waiting to be read"), AtOnce)
            }
            Ending::Kicked(None) => ("it was kicked".to_owned(), others("sent away"), AfterHint),
            Ending::Kicked(Some(why)) => {
                (format!("it was kicked ({why})"), others(&format!("sent away: {}", quoted(&why))), AfterHint)
            }
            Ending::Refused { told, cause } => {
                (cause.map_or(told.to_owned(), |cause| cause.to_string()), Nobody, AfterLastLines)
            }
            Ending::Shutdown => ("the server stops".to_owned(), Nobody, AfterHint),
            Ending::Panicked => {
                ("a bug ended its thread".to_owned(), others("an error in the server"), AfterLastLines)
            }
        };
        Row { log, farewell, problem, close }
    }
}

fn broke(error: &io::Error) -> String {
    format!("the connection broke ({error})")
}

/// A reset comes from a program that ended before it had read all; another error, from the network.
fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), ConnectionReset | BrokenPipe | NotConnected)
}

/// A person's own words, in quotation marks and cut: last words must not pass for a reason of the server's.
fn quoted(words: &str) -> String {
    let end = (0..=MAX_LAST_WORDS).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
    format!("\"{}\"", words.get(..end).unwrap_or(words).trim_end().replace('"', "'"))
}

impl From<io::Error> for Ending {
    fn from(error: io::Error) -> Ending {
        error.downcast().map_or_else(Ending::Failed, Ending::Foreign)
    }
}

/// The dispatcher is done with the client already, for a reason of its own, so nobody reads this one.
impl From<Done> for Ending {
    fn from(Done: Done) -> Ending {
        Ending::Shutdown
    }
}

/// The end of a client's thread, in two waits: until the dispatcher is done with the client, and then for a
/// second, while the client may close its half. Then ends both halves; the thread closes the socket.
///
/// In the second wait the rest of the input is thrown away, because to close a socket with unread input sends
/// a reset too.
#[inline(never)] // Otherwise the buffer would take stack from each client's thread for all its life.
pub(crate) fn linger(mut socket: &TcpStream, credit: Credit) {
    credit.wait_until_done();
    if matches!(socket_linger(socket), Ok(Some(Duration::ZERO))) {
        return; // The dispatcher has decided that it gets nothing more: to close it sends a reset.
    }
    let _ = socket.set_read_timeout(Some(LINGER));
    let until = Instant::now() + LINGER;
    let mut thrown_away = [0; 1024];
    while Instant::now() < until && !is_over(socket) {
        if !matches!(socket.read(&mut thrown_away), Ok(1..)) {
            thread::sleep(POLL);
        }
    }
    if has_acknowledged_everything(socket) {
        let _ = set_socket_linger(socket, Some(Duration::ZERO)); // To close it now sends a reset.
    }
    let _ = socket.shutdown(Shutdown::Both);
}

/// Whether nothing is left that could be lost: after our half was closed, the client's kernel has
/// acknowledged all bytes and our end of file, or there is no connection any more. Where the system cannot
/// tell, nothing has arrived.
pub(crate) fn has_arrived(socket: &TcpStream) -> bool {
    is_over(socket) || has_acknowledged_everything(socket)
}

/// Whether the connection is closed on both sides, or broken: then it has no peer any more (getpeername(2)).
pub(crate) fn is_over(socket: &TcpStream) -> bool {
    socket.peer_addr().is_err()
}

/// Whether the client has ended its input, as far as the kernel knows.
pub(crate) fn has_ended_its_input(socket: &TcpStream) -> bool {
    #[cfg(target_os = "linux")]
    const ENDED: PollFlags = PollFlags::RDHUP;
    #[cfg(not(target_os = "linux"))]
    const ENDED: PollFlags = PollFlags::HUP;
    let mut sockets = [PollFd::new(socket, ENDED)];
    poll(&mut sockets, Some(&Timespec::default())).is_ok() && !sockets[0].revents().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Write};
    use std::net::TcpListener;

    /// Only on Linux the kernel can be asked whether all has arrived.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_client_that_does_not_close_gets_its_last_lines_and_then_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut near, _) = listener.accept().unwrap();
        near.write_all(b"the last line\n").unwrap();
        assert!(!has_arrived(&near), "our half is still open");
        near.shutdown(Shutdown::Write).unwrap();
        let (creditor, credit) = crate::credit::open(crossbeam_channel::bounded(1));
        drop(creditor);
        linger(&near, credit);
        drop(near);
        let mut seen = String::new();
        far.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, "the last line\n");
        let broken = (0..).find_map(|_| far.write_all(b"\n").err()).unwrap();
        assert!(matches!(broken.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{broken}");
    }

    #[test]
    fn a_client_that_is_still_reading_gets_no_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(more) = near.write(&[b'x'; 1 << 16]) {
            written += more; // More than the two kernels' buffers hold.
        }
        near.set_nonblocking(false).unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        let (creditor, credit) = crate::credit::open(crossbeam_channel::bounded(1));
        drop(creditor);
        linger(&near, credit);
        drop(near);
        assert_eq!(far.read_to_end(&mut Vec::new()).unwrap(), written);
    }

    #[test]
    fn a_connection_that_is_closed_on_both_sides_is_over() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        assert!(!is_over(&near) && !has_ended_its_input(&near));
        far.shutdown(Shutdown::Write).unwrap();
        while !has_ended_its_input(&near) {
            thread::yield_now();
        }
        assert!(!is_over(&near), "it still reads");
        near.shutdown(Shutdown::Write).unwrap();
        while !is_over(&near) {
            thread::yield_now();
        }
    }

    #[test]
    fn the_others_are_told_why_and_a_persons_words_are_quoted() {
        let others = |reason: &str| Farewell::Others(Some(reason.to_owned()));
        let everyone = |reason: &str| Farewell::Everyone(Some(reason.to_owned()));
        let long = "x".repeat(300);
        for (ending, log, farewell, close) in [
            (Ending::Quit(None), "it quit", Farewell::Everyone(None), Close::AfterHint),
            (
                Ending::Quit(Some("\"bye\"".into())),
                "it quit (\"bye\")",
                everyone("\"'bye'\""),
                Close::AfterHint,
            ),
            (
                Ending::Quit(Some(long.into())),
                "it quit (xxx",
                everyone(&format!("\"{}\"", "x".repeat(200))),
                Close::AfterHint,
            ),
            (Ending::Closed, "it closed the connection", Farewell::Others(None), Close::AfterLastLines),
            (
                Ending::Failed(ErrorKind::ConnectionReset.into()),
                "the connection broke (",
                Farewell::Others(None),
                Close::AtOnce,
            ),
            (
                Ending::Failed(ErrorKind::TimedOut.into()),
                "the connection broke (",
                others("connection lost"),
                Close::AtOnce,
            ),
            (
                Ending::TooSlow(7),
                "it was too slow, 7 bytes",
                others("too slow: too much was waiting to be read"),
                Close::AtOnce,
            ),
            (Ending::Kicked(None), "it was kicked", others("sent away"), Close::AfterHint),
            (
                Ending::Kicked(Some("no".into())),
                "it was kicked (no)",
                others("sent away: \"no\""),
                Close::AfterHint,
            ),
            (Ending::Refused { told: "no", cause: None }, "no", Farewell::Nobody, Close::AfterLastLines),
            (Ending::Shutdown, "the server stops", Farewell::Nobody, Close::AfterHint),
            (
                Ending::Panicked,
                "a bug ended its thread",
                others("an error in the server"),
                Close::AfterLastLines,
            ),
        ] {
            let row = ending.row();
            assert!(row.log.starts_with(log), "{row:?}");
            assert_eq!((&row.farewell, &row.close), (&farewell, &close), "{row:?}");
        }
    }
}
