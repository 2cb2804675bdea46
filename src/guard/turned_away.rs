//! Connections that were refused.
//!
//! A refused client gets one sentence. Its connection is closed a little later than our half of it: closing
//! with unread input makes the kernel send a reset, and that can overtake the sentence.

use rustix::event::Timespec;
use rustix::net::{SendFlags, send};
use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

/// How many refused connections stay half open at once, and for how long.
const MAX_HALF_OPEN: usize = 8;
const HALF_OPEN: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

#[derive(Debug, Default)]
pub(crate) struct TurnedAway {
    half_open: VecDeque<Arc<TcpStream>>,
}

impl TurnedAway {
    /// Tells a client why it is not let in, as far as that is possible without waiting, and closes our half.
    pub(crate) fn refuse(&mut self, socket: Arc<TcpStream>, sentence: &str) {
        let _ = send(&socket, format!("{sentence}\n").as_bytes(), SendFlags::DONTWAIT);
        let _ = socket.shutdown(Shutdown::Write);
        self.half_open.truncate(MAX_HALF_OPEN - 1);
        self.half_open.push_front(socket);
    }

    /// When to [hang up](TurnedAway::hang_up), if no connection comes before.
    pub(crate) fn timeout(&self) -> Option<Timespec> {
        (!self.half_open.is_empty()).then_some(HALF_OPEN)
    }

    pub(crate) fn hang_up(&mut self) {
        self.half_open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn a_refused_client_is_told_why_and_hung_up_on_later() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut turned_away = TurnedAway::default();
        assert!(turned_away.timeout().is_none());
        for _ in 0..2 * MAX_HALF_OPEN {
            let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (near, _) = listener.accept().unwrap();
            turned_away.refuse(Arc::new(near), "!!! Sorry, the server is full; please try again later.");
            let mut sentence = String::new();
            far.read_to_string(&mut sentence).unwrap();
            assert_eq!(sentence, "!!! Sorry, the server is full; please try again later.\n");
        }
        assert_eq!(turned_away.half_open.len(), MAX_HALF_OPEN);
        assert!(turned_away.timeout().is_some());
        turned_away.hang_up();
        assert!(turned_away.timeout().is_none());
    }
}
