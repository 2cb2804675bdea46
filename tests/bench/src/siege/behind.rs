//! An attacker that asks for lists and reads so slowly that much is always waiting for it, but never so much
//! that it is cut off.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::attackers::read_once;

/// How much they want to be waiting for them, in bytes, of which the kernels' buffers hold a good part; the
/// answers that they ask for at once; the time between two questions; and how fast they read. Of 320, 384,
/// 448 and 512 KiB, 448 held chat-server up most without being cut off, when its room still waited for them.
const BEHIND: usize = 448 * 1024;
const AT_ONCE: usize = 199;
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(50);
const PACE: f64 = 50.0 * 1024.0;

/// The receive buffer that goes with it.
pub const BUFFER: usize = 4 * 1024;

/// How long they wait for the first answer, to know how large one is.
const FIRST_ANSWER: Duration = Duration::from_millis(200);

#[derive(Default)]
pub struct Behind {
    asked: usize,
    asked_at: Option<Instant>,
    /// What it had received before its first question.
    welcome: usize,
    /// How large one answer is, once that is known.
    answer: usize,
    allowance: f64,
}

impl Behind {
    /// Reads as slowly as it wants to. An error is the end.
    pub fn read(
        &mut self,
        socket: &mut TcpStream,
        elapsed: Duration,
        buffer: &mut [u8],
    ) -> Result<usize, ()> {
        // It reads the first answer at once, to know how large they are.
        let pace = if self.answer == 0 { 1e6 } else { PACE };
        self.allowance = (self.allowance + pace * elapsed.as_secs_f64()).min(pace / 10.0);
        let most = (self.allowance as usize).min(buffer.len());
        let count = if most == 0 { 0 } else { read_once(socket, &mut buffer[..most])? };
        self.allowance -= count as f64;
        Ok(count)
    }

    /// Asks for as many lists as it dares, and says how many bytes that took.
    pub fn ask(&mut self, socket: &mut TcpStream, received: usize) -> u64 {
        const QUESTION: &[u8] = b"/list\n";
        let since = self.asked_at.map(|at| at.elapsed());
        let questions = match since {
            None if received == 0 => 0,
            None => {
                self.welcome = received;
                1
            }
            Some(since) if self.answer == 0 => {
                if since < FIRST_ANSWER || received == self.welcome {
                    return 0;
                }
                self.answer = received - self.welcome;
                (BEHIND / self.answer).min(AT_ONCE)
            }
            Some(since) => {
                let waiting = (self.asked * self.answer).saturating_sub(received);
                usize::from(since >= BETWEEN_QUESTIONS && waiting < BEHIND)
            }
        };
        if questions == 0 {
            return 0;
        }
        self.asked += questions;
        self.asked_at = Some(Instant::now());
        // So few bytes fit into the kernel's buffer; a connection that is gone is noticed by the next read.
        socket.write(&QUESTION.repeat(questions)).unwrap_or(0) as u64
    }
}
