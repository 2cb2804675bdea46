//! Every choice there is, described once: a program that embeds the server writes a [`Config`], and on the command line
//! clap fills it. The comment on a field is its text in `--help`, its attribute has the flag, the variable, the default
//! and the range.

use clap::{Args, FromArgMatches};
use if_addrs::IfAddr;
use ipnet::IpNet;
use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// The port of the Java server that this one is a port of.
pub const DEFAULT_PORT: u16 = 12345;

const MAX_LINE: usize = 4096;
const MAX_BACKLOG: usize = 256 * 1024;
const _: () = assert!(LINES_IN_BACKLOG * MAX_LINE <= MAX_BACKLOG);

/// A backlog must hold several lines of the greatest length. Otherwise one line would disconnect everyone whose kernel
/// buffer happens to be full.
const LINES_IN_BACKLOG: usize = 4;

/// How one server behaves. `Config::default()` is what the program does without any flag and without any variable.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where to listen; can be given several times, and port 0 picks a free port [default: all addresses, port 12345]
    #[arg(long, value_name = "ADDR", env = "CHAT_LISTEN", value_delimiter = ',')]
    pub listen: Vec<Listen>,

    /// How many clients at once; the next one is told so and closed
    #[arg(long, value_name = "N", env = "CHAT_MAX_CLIENTS", default_value_t = 4096,
        value_parser = number(1_usize..=1_000_000), allow_negative_numbers = true)]
    pub max_clients: usize,

    /// How many clients from one address, 0 for any number; loopback is not counted
    #[arg(long, value_name = "N", env = "CHAT_MAX_PER_IP", default_value_t = 64,
        value_parser = number(0_usize..=1_000_000), allow_negative_numbers = true)]
    pub max_per_ip: usize,

    /// Who may connect: networks, "local" for this machine and local networks, "any" for everyone; can be given several
    /// times [default: local]
    #[arg(long, value_name = "NET", env = "CHAT_ALLOW", value_delimiter = ',')]
    pub allow: Vec<Allow>,

    /// How many lines a second one client may send for long, 0 for any number; a faster one is slowed, not cut
    #[arg(long, value_name = "N", env = "CHAT_RATE", default_value_t = 20,
        value_parser = number(0_u32..=1_000_000_000), allow_negative_numbers = true)]
    pub rate: u32,

    /// How many lines one client may send at once before its rate counts, 0 for any number
    #[arg(long, value_name = "N", env = "CHAT_BURST", default_value_t = 200,
        value_parser = number(0_u32..=1_000_000_000), allow_negative_numbers = true)]
    pub burst: u32,

    /// The longest line, in bytes; a longer one is refused with an error, not cut
    #[arg(long, value_name = "BYTES", env = "CHAT_MAX_LINE", default_value_t = MAX_LINE,
        value_parser = number(1_usize..=1 << 20), allow_negative_numbers = true)]
    pub max_line: usize,

    /// How many bytes may wait for a client that does not read before it is disconnected
    #[arg(long, value_name = "BYTES", env = "CHAT_MAX_BACKLOG", default_value_t = MAX_BACKLOG,
        value_parser = number(1_usize..=1 << 30), allow_negative_numbers = true)]
    pub max_backlog: usize,

    /// How many public lines are shown to a newcomer
    #[arg(long, value_name = "N", env = "CHAT_HISTORY", default_value_t = 20,
        value_parser = number(0_usize..=10_000), allow_negative_numbers = true)]
    pub history: usize,

    /// How many events one turn of the dispatcher takes at most. This is for measuring what batching brings.
    #[arg(long, hide = true, default_value_t = 256, value_parser = number(1_usize..=10_000))]
    pub events_per_turn: usize,

    /// How many seconds a shutdown waits for clients to read their last lines
    #[arg(long, value_name = "SECONDS", env = "CHAT_GRACE", default_value = "2",
        value_parser = seconds, allow_negative_numbers = true)]
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Config {
        let flags =
            Config::augment_args(clap::Command::new("")).mut_args(|flag| flag.env(None::<&'static str>));
        let none_given = flags.get_matches_from([""]);
        Config::from_arg_matches(&none_given).expect("every flag has a default")
    }
}

impl Config {
    /// The networks of a LAN: loopback (RFC 1122, RFC 4291), private (RFC 1918), link-local (RFC 3927, RFC 4291),
    /// unique-local (RFC 4193) and carrier-grade or overlay ones (RFC 6598).
    const LOCAL: &str = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,fe80::/10,fc00::/7,100.64.0.0/10";
    /// Every IPv6 address of this machine, and with them every IPv4 one where the system allows it.
    pub(crate) const ANY_IPV6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), DEFAULT_PORT);
    /// Every IPv4 address of this machine.
    pub(crate) const ANY_IPV4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_PORT);

    /// Checks what no single flag can: how they relate.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Config { max_line, max_backlog, .. } = *self;
        match max_line.checked_mul(LINES_IN_BACKLOG) {
            Some(least) if least <= max_backlog => Ok(()),
            _ => Err(format!(
                "--max-backlog {max_backlog} is too small for --max-line {max_line}: it must be at least \
                 {LINES_IN_BACKLOG} times as large"
            )),
        }
    }

    /// Whether the pace keeps what waits for a reader small: one client's burst is far below a backlog.
    pub(crate) fn is_paced(&self) -> bool {
        let burst = (self.burst as usize).saturating_mul(128);
        self.rate > 0 && self.burst > 0 && burst <= self.max_backlog / 4
    }

    /// The networks from which clients may connect; where [`allow`](Config::allow) is empty, the local ones.
    pub fn allowed(&self) -> Vec<Allow> {
        Allow::spelled_out(&self.allow)
    }

    /// The IPv6 networks that this machine is on and that are of one LAN: there even a LAN has public addresses.
    pub(crate) fn own_ipv6_networks() -> Vec<IpNet> {
        let local: Vec<Allow> = Config::LOCAL.split(',').filter_map(|net| net.parse().ok()).collect();
        let mut own = Vec::new();
        for net in if_addrs::get_if_addrs().unwrap_or_default().iter().map(net_of) {
            let is_one_lan = net.addr().is_ipv6() && net.prefix_len() >= 64;
            if is_one_lan && !local.iter().any(|local| local.contains(net.addr())) && !own.contains(&net) {
                own.push(net);
            }
        }
        own
    }
}

