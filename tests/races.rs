//! Deployments, alarms, an operator's request, a release that fails and what the endpoint says meet in every
//! order and at every pace; each inside each other's invocation, before every effect of it; and invocations at
//! the same time, call by call. In the end one release is live, pointer, targets and alarms agree on it, nothing
//! quarantined is live, and what is known good was never lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

#[path = "races/schedules.rs"]
mod schedules;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    num::NonZero,
    rc::Rc,
    sync::Mutex,
    thread,
    time::Duration,
};

use domain::{ports::Clock as _, release::Progress};
use memory::World;
use serde_json::{Value, json};
use stories::{Pipeline, agree, hold, never_lost, normal, report, scene};

const STRATEGIES: [&str; 2] = ["rolling", "canary"];
/// One in so many is tried by `make test`; `make prove` tries all.
const SHARE: usize = 37;

/// How long an invocation may be held up: its own limit.
const LONGEST: Duration = Duration::from_secs(30);

/// What meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// An alarm of B, which is live.
    Alarm,
    /// The same alarm once more.
    Repeat,
    Operator,
    /// Another image was scanned clean.
    Image,
    /// Another model was approved.
    Model,
    /// Another image that predicts wrongly: its release fails.
    BadImage,
    /// The endpoint changed, as is told of B's.
    Endpoint,
    /// An alarm of the release that is tried out or rolled out by then, if one is.
    TargetsAlarm,
}

use What::{Alarm, BadImage, Endpoint, Image, Model, Operator, Repeat, TargetsAlarm};

/// What was asked for first: all of them in every order.
const FIVE: [What; 5] = [Alarm, Image, Model, Operator, Repeat];
/// Any three of these.
const EIGHT: [What; 8] = [
    Alarm,
    Image,
    Model,
    Operator,
    Repeat,
    BadImage,
    Endpoint,
    TargetsAlarm,
];

/// The events that are there already, and come when they come.
#[derive(Clone)]
struct Known {
    alarm: Value,
    model: Value,
    operator: Value,
    endpoint: Value,
}

/// A is good, B with another image is live; and the events that meet. It is told once on each thread; each
/// case goes on from a copy of it.
fn scene(strategy: &'static str) -> (Pipeline, Known) {
    thread_local! {
        static TOLD: RefCell<BTreeMap<&'static str, (Pipeline, Known)>> = RefCell::default();
    }
    TOLD.with_borrow_mut(|told| {
        let told = told.entry(strategy);
        let (pipeline, known) = told.or_insert_with(|| tell_scene(strategy));
        (pipeline.fork(), known.clone())
    })
}

fn tell_scene(strategy: &str) -> (Pipeline, Known) {
    let mut pipeline = scene::live();
    scene::push_another_image(&mut pipeline, "build-2");
    let bad = scene::target(&pipeline).release;
    // A better model was registered, and nobody has heard of its approval yet.
    pipeline.lose("SageMaker Model Package State Change");
    scene::train_on(&mut pipeline, 560);
    pipeline.lose("");
    pipeline.set_for_deployments("STRATEGY", strategy);
    let world = &pipeline.world;
    let request = json!({"release": bad, "request": "1", "by": "ann", "reason": "slow", "id": "0"});
    let mut delivered = pipeline.delivered.iter().rev();
    let changed = "SageMaker Endpoint State Change";
    let endpoint = delivered.find(|event| event["detail-type"] == changed);
    let known = Known {
        alarm: scene::alarm(&pipeline, "Error-Rate", &bad),
        model: world.approve(&world.packages()[1].arn).unwrap(),
        operator: world.envelope("retail-forecast", "RollbackRequested", &[], &request),
        endpoint: endpoint.expect("the endpoint was made").clone(),
    };
    (pipeline, known)
}

