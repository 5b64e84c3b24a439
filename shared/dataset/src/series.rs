//! Exact uniqueness of (store, item, day) in little memory.
//!
//! A bit for each day: the days of one series fall into blocks of 512, a block takes 64 bytes, and so
//! 25,000 series over five years fit in 10 MB, where a set of keys would take 45 million entries.

use std::collections::{HashMap, HashSet};

use crate::day::Day;

const BLOCK_DAYS: u32 = 512;
const WORD_DAYS: u32 = u64::BITS;
const WORDS: usize = (BLOCK_DAYS / WORD_DAYS) as usize;

/// One series in one stretch of 512 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    store: u32,
    item: u32,
    /// Blocks since the day of the first row, negative before it.
    block: i32,
}

#[derive(Debug)]
struct Block {
    key: Key,
    /// The block of the row that came next, the last time: most likely it comes next again, be the
    /// file sorted by series (the same block) or by date (the next series).
    next: usize,
    days: [u64; WORDS],
}

/// Memory that a block takes with its share of the index: the entry, and the room that a growing
/// table keeps free.
const BLOCK_BYTES: usize = size_of::<Block>() + 2 * (size_of::<Key>() + size_of::<u32>() + 1);

/// Whether a key was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    New,
    Before,
    /// Unknown: there is no memory left for a block that isn't there yet.
    Unknown,
}

/// The (store, item, day) keys of a file.
#[derive(Debug)]
pub(crate) struct Keys {
    max_blocks: usize,
    blocks: Vec<Block>,
    index: HashMap<Key, u32>,
    series: HashSet<(u32, u32)>,
    last: usize,
    origin: Option<Day>,
}

/// Distinct stores, items and pairs of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Distinct {
    pub(crate) stores: u64,
    pub(crate) items: u64,
    pub(crate) series: u64,
}

impl Keys {
    /// An empty set that may grow to about `max_memory_mib` MiB.
    pub(crate) fn new(max_memory_mib: u32) -> Self {
        let bytes = u64::from(max_memory_mib) << 20;
        let blocks = u32::try_from(bytes / BLOCK_BYTES as u64).unwrap_or(u32::MAX);
        Self {
            max_blocks: blocks as usize,
            blocks: Vec::new(),
            index: HashMap::new(),
            series: HashSet::new(),
            last: 0,
            origin: None,
        }
    }

    /// Adds a key.
    #[inline]
    pub(crate) fn insert(&mut self, store: u32, item: u32, day: Day) -> Seen {
        let offset = day.since(*self.origin.get_or_insert(day));
        let key = Key {
            store,
            item,
            block: offset.div_euclid(BLOCK_DAYS.cast_signed()),
        };
        let guess = self.blocks.get(self.last).map_or(0, |block| block.next);
        let at = match self.blocks.get(guess) {
            Some(block) if block.key == key => guess,
            _ => match self.find(key) {
                Some(at) => at,
                None => return Seen::Unknown,
            },
        };
        self.last = at;
        let bit = offset.rem_euclid(BLOCK_DAYS.cast_signed()).cast_unsigned();
        let word = &mut self.blocks[at].days[(bit / WORD_DAYS) as usize];
        let mask = 1 << (bit % WORD_DAYS);
        if *word & mask != 0 {
            return Seen::Before;
        }
        *word |= mask;
        Seen::New
    }

    /// The block of `key`, made if it isn't there; nothing if there is no memory for it.
    fn find(&mut self, key: Key) -> Option<usize> {
        let at = match self.index.get(&key) {
            Some(&at) => at as usize,
            None if self.blocks.len() < self.max_blocks => {
                let at = self.blocks.len();
                self.blocks.push(Block {
                    key,
                    next: at,
                    days: [0; WORDS],
                });
                self.index.insert(key, u32::try_from(at).ok()?);
                self.series.insert((key.store, key.item));
                at
            }
            None => return None,
        };
        if let Some(last) = self.blocks.get_mut(self.last) {
            last.next = at;
        }
        Some(at)
    }

    pub(crate) fn distinct(&self) -> Distinct {
        let stores: HashSet<u32> = self.series.iter().map(|&(store, _)| store).collect();
        let items: HashSet<u32> = self.series.iter().map(|&(_, item)| item).collect();
        Distinct {
            stores: stores.len() as u64,
            items: items.len() as u64,
            series: self.series.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_set_of_keys(
            keys in prop::collection::vec((1..4_u32, 1..4_u32, -1200..1200_i32), 0..600),
        ) {
            let (mut ours, mut set) = (Keys::new(1), HashSet::new());
            let epoch = Day::from(jiff::civil::Date::constant(1970, 1, 1));
            for &(store, item, day) in &keys {
                let seen = ours.insert(store, item, epoch.plus(day));
                let expected = if set.insert((store, item, day)) { Seen::New } else { Seen::Before };
                prop_assert_eq!(seen, expected);
            }
            let series: HashSet<_> = keys.iter().map(|&(store, item, _)| (store, item)).collect();
            prop_assert_eq!(ours.distinct().series, series.len() as u64);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut keys = Keys::new(1);
        let day = Day::from(jiff::civil::Date::constant(2013, 1, 1));
        let fits = (1 << 20) / u32::try_from(BLOCK_BYTES).unwrap();
        for item in 1..=fits {
            assert_eq!(keys.insert(1, item, day), Seen::New);
        }
        assert_eq!(keys.insert(1, fits + 1, day), Seen::Unknown);
        assert_eq!(keys.insert(1, fits, day), Seen::Before);
        assert_eq!(keys.insert(1, fits, day.plus(1)), Seen::New);
    }
}
