//! Going away, in every way there is.

use std::time::Duration;

use crate::outcome::{Finding, Outcome, broken};
use crate::person::{PATIENCE, Person, mentions, shortened, token};
use crate::promise::Promise;
use crate::servers::Stage;
use crate::visit::{Visit, needs};

pub const LEAVE_SAID_ONCE: Promise = Promise {
    number: 6,
    name: "leave-said-once",
    sentence: "The room hears once that a client has left, however it left.",
    how: "One client ends its input, one resets its connection, one says /quit (where there is one). alice \
          must see one line about each, and no second one.",
    why: "A ghost in the room is written to in vain; and a leave that is told twice makes people ask who it \
          was.",
    broken_by: "Both the reading and the writing thread clean up. Or only the end of file does, and an error \
          goes another way.",
    stage: Stage::Shared,
    check: leave_said_once,
};

const END_OF_INPUT: &str = "the end of its input";
const RESET: &str = "a reset";
const QUIT: &str = "its command";

fn leave_said_once(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    needs(visit.manners.leaves, "leaves are not announced")?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let mut ways = vec![END_OF_INPUT, RESET];
    if visit.manners.quit {
        ways.push(QUIT);
    }
    for way in ways {
        let mut zed = visit.arrives("zed")?;
        visit.is_heard(&mut zed, &mut [&mut alice])?;
        let name = zed.name.clone();
        // One who only ends its input still has its connection until the server closes it.
        let _half_open = leave(zed, way, &visit.manners.words.quit)?;
        let Ok(mut seen) = alice.reads_until_one("the leave", |line| mentions(line, &name)) else {
            return broken!("after {way}, alice was not told within {} s", PATIENCE.as_secs());
        };
        // A second announcement would come from a slower thread. Two round trips give it the time.
        for _ in 0..2 {
            let end = token();
            bob.says(&end)?;
            seen.append(&mut alice.reads_until(&end)?);
            visit.is_heard(&mut alice, &mut [&mut bob])?;
        }
        let about: Vec<&String> = seen.iter().filter(|line| mentions(line, &name)).collect();
        if let [first, second, ..] = about[..] {
            return broken!("after {way}: {} | {}", shortened(first), shortened(second));
        }
    }
    Ok(String::new())
}

fn leave(mut person: Person, way: &str, quit: &str) -> Result<Option<Person>, Finding> {
    match way {
        RESET => {
            person.vanishes();
            return Ok(None);
        }
        QUIT => person.says(quit)?,
        _ => person.ends_input(),
    }
    Ok(Some(person))
}

pub const LAST_LINE_COUNTS: Promise = Promise {
    number: 7,
    name: "last-line-counts",
    sentence: "A last line without a line break is heard.",
    how: "dave sends a line without its line break and ends his input. alice must see the text.",
    why: "`printf hello | nc HOST PORT` is how scripts are written.",
    broken_by: "The loop waits for a line break, gets the end of file, and forgets what it has.",
    stage: Stage::Shared,
    check: last_line_counts,
};

fn last_line_counts(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let mut dave = visit.arrives("dave")?;
    let text = token();
    dave.sends(text.as_bytes())?;
    dave.ends_input();
    // When the server has closed dave's connection it is through with him, and need not be waited for any
    // longer.
    dave.reads_to_the_end(PATIENCE);
    let end = token();
    bob.says(&end)?;
    let seen = alice.reads_until(&end)?;
    if seen.iter().any(|line| line.contains(&text)) || alice.sees_within(&text, Duration::from_secs(2)) {
        return Ok(String::new());
    }
    broken!("alice never saw the line")
}

/// Lines that the script says, and how often it runs.
const SCRIPT: usize = 20;
const RUNS: usize = 20;

pub const SCRIPT_GETS_RECEIPT: Promise = Promise {
    number: 8,
    name: "script-gets-receipt",
    sentence: "A client that has closed its half still gets its own lines back, and then the end.",
    how: "A client connects, sends twenty lines, ends its input at once, and reads to the end of the \
          connection: all twenty must be there, and the end must come. Twenty times, because some servers \
          lose the last lines only now and then.",
    why: "`nc -N` in a script then proves that the lines were heard, and returns.",
    broken_by: "At the end of file both halves are closed, with the answers still on their way. Or the \
          server never closes its half, and the script hangs.",
    stage: Stage::Shared,
    check: script_gets_receipt,
};

fn script_gets_receipt(visit: &Visit) -> Outcome {
    needs(visit.manners.echoes, "one's own lines do not come back here")?;
    for run in 1..=RUNS {
        let lines: Vec<String> = (0..SCRIPT).map(|_| token()).collect();
        let (seen, ended) = visit.runs_script((lines.join("\n") + "\n").as_bytes(), PATIENCE)?;
        let came = lines.iter().filter(|line| seen.iter().any(|seen| seen.contains(*line))).count();
        if came < SCRIPT {
            return broken!("in run {run}, {came} of its {SCRIPT} lines came back");
        }
        if !ended {
            return broken!(
                "all came back, but {} s later the connection was still open",
                PATIENCE.as_secs()
            );
        }
    }
    Ok(String::new())
}
