//! Java with a virtual thread for each task: the sibling with one line replaced, where there is a JDK of 21
//! or later.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::first_line;

/// The first version that has virtual threads.
const FIRST: u32 = 21;

const PLATFORM: &str = "Executors.newCachedThreadPool()";
const VIRTUAL: &str = "Executors.newVirtualThreadPerTaskExecutor()";

/// Where distributions, SDKMAN and macOS put JDKs, often beside the one that is the default.
const PLACES: [&str; 4] =
    ["/usr/lib/jvm", "/opt", "/Library/Java/JavaVirtualMachines", "~/.sdkman/candidates/java"];

/// A `java` that knows virtual threads, and what it says of its version.
pub fn with_virtual_threads() -> Result<(PathBuf, String)> {
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let user = std::env::var("HOME").unwrap_or_default();
    let homes = PLACES.iter().filter_map(|place| fs::read_dir(place.replace('~', &user)).ok()).flatten();
    let homes = homes.flatten().map(|entry| entry.path());
    let beside = homes.flat_map(|home| ["bin/java", "Contents/Home/bin/java"].map(|java| home.join(java)));
    let all = home.into_iter().chain([PathBuf::from("java")]).chain(beside);
    let known = all.filter_map(|java| Some((first_line(Command::new(&java).arg("--version")).ok()?, java)));
    let newest = known.max_by_key(|(version, _)| major(version));
    let (version, java) = newest.filter(|(version, _)| major(version) >= FIRST).with_context(|| {
        format!("there is no JDK of {FIRST} or later: not in JAVA_HOME, PATH, {}", PLACES.join(", "))
    })?;
    Ok((java, version))
}

/// Writes the sibling with virtual threads beside this program.
pub fn virtual_source(platform: &str) -> Result<PathBuf> {
    let source = fs::read_to_string(platform)?;
    ensure!(source.matches(PLATFORM).count() == 1, "{PLATFORM} is not in {platform} exactly once");
    let directory = std::env::current_exe()?.with_file_name("java-virtual");
    fs::create_dir_all(&directory)?;
    let file = directory.join("ChatServer.java");
    fs::write(&file, source.replace(PLATFORM, VIRTUAL))?;
    Ok(file)
}

/// `openjdk 25.0.1 2025-10-21 LTS` is 25.
fn major(version: &str) -> u32 {
    let number = version.split_whitespace().nth(1).unwrap_or_default();
    let digits = number.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_jdk_is_its_first_number() {
        for (line, number) in [
            ("openjdk 25.0.1 2025-10-21 LTS", 25),
            ("openjdk 17.0.16 2025-07-15", 17),
            ("java 21 2023-09-19 LTS", 21),
            ("openjdk 22-ea 2024-03-19", 22),
            ("no java", 0),
        ] {
            assert_eq!(major(line), number, "{line}");
        }
    }

    #[test]
    fn the_sibling_has_the_line_that_is_replaced() {
        let file = virtual_source(super::super::JAVA).unwrap();
        assert!(fs::read_to_string(file).unwrap().contains(VIRTUAL));
    }
}
