//! Invocations at the same time, call by call. Each port's call, reading or writing, is a turn; a schedule says
//! whose turn each is. All schedules in which an invocation is interrupted at most twice are tried: almost all
//! races need no more. Where two schedules leave the same world and the same messages, what follows is the same
//! and is tried once.

use std::collections::BTreeSet;

use super::{
    Alarm, BadImage, Endpoint, Image, Model, Mutex, Operator, Pipeline, STRATEGIES, TargetsAlarm,
    What, agree, happens, never_lost, proves, report, scene, seed, state, try_all,
};

/// How often an invocation is interrupted.
const MOST_INTERRUPTIONS: usize = 2;
/// How many walks through the schedules `make test` takes for each encounter.
const WALKS: usize = 2;

/// The functions whose invocations meet.
const FUNCTIONS: [&str; 4] = [
    "deploy-release",
    "judge-canary",
    "roll-back",
    "verify-release",
];

/// What meets: an announcement that was held up, and what happens then.
struct Encounter {
    strategy: &'static str,
    /// What happened before, and which announcement of it comes late.
    late: Option<(What, &'static str)>,
    then: &'static [What],
}

fn encounters() -> Vec<Encounter> {
    let of_events: [&[What]; 8] = [
        &[Alarm, Image],
        &[Alarm, Model],
        &[Alarm, Operator],
        &[Image, Model],
        &[BadImage, Operator],
        &[Operator, Endpoint],
        &[Alarm, Image, Model],
        &[Alarm, Operator, Image],
    ];
    let late: [(&str, What, &str, &[What]); 8] = [
        ("rolling", Image, "DeploymentStarted", &[TargetsAlarm]),
        ("rolling", Image, "DeploymentStarted", &[Model]),
        ("rolling", BadImage, "ReleaseFailed", &[Model]),
        ("rolling", BadImage, "ReleaseFailed", &[TargetsAlarm]),
        ("rolling", Alarm, "RollbackStarted", &[Image]),
        ("rolling", Alarm, "RollbackStarted", &[Operator]),
        ("canary", Image, "CanaryPassed", &[TargetsAlarm]),
        ("canary", Image, "CanaryStarted", &[TargetsAlarm]),
    ];
    let of_events = STRATEGIES.into_iter().flat_map(|strategy| {
        of_events.map(|then| Encounter {
            strategy,
            late: None,
            then,
        })
    });
    let late = late.map(|(strategy, what, kind, then)| Encounter {
        strategy,
        late: Some((what, kind)),
        then,
    });
    of_events.chain(late).collect()
}

impl Encounter {
    fn told(&self) -> String {
        format!(
            "{}: {:?} and then {:?} at the same time",
            self.strategy, self.late, self.then
        )
    }

    /// The messages are there, and nothing has been handled.
    fn begin(&self) -> Pipeline {
        let (mut pipeline, known) = scene(self.strategy);
        if let Some((what, kind)) = self.late {
            pipeline.lose(kind);
            happens(&mut pipeline, &known, what);
            pipeline.settle();
            pipeline.lose("");
            let said = pipeline.world.announcements();
            let late = said.iter().rev().find(|said| said.detail_type == kind);
            let late = late.unwrap_or_else(|| panic!("{}: no {kind}", self.told()));
            let world = &pipeline.world;
            let late = world.envelope("retail-forecast", kind, &[], &late.detail);
            pipeline.deliver(&late);
        }
        for what in self.then {
            happens(&mut pipeline, &known, *what);
        }
        pipeline
    }
}

/// A schedule that was tried: whose turn it was, and who else could have had it.
struct Tried {
    turns: Vec<usize>,
    open: Vec<Vec<usize>>,
    /// How many turns were given; the others went on with whoever had the one before.
    given: usize,
}

impl Tried {
    /// The schedules that begin like this one and differ in one turn after those that were given.
    fn others(&self) -> Vec<Vec<usize>> {
        let mut others = vec![];
        for at in self.given..self.turns.len() {
            for other in self.open[at]
                .iter()
                .filter(|other| **other != self.turns[at])
            {
                let turns = [&self.turns[..at], &[*other]].concat();
                if self.interruptions(&turns) <= MOST_INTERRUPTIONS {
                    others.push(turns);
                }
            }
        }
        others
    }

    /// How often a turn was taken from an invocation that wasn't over.
    fn interruptions(&self, turns: &[usize]) -> usize {
        let taken = |at: &usize| {
            let before = turns[at - 1];
            turns[*at] != before && self.open[*at].contains(&before)
        };
        (1..turns.len()).filter(taken).count()
    }
}

/// Tries a schedule: these turns, and then whoever had the last one goes on.
fn try_one(
    encounter: &Encounter,
    begun: &Pipeline,
    given: &[usize],
    seen: &Mutex<BTreeSet<(u64, Vec<String>)>>,
) -> Tried {
    let told = format!("{}, {given:?}", encounter.told());
    let mut pipeline = begun.fork();
    let mut tried = Tried {
        turns: vec![],
        open: vec![],
        given: given.len(),
    };
    let world = pipeline.world.clone();
    pipeline.together(&FUNCTIONS, |open| {
        never_lost(&world, &told);
        let turn = given.get(tried.turns.len()).or_else(|| tried.turns.last());
        let turn = turn.copied().filter(|turn| open.contains(turn));
        let turn = turn.unwrap_or(open[0]);
        tried.turns.push(turn);
        tried.open.push(open.to_vec());
        turn
    });
    let left = (state(&pipeline.world), pipeline.pending());
    if seen.lock().unwrap().insert(left) {
        while pipeline.moves() {
            never_lost(&pipeline.world, &told);
        }
        let dead = &pipeline.dead_letters;
        assert!(dead.is_empty(), "{told}: {dead:?}");
        agree(&pipeline.world, &told);
    }
    tried
}

#[test]
fn at_the_same_time_they_end_with_one_live_release() {
    let counts = Mutex::new((0, 0));
    try_all(encounters().into_iter(), |encounter| {
        let begun = encounter.begin();
        let seen = Mutex::new(BTreeSet::new());
        let mut schedules = 0;
        if proves() {
            let mut next = vec![vec![]];
            while let Some(given) = next.pop() {
                next.extend(try_one(&encounter, &begun, &given, &seen).others());
                schedules += 1;
            }
        } else {
            for walk in 0..WALKS {
                let mut random = fastrand::Rng::with_seed((seed() * WALKS + walk) as u64);
                let mut given = Some(vec![]);
                while let Some(turns) = given {
                    given = random.choice(try_one(&encounter, &begun, &turns, &seen).others());
                    schedules += 1;
                }
            }
        }
        let states = seen.lock().unwrap().len();
        let mut counts = counts.lock().unwrap();
        *counts = (counts.0 + schedules, counts.1 + states);
        if proves() {
            report(&format!(
                "races: {}: {schedules} schedules, {states} different ends",
                encounter.told()
            ));
        }
    });
    let (schedules, states) = *counts.lock().unwrap();
    let share = if proves() { "all" } else { "a share, by SEED" };
    report(&format!(
        "races: {schedules} schedules of invocations at the same time tried ({share}; at most {MOST_INTERRUPTIONS} interruptions), {states} different states at their ends, each went on to one live release"
    ));
}
