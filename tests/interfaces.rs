//! What the server says at the start, on a machine with real interfaces: two network namespaces with a cable
//! between them. A neighbour types every command that the server hands out, and tries every address that it
//! says is refused. The addresses are those for documentation (RFC 3849, RFC 5737) and lead nowhere else.
//!
//! This needs root, ip(8) and OpenBSD's nc; elsewhere the tests are ignored, with that as the reason.

use chat_test_support::{DEADLINE, PRESS_ENTER, Person, ServerProcess, eventually, lines_of, program};
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::Signal;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};

/// The interface, called so on both machines, so that a link-local command of one can be typed on the other.
const CABLE: &str = "lan0";

/// Runs `ip` with these words.
fn ip(words: &str) -> Result<(), Failed> {
    let output = Command::new("ip").args(words.split_whitespace()).output()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("ip {words}: {error}").into()) }
}

/// Two machines with a cable between them. They are gone when this is dropped.
struct Neighbours {
    here: String,
    there: String,
}

impl Neighbours {
    fn plug_in(test: &str, networks: &[&str]) -> Result<Neighbours, Failed> {
        let [here, there] = ["a", "b"].map(|end| format!("chat{test}{}{end}", id()));
        let neighbours = Neighbours { here, there };
        let Neighbours { here, there } = &neighbours;
        ip(&format!("netns add {here}"))?;
        ip(&format!("netns add {there}"))?;
        ip(&format!("-n {here} link add {CABLE} type veth peer name {CABLE} netns {there}"))?;
        for (machine, host) in [(here, "5"), (there, "6")] {
            ip(&format!("-n {machine} link set lo up"))?;
            for network in networks {
                let nodad = if network.contains(':') { " nodad" } else { "" };
                ip(&format!("-n {machine} addr add {} dev {CABLE}{nodad}", network.replace("HOST", host)))?;
            }
            ip(&format!("-n {machine} link set {CABLE} addrgenmode none"))?;
            ip(&format!("-n {machine} link set {CABLE} up"))?;
        }
        Ok(neighbours)
    }

    /// A server on the one machine, and its lines about others.
    fn server(&self, arguments: &[&str]) -> (ServerProcess, Vec<String>) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.here]).arg(program()).args(arguments);
        let mut server = ServerProcess::spawn(&mut command);
        server.signal(Signal::TERM);
        let lines = server.log.iter().take_while(|line| !line.contains("Chat server stopped."));
        let said = lines.filter_map(|line| Some(line.split_once("[INFO] ")?.1.to_owned()));
        let said = said.filter(|line| !line.contains("shutting down")).collect();
        assert_eq!(server.exit_code(), Some(0));
        (ServerProcess::spawn(&mut command), said)
    }

    /// What a person on the other machine gets first from this command.
    fn first_line(&self, command: &str) -> Option<String> {
        types(&self.there, command).next_line()
    }
}

/// A person on one of the machines types this command.
fn types(machine: &str, command: &str) -> Person {
    let mut program = Command::new("ip");
    program.args(["netns", "exec", machine]).args(command.split_whitespace());
    Person::with_program(&mut program)
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        for machine in [&self.here, &self.there] {
            let _ = Command::new("ip").args(["netns", "del", machine]).stderr(Stdio::null()).status();
        }
    }
}

const NETWORKS: [&str; 5] = [
    "192.168.77.HOST/24",
    "203.0.113.HOST/24",
    "2001:db8:1:2::HOST/64",
    "2001:db8:99::HOST/48",
    "fe80::HOST/64",
];

/// The addresses in lines that begin so, and what follows.
fn after<'a>(lines: &'a [String], start: &str) -> Vec<&'a str> {
    lines.iter().filter_map(|line| line.strip_prefix(start)).collect()
}

