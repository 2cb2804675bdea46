//! What the lesson says, held against the steps: its excerpts, its figures, and its
//! transcripts, which are played.

use crate::people::{DEADLINE, Step};
use rustix::process::Signal;
use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

const PAGE: &str = include_str!("../../../lesson.md");

/// How long `(nothing more)` is.
const SILENCE: Duration = Duration::from_secs(2);

/// The fenced blocks of this kind, each with the paragraph before it.
fn blocks<'a>(page: &'a str, kind: &'a str) -> impl Iterator<Item = (&'a str, Vec<&'a str>)> {
    let pieces: Vec<_> = page.split("\n```").collect();
    assert!(pieces.len() % 2 == 1, "every block ends");
    let block = move |pair: &[&'a str]| {
        let (language, lines) = pair[1].split_once('\n')?;
        (language == kind).then(|| (pair[0].trim_end().lines().last().unwrap_or(""), lines.lines().collect()))
    };
    pieces.chunks_exact(2).filter_map(block).collect::<Vec<_>>().into_iter()
}

/// The text of the `nth` file that is named in a paragraph.
fn file(paragraph: &str, nth: usize) -> String {
    let name = paragraph.split('`').filter(|word| word.ends_with(".rs")).nth(nth).expect("a file is named");
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(name)).expect(name)
}

/// Do these lines stand one after the other in this text, however far they are indented?
fn is_in(lines: &[&str], text: &str) -> bool {
    let text: Vec<_> = text.lines().map(str::trim).collect();
    lines.is_empty()
        || text
            .windows(lines.len())
            .any(|window| window.iter().zip(lines).all(|(theirs, ours)| *theirs == ours.trim()))
}

fn is_ellipsis(line: &&str) -> bool {
    ["…", "// …"].contains(&line.trim())
}

#[test]
fn every_excerpt_is_in_its_file() {
    let mut count = 0;
    for (paragraph, lines) in blocks(PAGE, "rust,ignore") {
        for part in lines.split(is_ellipsis) {
            assert!(is_in(part, &file(paragraph, 0)), "{paragraph}\n{part:#?}");
            count += 1;
        }
    }
    for (paragraph, lines) in blocks(PAGE, "diff") {
        let (before, after) = (file(paragraph, 0), file(paragraph, 1));
        for hunk in lines.split(is_ellipsis) {
            for (sign, there, not_there) in [("-", &before, &after), ("+", &after, &before)] {
                let part: Vec<_> = hunk.iter().filter_map(|line| line.strip_prefix(sign)).collect();
                assert!(is_in(&part, there), "{paragraph}\n{part:#?}");
                assert!(part.is_empty() || !is_in(&part, not_there), "this is no difference: {part:#?}");
                count += 1;
            }
            assert!(hunk.iter().all(|line| line.starts_with(['+', '-'])), "{hunk:#?}");
        }
    }
    assert!(count > 10, "only {count} parts of excerpts were found");
}

