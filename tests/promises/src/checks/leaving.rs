//! Going away, in every way there is.

use std::thread;
use std::time::Duration;

use crate::outcome::{Finding, Outcome, broken};
use crate::person::{BETWEEN_PACKETS, Person, patience, shortened};
use crate::promise::Promise;
use crate::servers::Stage;
use crate::text::{mentions, token};
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
            return broken!("after {way}, alice was not told within {} s", patience().as_secs());
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
    dave.reads_to_the_end(patience());
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
        let (seen, ended) = visit.runs_script((lines.join("\n") + "\n").as_bytes(), patience())?;
        let came = how_many(&lines, &seen);
        if came < SCRIPT {
            return broken!("in run {run}, {came} of its {SCRIPT} lines came back");
        }
        if !ended {
            return broken!(
                "all came back, but {} s later the connection was still open",
                patience().as_secs()
            );
        }
    }
    Ok(String::new())
}

/// How many of these texts stand in one of these lines.
fn how_many(texts: &[String], lines: &[String]) -> usize {
    texts.iter().filter(|text| lines.iter().any(|line| line.contains(*text))).count()
}

/// How often somebody hangs up, or quits. Some servers lose a line in five, others one in fifty.
const HANG_UPS: usize = 200;
const QUITS: usize = 10;

pub const HANG_UP_IS_HEARD: Promise = Promise {
    number: 24,
    name: "hang-up-is-heard",
    sentence: "A client that says a line and hangs up at once is heard.",
    how: "dave connects, says a line and closes the connection at once, with what the server has sent to him \
          unread, so that his kernel may send a reset. alice must see his line. Two hundred times.",
    why: "`echo hello >/dev/tcp/HOST/PORT` does that, and so do many small programs that tell a room something.",
    broken_by: "The greeting fails, or a reset is seen, and the line that came before it is thrown away.",
    stage: Stage::Crowd,
    check: hang_up_is_heard,
};

fn hang_up_is_heard(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    let (mut alice, _bob) = visit.alice_and_bob()?;
    for time in 1..=HANG_UPS {
        let mut dave = visit.connects("dave")?;
        let text = token();
        dave.says(&text)?;
        dave.hangs_up();
        if alice.sees(&text).is_err() {
            return broken!("alice never saw the line of the {time}. client that hung up at once");
        }
    }
    Ok(String::new())
}

/// What he types on after the command.
const WORDS_MORE: usize = 3;

/// Lines of 1 kB that wait for one who quits. They fit into the buffers of any kernel.
const WAITING: usize = 40;

pub const QUIT_LOSES_NOTHING: Promise = Promise {
    number: 25,
    name: "quit-loses-nothing",
    sentence: "One who quits still gets the lines that were said before, and then the end.",
    how: "bob has a small receive buffer and reads nothing while alice says 40 lines of 1 kB, which carol sees. \
          Then he types the command that leaves, types on, and reads: he must get all 40 lines, and the \
          end of the connection. Ten times.",
    why: "What was said before one left was said to one, too.",
    broken_by: "The server closes the connection, and what he types then makes its kernel send a reset, which \
          destroys what is still on its way (RFC 1122, 4.2.2.13). Or it drops his queue.",
    stage: Stage::Flood,
    check: quit_loses_nothing,
};

fn quit_loses_nothing(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    needs(visit.manners.quit, "no command that leaves was found; --quit says which")?;
    let (mut alice, mut carol) = visit.alice_and_bob()?;
    for _ in 0..QUITS {
        let mut bob = visit.arrives_with_small_buffer("bob")?;
        let said: Vec<String> = (0..WAITING).map(|_| token()).collect();
        let lines: String = said.iter().map(|text| format!("{text} {:x<1000}\n", "")).collect();
        alice.says_lines(&lines)?;
        carol.reads_until_all(&said)?;
        if visit.manners.echoes {
            alice.reads_until_all(&said)?;
        }
        bob.says(&visit.manners.words.quit)?;
        for _ in 0..WORDS_MORE {
            // The server reads the command meanwhile, and closes the connection or does not.
            thread::sleep(BETWEEN_PACKETS);
            // It may have been closed.
            let _ = bob.says("one word more");
        }
        let (seen, ended) = bob.reads_to_the_end(patience());
        let got = how_many(&said, &seen);
        if got < WAITING {
            return broken!("of {WAITING} lines that were said before he left, bob got {got}");
        }
        if !ended {
            return broken!(
                "bob got all, but {} s later the connection was still open",
                patience().as_secs()
            );
        }
    }
    Ok(String::new())
}
