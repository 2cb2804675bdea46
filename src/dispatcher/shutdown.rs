//! How the dispatcher says goodbye.

use super::{Dispatcher, SHORTEST_PAUSE};
use crate::chat::{reply::Reply, room::Recipients};
use crate::event::{Departure, Event};
use crate::guard::parting::LINGER;
use crate::operator::console::Console;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

const GOODBYE: &str = "The server is shutting down. Goodbye!";

impl Dispatcher {
    /// Says goodbye to everyone, waits until all have got their last lines, but no longer than the grace time, and then
    /// closes what is still open.
    pub(super) fn shut_down(mut self, events: &Receiver<Event>) {
        let sockets = self.audience.sockets();
        self.deliver([Recipients::Everyone.gets(Reply::Notice(GOODBYE.to_owned()))]);
        for id in self.audience.present().map(|connection| connection.id).collect::<Vec<_>>() {
            self.leave(id, &Departure::Shutdown);
            self.dismiss(id, &Departure::Shutdown);
        }
        self.flush();
        let deadline = Instant::now().checked_add(self.config.grace); // None: for ever.
        while !self.audience.is_empty() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            if drain_until_ended(events, SHORTEST_PAUSE) {
                break;
            }
            self.flush();
        }
        self.console.iter().for_each(Console::finish);
        drop(self); // This ends the channel of every client that is left: its thread stops waiting.

        // Clients that keep up have everything and see the end of the conversation. Most now hang up. We end the input of
        // the rest, and their threads part with them.
        if !drain_until_ended(events, LINGER / 2) {
            for socket in sockets {
                let _ = socket.shutdown(Shutdown::Read);
            }
            while !drain_until_ended(events, LINGER) {}
        }
    }
}

/// Waits for a while, or until the acceptor and every client's thread have ended. Returns whether they have.
///
/// Lines that come after the goodbye reach nobody. A client that comes this late gets its own goodbye.
fn drain_until_ended(events: &Receiver<Event>, wait: Duration) -> bool {
    let deadline = Instant::now() + wait;
    loop {
        match events.recv_deadline(deadline) {
            Ok(Event::Joined { socket, .. }) => {
                let _ = writeln!(&*socket, "*** {GOODBYE}"); // Its buffer is empty, so this does not wait.
                let _ = socket.shutdown(Shutdown::Both);
            }
            Ok(_) => {}
            Err(error) => return error == RecvTimeoutError::Disconnected,
        }
    }
}
