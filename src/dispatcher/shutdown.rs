//! How the dispatcher says goodbye.

use super::{Dispatcher, SHORTEST_PAUSE};
use crate::chat::{ClientId, room::Recipients};
use crate::ending::{Ending, LINGER};
use crate::event::Event;
use crate::operator::console::Console;
use crossbeam_channel::Receiver;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
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
        let mut late = Vec::new();
        while !self.audience.is_empty() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            late.extend(drain(events, SHORTEST_PAUSE));
            self.flush();
        }
        self.console.iter().for_each(Console::finish);
        self.audience.close_all();
        drop(self); // This ends the credit of every client that is left: its thread stops waiting.

        // Those who came too late have a moment to read their goodbye before their input ends.
        late.extend(drain(events, Duration::ZERO));
        if !late.is_empty() {
            late.extend(drain(events, LINGER));
        }
        for socket in late.into_iter().chain(events.iter().filter_map(come_too_late)) {
            let _ = socket.shutdown(Shutdown::Both);
        } // Until the acceptor and every client's thread have ended.
    }
}

/// Waits for a while, or until the acceptor and every client's thread have ended. Returns who came too late.
fn drain(events: &Receiver<Event>, wait: Duration) -> Vec<Arc<TcpStream>> {
    let deadline = Instant::now() + wait;
    std::iter::from_fn(|| events.recv_deadline(deadline).ok()).filter_map(come_too_late).collect()
}

/// Lines that come after the goodbye reach nobody. A client that comes this late gets its own goodbye.
fn come_too_late(event: Event) -> Option<Arc<TcpStream>> {
    let Event::Joined { socket, .. } = event else { return None };
    let _ = writeln!(&*socket, "*** {GOODBYE}"); // Its buffer is empty, so this does not wait.
    let _ = socket.shutdown(Shutdown::Write);
    Some(socket)
}
