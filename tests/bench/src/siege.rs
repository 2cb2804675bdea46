//! The siege: attacks of one machine, or of several, on a room full of people who do nothing wrong, and what
//! those people notice of it. On each server in turn, beside the same room without an attack.
//!
//! Everything happens on this machine, and the addresses of 127.0.0.0/8 stand for others ([`place`]). So the
//! attackers take processor time from the server that they attack; the control, which has the same crowd,
//! shows what is left to see.

mod arena;
mod attack;
mod attackers;
mod crowd;
mod newcomers;
mod place;
mod sentinels;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::peer::Peer;
use crate::progress::Progress;
use arena::{Battle, Outcome};
use attack::Attack;

/// The servers that are attacked when none is chosen.
const PEERS: [Peer; 6] = [Peer::Ours, Peer::Tokio, Peer::TokioDesign, Peer::Java, Peer::Clojure, Peer::Ncat];

#[derive(clap::Args)]
pub struct Args {
    /// "smoke": every attack for a moment on a small room of chat-server, which must lose nobody
    extent: Option<Extent>,
    /// The attacks, with commas between them
    #[arg(long, value_delimiter = ',')]
    attack: Vec<Attack>,
    /// The servers
    #[arg(long, value_delimiter = ',')]
    peer: Vec<Peer>,
    /// How many addresses the attackers have, each with as many connections. The others
    /// are attacked from one alone
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8], value_parser = clap::value_parser!(u16).range(1..=32))]
    machines: Vec<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Extent {
    Smoke,
}

/// What came of each battle, or why there was none.
type Results = Vec<(Battle, Result<Outcome>)>;

pub fn run(args: &Args, ours: &Path) -> Result<()> {
    if args.extent == Some(Extent::Smoke) {
        return smoke(ours);
    }
    let (peers, versions, missing) = available(&args.peer, ours);
    missing.iter().for_each(|reason| eprintln!("Not run: {reason}"));
    let battles = plan(&args.attack, &peers, &args.machines);
    let mut progress = Progress::start(battles.iter().map(Battle::planned).sum());
    let mut results = Results::new();
    for battle in battles {
        progress.next(battle.planned(), &battle.to_string());
        let outcome = battle.fight(ours);
        if let Err(error) = &outcome {
            eprintln!("{battle}: {error:#}");
        }
        results.push((battle, outcome));
    }
    progress.end();
    let text = table::markdown(&results, &versions, &missing);
    print!("{text}");
    if args.attack.is_empty() && args.peer.is_empty() && args.machines == [1, 8] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("siege.md"), text)?;
    }
    Ok(())
}

/// Nobody who reads at 100 KiB/s or more is lost, whoever comes later is let in, and no thread is left.
fn smoke(ours: &Path) -> Result<()> {
    let mut lost = Vec::new();
    for &attack in Attack::value_variants().iter().filter(|attack| attack.crowd() <= 1_000) {
        let crowd = attack.crowd().min(60);
        let battle =
            Battle { peer: Peer::Ours, attack, machines: 1, crowd, duration: Duration::from_secs(1) };
        let outcome = battle.fight(ours)?;
        let found = table::in_short(&outcome);
        println!("{attack}: {found}");
        let is_fine = outcome.cut_off == 0 && outcome.watch.cut_off == 0 && outcome.threads_left == 0;
        let is_reached = outcome.welcomes.unwelcome == 0 && outcome.watch.unanswered == 0;
        let is_attack = attack.is_calm() || outcome.done.sent > 0;
        if !(is_fine && is_reached && is_attack) {
            lost.push(format!("{attack}: {found}"));
        }
    }
    ensure!(lost.is_empty(), "people were lost, or something was left:\n{}", lost.join("\n"));
    Ok(())
}

/// Those of the chosen servers that can run here, their versions, and why the others cannot.
fn available(chosen: &[Peer], ours: &Path) -> (Vec<Peer>, Vec<String>, Vec<String>) {
    let (mut peers, mut versions, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for &peer in if chosen.is_empty() { &PEERS } else { chosen } {
        match peer.version(ours) {
            Ok(version) => {
                versions.push(format!("{peer}: {version}"));
                peers.push(peer);
            }
            Err(error) => missing.push(format!("{peer}: {error:#}")),
        }
    }
    (peers, versions, missing)
}

/// Server by server and room by room, each room's control first.
fn plan(attacks: &[Attack], peers: &[Peer], machines: &[u16]) -> Vec<Battle> {
    let attacks = if attacks.is_empty() { Attack::value_variants() } else { attacks };
    // Its own order is the order of the table: each control comes before what is compared with it.
    let attacks: BTreeSet<Attack> = attacks.iter().flat_map(|attack| [attack.control(), *attack]).collect();
    let mut battles = Vec::new();
    for &peer in peers {
        for &attack in attacks.iter().filter(|attack| attack.suits(peer)) {
            let machines: &[u16] = if attack.is_calm() || peer != Peer::Ours { &[1] } else { machines };
            let (crowd, duration) = (attack.crowd(), attack.duration(peer));
            battles.extend(machines.iter().map(|&machines| {
                let machines = usize::from(machines);
                Battle { peer, attack, machines, crowd, duration }
            }));
        }
    }
    battles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_server_is_attacked_for_five_minutes_and_each_other_for_less() {
        let all: Duration = plan(&[], &[Peer::Ours], &[1, 8]).iter().map(Battle::planned).sum();
        assert!(all < Duration::from_secs(300), "{all:?}");
        for peer in &PEERS[1..] {
            let planned: Duration = plan(&[], &[*peer], &[1, 8]).iter().map(Battle::planned).sum();
            assert!(planned < Duration::from_secs(150), "{peer}: {planned:?}");
        }
    }

    #[test]
    fn a_chosen_attack_brings_its_control_and_the_others_are_attacked_from_one_address() {
        let battles = plan(&[Attack::ListFull], &[Peer::Ours, Peer::Tokio, Peer::Java], &[1, 8, 32]);
        let planned: Vec<_> =
            battles.iter().map(|battle| (battle.peer, battle.attack, battle.machines)).collect();
        let (calm, list) = (Attack::CalmFull, Attack::ListFull);
        let ours = [(calm, 1), (list, 1), (list, 8), (list, 32)].map(|(attack, n)| (Peer::Ours, attack, n));
        let tokio = [(Peer::Tokio, calm, 1), (Peer::Tokio, list, 1)];
        assert_eq!(planned, [&ours[..], &tokio[..]].concat());
    }
}
