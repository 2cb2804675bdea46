//! People who come in during the attack, one after the other: how long each waits for its welcome.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::place;

/// The time between the end of one visit and the next. A visit is short: chat-server announces nobody who
/// says nothing for a quarter of a second.
const BETWEEN: Duration = Duration::from_millis(200);

/// How long one of them waits beyond the end of the attack.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub struct Welcomes {
    /// Sorted. For one that was not welcomed, the time that it waited.
    pub waits: Vec<Duration>,
    /// How many came and were not welcomed.
    pub unwelcome: usize,
}

pub fn come_until(address: SocketAddr, end: Instant) -> Result<Welcomes> {
    let mut welcomes = Welcomes::default();
    for number in 0.. {
        if Instant::now() >= end {
            break;
        }
        let start = Instant::now();
        let is_welcome = visit(address, number, end + PATIENCE)?;
        welcomes.waits.push(start.elapsed());
        welcomes.unwelcome += usize::from(!is_welcome);
        thread::sleep(BETWEEN.min(end.saturating_duration_since(Instant::now())));
    }
    welcomes.waits.sort_unstable();
    Ok(welcomes)
}

/// Comes in and waits for the last line of the welcome, the one with the count.
fn visit(address: SocketAddr, number: usize, patience: Instant) -> Result<bool> {
    let mut socket = place::connect(place::newcomer(number), address, None)?;
    socket.set_nonblocking(false)?;
    let (mut text, mut buffer) = (Vec::<u8>::new(), [0; 16 * 1024]);
    loop {
        let left = patience.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => text.extend(&buffer[..count]),
            // While the connection is being made, a read waits for it no longer than for anything else.
            Err(error) if error.kind() == ErrorKind::NotConnected => thread::yield_now(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return Ok(false),
        }
        if text.windows(6).any(|part| part == b" here:") {
            return Ok(true);
        }
    }
}
