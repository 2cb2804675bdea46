//! How the dispatcher says goodbye.

use super::{Dispatcher, SHORTEST_PAUSE};
use crate::chat::{ClientId, room::Recipients};
use crate::ending::Ending;
use crate::event::Event;
use crate::operator::console::Console;
use crossbeam_channel::Receiver;
use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

const GOODBYE: &str = "The server is shutting down. Goodbye!";

impl Dispatcher {
    /// Says goodbye to everyone, waits until all have got their last lines, but no longer than the grace
    /// time, and then closes what is still open.
    pub(super) fn shut_down(mut self, events: &Receiver<Event>) {
        let present: Vec<ClientId> = self.audience.present().map(|client| client.id).collect();
        self.deliver([(Recipients::Everyone, format!("*** {GOODBYE}"))]);
        for id in present {
            self.part(id, Ending::Shutdown);
        }
        self.flush();
        let deadline = Instant::now().checked_add(self.config.grace); // None: for ever.
        while !self.audience.is_empty() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            drain(events, SHORTEST_PAUSE);
            self.flush();
        }
        self.console.iter().for_each(Console::finish);
        self.audience.close_all();
        drop(self); // This ends the credit of every client that is left: its thread stops waiting.
        events.iter().for_each(come_too_late); // Until the acceptor and every client's thread have ended.
    }
}

/// Waits for a while, or until the acceptor and every client's thread have ended.
fn drain(events: &Receiver<Event>, wait: Duration) {
    let deadline = Instant::now() + wait;
    while let Ok(event) = events.recv_deadline(deadline) {
        come_too_late(event);
    }
}

/// Lines that come after the goodbye reach nobody. A client that comes this late gets its own goodbye.
fn come_too_late(event: Event) {
    if let Event::Joined { socket, .. } = event {
        let _ = writeln!(&*socket, "*** {GOODBYE}"); // Its buffer is empty, so this does not wait.
        let _ = socket.shutdown(Shutdown::Both);
    }
}
