//! Every story, stopped before and after every effect and delivered again, ends in the same world; and so
//! it does when messages come late, in any order and more than once, and the process dies at any time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::{
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use memory::{CrashPoint, When};
use serde_json::Value;
use stories::{Disorder, Pipeline, STORIES, Story, What, report};

/// How many disorders, and one in how many pairs of crash points: `make prove` sets `PROVE`. A seventh
/// of the pairs is tried at most: there are some 300,000. Another `SEED` tries others.
fn share() -> (u64, usize) {
    if std::env::var_os("PROVE").is_some() {
        (2000, 7)
    } else {
        (40, 211)
    }
}

/// Where the seeds begin; another one tries other disorders.
fn first_seed() -> u64 {
    std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"))
}

/// Both sides of each of so many effects.
fn crash_points(effects: usize) -> impl Iterator<Item = CrashPoint> + Clone {
    (1..=effects)
        .flat_map(|effect| [When::Before, When::After].map(|when| CrashPoint { effect, when }))
}

fn same_end(story: &Story, what: What, expected: &Value, seen: &Pipeline, disturbed: &str) {
    let ended = what.of(seen);
    if ended != *expected {
        let lines = |value: &Value| -> Vec<String> {
            let text = serde_json::to_string_pretty(value).unwrap();
            text.lines().map(str::to_owned).collect()
        };
        let (ended, expected) = (lines(&ended), lines(expected));
        let only = |one: &[String], other: &[String]| {
            let only = one.iter().filter(|line| !other.contains(line));
            only.cloned().collect::<Vec<_>>().join("\n")
        };
        let done: Vec<String> = seen
            .world
            .effects()
            .iter()
            .map(ToString::to_string)
            .collect();
        panic!(
            "{}, {disturbed}:\nonly now:\n{}\nonly undisturbed:\n{}\neffects:\n{}",
            story.name,
            only(&ended, &expected),
            only(&expected, &ended),
            done.join("\n")
        );
    }
}

/// Tries each on all cores; answers how many were tried.
fn try_all<T: Send>(cases: impl Iterator<Item = T> + Send, one: impl Fn(T) + Sync) -> usize {
    let cases = std::sync::Mutex::new(cases);
    let tried = AtomicUsize::new(0);
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().unwrap().next();
                    let Some(case) = next else { break };
                    one(case);
                    tried.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    tried.into_inner()
}

#[test]
fn each_story_ends_the_same_wherever_it_is_stopped() {
    let mut tried = 0;
    for story in &STORIES {
        let told = story.tell(|_| ());
        let (effects, expected) = (story.effects(), story.what.of(&told));
        assert!(effects > 2, "{} has {effects} effects", story.name);
        tried += try_all(crash_points(effects), |point| {
            let seen = story.tell(|pipeline| pipeline.crash_at([point]));
            same_end(
                story,
                story.what,
                &expected,
                &seen,
                &format!("stopped at {point:?}"),
            );
        });
        report(&format!(
            "{}: {effects} effects, stopped before and after each",
            story.name
        ));
    }
    report(&format!(
        "{tried} crash points tried, each ended in the same world"
    ));
}

#[test]
fn each_story_ends_the_same_when_it_is_stopped_twice() {
    let (_, every) = share();
    let (mut tried, mut possible) = (0, 0);
    for story in &STORIES {
        let told = story.tell(|_| ());
        let (effects, expected) = (story.effects(), story.what.of(&told));
        let seconds = crash_points(effects);
        let pairs = crash_points(effects)
            .flat_map(|first| seconds.clone().map(move |second| [first, second]));
        possible += (2 * effects) * (2 * effects);
        let begin = usize::try_from(first_seed()).unwrap() % every;
        tried += try_all(pairs.skip(begin).step_by(every), |points| {
            let seen = story.tell(|pipeline| pipeline.crash_at(points));
            same_end(
                story,
                story.what,
                &expected,
                &seen,
                &format!("stopped at {points:?}"),
            );
        });
    }
    report(&format!(
        "{tried} of {possible} pairs of crash points tried, each ended in the same world"
    ));
}

#[test]
fn each_story_ends_the_same_in_any_disorder() {
    let (seeds, _) = share();
    let seeds = first_seed()..first_seed() + seeds;
    let mut tried = 0;
    for story in &STORIES {
        let expected = What::MadeAndRunning.of(&story.tell(|_| ()));
        tried += try_all(seeds.clone(), |seed| {
            let seen = story.tell(|pipeline| pipeline.disturb(Disorder::new(seed)));
            same_end(
                story,
                What::MadeAndRunning,
                &expected,
                &seen,
                &format!("SEED={seed}"),
            );
        });
    }
    report(&format!(
        "{tried} disorders tried (seeds {seeds:?}), each ended with the same things made and running"
    ));
}
