//! A server with the clients in it, and what a load costs that server.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::clients::Clients;
use crate::load::{self, Load};
use crate::peer::Peer;
use crate::process::Server;

pub struct Room {
    pub server: Server,
    pub clients: Clients,
    peer: Peer,
}

/// The figures that a load on a server gave.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Deliveries per second.
    pub rate: f64,
    /// Microseconds of the server's CPU per delivery.
    pub cpu: f64,
    /// Latency in milliseconds.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// Copies that never came.
    pub lost: u64,
    /// Copies that came twice, in the wrong order or with a wrong byte.
    pub wrong: u64,
    /// The share of one core that the generator used.
    pub generator: f64,
}

impl Room {
    /// Starts a server without any clients. `ours` is the path of chat-server's binary.
    pub fn open(peer: Peer, ours: &Path) -> Result<Self> {
        let server = Server::start(peer, ours)?;
        let clients = Clients::new(peer.manners())?;
        Ok(Self { server, clients, peer })
    }

    /// Disconnects all clients, so that new ones find the room empty.
    pub fn clear(&mut self) -> Result<()> {
        self.clients = Clients::new(self.peer.manners())?;
        Ok(())
    }

    /// Connects clients until there are `count`, and returns how long it took until all were in.
    pub fn grow(&mut self, count: usize) -> Result<Duration> {
        let more = count - self.clients.all.len();
        let joined = self.clients.join(self.server.address, more)?;
        self.clients.settle()?;
        Ok(joined)
    }

    pub fn measure(&mut self, load: &Load) -> Result<Sample> {
        let before = self.server.cpu()?;
        let outcome = load::run(&mut self.clients, load)?;
        let cpu = self.server.cpu()?.since(&before);
        let deliveries = outcome.deliveries as f64;
        let latency = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1e6;
        Ok(Sample {
            rate: deliveries / outcome.elapsed.as_secs_f64(),
            cpu: cpu.as_secs_f64() * 1e6 / deliveries,
            p50: latency(0.5),
            p99: latency(0.99),
            p999: latency(0.999),
            lost: outcome.lost,
            wrong: outcome.wrong,
            generator: outcome.generator,
        })
    }
}
