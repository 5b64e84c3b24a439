//! Bad delivery, by a seed: messages come late, in any order and more than once, and processes die.

use std::time::Duration;

use memory::{CrashPoint, When};

/// How late a message may be.
const LATE_S: [u64; 5] = [0, 0, 1, 20, 400];
/// Crashes come at one of the next so many effects of an invocation.
const CRASH_WITHIN: usize = 8;

/// A seeded source of trouble. The same seed makes the same trouble.
#[derive(Debug, Clone)]
pub struct Disorder(fastrand::Rng);

impl Disorder {
    /// The trouble of a seed.
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// How late each copy of a message comes: mostly one copy, sometimes up to three.
    pub(crate) fn copies(&mut self) -> Vec<Duration> {
        let copies = 1 + usize::from(self.0.u8(..5) == 0) + usize::from(self.0.u8(..10) == 0);
        (0..copies)
            .map(|_| Duration::from_secs(self.0.choice(LATE_S).unwrap_or_default()))
            .collect()
    }

    /// Which of so many messages is next.
    pub(crate) fn pick(&mut self, among: usize) -> usize {
        self.0.usize(..among)
    }

    /// Whether the next invocation dies, and where.
    pub(crate) fn crash(&mut self) -> Option<CrashPoint> {
        (self.0.u8(..12) == 0).then(|| CrashPoint {
            effect: self.0.usize(1..=CRASH_WITHIN),
            when: if self.0.bool() {
                When::Before
            } else {
                When::After
            },
        })
    }
}
