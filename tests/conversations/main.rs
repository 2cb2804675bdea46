//! The server as its users see it: conversations over TCP, and the program from the view of
//! the person who starts it.
//!
//! `cargo test --test conversations leaving` runs one subject alone. A test that needs the machine or its
//! process for itself is a program of its own, next to this directory.

mod console;
mod exercises;
mod faults;
mod habits;
mod input;
mod leaving;
mod log;
mod machines;
#[cfg(target_os = "linux")] // It speaks from 127.0.0.2, which other systems must be told to have.
mod names;
mod orders;
mod program;
mod protocol;
mod rebuilding;
mod room;
#[cfg(target_os = "linux")]
mod vanish;
