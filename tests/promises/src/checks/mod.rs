//! The checks, one file for each group. Each promise stands above the function that checks it.

pub mod commands;
pub mod hostile;
pub mod leaving;
pub mod order;
pub mod resources;
pub mod stalled;
pub mod talk;
