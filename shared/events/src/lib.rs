//! Events in and out: envelopes parsed once into a closed enum, our own events as types, and the
//! matching of patterns to events.
//!
//! Parsing is lenient about what AWS is loose about (number or string times, the case of a status,
//! fields we don't know) and strict about what a decision relies on.

pub mod announced;
pub mod incoming;
pub mod pattern;

pub use announced::Announced;
pub use incoming::{Event, Received};
