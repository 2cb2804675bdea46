//! The two loads. Some of the clients say marked lines, every copy that comes back to every client is
//! counted, checked and timed, and a load ends when all copies have come or no more do.
//!
//! - *Flood* is a closed loop: a sender has a window of lines that it has not seen come back, and sends
//!   another for each that does. It finds how many deliveries a server can make.
//! - *Steady* is an open loop: lines are due at fixed times, whether or not the server keeps up, and
//!   their latency counts from when they were due. A stall therefore shows in all the lines that it
//!   delayed, not only in one.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, clock_gettime, timerfd_create,
    timerfd_settime,
};

use crate::clients::{Clients, NOT_A_CLIENT};
use crate::line::{MAX_SENDERS, Marked};

/// A load ends when nothing has come for so long, even if something is missing.
const PATIENCE: Duration = Duration::from_secs(3);

/// Under flood one line in so many is timed; the others would add nothing but cost.
const FLOOD_SAMPLING: u32 = 16;

/// When the next line is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// As soon as fewer than so many of the sender's lines are on their way.
    Flood { window: u32 },
    /// So that there are so many deliveries per second, to all clients together.
    Steady { deliveries: u32 },
}

#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub pace: Pace,
    pub senders: usize,
    /// How long lines are sent; their copies may take longer to come back.
    pub duration: Duration,
    /// How many clients, counted from the last, stop reading. Nothing is expected of them.
    pub stalled: usize,
}

/// The outcome of a load.
pub struct Outcome {
    pub deliveries: u64,
    /// From the first line said until the last copy came.
    pub elapsed: Duration,
    /// Copies that never came.
    pub lost: u64,
    /// Copies that came again, or after a later line of the same sender, or with a wrong byte.
    pub wrong: u64,
    /// In nanoseconds.
    pub latency: Histogram<u64>,
    /// The share of one core that the generator itself used. Near 1, it and not the server set the pace.
    pub generator: f64,
}

/// Wakes the generator when the next line is due. A timeout of epoll_wait(2) is in whole
/// milliseconds, too coarse.
struct Alarm(OwnedFd);

impl Alarm {
    fn new(epoll: &OwnedFd) -> Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let number = epoll::EventData::new_u64(NOT_A_CLIENT);
        epoll::add(epoll, &timer, number, epoll::EventFlags::IN)?;
        Ok(Self(timer))
    }

    /// Zero is never. Setting it also takes back a ring that is past, which epoll would go on reporting.
    fn set(&self, after: Duration) -> Result<()> {
        let timer = Itimerspec { it_interval: Timespec::default(), it_value: Timespec::try_from(after)? };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &timer)?;
        Ok(())
    }
}

/// One sender's side of a load.
struct Sender {
    /// The sequence number of its first line in this load.
    first: u32,
    /// When each line was sent, or was due, in nanoseconds from the start.
    sent_at: Vec<u64>,
    /// How many of them have come back to the client that counts them for this sender.
    back: u32,
}

/// A load while it runs.
struct Run<'a> {
    load: &'a Load,
    clients: &'a mut Clients,
    start: Instant,
    senders: Vec<Sender>,
    /// For each client, the next sequence number it expects of each sender.
    expected: Vec<u32>,
    /// How many copies there are to be of each line.
    listeners: u64,
    lines_sent: u64,
    deliveries: u64,
    /// When the latest copy came.
    latest: Duration,
    wrong: u64,
    latency: Histogram<u64>,
}

pub fn run(clients: &mut Clients, load: &Load) -> Result<Outcome> {
    let count = clients.all.len();
    ensure!(
        (1..=MAX_SENDERS).contains(&load.senders) && load.senders + load.stalled <= count,
        "{} senders and {} stalled readers do not fit among {count} clients",
        load.senders,
        load.stalled
    );
    for index in count - load.stalled..count {
        clients.ignore(index)?;
    }
    if clients.said.len() < load.senders {
        clients.said.resize(load.senders, 0);
    }
    let said = &clients.said[..load.senders];
    let sender = |&first| Sender { first, sent_at: Vec::new(), back: 0 };
    let mut run = Run {
        load,
        start: Instant::now(),
        senders: said.iter().map(sender).collect(),
        expected: said.repeat(count),
        listeners: (count - load.stalled - usize::from(!clients.manners.echoes)) as u64,
        lines_sent: 0,
        deliveries: 0,
        latest: Duration::ZERO,
        wrong: 0,
        latency: Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?,
        clients,
    };
    let used_before = thread_cpu();
    run.turns()?;
    let elapsed = run.start.elapsed();
    let used = thread_cpu() - used_before;
    for (said, sender) in run.clients.said.iter_mut().zip(&run.senders) {
        *said += sender.sent_at.len() as u32;
    }
    Ok(Outcome {
        deliveries: run.deliveries,
        // The time spent waiting for copies that never came is not the server's; all the time
        // it was asked to work is.
        elapsed: run.latest.max(load.duration.min(elapsed)),
        lost: (run.lines_sent * run.listeners).saturating_sub(run.deliveries),
        wrong: run.wrong,
        latency: run.latency,
        generator: used.as_secs_f64() / elapsed.as_secs_f64(),
    })
}

