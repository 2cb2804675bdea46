//! Who may come in.
//!
//! The acceptor asks for a [`Permit`] before it starts a thread. A permit is a place in the room that gives itself
//! back when it is dropped, whatever happened to its client.

use crate::protocol::reply::Refusal;
use parking_lot::Mutex;
use std::sync::Arc;

/// The places in the room.
#[derive(Clone, Debug)]
pub struct Admission {
    max_clients: usize,
    taken: Arc<Mutex<usize>>,
}

/// One taken place.
#[derive(Debug)]
pub struct Permit {
    taken: Arc<Mutex<usize>>,
}

impl Admission {
    /// A room with `max_clients` places.
    pub fn new(max_clients: usize) -> Admission {
        Admission {
            max_clients,
            taken: Arc::default(),
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn admit(&self) -> Result<Permit, Refusal> {
        let mut taken = self.taken.lock();
        if *taken >= self.max_clients {
            return Err(Refusal::Full);
        }
        *taken += 1;
        Ok(Permit {
            taken: self.taken.clone(),
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.taken.lock() -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_permit_is_dropped() {
        let admission = Admission::new(2);
        let first = admission.admit().unwrap();
        let _second = admission.admit().unwrap();
        assert_eq!(admission.admit().unwrap_err(), Refusal::Full);
        drop(first);
        let _third = admission.admit().unwrap();
        assert_eq!(admission.admit().unwrap_err(), Refusal::Full);
    }
}