/// Delivers what happens.
fn happens(pipeline: &mut Pipeline, known: &Known, what: What) {
    let event = match what {
        Alarm | Repeat => known.alarm.clone(),
        Model => known.model.clone(),
        Operator => known.operator.clone(),
        Endpoint => {
            let mut event = known.endpoint.clone();
            event["time"] = json!(pipeline.world.now().to_string());
            event
        }
        Image => pushed(pipeline, "build-3").0,
        BadImage => {
            let (event, digest) = pushed(pipeline, "build-4");
            let is_it = move |image: &str, _: &_| image.ends_with(&digest);
            pipeline.world.distort(is_it, 3.0);
            event
        }
        TargetsAlarm => {
            let target = scene::target(pipeline);
            if !matches!(
                target.progress,
                Progress::Canary { .. } | Progress::Deploying
            ) {
                return;
            }
            scene::alarm(pipeline, "Latency", &target.release)
        }
    };
    pipeline.deliver(&event);
}

/// Pushes a clean image; the end of its scan, which is what wakes a function, and its digest.
fn pushed(pipeline: &Pipeline, build: &str) -> (Value, String) {
    let tags = ["latest-dev", build];
    let world = &pipeline.world;
    let events = world.push_image("retail-forecast-infer", &tags, &[("LOW", 1)]);
    let scanned = events
        .into_iter()
        .next_back()
        .expect("the scan's end is told");
    let digest = scanned["detail"]["image-digest"]
        .as_str()
        .unwrap()
        .to_owned();
    (scanned, digest)
}

fn state(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    normal(world.snapshot().as_json())
        .to_string()
        .hash(&mut hasher);
    hasher.finish()
}

/// Every choice of `many` of these in every order; a repeat comes after what it repeats.
fn orders(of: &[What], many: usize) -> Vec<Vec<What>> {
    if many == 0 {
        return vec![vec![]];
    }
    let mut all = vec![];
    for last in of {
        let others: Vec<What> = of.iter().copied().filter(|other| other != last).collect();
        for mut order in orders(&others, many - 1) {
            order.push(*last);
            let at = |what| order.iter().position(|other| *other == what);
            if at(Repeat).is_none_or(|repeat| at(Alarm).is_some_and(|alarm| alarm < repeat)) {
                all.push(order);
            }
        }
    }
    all
}

/// What happens until the next event comes.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// Nothing.
    AtOnce,
    /// Each message is handled once; no service moves.
    Handled,
    /// Services move one step as well.
    Moved,
    /// Everything comes to rest.
    Settled,
}

const PACES: [Pace; 4] = [Pace::AtOnce, Pace::Handled, Pace::Moved, Pace::Settled];

fn paces(gaps: usize) -> Vec<Vec<Pace>> {
    (0..gaps).fold(vec![vec![]], |all, _| {
        let longer = |paces: Vec<Pace>| {
            PACES.map(|pace| paces.iter().copied().chain([pace]).collect::<Vec<_>>())
        };
        all.into_iter().flat_map(longer).collect()
    })
}

fn go_on(pipeline: &mut Pipeline, pace: Pace) {
    match pace {
        Pace::AtOnce => {}
        Pace::Handled => pipeline.work(),
        Pace::Moved => {
            pipeline.work();
            for event in pipeline.world.run_services() {
                pipeline.deliver(&event);
            }
            pipeline.work();
        }
        Pace::Settled => pipeline.settle(),
    }
}

/// Whether all is tried.
fn proves() -> bool {
    std::env::var_os("PROVE").is_some()
}

fn seed() -> usize {
    std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"))
}

/// Tries each on all cores.
fn try_all<T: Send>(cases: impl Iterator<Item = T> + Send, one: impl Fn(T) + Sync) {
    let cases = Mutex::new(cases);
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().unwrap().next();
                    let Some(case) = next else { break };
                    one(case);
                }
            });
        }
    });
}

