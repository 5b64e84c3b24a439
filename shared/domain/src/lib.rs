//! The words of the system: names, releases, judgements, settings, and the ports through which
//! functions reach the world. No I/O, no AWS, no runtime, and no other crate of ours.

pub mod alarms;
pub mod converge;
pub mod endpoint;
pub mod error;
pub mod evaluation;
pub mod layout;
pub mod names;
pub mod outcome;
pub mod ports;
pub mod quarantine;
pub mod records;
pub mod release;
pub mod rollout;
pub mod settings;
pub mod text;

pub use error::{Class, Error, Result};
pub use outcome::Step;
