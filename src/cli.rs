//! The command line: arguments and environment variables become a [`Config`].
//!
//! This is the end of the tour; `main.rs` puts it all together.

use crate::config::{Config, parse_net};
use clap::builder::FalseyValueParser;
use clap::{CommandFactory, Parser};
use ipnet::IpNet;
use log::LevelFilter;
use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  chat-server                                everybody on the LAN can come in: nc HOST 12345
  chat-server --listen 127.0.0.1:0           only this machine, on a free port that is printed
  chat-server --log-file chat.log            keep a log as well

Every option can also be set by its environment variable, which the command line overrides.";

/// A chat server for a LAN that needs only netcat: start it, and everybody else types `nc HOST 12345`.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Where to listen; can be given several times, and port 0 picks a free port [default: all addresses, port 12345]
    #[arg(long, value_name = "ADDR", env = "CHAT_LISTEN", value_delimiter = ',', value_parser = address)]
    listen: Vec<SocketAddr>,

    /// How many clients at once; the next one is told so and closed
    #[arg(long, value_name = "N", env = "CHAT_MAX_CLIENTS", default_value_t = Config::default().max_clients, value_parser = number(1..=1_000_000))]
    max_clients: usize,

    /// How many clients from one address, 0 for any number; loopback is not counted
    #[arg(long, value_name = "N", env = "CHAT_MAX_PER_IP", default_value_t = Config::default().max_per_ip, value_parser = number(0..=1_000_000))]
    max_per_ip: usize,

    /// Who may connect, "any" for everyone; can be given several times [default: this machine and local networks]
    #[arg(long, value_name = "NET", env = "CHAT_ALLOW", value_delimiter = ',', value_parser = networks)]
    allow: Vec<Networks>,

    /// How many lines a second one client may send for long, 0 for any number; a faster one is slowed, not cut
    #[arg(long, value_name = "N", env = "CHAT_RATE", default_value_t = Config::default().rate)]
    rate: u32,

    /// How many lines one client may send at once before its rate counts, 0 for any number
    #[arg(long, value_name = "N", env = "CHAT_BURST", default_value_t = Config::default().burst)]
    burst: u32,

    /// The longest line, in bytes; a longer one is refused with an error, not cut
    #[arg(long, value_name = "BYTES", env = "CHAT_MAX_LINE", default_value_t = Config::default().max_line, value_parser = number(1..=1_048_576))]
    max_line: usize,

    /// How many bytes may wait for a client that does not read before it is disconnected
    #[arg(long, value_name = "BYTES", env = "CHAT_MAX_BACKLOG", default_value_t = Config::default().max_backlog, value_parser = number(1..=1 << 30))]
    max_backlog: usize,

    /// How many public lines are shown to whoever joins
    #[arg(long, value_name = "N", env = "CHAT_HISTORY", default_value_t = Config::default().history, value_parser = number(0..=10_000))]
    history: usize,

    /// How many seconds a shutdown waits for clients to get what they are owed
    #[arg(long, value_name = "SECONDS", env = "CHAT_GRACE", default_value = "2", value_parser = seconds)]
    grace: Duration,

    /// Take part from stdin even where that is no terminal; on a terminal this is so anyway
    #[arg(long, env = "CHAT_CONSOLE", value_parser = FalseyValueParser::new())]
    pub console: bool,

    /// How much to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "CHAT_LOG_LEVEL", default_value = "info", value_parser = level)]
    pub log_level: LevelFilter,

    /// Log to this file too, at its end
    #[arg(long, value_name = "PATH", env = "CHAT_LOG_FILE")]
    pub log_file: Option<PathBuf>,
}

impl Arguments {
    /// Understands the command line, the program's name first.
    ///
    /// # Errors
    /// What clap says to bad arguments; also `--help` and `--version`, which want to be printed instead of obeyed.
    pub fn parse_from_line(line: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line)
    }

    /// What the server needs to know of it.
    pub fn config(&self) -> Config {
        let defaults = Config::default();
        Config {
            listen: self.listen.clone(),
            max_clients: self.max_clients,
            max_per_ip: self.max_per_ip,
            allow: if self.allow.is_empty() { defaults.allow } else { self.allow.concat() },
            rate: if self.burst == 0 { 0 } else { self.rate },
            burst: self.burst,
            max_line: self.max_line,
            max_backlog: self.max_backlog,
            history: self.history,
            grace: self.grace,
        }
    }
}

/// One sentence for bad arguments, in place of clap's paragraphs.
pub fn sentence(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let what = what.collect::<Vec<_>>().join("; ");
    let name = Arguments::command().get_name().to_owned();
    format!("{}; see {name} --help", what.trim_start_matches("error: "))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let hint = "an address and a port are needed, such as 0.0.0.0:12345, [::1]:12345 or localhost:12345";
    let mut found = text.to_socket_addrs().map_err(|_| hint.to_owned())?;
    found.next().ok_or_else(|| hint.to_owned())
}

type Networks = Vec<IpNet>;

/// "any", a network, or one address.
fn networks(text: &str) -> Result<Networks, String> {
    if text.eq_ignore_ascii_case("any") {
        return Ok(Config::ANY.iter().filter_map(|net| net.parse().ok()).collect());
    }
    let net = parse_net(text).map(|net| vec![net]);
    net.ok_or_else(|| "a network such as 192.168.1.0/24, an address, or \"any\" is needed".to_owned())
}

/// A parser for numbers in a range, whose complaint names the range.
fn number(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("a number from {} to {} is needed", range.start(), range.end())),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "a number of seconds from 0 to 3600 is needed".to_owned())
}

fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse().map_err(|_| "one of off, error, warn, info, debug and trace is needed".to_owned())
}
