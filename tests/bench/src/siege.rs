//! The siege: attacks of one machine, or of several, on a room full of people who do nothing wrong, and what
//! those people notice of it; beside the same room without an attack. And what the limits that hold attackers
//! back cost in ordinary use ([`ordinary`]).
//!
//! Everything happens on this machine, in a network of its own where many addresses stand for others
//! ([`place`]). So the attackers take processor time from the server that they attack; the control, which has
//! the same crowd, shows what is left to see.

mod arena;
mod attack;
mod attackers;
mod behind;
mod crowd;
mod kept;
mod newcomers;
mod ordinary;
mod person;
mod place;
mod sentinels;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::peer::Peer;
use crate::progress::Progress;
use arena::{Battle, Contestant, Outcome};
use attack::Attack;
use place::Family;

/// From how many addresses an attack comes when that is not chosen. IPv6 addresses of one network count one
/// by one, so that fewer numbers tell enough.
const IPV4: [usize; 4] = [1, 8, 32, 64];
const IPV6: [usize; 2] = [1, 64];

#[derive(clap::Args)]
pub struct Args {
    /// "smoke": every attack for a moment on a small room of chat-server, which must lose nobody
    extent: Option<Extent>,
    /// These attacks, with commas between them; each brings its control
    #[arg(long, alias = "attack", value_delimiter = ',')]
    only: Vec<Attack>,
    /// How many addresses the attackers have, each with as many connections
    #[arg(long, alias = "machines", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    addresses: Vec<u16>,
    /// From where everyone connects: IPv4, the IPv6 network of the server, or attackers in another one
    #[arg(long, value_delimiter = ',')]
    family: Vec<Family>,
    /// How many people are in the room, in place of the number that goes with the attack
    #[arg(long)]
    people: Option<usize>,
    /// How long an attack lasts, in place of the time that goes with it
    #[arg(long)]
    seconds: Option<u64>,
    /// Another build of chat-server, to be measured in turn with the one that --server names
    #[arg(long, value_name = "PATH")]
    before: Option<PathBuf>,
    /// Other servers than chat-server, in IPv4 alone
    #[arg(long, value_delimiter = ',')]
    peer: Vec<Peer>,
    /// In place of attacks: what the limits cost people who do nothing wrong
    #[arg(long)]
    ordinary: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Extent {
    Smoke,
}

/// What came of each battle, or why there was none.
type Results = Vec<(Battle, Result<Outcome>)>;

pub fn run(args: &Args, ours: &Path) -> Result<()> {
    let mut missing = Vec::new();
    if let Err(reason) = place::enter_lan() {
        missing.push(format!("IPv6: no network namespace can be made here ({reason})"));
    } else if !Family::Ipv6.is_here() {
        missing.push("IPv6: this machine has none".to_owned());
    }
    if args.extent == Some(Extent::Smoke) {
        missing.iter().for_each(|reason| println!("Not run: {reason}"));
        return smoke(ours);
    }
    let (contestants, versions) = contestants(args, ours, &mut missing);
    missing.iter().for_each(|reason| eprintln!("Not run: {reason}"));
    let text = if args.ordinary {
        ordinary::measure(&contestants, &versions)?
    } else {
        table::markdown(&fight(plan(args, &contestants)), &versions, &missing)
    };
    print!("{text}");
    if args.only.is_empty() && args.people.is_none() && args.seconds.is_none() && args.addresses.is_empty() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(if args.ordinary { "ordinary.md" } else { "siege.md" }), text)?;
    }
    Ok(())
}

fn fight(battles: Vec<Battle>) -> Results {
    let mut progress = Progress::start(battles.iter().map(Battle::planned).sum());
    let mut results = Results::new();
    for battle in battles {
        progress.next(battle.planned(), &battle.to_string());
        let outcome = battle.fight();
        match &outcome {
            Ok(outcome) => eprintln!("    {}", table::in_short(&battle, outcome)),
            Err(error) => eprintln!("    {error:#}"),
        }
        results.push((battle, outcome));
    }
    progress.end();
    results
}

/// Nobody who reads at 100 KiB/s or more is lost, whoever comes later is let in, and no thread is left.
fn smoke(ours: &Path) -> Result<()> {
    let contestant = Contestant { peer: Peer::Ours, name: "chat-server".to_owned(), binary: ours.to_owned() };
    let mut lost = Vec::new();
    for (number, &attack) in Attack::value_variants().iter().enumerate() {
        // In turn, so that both are tried in a short time.
        let family = if number % 2 == 1 && Family::Ipv6.is_here() { Family::Ipv6 } else { Family::Ipv4 };
        let (people, duration) = (60, Duration::from_millis(500));
        let battle = Battle { contestant: contestant.clone(), attack, family, machines: 1, people, duration };
        let outcome = battle.fight()?;
        let found = format!("{battle}: {}", table::in_short(&battle, &outcome));
        println!("{found}");
        let lost_people = outcome.cut_off.iter().sum::<usize>() + outcome.watch.cut_off;
        let is_fine = lost_people == 0 && outcome.threads_left == 0 && outcome.watch.unanswered == 0;
        let is_reached = outcome.welcomes.unwelcome == 0 && outcome.kept.is_none_or(|kept| !kept.is_taken);
        let is_attack = attack.is_control() || outcome.done.connections > 0;
        if !(is_fine && is_reached && is_attack) {
            lost.push(found);
        }
    }
    ensure!(lost.is_empty(), "people were lost, or something was left:\n{}", lost.join("\n"));
    Ok(())
}

