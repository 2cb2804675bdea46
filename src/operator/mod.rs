//! Everything for the operator, the person at the server's keyboard: the arguments, the console and its
//! orders, the log, the commands to hand out, and the handle that stops the server.

pub mod arguments;
pub(crate) mod clock;
pub mod console;
pub mod invitation;
pub(crate) mod line_queue;
pub mod log;
pub(crate) mod order;
pub(crate) mod orders;
pub(crate) mod stopper;
pub mod terminal;
