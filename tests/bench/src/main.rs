//! Measures chat-server beside other chat servers on this machine, all with one load generator in one run.
//!
//! Linux only: it reads /proc and waits with epoll.

#![forbid(unsafe_code)]

mod chart;
mod clients;
mod line;
mod load;
mod peer;
mod process;
mod progress;
mod report;
mod room;
mod siege;
mod suite;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use load::{Load, Pace};
use peer::Peer;
use room::Room;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// The chat-server to measure, built for release
    #[arg(long, global = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/release/chat-server"))]
    server: PathBuf,
    /// How often the whole comparison is run, when no command is given
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(subcommand)]
    command: Option<Mode>,
}

#[derive(Subcommand)]
enum Mode {
    /// Check in seconds that every load runs on every server and loses nothing
    Smoke,
    /// Run one load on one server
    One(One),
    /// Attack a room full of people, and see what they notice of it
    Siege(siege::Args),
    /// Be one of the servers until killed; the bench starts them so
    Peer {
        peer: Peer,
        #[arg(long)]
        port: u16,
        /// With chat-server's default limits, and listening on this address
        #[arg(long)]
        as_shipped: Option<IpAddr>,
    },
}

#[derive(Args)]
struct One {
    #[arg(long, default_value = "ours")]
    peer: Peer,
    #[arg(long, default_value = "flood")]
    load: Activity,
    #[arg(long, default_value_t = 100)]
    clients: usize,
    #[arg(long, default_value_t = 4)]
    senders: usize,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Flood: lines of one sender on their way at once
    #[arg(long, default_value_t = 32)]
    window: u32,
    /// Steady: deliveries per second, to all clients together
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    /// Clients that do not read
    #[arg(long, default_value_t = 0)]
    stalled: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Activity {
    Flood,
    Steady,
    /// Say nothing and count the server's wake-ups
    Idle,
    /// Only connect all clients
    Join,
}

fn main() -> Result<()> {
    // One descriptor per client, for the bench and for every server it starts.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let cli = Cli::parse();
    match cli.command {
        None => compare(&cli.server, cli.rounds),
        Some(Mode::Smoke) => suite::smoke(&cli.server),
        Some(Mode::One(one)) => run_one(&one, &cli.server),
        Some(Mode::Siege(args)) => siege::run(&args, &cli.server),
        Some(Mode::Peer { peer, port, as_shipped }) => peer.become_server(port, &cli.server, as_shipped),
    }
}

fn compare(ours: &Path, rounds: usize) -> Result<()> {
    let results = suite::run(ours, rounds);
    let text = report::markdown(&results, rounds);
    print!("{text}");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("results.md"), text)?;
    chart::draw(&results, &directory.join("growth.svg"))
}

fn run_one(one: &One, ours: &Path) -> Result<()> {
    let mut room = Room::open(one.peer, ours)?;
    let empty = room.server.resident()?;
    let joined = room.grow(one.clients)?;
    let memory = (room.server.resident()? as f64 - empty as f64) / one.clients as f64;
    let threads = room.server.threads()?;
    println!("{}: all {} clients in after {joined:.1?}", one.peer, one.clients);
    println!("{memory:.1} KiB resident per client, {threads} threads");
    let duration = Duration::from_secs_f64(one.seconds);
    let pace = match one.load {
        Activity::Join => return Ok(()),
        Activity::Idle => {
            let before = room.server.voluntary_switches()?;
            thread::sleep(duration);
            let wake_ups = room.server.voluntary_switches()? - before;
            println!("{wake_ups} wake-ups in {duration:?}");
            return Ok(());
        }
        Activity::Flood => Pace::Flood { window: one.window },
        Activity::Steady => Pace::Steady { deliveries: one.rate },
    };
    let load = Load { pace, senders: one.senders, duration, stalled: one.stalled };
    let sample = room.measure(&load)?;
    let resident = room.server.resident()?;
    println!("{:.0} deliveries/s, {:.3} µs of CPU each", sample.rate, sample.cpu);
    println!("p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms", sample.p50, sample.p99, sample.p999);
    println!("{} lost, {} wrong, {resident} KiB resident at the end", sample.lost, sample.wrong);
    println!("the generator used {:.2} cores", sample.generator);
    Ok(())
}