/// Those of the chosen servers that can run here, and their versions.
fn contestants(args: &Args, ours: &Path, missing: &mut Vec<String>) -> (Vec<Contestant>, Vec<String>) {
    let named = |peer: Peer, name: &str, binary: &Path| Contestant {
        peer,
        name: name.to_owned(),
        binary: binary.to_owned(),
    };
    let mut chosen: Vec<Contestant> =
        args.before.iter().map(|before| named(Peer::Ours, "before", before)).collect();
    if args.peer.is_empty() || args.before.is_some() {
        chosen.push(named(Peer::Ours, "now", ours));
    }
    chosen.extend(args.peer.iter().map(|peer| named(*peer, &peer.to_string(), ours)));
    let mut versions = Vec::new();
    chosen.retain(|Contestant { peer, name, binary }| match peer.version(binary) {
        Ok(version) => {
            versions.push(format!("{name}: {version}"));
            true
        }
        Err(error) => {
            missing.push(format!("{name}: {error:#}"));
            false
        }
    });
    (chosen, versions)
}

/// Room by room, each room's control first; and the servers in turn, so that all are attacked under the same
/// conditions.
fn plan(args: &Args, contestants: &[Contestant]) -> Vec<Battle> {
    let attacks = if args.only.is_empty() { Attack::value_variants() } else { &args.only };
    let mut rooms = BTreeSet::new();
    for attack in attacks {
        let people = args.people.map_or(attack.rooms().to_vec(), |people| vec![people]);
        rooms.extend(people.iter().flat_map(|&people| [(people, Attack::Control), (people, *attack)]));
    }
    let families = if args.family.is_empty() { &[Family::Ipv4, Family::Ipv6][..] } else { &args.family };
    let mut battles = Vec::new();
    for (people, attack) in rooms {
        for &family in families.iter().filter(|family| family.is_here()) {
            for machines in machines(args, attack, family) {
                let can_be = |contestant: &&Contestant| {
                    attack.suits(contestant.peer, people)
                        && (family == Family::Ipv4 || contestant.peer == Peer::Ours)
                };
                let duration = Duration::from_secs(args.seconds.unwrap_or(attack.seconds()));
                battles.extend(contestants.iter().filter(can_be).cloned().map(|contestant| Battle {
                    contestant,
                    attack,
                    family,
                    machines,
                    people,
                    duration,
                }));
            }
        }
    }
    battles
}

fn machines(args: &Args, attack: Attack, family: Family) -> Vec<usize> {
    match family {
        _ if attack.is_control() => vec![1],
        _ if !args.addresses.is_empty() => args.addresses.iter().map(|&count| usize::from(count)).collect(),
        Family::Ipv4 => IPV4.to_vec(),
        Family::Ipv6 | Family::Ipv6Far => IPV6.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, FromArgMatches};

    fn planned(words: &[&str]) -> Vec<Battle> {
        let command = Args::augment_args(clap::Command::new("siege").no_binary_name(true));
        let args = Args::from_arg_matches(&command.get_matches_from(words)).unwrap();
        let (contestants, _) = contestants(&args, Path::new("true"), &mut Vec::new());
        plan(&args, &contestants)
    }

    #[test]
    fn all_attacks_on_one_server_take_twelve_minutes() {
        let in_both: Duration = planned(&["--family", "ipv4"]).iter().map(Battle::planned).sum();
        assert!(in_both < Duration::from_secs(8 * 60), "{in_both:?}");
    }

    #[test]
    fn a_chosen_attack_brings_its_control_and_two_builds_are_attacked_in_turn() {
        let words =
            ["--only", "d", "--people", "7", "--family", "ipv4", "--addresses", "8,32", "--before", "echo"];
        let battles = planned(&words);
        let all: Vec<_> = battles
            .iter()
            .map(|battle| (battle.contestant.name.as_str(), battle.attack, battle.machines))
            .collect();
        let (control, list) = (Attack::Control, Attack::List);
        let wanted = [(control, 1), (list, 8), (list, 32)]
            .map(|(attack, machines)| [("before", attack, machines), ("now", attack, machines)]);
        assert_eq!(all, wanted.concat());
    }
}
