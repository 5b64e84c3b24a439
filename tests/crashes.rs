//! Every story, stopped before and after every effect and delivered again, ends in the same world; and so
//! it does when messages come late, in any order and more than once, and the process dies at any time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use memory::{CrashPoint, When};
use serde_json::Value;
use stories::{Disorder, Pipeline, STORIES, Story, What, normal, report};

/// How many disorders, and one in how many pairs of crash points: `make prove` sets `PROVE` and tries all
/// pairs, some 300,000. Another `SEED` tries others.
fn share() -> (u64, usize) {
    if std::env::var_os("PROVE").is_some() {
        (2000, 1)
    } else {
        (40, 101)
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

/// What was announced, without times, and for each the ids under which it was, with their causes' times.
fn said(pipeline: &Pipeline) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut said = BTreeMap::<_, BTreeMap<_, _>>::new();
    for announcement in pipeline.world.announcements() {
        let (kind, detail) = (&announcement.detail_type, &announcement.detail);
        let ids = said.entry(format!("{kind} {}", normal(detail)));
        let id = detail["id"].as_str().unwrap().to_owned();
        ids.or_default().insert(id, detail["caused_at"].to_string());
    }
    said
}

/// What was said undisturbed is said under no more ids in disorder, and people are told each fact once: a repeat
/// keeps its id.
fn said_once(
    story: &Story,
    undisturbed: &BTreeMap<String, BTreeMap<String, String>>,
    seen: &Pipeline,
    seed: u64,
) {
    let (name, now) = (story.name, said(seen));
    for (message, ids) in &now {
        let before = undisturbed.get(message);
        let causes: BTreeSet<&String> = ids.values().collect();
        // Two events of one package may each find it rejected by then: the late one is answered as well.
        let answers = message.starts_with("DeploymentSkipped ") && causes.len() == ids.len();
        assert!(
            answers || before.is_none_or(|before| ids.len() <= before.len()),
            "{name}, SEED={seed}: {message} under {ids:?}, undisturbed under {before:?}"
        );
    }
    let ids: BTreeSet<&String> = now.values().flat_map(BTreeMap::keys).collect();
    let world = seen.world.snapshot();
    let mut told = BTreeSet::new();
    for notice in world.as_json()["notices"].as_array().unwrap() {
        let fact = notice["attributes"]["fact"].as_str().unwrap();
        assert!(
            ids.contains(&fact.to_owned()) && told.insert(fact.to_owned()),
            "{name}, SEED={seed}: a fact that nobody announced, or in other words: {notice}"
        );
    }
}

#[test]
fn each_story_ends_the_same_in_any_disorder() {
    let (seeds, _) = share();
    let seeds = first_seed()..first_seed() + seeds;
    let mut tried = 0;
    for story in &STORIES {
        let told = story.tell(|_| ());
        let expected = What::MadeAndRunning.of(&told);
        let said = said(&told);
        tried += try_all(seeds.clone(), |seed| {
            let seen = story.tell(|pipeline| pipeline.disturb(Disorder::new(seed)));
            same_end(
                story,
                What::MadeAndRunning,
                &expected,
                &seen,
                &format!("SEED={seed}"),
            );
            said_once(story, &said, &seen, seed);
        });
    }
    report(&format!(
        "{tried} disorders tried (seeds {seeds:?}), each ended with the same things made and running"
    ));
}