#[test]
fn in_any_order_and_at_any_pace_they_end_with_one_live_release() {
    let orders = [orders(&FIVE, 5), orders(&EIGHT, 3)].concat();
    let mut cases = vec![];
    for strategy in STRATEGIES {
        for order in &orders {
            for paces in paces(order.len() - 1) {
                cases.push((strategy, order.clone(), paces));
            }
        }
    }
    let every = if proves() { 1 } else { SHARE };
    let possible = cases.len();
    let states = Mutex::new(BTreeSet::new());
    let tried: Vec<_> = cases
        .into_iter()
        .skip(seed() % every)
        .step_by(every)
        .collect();
    let count = tried.len();
    try_all(tried.into_iter(), |(strategy, order, paces)| {
        let told = format!("{strategy}, {order:?}, {paces:?}");
        let (mut pipeline, known) = scene(strategy);
        let mut seen = BTreeSet::new();
        for (at, what) in order.iter().enumerate() {
            happens(&mut pipeline, &known, *what);
            if let Some(pace) = paces.get(at) {
                go_on(&mut pipeline, *pace);
            }
            hold(&pipeline.world, &told);
            seen.insert(state(&pipeline.world));
        }
        while pipeline.moves() {
            hold(&pipeline.world, &told);
        }
        let dead = &pipeline.dead_letters;
        assert!(dead.is_empty(), "{told}: {dead:?}");
        agree(&pipeline.world, &told);
        seen.insert(state(&pipeline.world));
        states.lock().unwrap().append(&mut seen);
    });
    report(&format!(
        "races: {count} of {possible} orders and paces tried, {} different states seen, each ended with one live release",
        states.lock().unwrap().len()
    ));
}

/// The calls that an event's first invocations make, undisturbed.
fn calls(strategy: &'static str, what: What) -> Vec<String> {
    let (mut pipeline, known) = scene(strategy);
    let before = pipeline.world.effects().len();
    happens(&mut pipeline, &known, what);
    pipeline.settle();
    let effects = pipeline.world.effects();
    let mut seen = BTreeSet::new();
    let calls = effects[before..]
        .iter()
        .map(|effect| format!("{} {}", effect.name, effect.subject));
    calls.filter(|call| seen.insert(call.clone())).collect()
}

#[test]
fn inside_each_others_invocations_they_end_with_one_live_release() {
    let mut cases = vec![];
    for strategy in STRATEGIES {
        for outer in EIGHT {
            let calls = calls(strategy, outer);
            for inner in EIGHT.into_iter().filter(|inner| *inner != outer) {
                for call in &calls {
                    for whole in [false, true] {
                        cases.push((strategy, outer, inner, call.clone(), whole));
                    }
                }
            }
        }
    }
    let count = cases.len();
    try_all(
        cases.into_iter(),
        |(strategy, outer, inner, call, whole)| {
            inside(strategy, (outer, inner), &call, whole);
        },
    );
    report(&format!(
        "races: {count} meetings inside an invocation tried (all), each ended with one live release"
    ));
}

fn inside(strategy: &'static str, (outer, inner): (What, What), call: &str, whole: bool) {
    let told = format!("{strategy}: {inner:?} (whole: {whole}) before `{call}` of {outer:?}");
    let (mut pipeline, known) = scene(strategy);
    let within: Rc<RefCell<Option<Pipeline>>> = Rc::default();
    let (slot, events) = (Rc::clone(&within), known.clone());
    pipeline.world.interleave(call, move |world| {
        let mut second = Pipeline::new(world.clone());
        second.set_for_deployments("STRATEGY", strategy);
        happens(&mut second, &events, inner);
        // Its first invocations only, or all that follows, verification included.
        if whole {
            second.settle_within(LONGEST);
        } else {
            second.work();
        }
        *slot.borrow_mut() = Some(second);
    });
    happens(&mut pipeline, &known, outer);
    pipeline.work();
    let mut second = within.borrow_mut().take();
    loop {
        let moves = pipeline.settle_within(LONGEST);
        let other = second.as_mut().is_some_and(|it| it.settle_within(LONGEST));
        let late = within.borrow_mut().take();
        let came = late.is_some();
        second = late.or(second);
        never_lost(&pipeline.world, &told);
        if !moves && !other && !came {
            break;
        }
    }
    for pipeline in second.iter().chain([&pipeline]) {
        let dead = &pipeline.dead_letters;
        assert!(dead.is_empty(), "{told}: {dead:?}");
    }
    agree(&pipeline.world, &told);
}
