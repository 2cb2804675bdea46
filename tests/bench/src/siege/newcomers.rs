//! People who come in during the attack, twenty a second, each from an address of its own: how long each
//! waits for its welcome, and how many never get one.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::place::{Family, Part};

/// The time between two of them. A visit is short: chat-server announces nobody who says nothing for a
/// quarter of a second.
const BETWEEN: Duration = Duration::from_millis(50);

/// How long one of them waits beyond the end of the attack.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Welcomes {
    /// Sorted: how long each waited who was welcomed.
    pub waits: Vec<Duration>,
    /// How many came and were refused, or never welcomed.
    pub unwelcome: usize,
}

pub fn come_until(family: Family, server: SocketAddr, end: Instant) -> Result<Welcomes> {
    thread::scope(|scope| {
        let mut visits = Vec::new();
        let mut due = Instant::now();
        while due < end {
            let number = visits.len();
            visits.push(scope.spawn(move || visit(family, server, number, end + PATIENCE)));
            due += BETWEEN;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let mut welcomes = Welcomes::default();
        for visit in visits {
            match visit.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))? {
                Some(wait) => welcomes.waits.push(wait),
                None => welcomes.unwelcome += 1,
            }
        }
        welcomes.waits.sort_unstable();
        Ok(welcomes)
    })
}

/// Comes in and waits for the last line of the welcome, the one with the count.
fn visit(family: Family, server: SocketAddr, number: usize, patience: Instant) -> Result<Option<Duration>> {
    let start = Instant::now();
    let mut socket = family.connect(Part::Newcomer, number, server, None)?;
    socket.set_nonblocking(false)?;
    let (mut text, mut buffer) = (Vec::<u8>::new(), [0; 16 * 1024]);
    loop {
        let left = patience.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => text.extend(&buffer[..count]),
            // While the connection is being made, a read waits for it no longer than for anything else.
            Err(error) if error.kind() == ErrorKind::NotConnected => thread::yield_now(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return Ok(None),
        }
        if text.windows(6).any(|part| part == b" here:") {
            return Ok(Some(start.elapsed()));
        }
    }
}
