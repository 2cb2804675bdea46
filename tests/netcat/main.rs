//! Real programs as clients: each netcat that people have, other programs that can take its place,
//! and the recipes of the pages. A program that is not installed here makes its tests ignored,
//! with that as the reason.

#![forbid(unsafe_code)]

mod conversations;
mod programs;
mod recipes;
mod terminals;

use libtest_mimic::{Arguments, Failed, Trial};
use programs::{Program, find, programs};

type Test = fn(&Program) -> Result<(), Failed>;

/// Tests of each program.
const OF_EACH: [(&str, Test); 9] = [
    ("converses", conversations::converses),
    ("is_killed", conversations::is_killed),
    ("speaks_from_a_pipe", conversations::speaks_from_a_pipe),
    ("sees_the_goodbye", conversations::sees_the_goodbye),
    ("is_stopped", conversations::is_stopped),
    ("is_interrupted", conversations::is_interrupted),
    ("has_the_prompt_after_quit", conversations::has_the_prompt_after_quit),
    ("has_the_prompt_after_a_kick", conversations::has_the_prompt_after_a_kick),
    ("has_the_prompt_after_a_stop", conversations::has_the_prompt_after_a_stop),
];

/// Of those that only speak.
const OF_ONE_WAY: (&str, Test) = ("is_heard", conversations::is_heard_though_it_is_gone);

/// Those at a terminal, and the one that is no client.
fn of_one() -> [(&'static str, Program, Test); 4] {
    [
        ("sends_each_key", programs::socat_raw(), terminals::sends_each_key),
        ("sends_each_key", programs::telnet(), terminals::sends_each_key_of_telnet),
        ("keeps_the_line_being_typed", programs::rlwrap(), terminals::keeps_the_line_being_typed),
        ("is_told_so", programs::curl(), conversations::is_told_so),
    ]
}

const RECIPES: [(&str, Test); 5] = [
    ("recipe_for_one_line", recipes::for_one_line),
    ("recipe_for_the_end_of_a_job", recipes::for_the_end_of_a_job),
    ("recipe_for_a_person_with_a_name", recipes::for_a_person_with_a_name),
    ("recipe_for_a_transcript", recipes::for_a_transcript),
    ("recipe_for_a_bot", recipes::for_a_bot),
];

/// Whether a program can do that at all.
fn applies(what: &str, program: &Program) -> bool {
    match what {
        // The others are for people: at the end of their input they leave without reading the rest, or stay.
        "speaks_from_a_pipe" => {
            ["nc.openbsd", "nc.traditional", "ncat", "busybox.nc", "socat"].contains(&program.name)
        }
        // The others simply end, which is_killed has.
        "is_interrupted" => program.name == "telnet",
        _ => true,
    }
}

fn trial(
    name: String,
    missing: Option<&str>,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let trial = Trial::test(name, test);
    match missing {
        None => trial,
        Some(program) => trial.with_kind(format!("no {program} here")).with_ignored_flag(true),
    }
}

fn of(program: Program, what: &str, test: Test) -> Trial {
    let missing = program.found.is_none().then_some(program.file);
    trial(format!("{}_{what}", program.name), missing, move || test(&program))
}

fn main() {
    let mut trials = Vec::new();
    for (what, test) in OF_EACH {
        let able = programs().into_iter().filter(|program| applies(what, program));
        trials.extend(able.map(|program| of(program, what, test)));
    }
    let (what, test) = OF_ONE_WAY;
    trials.extend(programs::one_way().into_iter().map(|program| of(program, what, test)));
    trials.extend(of_one().into_iter().map(|(what, program, test)| of(program, what, test)));
    for (name, test) in RECIPES {
        // The recipes say `nc` and mean the one that knows -N.
        let openbsd = programs().swap_remove(0);
        let missing = openbsd.found.is_none() || find(&["nc"]).is_none();
        trials.push(trial(name.to_owned(), missing.then_some("nc of OpenBSD"), move || test(&openbsd)));
    }
    let systemd = find(&["systemd-analyze"]).is_none().then_some("systemd-analyze");
    trials.push(trial("unit_file".to_owned(), systemd, recipes::unit_file));
    let netcat = find(&["nc", "ncat", "nc.traditional"]).is_none().then_some("netcat");
    trials.push(trial("demo".to_owned(), netcat, recipes::demo));
    let missing = find(&["tmux"]).is_none().then_some("tmux").or(netcat);
    trials.push(trial("lesson".to_owned(), missing, recipes::lesson));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
