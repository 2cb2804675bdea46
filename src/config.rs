//! What the person who starts the server can choose, as plain values with their defaults.
//!
//! Nothing here parses or checks: [`cli`](crate::cli) does that for the command line, and a program that embeds
//! the server fills in a [`Config`] itself.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The port of the Java server that this one is a port of.
pub const DEFAULT_PORT: u16 = 12345;

/// How long a connection that the server has closed stays half open, so that its client can read the last lines
/// and close its own half. A LAN needs a few milliseconds of it.
pub const LINGER: Duration = Duration::from_millis(500);

/// How one server behaves. `Config::default()` is what the binary does without any flag.
#[derive(Clone, Debug)]
pub struct Config {
    /// The addresses to listen on; port 0 lets the kernel pick one. When empty, all addresses of the machine at
    /// [`DEFAULT_PORT`].
    pub listen: Vec<SocketAddr>,
    /// How many clients there may be at once; the next one is told so and closed.
    pub max_clients: usize,
    /// The longest line that a client may send, in bytes, without its line break.
    pub max_line: usize,
    /// How many bytes may wait in the server for one slow reader before it is disconnected. The kernel holds a
    /// fixed amount besides.
    pub max_backlog: usize,
    /// How long a shutdown waits for clients to take what they are still owed.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: Vec::new(),
            max_clients: 4096,
            max_line: 4096,
            max_backlog: 256 * 1024,
            grace: Duration::from_secs(2),
        }
    }
}

impl Config {
    /// Every IPv6 address of this machine, and with them every IPv4 one where the system allows it.
    pub const ANY_IPV6: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED), DEFAULT_PORT);
    /// Every IPv4 address of this machine.
    pub const ANY_IPV4: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_PORT);
}