/// The network that an interface is on, as far as this address of it tells.
pub(crate) fn net_of(interface: &if_addrs::Interface) -> IpNet {
    let prefix = match &interface.addr {
        IfAddr::V4(address) => u32::from(address.netmask).leading_ones(),
        IfAddr::V6(address) => u128::from(address.netmask).leading_ones(),
    };
    IpNet::new(interface.ip(), prefix as u8).expect("a mask is as long as its address").trunc()
}

/// Where to listen: an address and a port, or all the addresses that a name stands for. `localhost:12345` is often two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Never empty.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Listen {
        Listen { addresses: vec![address] }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        let hint = "an address and a port are needed, such as 0.0.0.0:12345, [::1]:12345 or localhost:12345";
        let (host, port) = text.trim().rsplit_once(':').ok_or(hint)?;
        let port: u16 = port.parse().map_err(|_| hint)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bare.unwrap_or(host).is_empty() || bare.is_some() != host.contains(':') {
            return Err(hint.to_owned());
        }
        let found = (bare.unwrap_or(host), port).to_socket_addrs().into_iter().flatten();
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for mut address in found {
            if let IpAddr::V4(mapped) = address.ip().to_canonical() {
                address.set_ip(mapped.into());
            }
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            Err(format!("no address is known by that name; {hint}"))
        } else {
            Ok(Listen { addresses })
        }
    }
}

/// From where clients may connect: a network or an address (`192.168.1.0/24`, `192.168.1.7`), `local`, or `any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Everyone.
    Any,
    /// This machine and its local networks, as when nothing is given.
    Local,
    /// All addresses of one network.
    Net(IpNet),
}

impl Allow {
    pub(crate) fn or_local(asked: &[Allow]) -> &[Allow] {
        if asked.is_empty() { &[Allow::Local] } else { asked }
    }

    /// The networks, for those that were asked for or else the local ones.
    pub(crate) fn spelled_out(asked: &[Allow]) -> Vec<Allow> {
        let spell_out = |allow: &Allow| match allow {
            Allow::Local => {
                let always = Config::LOCAL.split(',').map(|net| net.parse().expect("this is a network"));
                always.chain(Config::own_ipv6_networks().into_iter().map(Allow::Net)).collect()
            }
            other => vec![*other],
        };
        Allow::or_local(asked).iter().flat_map(spell_out).collect()
    }

    pub(crate) fn contains(self, address: IpAddr) -> bool {
        self.overlaps(address.into())
    }

    /// Whether some clients of `net` may connect.
    pub(crate) fn overlaps(self, net: IpNet) -> bool {
        match self {
            Allow::Any => true,
            Allow::Local => Allow::spelled_out(&[self]).iter().any(|allow| allow.overlaps(net)),
            Allow::Net(allowed) => allowed.contains(&net) || net.contains(&allowed),
        }
    }
}

impl FromStr for Allow {
    type Err = String;

    fn from_str(text: &str) -> Result<Allow, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "any" => Ok(Allow::Any),
            "local" => Ok(Allow::Local),
            text => parse_net(text).map(Allow::Net).ok_or_else(|| {
                "a network such as 192.168.1.0/24, an address, \"local\" or \"any\" is needed".into()
            }),
        }
    }
}

impl Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allow::Any => f.write_str("any"),
            Allow::Local => f.write_str("local"),
            Allow::Net(net) => net.fmt(f),
        }
    }
}

/// A network, or one address as the smallest of networks, without host bits; `None` if the text is neither.
///
/// A network of IPv4 addresses in IPv6 form (RFC 4291, 2.5.5.2) is an IPv4 network, as the addresses of clients are.
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
    let seconds = text.trim().parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "a number of seconds from 0 to 3600 is needed".to_owned())
}