fn every_command_works_and_every_refusal_is_mended() -> Result<(), Failed> {
    let neighbours = Neighbours::plug_in("x", &NETWORKS)?;
    let (server, lines) = neighbours.server(&["--listen", "[::]:4711"]);
    let invited: Vec<_> = after(&lines, "Others connect with: ");
    let expected = ["192.168.77.5", "2001:db8:1:2::5"]; // Not fe80::5, for there is something else.
    assert_eq!(invited, expected.map(|host| format!("nc {host} 4711 (lan0)")), "{lines:#?}");
    for command in invited {
        let first = neighbours.first_line(command.trim_end_matches(" (lan0)"));
        assert!(first.as_ref().is_some_and(|line| line.starts_with("*** Welcome")), "{command}: {first:?}");
    }
    let who: Vec<_> = lines.iter().skip_while(|line| !line.starts_with("Who may connect:")).collect();
    assert_eq!(who, ["Who may connect: this machine, local networks,", "  2001:db8:1:2::/64"]);
    drop(server);

    let refused = after(&lines, "Others are refused at ");
    assert_eq!(refused.len(), 2, "{lines:#?}");
    for line in refused {
        let (host, flag) = (line.split(' ').next().unwrap(), line.rsplit(' ').next().unwrap());
        let command = format!("nc {host} 4711");
        for (arguments, start) in [
            (&["--allow", "local"][..], "!!! Sorry, your address may not connect"),
            (&["--allow", flag], "*** Welcome"),
        ] {
            let arguments = [&["--listen", "[::]:4711"], arguments].concat();
            let _server = neighbours.server(&arguments);
            let first = neighbours.first_line(&command);
            assert!(first.as_ref().is_some_and(|line| line.starts_with(start)), "{arguments:?}: {first:?}");
        }
    }
    Ok(())
}

fn each_address_takes_what_was_asked_for() -> Result<(), Failed> {
    let neighbours = Neighbours::plug_in("y", &NETWORKS[..3])?;
    // Both sockets take what is theirs, and a link-local address may be given with the name of its interface.
    for (listen, works, fails) in [
        ("0.0.0.0:4711,[::]:4711", &["192.168.77.5", "2001:db8:1:2::5"][..], &[][..]),
        ("[::]:4711,127.0.0.1:4711", &["2001:db8:1:2::5"], &["192.168.77.5"]),
        ("192.168.77.5:4711", &["192.168.77.5"], &["2001:db8:1:2::5"]),
    ] {
        let (_server, lines) = neighbours.server(&["--listen", listen]);
        let invited = after(&lines, "Others connect with: ");
        assert_eq!(
            invited,
            works.iter().map(|host| format!("nc {host} 4711 (lan0)")).collect::<Vec<_>>(),
            "{listen}"
        );
        for host in works {
            let first = neighbours.first_line(&format!("nc {host} 4711"));
            assert!(
                first.as_ref().is_some_and(|line| line.starts_with("*** Welcome")),
                "{listen}: {first:?}"
            );
        }
        for host in fails {
            assert_eq!(neighbours.first_line(&format!("nc {host} 4711")), None, "{listen}");
        }
    }
    Ok(())
}

/// OpenBSD's `nc` ends at the server's reset, which comes only where the state of the connection can be asked
/// for. A link-local address is the hard one: it stands for nothing without its interface.
fn the_prompt_comes_back_at_every_address() -> Result<(), Failed> {
    let neighbours = Neighbours::plug_in("z", &NETWORKS)?;
    let (_server, _) = neighbours.server(&["--listen", "[::]:4711"]);
    for machine in [&neighbours.there, &neighbours.here] {
        for host in ["192.168.77.5", "2001:db8:1:2::5", "fe80::5%lan0"] {
            let mut bob = types(machine, &format!("nc.openbsd {host} 4711"));
            bob.sees_welcome();
            bob.says("/quit");
            bob.sees(PRESS_ENTER);
            bob.waits_for_the_prompt();
        }
    }
    Ok(())
}

