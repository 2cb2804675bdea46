//! A check that passes by luck is worse than none. Here each check runs against the toy server with a fault
//! that it must find, and against the same server without one, of which it must say `kept`.
//!
//! All of it goes through the program's own command line, as a reader would use it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

/// Each promise with the faults that break it.
const FAULTS: [(&str, &[&str]); 27] = [
    ("greets", &["silent"]),
    ("everyone-hears", &["echo-twice", "skips-one"]),
    ("unique-names", &["checks-then-takes"]),
    ("private-stays-private", &["private-to-all", "private-in-history"]),
    ("listed", &["list-misses-one", "lists-the-gone"]),
    ("leave-said-once", &["leave-twice", "reset-unsaid"]),
    ("last-line-counts", &["drops-last-line"]),
    ("hang-up-is-heard", &["hang-up-unheard"]),
    ("script-gets-receipt", &["forgets-receipts", "never-closes"]),
    ("quit-loses-nothing", &["closes-at-quit"]),
    ("packets-are-no-lines", &["packets-end-lines", "packets-are-lines"]),
    ("stalled-holds-up-nobody", &["holds-up-the-room", "blocking-write"]),
    ("hundredth-client", &["pool-of-ten"]),
    ("one-machine-leaves-places", &["few-places", "pool-of-ten"]),
    ("one-order", &["own-order"]),
    ("burst-arrives-whole", &["drops-burst", "swaps-lines"]),
    ("stalled-stops-nobody", &["blocking-write"]),
    ("stalled-bounded-memory", &["unbounded-queue"]),
    ("stalled-sees-no-gap", &["drops-when-full"]),
    ("endless-line-bounded", &["unbounded-line"]),
    ("no-escape-sequences", &["forwards-escapes", "escapes-in-last-words"]),
    ("http-is-not-heard", &["hears-http", "hears-post"]),
    ("flooder-delays-nobody", &["one-at-a-time"]),
    ("flooder-leaves-room", &["unpaced"]),
    ("churn-leaves-nothing", &["leaks-descriptors", "leaks-threads"]),
    ("descriptors-run-out", &["accept-quits", "accept-spins"]),
    ("goodbye-on-sigterm", &["no-goodbye", "ignores-sigterm"]),
];

/// What servers do in one way or another. It is no fault, and decides no promise but for these.
type Habit = (&'static str, &'static [(&'static str, &'static str)]);
const HABITS: [Habit; 10] = [
    ("--fault no-echo", &[("script-gets-receipt", "not offered")]),
    ("--fault packets-are-lines", &[("packets-are-no-lines", "broken")]),
    ("--name-first", &[]),
    ("--looks times", &[]),
    ("--looks colours", &[]),
    ("--looks bells", &[]),
    ("--looks prompts", &[]),
    ("--looks says", &[]),
    ("--looks addresses", &[]),
    ("--looks returns", &[]),
];

