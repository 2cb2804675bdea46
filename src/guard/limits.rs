//! How much the system lets one process have: descriptors, threads, memory. What is short is noticed before
//! it is gone.

use memmap2::MmapMut;
use rustix::process::{Resource, getrlimit};
use std::path::Path;
use std::{fs, io};

/// Descriptors that are not for clients: the standard streams, the listeners, the logs, refused connections,
/// some to spare.
const RESERVED_DESCRIPTORS: u64 = 18;

/// A thread has a stack, a signal stack, and a guard page for each (Linux counts them all).
const MAPPINGS_PER_THREAD: u64 = 4;
const RESERVED_MAPPINGS: u64 = 512;

/// How much address space must be free before another thread is started, or a large backlog grows. The
/// standard library aborts the process if a new thread finds no memory for its signal stack, or anything else
/// no memory for a few bytes. So there must be far more than one of them needs.
const HEADROOM: usize = 32 * 1024 * 1024;

/// Threads that are not for clients: the acceptor, the dispatcher, the console, the logs, the signals, those
/// that flush.
const RESERVED_THREADS: u64 = 16;

/// Fails while there is not enough memory to start another thread safely, or to let a backlog grow. A mapping
/// that nobody touches costs no page, and none has to be taken back from the other cores.
pub(crate) fn check_headroom() -> io::Result<()> {
    MmapMut::map_anon(HEADROOM).map(drop)
}

/// For how many clients the system has room: each has one descriptor, one thread, and for that a few mappings
/// of memory.
pub(super) fn room_in_the_system() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let mappings = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let mappings = mappings.and_then(|count| count.trim().parse().ok()).unwrap_or(u64::MAX);
    let threads = mappings.saturating_sub(RESERVED_MAPPINGS) / MAPPINGS_PER_THREAD;
    let threads = threads.min(threads_allowed().saturating_sub(RESERVED_THREADS));
    let room = descriptors.saturating_sub(RESERVED_DESCRIPTORS).min(threads).max(1);
    usize::try_from(room).unwrap_or(usize::MAX)
}

/// How many threads the control groups of this process allow, its own and those around it (cgroups(7)). A
/// container has 2,048 or so.
fn threads_allowed() -> u64 {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().filter_map(folder_of_group).flat_map(|folder| {
        let around = Path::new(&folder).ancestors();
        around.filter_map(|folder| fs::read_to_string(folder.join("pids.max")).ok()).collect::<Vec<_>>()
    });
    limits.filter_map(|limit| limit.trim().parse().ok()).min().unwrap_or(u64::MAX) // Or it says "max".
}

/// Where the limits stand, for a line of `/proc/self/cgroup`: `0::/user.slice` in version 2,
/// `7:pids:/docker/1f…` in version 1.
fn folder_of_group(line: &str) -> Option<String> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    match controllers {
        "" => Some(format!("/sys/fs/cgroup{path}")),
        _ if controllers.split(',').any(|one| one == "pids") => Some(format!("/sys/fs/cgroup/pids{path}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_control_group_is_found() {
        for (line, folder) in [
            ("0::/user.slice/chat.service", Some("/sys/fs/cgroup/user.slice/chat.service")),
            ("7:pids:/docker/1f", Some("/sys/fs/cgroup/pids/docker/1f")),
            ("7:cpu,pids:/a:b", Some("/sys/fs/cgroup/pids/a:b")),
            ("3:memory:/docker/1f", None),
            ("", None),
        ] {
            assert_eq!(folder_of_group(line).as_deref(), folder, "{line}");
        }
    }
}
