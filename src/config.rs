//! Every choice there is, described once: a program that embeds the server writes a [`Config`], and on
//! the command line clap fills it. The comment on a field is its text in `--help`, its attribute has
//! the default and the range.

use clap::{Args, FromArgMatches};
use if_addrs::{IfAddr, Interface, get_if_addrs};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// The port of the Java server that this one is a port of.
pub const DEFAULT_PORT: u16 = 12345;

const MAX_LINE: usize = 4096;
const MAX_BACKLOG: usize = 256 * 1024;
const _: () = assert!(LINES_IN_BACKLOG * MAX_LINE <= MAX_BACKLOG);

/// A backlog must hold several lines of the greatest length. Otherwise one line would disconnect everyone
/// whose kernel buffer happens to be full.
const LINES_IN_BACKLOG: usize = 4;

/// How one server behaves. `Config::default()` is what the program does without any flag
/// and without any variable.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where to listen; can be given several times, and port 0 picks a free port [default:
    /// all addresses, port 12345]
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub listen: Vec<Listen>,

    /// How many clients at once; the next one is told so and closed
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = number(1_usize..=1_000_000))]
    pub max_clients: usize,

    /// How many clients from one address, 0 for any number; loopback is not counted
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = number(0_usize..=1_000_000))]
    pub max_per_ip: usize,

    /// Who may connect: networks, "local" for this machine and local networks, "any" for everyone;
    /// can be given several times
    #[arg(long, value_name = "NET", value_delimiter = ',', default_value = "local")]
    pub allow: Vec<Allow>,

    /// How many lines a second one client may send for long, 0 for any number; a
    /// faster one is slowed, not cut
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = number(0_u32..=1_000_000_000))]
    pub rate: u32,

    /// How many lines one client may send at once before its rate counts, 0 for any number
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = number(0_u32..=1_000_000_000))]
    pub burst: u32,

    /// The longest line, in bytes; a longer one is refused with an error, not cut
    #[arg(long, value_name = "BYTES", default_value_t = MAX_LINE, value_parser = number(1_usize..=1 << 20))]
    pub max_line: usize,

    /// How many bytes may wait for a client that does not read before it is disconnected
    #[arg(long, value_name = "BYTES", default_value_t = MAX_BACKLOG, value_parser = number(1_usize..=1 << 30))]
    pub max_backlog: usize,

    /// How many public lines are shown to a newcomer
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = number(0_usize..=10_000))]
    pub history: usize,

    /// How many events one turn of the dispatcher takes at most. This is for measuring what batching brings.
    #[arg(long, hide = true, default_value_t = 256, value_parser = number(1_usize..=10_000))]
    pub events_per_turn: usize,

    /// How many seconds a shutdown waits for clients to read their last lines
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Config {
        let none_given = Config::augment_args(clap::Command::new("")).get_matches_from([""]);
        Config::from_arg_matches(&none_given).expect("every flag has a default")
    }
}

impl Config {
    /// Every IPv6 address of this machine, and with them every IPv4 one where the system allows it.
    pub(crate) const ANY_IPV6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), DEFAULT_PORT);
    /// Every IPv4 address of this machine.
    pub(crate) const ANY_IPV4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_PORT);

    /// Checks what no single flag can: how they relate.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Config { max_line, max_backlog, .. } = *self;
        if max_backlog >= max_line.saturating_mul(LINES_IN_BACKLOG) {
            return Ok(());
        }
        Err(format!(
            "--max-backlog {max_backlog} is too small for --max-line {max_line}: it must be at least \
             {LINES_IN_BACKLOG} times as large"
        ))
    }

    /// Whether the pace keeps what waits for a reader small: one client's burst is far below a backlog.
    pub(crate) fn is_paced(&self) -> bool {
        let burst = (self.burst as usize).saturating_mul(128);
        self.rate > 0 && self.burst > 0 && burst <= self.max_backlog / 4
    }
}

/// The network interfaces of this machine that are up and have a carrier: the name of each, with its address
/// and the length of its network's prefix.
pub(crate) fn interfaces() -> impl Iterator<Item = (String, IpNet)> {
    get_if_addrs().unwrap_or_default().into_iter().filter(Interface::is_oper_up).map(|interface| {
        let prefix = match &interface.addr {
            IfAddr::V4(address) => address.prefixlen,
            IfAddr::V6(address) => address.prefixlen,
        };
        let net = IpNet::new(interface.ip(), prefix).expect("a mask is as long as its address");
        (interface.name, net)
    })
}