impl Run<'_> {
    fn turns(&mut self) -> Result<()> {
        let alarm = Alarm::new(&self.clients.epoll)?;
        if let Pace::Flood { window } = self.load.pace {
            for sender in 0..self.load.senders {
                self.say(sender, window, self.start.elapsed())?;
            }
        }
        loop {
            let now = self.start.elapsed();
            let sending = now < self.load.duration;
            if !sending {
                alarm.set(Duration::ZERO)?;
                let all_came = self.deliveries >= self.lines_sent * self.listeners;
                if all_came || now > self.latest.max(self.load.duration) + PATIENCE {
                    return Ok(());
                }
            } else if let Pace::Steady { deliveries } = self.load.pace {
                let lines_per_second = f64::from(deliveries) / self.clients.all.len() as f64;
                alarm.set(self.say_what_is_due(lines_per_second)?)?;
            }
            for sender in 0..self.load.senders {
                self.clients.all[sender].send()?;
            }
            for index in self.clients.wait(Duration::from_millis(100))? {
                self.listen(index)?;
                if sending {
                    self.refill(index)?;
                }
            }
        }
    }

    /// Reads once from a client's connection.
    fn listen(&mut self, index: usize) -> Result<()> {
        let counts_for = self.counts_for(index);
        let expected = &mut self.expected[index * self.load.senders..][..self.load.senders];
        let sampling = match self.load.pace {
            Pace::Flood { .. } => FLOOD_SAMPLING,
            Pace::Steady { .. } => 1,
        };
        // One look at the clock per read, after it: all these lines have come by now.
        let mut now = None;
        let (mut copies, mut wrong) = (0, 0);
        let mut count = |marked: Option<Marked>| {
            let Marked { sender, sequence } = marked?;
            let (next, from) = (expected.get_mut(sender)?, self.senders.get_mut(sender)?);
            if sequence < *next {
                return None;
            }
            let nth = sequence - from.first;
            let sent_at = *from.sent_at.get(nth as usize)?;
            *next = sequence + 1;
            copies += 1;
            if counts_for == Some(sender) {
                from.back = nth + 1;
            }
            if sequence % sampling == 0 {
                let now = *now.get_or_insert_with(|| self.start.elapsed());
                let latency = now.as_nanos() as u64 - sent_at;
                self.latency.saturating_record(latency);
            }
            Some(())
        };
        let client = &mut self.clients.all[index];
        let connected = client.read(&mut self.clients.buffer, |marked| {
            wrong += u64::from(count(marked).is_none());
        })?;
        self.wrong += wrong;
        self.deliveries += copies;
        if copies > 0 {
            self.latest = self.start.elapsed();
        }
        if !connected {
            self.clients.ignore(index)?;
        } else if index < self.load.senders {
            self.clients.all[index].acknowledge()?;
        }
        Ok(())
    }

    /// Keeps the window full of the sender that this client counts for.
    fn refill(&mut self, index: usize) -> Result<()> {
        let (Pace::Flood { window }, Some(sender)) = (self.load.pace, self.counts_for(index)) else {
            return Ok(());
        };
        let on_their_way = self.senders[sender].sent_at.len() as u32 - self.senders[sender].back;
        self.say(sender, window - on_their_way, self.start.elapsed())
    }

    /// The sender whose lines this client counts as come back: its own if the server echoes them,
    /// or else its neighbour's.
    fn counts_for(&self, index: usize) -> Option<usize> {
        let count = self.clients.all.len();
        let sender = if self.clients.manners.echoes { index } else { (index + count - 1) % count };
        (sender < self.load.senders).then_some(sender)
    }

    /// Says the lines that are due by now, and returns the time until the next.
    fn say_what_is_due(&mut self, lines_per_second: f64) -> Result<Duration> {
        loop {
            // In the middle of its share of the time, so that a load of any duration has
            // the right number of lines.
            let due = Duration::from_secs_f64((self.lines_sent as f64 + 0.5) / lines_per_second);
            let now = self.start.elapsed();
            if due > now {
                return Ok(due - now);
            }
            let sender = self.lines_sent as usize % self.load.senders;
            self.say(sender, 1, due)?;
        }
    }

    fn say(&mut self, sender: usize, lines: u32, at: Duration) -> Result<()> {
        let (client, from) = (&mut self.clients.all[sender], &mut self.senders[sender]);
        for _ in 0..lines {
            let sequence = from.first + from.sent_at.len() as u32;
            Marked { sender, sequence }.render(client.unsent());
            from.sent_at.push(at.as_nanos() as u64);
        }
        self.lines_sent += u64::from(lines);
        client.send()
    }
}

fn thread_cpu() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::thread;

    use super::*;
    use crate::clients::Manners;
    use crate::line::LEN;

    /// Sends every line back, but loses one, repeats one, and damages one.
    fn careless(mut socket: TcpStream) -> std::io::Result<()> {
        socket.write_all(b"*** welcome\n")?;
        for number in 0.. {
            let mut line = [0; LEN];
            socket.read_exact(&mut line)?;
            match number {
                3 => continue,
                5 => socket.write_all(&line)?,
                7 => line[30] = b'!',
                _ => {}
            }
            socket.write_all(&line)?;
        }
        Ok(())
    }

    #[test]
    fn a_careless_server_is_found_out() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with an error, when the client disconnects.
        thread::spawn(move || careless(listener.accept()?.0));
        let manners = Manners { echoes: true, greets: true, burst: 1, pause: Duration::ZERO };
        let mut clients = Clients::new(manners).unwrap();
        clients.join(address, 1).unwrap();
        let pace = Pace::Steady { deliveries: 1_000 };
        let duration = Duration::from_millis(20);
        let load = Load { pace, senders: 1, duration, stalled: 0 };
        let outcome = run(&mut clients, &load).unwrap();
        assert_eq!((outcome.deliveries, outcome.lost, outcome.wrong), (18, 2, 2));
    }
}
