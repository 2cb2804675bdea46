//! How the dispatcher takes leave of everyone.

use super::{CATCHING_UP, Dispatcher, now};
use crate::config::LINGER;
use crate::event::{Departure, Event};
use crate::outbox::Outbox;
use crate::protocol::reply::Reply;
use crate::room::{Delivery, Recipients};
use crossbeam_channel::{Receiver, after, at, select};
use std::io::Write;
use std::net::Shutdown;
use std::time::Instant;

impl Dispatcher {
    /// Takes leave of everyone, waits until all have got what they are owed, but no longer than the grace time, and
    /// then closes what is still open.
    pub(super) fn shut_down(&mut self, events: &Receiver<Event>) {
        let deadline = Instant::now() + self.grace;
        self.say_what_was_accepted(events, deadline);
        self.now = now();
        self.deliver([Delivery { to: Recipients::Everyone, reply: Reply::Goodbye }]);
        let sockets = self.audience.sockets();
        for id in self.arrivals.keys().copied().collect::<Vec<_>>() {
            self.leave(id, &Departure::Shutdown);
            self.audience.dismiss(id);
        }

        let grace = at(deadline);
        self.flush();
        let mut retry = self.retry_timer();
        while !self.audience.is_empty() {
            select! {
                recv(events) -> event => match event {
                    Ok(event) => turn_away(event),
                    Err(_) => return,
                },
                recv(retry) -> _ => {
                    self.flush();
                    retry = self.retry_timer();
                }
                recv(grace) -> _ => break,
            }
        }
        // Everyone who keeps up has got everything and sees the end of the conversation; most now close their side.
        let linger = after(LINGER);
        loop {
            select! {
                recv(events) -> event => match event {
                    Ok(event) => turn_away(event),
                    Err(_) => return,
                },
                recv(linger) -> _ => break,
            }
        }
        self.closing = None; // Those who still have something to say stop now; those who wait in `read` need the rest.
        for socket in sockets {
            let _ = socket.shutdown(Shutdown::Both);
        }
        events.iter().for_each(turn_away);
    }

    /// What is in the channel at this moment is still said, in turns like all before.
    fn say_what_was_accepted(&mut self, events: &Receiver<Event>, deadline: Instant) {
        let mut accepted = events.try_iter().take(events.len()).peekable();
        while accepted.peek().is_some() && Instant::now() < deadline {
            self.take_until_full(&mut accepted);
            let turn_ended = Instant::now();
            while self.flush() && turn_ended.elapsed() < CATCHING_UP {
                let _ = self.retry_timer().recv(); // A millisecond or two.
            }
        }
    }
}

/// What happens to an event after the goodbye: nobody hears it. A client that comes this late gets its own goodbye.
fn turn_away(event: Event) {
    if let Event::Joined { socket, .. } = event {
        let mut outbox = Outbox::new(socket, b"");
        let _ = writeln!(outbox.after(b""), "{}", Reply::Goodbye);
        let _ = outbox.flush(b"");
        let _ = outbox.socket().shutdown(Shutdown::Both);
    }
}