fn main() {
    let mut trials = vec![
        trial("every_promise_has_a_fault", every_promise_has_a_fault),
        trial("a_running_server_is_checked_from_outside", a_running_server_is_checked_from_outside),
        trial("a_page_is_written_and_compared", a_page_is_written_and_compared),
        trial("words_that_nobody_would_guess_are_given", words_that_nobody_would_guess_are_given),
        trial("a_server_that_does_not_start_is_not_run", a_server_that_does_not_start_is_not_run),
    ];
    for (promise, faults) in FAULTS {
        trials.push(trial(&format!("{promise}::kept"), move || is_kept(promise)));
        for fault in faults {
            trials.push(trial(&format!("{promise}::broken_by::{fault}"), move || is_broken(promise, fault)));
        }
    }
    for habit in &HABITS {
        for is_about_stalled in [true, false] {
            // Those checks say megabytes, and look at the text of their own lines only.
            if is_about_stalled && habit.0.starts_with("--looks") {
                continue;
            }
            let which = if is_about_stalled { "a stalled reader" } else { "the rest" };
            let name = format!("habits::{}::{which}", habit.0);
            trials.push(trial(&name, move || a_habit_decides_nothing(habit, is_about_stalled)));
        }
    }
    let mut arguments = Arguments::from_args();
    // They wait more than they work.
    arguments.test_threads.get_or_insert(8);
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(name: &str, run: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(name, run)
}

fn is_kept(promise: &str) -> Result<(), Failed> {
    let (output, cells) = check(&toy(promise, ""), promise)?;
    expect(&cells, "kept")?;
    ensure(output.status.code() == Some(0), "the exit code is not 0")
}

fn is_broken(promise: &str, fault: &str) -> Result<(), Failed> {
    // What does not come need not be waited for so long.
    let command = toy(promise, &format!("--fault {fault}"));
    let (output, cells) = run(&["--command", &command, "--promise", promise, "--timeout", "4"])?;
    expect(&cells, "broken")?;
    let transcript = cells[0]["transcript"].as_array();
    ensure(transcript.is_some_and(|lines| lines.len() > 2), "it does not show what happened")?;
    ensure(output.status.code() == Some(1), "the exit code is not 1")
}

fn every_promise_has_a_fault() -> Result<(), Failed> {
    let (_, cells) = check("false", "")?;
    let promises: BTreeSet<&str> = cells.iter().filter_map(|cell| cell["promise"].as_str()).collect();
    let with_fault: BTreeSet<&str> = FAULTS.iter().filter(|row| !row.1.is_empty()).map(|row| row.0).collect();
    ensure(promises == with_fault, &format!("{promises:?}\nare not\n{with_fault:?}"))
}

fn a_server_that_does_not_start_is_not_run() -> Result<(), Failed> {
    let (output, cells) = check("echo no such luck >&2; false", "greets")?;
    expect(&cells, "not run")?;
    ensure(
        cells[0]["seen"].as_str().is_some_and(|seen| seen.contains("no such luck")),
        "the reason is missing",
    )?;
    ensure(output.status.code() == Some(1), "a server that was not checked must not pass")
}

fn a_running_server_is_checked_from_outside() -> Result<(), Failed> {
    let mut server =
        Command::new(env!("CARGO_BIN_EXE_toy-server")).arg("127.0.0.1:0").stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    let output = server.stdout.take().expect("a pipe was asked for");
    let server = Running(server);
    BufReader::new(output).read_line(&mut address)?;
    for (promise, result) in
        [("greets", "kept"), ("leave-said-once", "kept"), ("goodbye-on-sigterm", "not run")]
    {
        let (_, cells) = run(&["--connect", address.trim(), "--promise", promise])?;
        expect(&cells, result)?;
    }
    drop(server);
    Ok(())
}

fn a_habit_decides_nothing((habit, exceptions): &Habit, is_about_stalled: bool) -> Result<(), Failed> {
    let promises: Vec<&str> = FAULTS
        .iter()
        .map(|(promise, _)| *promise)
        .filter(|promise| promise.starts_with("stalled-") == is_about_stalled)
        .collect();
    let command = toy(promises[0], habit);
    let mut arguments = vec!["--command", &command];
    promises.iter().for_each(|promise| arguments.extend(["--promise", promise]));
    let (_, cells) = run(&arguments)?;
    for cell in &cells {
        let exception = exceptions.iter().find(|(promise, _)| cell["promise"] == *promise);
        let expected = exception.map_or("kept", |(_, verdict)| *verdict);
        ensure(cell["result"] == expected, &format!("not {expected}: {cell:#}"))?;
    }
    ensure(cells.len() == promises.len(), "some were not checked")
}

/// The toy server's commands begin with `!`.
fn words_that_nobody_would_guess_are_given() -> Result<(), Failed> {
    let words = ["--nick", "!nick {}", "--list", "!list", "--msg", "!msg {name} {text}", "--quit", "!quit"];
    for (promise, fault) in [
        ("unique-names", "checks-then-takes"),
        ("private-stays-private", "private-to-all"),
        ("listed", "list-misses-one"),
        ("no-escape-sequences", "escapes-in-last-words"),
    ] {
        let (right, wrong) = (toy(promise, "--sign !"), toy(promise, &format!("--sign ! --fault {fault}")));
        let about = ["--promise", promise];
        expect(&run(&[&["--command", &right], &about[..], &words].concat())?.1, "kept")?;
        expect(&run(&[&["--command", &wrong], &about[..], &words].concat())?.1, "broken")?;
        if promise != "no-escape-sequences" {
            expect(&check(&right, promise)?.1, "not offered")?;
        }
    }
    Ok(())
}

fn a_page_is_written_and_compared() -> Result<(), Failed> {
    let path = std::env::temp_dir().join(format!("chat-promises-{}.md", std::process::id()));
    let page = path.to_str().expect("a path of ASCII");
    fs::write(&path, "before\n<!-- promises --><!-- /promises -->\nafter\n")?;
    let command = toy("greets", "");
    let arguments = ["--command", &command, "--promise", "greets"];
    run(&[&arguments[..], &["--write", page]].concat())?;
    let (same, _) = run(&[&arguments[..], &["--check", page]].concat())?;
    let text = fs::read_to_string(&path)?;
    fs::write(&path, text.replace("| ✔ |", "| ✘ |"))?;
    let (changed, _) = run(&[&arguments[..], &["--check", page]].concat())?;
    fs::remove_file(&path)?;
    ensure(text.contains("| `greets`: A newcomer gets a line before it says a word. | ✔ |"), &text)?;
    ensure(same.status.code() == Some(0), "a page that is true must pass")?;
    ensure(changed.status.code() == Some(1), "a page that is not true must fail")
}

/// The line that starts the toy server. A stalled reader's cost shows only when nothing slows the talkers.
fn toy(promise: &str, flags: &str) -> String {
    let pace = if promise.starts_with("stalled-") { "--unpaced" } else { "" };
    format!("exec '{}' {{address}} {pace} {flags}", env!("CARGO_BIN_EXE_toy-server"))
}

fn check(command: &str, promise: &str) -> Result<(Output, Vec<Value>), Failed> {
    run(&["--command", command, "--promise", promise])
}

fn run(arguments: &[&str]) -> Result<(Output, Vec<Value>), Failed> {
    let output = Command::new(env!("CARGO_BIN_EXE_chat-promises")).arg("--json").args(arguments).output()?;
    let text = String::from_utf8(output.stdout.clone())?;
    let cells = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    ensure(!cells.is_empty(), &String::from_utf8_lossy(&output.stderr))?;
    Ok((output, cells))
}

fn expect(cells: &[Value], result: &str) -> Result<(), Failed> {
    ensure(cells.len() == 1 && cells[0]["result"] == result, &format!("not {result}: {cells:?}"))
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// A server that is stopped at the end of the test, however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
