//! How a server is told to stop, from any thread.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Stops a server. Clones stop the same one.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<UnixStream>);

impl Stopper {
    /// A stopper, and the end of it that becomes readable when the server is to stop: the acceptor can wait
    /// for that together with new connections.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub(crate) fn pair() -> io::Result<(Stopper, UnixStream)> {
        let (stopper, stopped) = UnixStream::pair()?;
        Ok((Stopper(Arc::new(stopper)), stopped))
    }

    /// Lets the server say goodbye to everyone and end. Further calls do nothing.
    pub fn stop(&self) {
        // The far end sees the end of file.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
