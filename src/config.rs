//! What the person who starts the server can choose, as plain values with their defaults.
//!
//! Nothing here parses or checks: [`cli`](crate::cli) does that for the command line, and a program that embeds
//! the server fills in a [`Config`] itself.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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
    /// How many of them may come from one address, 0 for any number. Those of this machine itself do not count.
    pub max_per_ip: usize,
    /// Whose addresses may connect.
    pub allow: Vec<IpNet>,
    /// How many lines a second one client may send for long, 0 for any number.
    pub rate: u32,
    /// How many lines one client may send at once, before its rate counts.
    pub burst: u32,
    /// The longest line that a client may send, in bytes, without its line break.
    pub max_line: usize,
    /// How many bytes may wait in the server for one slow reader before it is disconnected. The kernel holds a
    /// fixed amount besides.
    pub max_backlog: usize,
    /// How many public lines are shown to whoever joins.
    pub history: usize,
    /// How long a shutdown waits for clients to take what they are still owed.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: Vec::new(),
            max_clients: 4096,
            max_per_ip: 64,
            allow: Config::LOCAL.iter().map(|net| net.parse().expect("these are networks")).collect(),
            rate: 20,
            burst: 200,
            max_line: 4096,
            max_backlog: 256 * 1024,
            history: 20,
            grace: Duration::from_secs(2),
        }
    }
}

impl Config {
    /// The networks of a LAN: loopback (RFC 1122, RFC 4291), private (RFC 1918), link-local (RFC 3927, RFC 4291),
    /// unique-local (RFC 4193) and carrier-grade or overlay ones (RFC 6598).
    pub const LOCAL: [&str; 9] = [
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "fe80::/10",
        "fc00::/7",
        "100.64.0.0/10",
    ];
    /// All networks there are.
    pub const ANY: [&str; 2] = ["0.0.0.0/0", "::/0"];
    /// Every IPv6 address of this machine, and with them every IPv4 one where the system allows it.
    pub const ANY_IPV6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), DEFAULT_PORT);
    /// Every IPv4 address of this machine.
    pub const ANY_IPV4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_PORT);
}

/// A network, or one address as the smallest of networks; `None` if the text is neither.
pub fn parse_net(text: &str) -> Option<IpNet> {
    let net = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into()));
    net.ok()
}