#[test]
fn the_table_says_how_long_each_step_is() {
    for number in 1..=7 {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| {number} [`"))).expect("a row");
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let text = file(&cells[1].replace("step_", "src/guide/steps/step_"), 0);
        let is_code = |line: &&str| !line.is_empty() && !line.starts_with("//");
        assert_eq!(cells[3], text.lines().map(str::trim).filter(is_code).count().to_string(), "{row}");
    }
}

#[test]
fn every_transcript_is_what_really_happens() {
    let mut played = Vec::new();
    for (_, lines) in blocks(PAGE, "text") {
        played.push(plays(&lines).unwrap());
    }
    assert_eq!(played, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_transcript_that_is_not_what_happens_is_noticed() {
    let (_, lines) = blocks(PAGE, "text").nth(3).unwrap();
    let mut noticed = 0;
    for at in 1..lines.len() {
        // After an ellipsis a line is waited for, and may be left out.
        // The last two lines are a leave, and at the end of a transcript everyone leaves.
        let is_certain = !lines[at].ends_with('…') && !lines[at - 1].ends_with('…') && at + 2 < lines.len();
        if lines[at].contains(": ") && is_certain {
            let changed = format!("{} changed", lines[at]);
            let mut lines = lines.clone();
            lines[at] = &changed;
            assert!(plays(&lines).is_err(), "{changed}");
            lines.remove(at);
            assert!(plays(&lines).is_err(), "without {changed}");
            noticed += 1;
        }
    }
    assert!(noticed > 10, "only {noticed} changes were made");
}

/// Plays a transcript; the number of its step, or what was different.
fn plays(lines: &[&str]) -> Result<u32, String> {
    let mut stage = Stage::start(lines[0]);
    for line in &lines[1..] {
        stage.plays(line).map_err(|why| format!("step {}: {line}\n{why}", stage.number))?;
    }
    stage.ends()
}

/// What one person sees, line by line.
struct Screen {
    lines: Receiver<String>,
    /// An ellipsis came last: lines may be left out.
    is_cut: bool,
    input: Option<TcpStream>,
    reader: Arc<Reader>,
}

/// The thread that reads for one screen.
#[derive(Default)]
struct Reader {
    state: Mutex<ReaderState>,
    changed: Condvar,
}

#[derive(Default)]
struct ReaderState {
    is_stopped: bool,
    /// How many lines of radio's it has read; they are the long ones.
    count: usize,
}

impl Screen {
    fn of_a_client(address: SocketAddr) -> Screen {
        let input = TcpStream::connect(address).unwrap();
        let output = BufReader::new(input.try_clone().unwrap());
        let (to_screen, lines) = channel();
        let reader = Arc::<Reader>::default();
        let this = Arc::clone(&reader);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let state = this.state.lock().unwrap();
                let mut state = this.changed.wait_while(state, |state| state.is_stopped).unwrap();
                state.count += usize::from(line.len() > 1000);
                drop(state);
                this.changed.notify_all();
                let _ = to_screen.send(line);
            }
        });
        Screen { lines, is_cut: false, input: Some(input), reader }
    }

    fn stops(&self, is_stopped: bool) {
        self.reader.state.lock().unwrap().is_stopped = is_stopped;
        self.reader.changed.notify_all();
    }

    fn shows(&mut self, expected: &str) -> Result<(), String> {
        match expected {
            "…" => {
                self.is_cut = true;
                return Ok(());
            }
            "(nothing more)" => {
                while let Ok(line) = self.lines.recv_timeout(SILENCE) {
                    if !self.is_cut {
                        return Err(format!("more was seen: {line:.100}"));
                    }
                }
                self.is_cut = false;
                return Ok(());
            }
            _ => {}
        }
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            if without_port(&line) == without_port(expected) {
                self.is_cut = false;
                return Ok(());
            }
            if !self.is_cut {
                return Err(format!("this was seen: {line:.100}"));
            }
        }
        Err("it was not seen".to_owned())
    }

    /// Reads to the end.
    fn shows_no_more_than(&mut self, is_allowed: impl Fn(&str) -> bool) -> Result<(), String> {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) if self.is_cut || is_allowed(&line) => {}
                Ok(line) => return Err(format!("this was seen, too: {line:.100}")),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => return Err("there was no end".to_owned()),
            }
        }
    }
}

/// Ports differ from run to run.
fn without_port(line: &str) -> String {
    match line.split_once("127.0.0.1:") {
        Some((before, after)) => {
            format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => line.to_owned(),
    }
}

struct Stage {
    number: u32,
    step: Step,
    screens: HashMap<String, Screen>,
    /// What `ps` has printed last, where there is `/proc`.
    memory: Option<usize>,
}

/// How many lines radio says, and up to which number each of them counts, if this is its command.
fn what_radio_says(command: &str) -> Option<(usize, usize)> {
    let numbers = command.strip_prefix("for i in $(seq ")?;
    let numbers = numbers.strip_suffix("; done | nc -N localhost 12345 >/dev/null")?;
    let (lines, last) = numbers.split_once("); do seq -s ' ' ")?;
    Some((lines.parse().ok()?, last.parse().ok()?))
}

impl Stage {
    fn start(line: &str) -> Stage {
        let number =
            line.strip_prefix("server$ cargo run -p chat-steps --bin step_").expect("a step is started");
        let number = number.parse().unwrap();
        let mut step = Step::start(number);
        let (to_screen, lines) = channel();
        to_screen.send("Chat server started...".to_owned()).unwrap();
        to_screen.send(format!("Listening on {}", step.address)).unwrap();
        let log = mem::replace(&mut step.log, channel().1);
        thread::spawn(move || log.iter().for_each(|line| drop(to_screen.send(line))));
        let server = Screen { lines, is_cut: false, input: None, reader: Arc::default() };
        Stage { number, step, screens: HashMap::from([("server".to_owned(), server)]), memory: None }
    }

    fn plays(&mut self, line: &str) -> Result<(), String> {
        let at = line.find(|c: char| !c.is_alphanumeric()).ok_or("a name and what happens")?;
        let (name, mark, text) = (&line[..at], &line[at..at + 2], &line[at + 2..]);
        match (mark, text) {
            ("$ ", "nc localhost 12345") => {
                self.screens.insert(name.to_owned(), Screen::of_a_client(self.step.address));
            }
            ("$ ", command) if what_radio_says(command).is_some() => {
                let (lines, last) = what_radio_says(command).unwrap();
                let address = self.step.address;
                let is_reading = |screen: &&Screen| {
                    screen.input.is_some() && !screen.reader.state.lock().unwrap().is_stopped
                };
                let readers: Vec<_> =
                    self.screens.values().filter(is_reading).map(|screen| screen.reader.clone()).collect();
                thread::spawn(move || radio(address, lines, last, &readers));
            }
            ("$ ", "fg") => self.screens[name].stops(false),
            ("> ", "^Z") => self.screens[name].stops(true),
            ("> ", "^C") if name == "server" => {
                self.step.is_told(Signal::INT);
            }
            ("$ ", command) if command == format!("ps -o rss= -C step_{}", self.number) => {
                self.memory = self.step.memory();
            }
            ("> ", _) => writeln!(self.screens[name].input.as_ref().unwrap(), "{text}").unwrap(),
            (": ", _) if name == "server" && text.parse::<usize>().is_ok() => {
                let (written, really) = (text.parse::<usize>().unwrap(), self.memory.take());
                // It depends on the machine, and still says whether radio's text is in it.
                if really.is_some_and(|really| really > 2 * written || written > 2 * really) {
                    return Err(format!("it is {really:?}"));
                }
            }
            (": ", _) => return self.screens.get_mut(name).ok_or("who is that?")?.shows(text),
            _ => return Err("this is no line of a transcript".to_owned()),
        }
        Ok(())
    }

    /// Nobody has seen more than the transcript says.
    fn ends(mut self) -> Result<u32, String> {
        let mut server = self.screens.remove("server").unwrap();
        for (name, screen) in &mut self.screens {
            // All that was on its way comes before the end. That others leave meanwhile is done here.
            screen.stops(false);
            let _ = screen.input.as_ref().unwrap().shutdown(Shutdown::Write);
            screen
                .shows_no_more_than(|line| line.ends_with(" left"))
                .map_err(|why| format!("{name}: {why}"))?;
        }
        let _ = self.step.child.kill();
        server.shows_no_more_than(|line| line.ends_with(" disconnected"))?;
        Ok(self.number)
    }
}

/// A client that says so many lines, each of which counts to `last`.
///
/// It does not go on before these readers have read each line. On a busy machine they would fall behind
/// otherwise, and steps 5 to 7 would cut them off.
fn radio(address: SocketAddr, lines: usize, last: usize, readers: &[Arc<Reader>]) -> io::Result<()> {
    let readers: Vec<_> = readers.iter().map(|reader| (reader, reader.state.lock().unwrap().count)).collect();
    let socket = TcpStream::connect(address)?;
    let words: Vec<_> = (1..=last).map(|number| number.to_string()).collect();
    let line = words.join(" ") + "\n";
    let mut seen = BufReader::new(&socket).lines();
    for said in 1..=lines {
        (&socket).write_all(line.as_bytes())?;
        while !seen.next().is_none_or(|seen| seen.is_ok_and(|seen| seen.ends_with(line.trim_end()))) {}
        for (reader, before) in &readers {
            let state = reader.state.lock().unwrap();
            drop(
                reader
                    .changed
                    .wait_timeout_while(state, DEADLINE, |state| state.count < before + said)
                    .unwrap(),
            );
        }
    }
    socket.shutdown(Shutdown::Write)
}
