//! Credit: how many lines of one client, and of one address, may be under way to the dispatcher at one time.
//!
//! A client's thread starts with some credit, and each line that it sends uses up one. The dispatcher gives
//! credit back for lines that it has taken, over a small bounded channel. Without this, one flooder could
//! fill the event channel, and everyone else's lines would wait behind a thousand of its own.
//!
//! The end of that channel means "done with you": the dispatcher drops its half, the [`Creditor`], when it
//! has nothing more to send to the client and listens to it no longer. A thread that waits for credit, for
//! its pace, or for the goodbye of its client learns that at once.
//!
//! Where there is a pace, all clients of one address together have a few [slots](Slot) as well. A slot
//! travels with its event, and is free again when the dispatcher has dropped that.

use crate::guard::admission::Slots;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};
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
    /// Shared with the other clients of its address.
    slots: Option<Slots>,
}

/// The half of the dispatcher.
#[derive(Debug)]
pub(crate) struct Creditor {
    taken: usize,
    returned: Sender<()>,
}

/// The slot of one line of an address on the way to the dispatcher. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Receiver<()>);

impl Drop for Slot {
    fn drop(&mut self) {
        let _ = self.0.try_recv();
    }
}

/// The credit of a new client, and its other half for the dispatcher.
pub(crate) fn open(slots: Option<Slots>) -> (Creditor, Credit) {
    let (sender, receiver) = bounded(LINES / LINES_PER_MESSAGE);
    (Creditor { taken: 0, returned: sender }, Credit { left: LINES, returned: receiver, slots })
}

impl Credit {
    /// Takes credit for one line, and a slot if its address has them. Waits while there is none.
    pub(crate) fn take(&mut self) -> Result<Option<Slot>, Done> {
        while self.left == 0 {
            self.returned.recv().map_err(|_| Done)?;
            self.left += LINES_PER_MESSAGE;
        }
        self.left -= 1;
        let Some((slots, taken)) = &self.slots else { return Ok(None) };
        loop {
            select! {
                // Both ends are here, so it does not fail.
                send(slots, ()) -> _ => return Ok(Some(Slot(taken.clone()))),
                recv(self.returned) -> returned => returned.map_err(|_| Done)?,
            }
            self.left += LINES_PER_MESSAGE;
        }
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
    /// A line of the client has been taken. This never waits: there is space for all the credit that there
    /// is.
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
        let (mut creditor, mut credit) = open(None);
        for _ in 0..10 * LINES {
            (0..LINES).for_each(|_| drop(credit.take().unwrap()));
            assert_eq!(credit.left, 0);
            (0..LINES).for_each(|_| creditor.give_back());
        }
        assert_eq!(credit.wait(Duration::from_secs(60)), Ok(()));
        assert_eq!(credit.left, LINES_PER_MESSAGE);
    }

    #[test]
    fn a_thread_that_waits_learns_that_the_dispatcher_is_done() {
        let (mut creditor, mut credit) = open(None);
        (0..LINES_PER_MESSAGE).for_each(|_| creditor.give_back());
        drop(creditor);
        assert!((0..LINES + LINES_PER_MESSAGE).all(|_| credit.take().is_ok()), "what came back counts");
        assert!(credit.take().is_err());
        assert_eq!(credit.wait(Duration::from_secs(60)), Err(Done));
        credit.wait_until_done();
    }

    #[test]
    fn clients_of_one_address_share_its_slots_until_their_lines_are_dropped() {
        let slots = bounded(2);
        let (creditors, mut credits): (Vec<_>, Vec<_>) = (0..3).map(|_| open(Some(slots.clone()))).unzip();
        let first = credits[0].take().unwrap();
        let _second = credits[1].take().unwrap();
        let mut third = credits.pop().unwrap();
        let waiting = std::thread::spawn(move || third.take().is_ok());
        assert!(slots.0.is_full());
        drop(first);
        assert!(waiting.join().unwrap());
        let _third = credits[0].take().unwrap();
        drop(creditors);
        assert!(credits[0].take().is_err(), "it waits no longer when the dispatcher is done");
    }
}
