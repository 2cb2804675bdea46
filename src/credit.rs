//! Credit: how many lines of one client may be under way to the dispatcher at one time.
//!
//! A client's thread starts with some credit, and each line that it sends uses up one. The dispatcher gives credit back
//! for lines that it has taken, over a small bounded channel. Without this, one flooder could fill the event channel, and
//! everyone else's lines would wait behind a thousand of its own.
//!
//! The end of that channel means "done with you": the dispatcher drops its half, the [`Creditor`], when it has nothing
//! more to send to the client and listens to it no longer. A thread that waits for credit, for its pace, or for the
//! goodbye of its client learns that at once.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::time::Duration;

/// How many lines one client may have under way.
pub(crate) const LINES: usize = 32;

/// Credit comes back for so many lines at once, because each message costs a little.
const LINES_PER_MESSAGE: usize = 8;

/// The dispatcher is done with this client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Done;

/// The half of the client's thread.
#[derive(Debug)]
pub(crate) struct Credit {
    left: usize,
    returned: Receiver<()>,
}

/// The half of the dispatcher.
#[derive(Debug)]
pub(crate) struct Creditor {
    taken: usize,
    returned: Sender<()>,
}

/// The credit of a new client, and its other half for the dispatcher.
pub(crate) fn open() -> (Creditor, Credit) {
    let (sender, receiver) = bounded(LINES / LINES_PER_MESSAGE);
    (Creditor { taken: 0, returned: sender }, Credit { left: LINES, returned: receiver })
}

impl Credit {
    /// Takes credit for one line. Waits while there is none.
    pub(crate) fn take(&mut self) -> Result<(), Done> {
        while self.left == 0 {
            self.returned.recv().map_err(|_| Done)?;
            self.left += LINES_PER_MESSAGE;
        }
        self.left -= 1;
        Ok(())
    }

    /// Waits for so long, or a shorter time if credit comes back meanwhile.
    pub(crate) fn wait(&mut self, time: Duration) -> Result<(), Done> {
        match self.returned.recv_timeout(time) {
            Ok(()) => self.left += LINES_PER_MESSAGE,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Done),
        }
        Ok(())
    }

    /// Waits until the dispatcher is done with the client.
    pub(crate) fn wait_until_done(self) {
        self.returned.iter().for_each(drop);
    }
}

impl Creditor {
    /// A line of the client has been taken. This never waits: there is space for all the credit that there is.
    pub(crate) fn give_back(&mut self) {
        self.taken += 1;
        if self.taken % LINES_PER_MESSAGE == 0 {
            let _ = self.returned.try_send(()); // The thread may have ended.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_comes_back_for_lines_that_were_taken() {
        let (mut creditor, mut credit) = open();
        for _ in 0..10 * LINES {
            (0..LINES).for_each(|_| credit.take().unwrap());
            assert_eq!(credit.left, 0);
            (0..LINES).for_each(|_| creditor.give_back());
        }
        assert_eq!(credit.wait(Duration::from_secs(60)), Ok(()));
        assert_eq!(credit.left, LINES_PER_MESSAGE);
    }

    #[test]
    fn a_thread_that_waits_learns_that_the_dispatcher_is_done() {
        let (mut creditor, mut credit) = open();
        (0..LINES_PER_MESSAGE).for_each(|_| creditor.give_back());
        drop(creditor);
        assert!((0..LINES + LINES_PER_MESSAGE).all(|_| credit.take().is_ok()), "what came back counts");
        assert_eq!(credit.take(), Err(Done));
        assert_eq!(credit.wait(Duration::from_secs(60)), Err(Done));
        credit.wait_until_done();
    }
}
