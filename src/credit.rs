//! Credit: how many events with lines may be under way to the dispatcher at one time.
//!
//! Each event needs a [slot](Slot), travels with it, and its slot is free again when the dispatcher has
//! dropped the event. All clients of one address share a few slots. Without this, one flooder could fill the
//! event channel, and everyone else's lines would wait behind a thousand of its own.
//!
//! A second channel, for each client, carries nothing. Its end means "done with you": the dispatcher drops
//! its half, the [`Creditor`], when it has nothing more to send to the client and listens to it no longer. A
//! thread that waits for a slot, for its pace, or for the goodbye of its client learns that at once.

use crate::guard::admission::Slots;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};
use std::convert::Infallible;
use std::time::Duration;

/// The dispatcher is done with this client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Done;

/// The half of the client's thread.
#[derive(Debug)]
pub(crate) struct Credit {
    slots: Slots,
    done: Receiver<Infallible>,
}

/// The half of the dispatcher.
pub(crate) type Creditor = Sender<Infallible>;

/// The slot of one event on the way to the dispatcher. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Receiver<()>);

impl Drop for Slot {
    fn drop(&mut self) {
        let _ = self.0.try_recv();
    }
}

/// The credit of a new client, and the other half for the dispatcher.
pub(crate) fn open(slots: Slots) -> (Creditor, Credit) {
    let (creditor, done) = bounded(0);
    (creditor, Credit { slots, done })
}

impl Credit {
    /// Takes a slot for one event. Waits while there is none.
    pub(crate) fn take(&self) -> Result<Slot, Done> {
        let (free, taken) = &self.slots;
        select! {
            // Both ends are here, so it does not fail.
            send(free, ()) -> _ => Ok(Slot(taken.clone())),
            recv(self.done) -> _ => Err(Done),
        }
    }

    /// Waits for so long.
    pub(crate) fn wait(&self, time: Duration) -> Result<(), Done> {
        match self.done.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Done),
        }
    }

    /// Waits until the dispatcher is done with the client.
    pub(crate) fn wait_until_done(self) {
        let _ = self.done.recv();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_learns_that_the_dispatcher_is_done() {
        let (creditor, credit) = open(bounded(1));
        let _slot = credit.take().unwrap();
        assert_eq!(credit.wait(Duration::from_millis(1)), Ok(()));
        let waiting = std::thread::spawn(move || {
            (credit.take().err(), credit.wait(Duration::from_secs(60)), credit.wait_until_done())
        });
        drop(creditor);
        assert_eq!(waiting.join().unwrap(), (Some(Done), Err(Done), ()));
    }

    #[test]
    fn clients_of_one_address_share_its_slots_until_their_events_are_dropped() {
        let slots = bounded(2);
        let (_creditors, mut credits): (Vec<_>, Vec<_>) = (0..3).map(|_| open(slots.clone())).unzip();
        let first = credits[0].take().unwrap();
        let _second = credits[1].take().unwrap();
        let third = credits.pop().unwrap();
        let waiting = std::thread::spawn(move || third.take().is_ok());
        assert!(slots.0.is_full());
        drop(first);
        assert!(waiting.join().unwrap());
    }
}