/// Where to listen: an address and a port, or all the addresses that a name stands for.
/// `localhost:12345` is often two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Never empty.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        let hint = "an address and a port are needed, such as 0.0.0.0:12345, [::1]:12345 or localhost:12345";
        let (host, port) = text.trim().rsplit_once(':').ok_or(hint)?;
        let port: u16 = port.parse().map_err(|_| hint)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.or(Some(host).filter(|host| !host.contains(':'))).ok_or(hint)?;
        let mut addresses: Vec<_> = (host, port).to_socket_addrs().into_iter().flatten().collect();
        addresses.iter_mut().for_each(|address| address.set_ip(address.ip().to_canonical()));
        addresses.dedup();
        if addresses.is_empty() {
            return Err(format!("no address is known by that name; {hint}"));
        }
        Ok(Listen { addresses })
    }
}

/// From where clients may connect: a network or an address (`192.168.1.0/24`, `192.168.1.7`), `local` for
/// this machine and its local networks, or `any` for everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// What the operator is told.
    pub(crate) name: String,
    pub(crate) nets: Vec<IpNet>,
    /// Some of them are those that this machine is on.
    pub(crate) is_local: bool,
}

impl Allow {
    /// The networks of a LAN: loopback (RFC 1122, RFC 4291), private (RFC 1918), link-local (RFC 3927, RFC
    /// 4291), unique-local (RFC 4193) and carrier-grade or overlay ones (RFC 6598).
    const LOCAL: &str = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,fe80::/10,fc00::/7,100.64.0.0/10";

    /// Those, and the IPv6 networks that this machine is on and that are of one LAN: there even a
    /// LAN has public addresses.
    pub(crate) fn local() -> Allow {
        let always = Allow::LOCAL.split(',').map(|net| net.parse().expect("this is a network"));
        let mut local =
            Allow { name: "this machine, local networks".to_owned(), nets: always.collect(), is_local: true };
        for net in interfaces().map(|(_, net)| net.trunc()) {
            if net.addr().is_ipv6() && net.prefix_len() >= 64 && !local.contains(net.addr()) {
                local.name += &format!(", {net}");
                local.nets.push(net);
            }
        }
        local
    }

    /// The same, with the networks that this machine is on now.
    pub(crate) fn now(&self) -> Allow {
        if self.is_local { Allow::local() } else { self.clone() }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(&address))
    }
}

impl FromStr for Allow {
    type Err = String;

    fn from_str(text: &str) -> Result<Allow, String> {
        let (name, nets) = match text.trim().to_ascii_lowercase().as_str() {
            "local" => return Ok(Allow::local()),
            "any" => ("any".to_owned(), vec![Ipv4Net::default().into(), Ipv6Net::default().into()]),
            net => {
                let hint = "a network such as 192.168.1.0/24, an address, \"local\" or \"any\" is needed";
                let net = parse_net(net).ok_or(hint)?;
                (net.to_string(), vec![net])
            }
        };
        Ok(Allow { name, nets, is_local: false })
    }
}

/// A network, or one address as the smallest of networks, without host bits; `None` if the text is neither.
///
/// A network of IPv4 addresses in IPv6 form (RFC 4291, 2.5.5.2) is an IPv4 network, as the
/// addresses of clients are.
pub(crate) fn parse_net(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let net: IpNet = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into())).ok()?;
    match (net.trunc().addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(prefix)) if net.addr().is_ipv6() => IpNet::new(address, prefix).ok(),
        _ => Some(net.trunc()),
    }
}

/// A parser for numbers in a range, whose complaint names the range.
fn number<N>(range: RangeInclusive<N>) -> impl Fn(&str) -> Result<N, String> + Clone
where
    N: FromStr + PartialOrd + Display + Clone,
{
    move |text| match text.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("a number from {} to {} is needed, without a fraction", range.start(), range.end())),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = number(0.0..=3600.0)(text).map_err(|_| "a number of seconds from 0 to 3600 is needed")?;
    Ok(Duration::from_secs_f64(seconds))
}