/// A network that comes while the server runs: a provider hands out another prefix, a cable is plugged in.
fn a_network_that_comes_later_is_noticed_when_a_stranger_knocks() -> Result<(), Failed> {
    let neighbours = Neighbours::plug_in("n", &[])?;
    let Neighbours { here, there } = &neighbours;
    let mut command = Command::new("ip");
    let fifo = std::env::temp_dir().join(format!("chat-keyboard-{}", id()));
    assert!(Command::new("mkfifo").arg(&fifo).status()?.success());
    let script = r#"exec "$0" --listen [::]:4711 --console <>"$1""#;
    command
        .args(["netns", "exec", here, "sh", "-c", script])
        .arg(program())
        .arg(&fifo)
        .stdout(Stdio::piped());
    let mut server = ServerProcess::spawn(&mut command);
    let mut keyboard = File::options().write(true).open(&fifo)?;
    std::fs::remove_file(&fifo)?;
    let screen = lines_of(server.child.stdout.take().ok_or("a screen")?);
    let mut addresses = || {
        keyboard.write_all(b"/addresses\n").unwrap();
        let mut shown = std::iter::from_fn(|| screen.recv_timeout(DEADLINE).ok());
        shown.find(|line| line.contains("connect with") || line.contains("no network")).unwrap()
    };
    server.logs("There is no network now; /addresses looks again");
    for (machine, host) in [(here, "5"), (there, "6")] {
        ip(&format!("-n {machine} addr add 2001:db8:7:8::{host}/64 dev {CABLE} nodad"))?;
    }
    let first = neighbours.first_line("nc 2001:db8:7:8::5 4711");
    assert!(first.as_ref().is_some_and(|line| line.starts_with("*** Welcome")), "{first:?}");
    assert_eq!(addresses(), "*** Others connect with: nc 2001:db8:7:8::5 4711 (lan0)");

    // A cable that is pulled out is no way in. The kernel takes a moment to say so.
    ip(&format!("-n {there} link set {CABLE} down"))?;
    eventually("the cable is out", || addresses() == "*** There is no network now; /addresses looks again");
    Ok(())
}

/// A container has a limit of threads (cgroups(7)): here a control group of our own.
fn a_limit_of_threads_is_a_sentence_at_the_start() -> Result<(), Failed> {
    let group = control_group().ok_or("it was there a moment ago")?;
    let script = r#"echo $$ >"$1/cgroup.procs" && exec "$0" --listen 127.0.0.1:0"#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(program()).arg(&group.0);
    for limit in ["1", "2", "3"] {
        std::fs::write(group.0.join("pids.max"), limit)?;
        let output = command.output()?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{limit}: {said}");
        assert!(said.ends_with("; raise ulimit -u, or pids.max of the container\n"), "{limit}: {said}");
    }
    std::fs::write(group.0.join("pids.max"), "2048")?;
    let server = ServerProcess::spawn(&mut command);
    server.logs("leave room for 2032 clients, not 4096: see ulimit -n, vm.max_map_count, and pids.max");
    Ok(())
}

/// A control group in which threads are counted. It is gone when this is dropped.
struct ControlGroup(PathBuf);

fn control_group() -> Option<ControlGroup> {
    let all = Path::new("/sys/fs/cgroup");
    let (version_1, name) = (all.join("pids"), format!("chat-{}", id()));
    let folder = if version_1.exists() { version_1 } else { all.to_owned() };
    let _ = std::fs::write(all.join("cgroup.subtree_control"), "+pids"); // Version 2 wants to be asked.
    let group = folder.join(name);
    std::fs::create_dir(&group).ok()?;
    let group = ControlGroup(group);
    group.0.join("pids.max").exists().then_some(group)
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        eventually("its last process has ended", || std::fs::remove_dir(&self.0).is_ok());
    }
}

fn main() {
    let missing = if !rustix::process::geteuid().is_root() {
        Some("not root")
    } else {
        let found = |program: &&str| Command::new(program).arg("-h").output().is_err();
        ["ip", "nc", "nc.openbsd"].into_iter().find(found)
    };
    let trial = |name: &str, test: fn() -> Result<(), Failed>| {
        let trial = Trial::test(name, test);
        match missing {
            Some(why) => trial
                .with_kind(format!("needs root, ip and the nc of OpenBSD: {why}"))
                .with_ignored_flag(true),
            None => trial,
        }
    };
    let mut trials = vec![
        trial(
            "every_command_works_and_every_refusal_is_mended",
            every_command_works_and_every_refusal_is_mended,
        ),
        trial(
            "a_network_that_comes_later_is_noticed_when_a_stranger_knocks",
            a_network_that_comes_later_is_noticed_when_a_stranger_knocks,
        ),
        trial("each_address_takes_what_was_asked_for", each_address_takes_what_was_asked_for),
        trial("the_prompt_comes_back_at_every_address", the_prompt_comes_back_at_every_address),
    ];
    let no_group = control_group().is_none();
    let limit = Trial::test(
        "a_limit_of_threads_is_a_sentence_at_the_start",
        a_limit_of_threads_is_a_sentence_at_the_start,
    );
    let limit = limit.with_kind(if no_group { "needs a control group of its own" } else { "" });
    trials.push(limit.with_ignored_flag(no_group));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
