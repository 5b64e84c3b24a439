//! A deployment, an alarm, another deployment, an operator's request and a repeat of the alarm meet in every
//! order and at every pace, and each inside each other's invocation, before every effect of it. In the end
//! one release is live, pointer and targets agree on it, nothing quarantined is live, and what is known good
//! was never lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::{
    cell::RefCell,
    collections::{BTreeSet, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    rc::Rc,
    time::Duration,
};

use domain::{
    layout::Artifacts,
    quarantine::Quarantine,
    release::{Manifest, Pointer, Progress, endpoint_config},
};
use memory::{ARTIFACTS_BUCKET, World};
use serde_json::{Value, json};
use stories::{Pipeline, normal, report, scene};

const STRATEGIES: [&str; 2] = ["rolling", "canary"];
/// One in so many is tried by `make test`; `make prove` tries all.
const SHARE: usize = 23;

/// How long an invocation may be held up: its own limit.
const LONGEST: Duration = Duration::from_secs(30);

/// What meets.
const ALARM: usize = 0;
const EVENTS: [&str; 5] = [
    "an alarm",
    "another image",
    "another model",
    "an operator",
    "the alarm's repeat",
];

/// A is good, B with another image is live; and the events that meet.
fn scene(strategy: &str) -> (Pipeline, Vec<Value>) {
    let mut pipeline = scene::live();
    scene::push_another_image(&mut pipeline, "build-2");
    let bad = scene::target(&pipeline).release;
    // A better model was registered, and nobody has heard of its approval yet.
    pipeline.lose("SageMaker Model Package State Change");
    scene::train_on(&mut pipeline, 560);
    pipeline.lose("");
    pipeline.set_for_deployments("STRATEGY", strategy);
    let world = &pipeline.world;
    let alarm = scene::alarm(&pipeline, "Error-Rate", &bad);
    let model = world.approve(&world.packages()[1].arn).unwrap();
    let image = world.push_image(
        "retail-forecast-infer",
        &["latest-dev", "build-3"],
        &[("LOW", 1)],
    );
    let request = json!({"release": bad, "request": "1", "by": "ann", "reason": "slow", "id": "0"});
    let operator = world.envelope("retail-forecast", "RollbackRequested", &[], &request);
    // What wakes a function is the end of the scan.
    let image = image
        .into_iter()
        .next_back()
        .expect("the scan's end is told");
    let events = vec![alarm.clone(), image, model, operator, alarm];
    assert_eq!(events.len(), EVENTS.len());
    (pipeline, events)
}

fn read<T: serde::de::DeserializeOwned>(world: &World, at: &domain::layout::Location) -> Option<T> {
    serde_json::from_value(world.read_json(at)?).ok()
}

/// What has to hold in the end.
fn agree(world: &World, told: &str) {
    let artifacts = Artifacts::new(ARTIFACTS_BUCKET);
    let pointer: Pointer = read(world, &artifacts.pointer("dev")).unwrap();
    let target = pointer.target.expect("something is live");
    let release = target.release;
    assert_eq!(target.progress, Progress::Verified, "{told}: {release}");
    let good = pointer.known_good.expect("something is known good");
    assert_eq!(good.release, release, "{told}");
    let manifest: Manifest = read(world, &artifacts.release(&release)).unwrap();
    let quarantine: Quarantine = read(world, &artifacts.quarantine("dev")).unwrap_or_default();
    let forbidden = quarantine.forbids(&manifest).unwrap();
    assert_eq!(forbidden, None, "{told}: {release} is quarantined and live");
    let snapshot = world.snapshot();
    let world = snapshot.as_json();
    let deployment = &world["deployment"];
    assert_eq!(
        deployment["environment"]["DEPLOYMENT_ID"],
        json!(release),
        "{told}"
    );
    assert_eq!(
        deployment["serving"]["DEPLOYMENT_ID"],
        json!(release),
        "{told}"
    );
    assert_eq!(
        deployment["image"],
        json!(manifest.image.reference().unwrap()),
        "{told}"
    );
    let endpoint = &world["endpoints"]["retail-forecast-dev"];
    assert_eq!(
        endpoint["config"],
        json!(endpoint_config(&manifest).unwrap()),
        "{told}"
    );
    assert_eq!(
        world["canary"]["wanted"], 0,
        "{told}: pods of a canary are left"
    );
}

/// What is known good is there at every moment.
fn never_lost(world: &World, told: &str) {
    let at = Artifacts::new(ARTIFACTS_BUCKET).pointer("dev");
    let pointer: Pointer = read(world, &at).unwrap();
    assert!(pointer.known_good.is_some(), "{told}: known good is lost");
}

fn state(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    normal(world.snapshot().as_json())
        .to_string()
        .hash(&mut hasher);
    hasher.finish()
}

fn orders(rest: &[usize]) -> Vec<Vec<usize>> {
    if rest.is_empty() {
        return vec![vec![]];
    }
    let mut all = vec![];
    for (at, first) in rest.iter().enumerate() {
        let mut others = rest.to_vec();
        others.remove(at);
        for mut order in orders(&others) {
            order.insert(0, *first);
            all.push(order);
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

fn every() -> usize {
    if std::env::var_os("PROVE").is_some() {
        1
    } else {
        SHARE
    }
}

fn seed() -> usize {
    std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"))
}

#[test]
fn in_any_order_and_at_any_pace_they_end_with_one_live_release() {
    let mut cases = vec![];
    for strategy in STRATEGIES {
        for order in orders(&[0, 1, 2, 3, 4]) {
            // The alarm and its repeat are the same event.
            if order.iter().position(|event| *event == ALARM)
                > order.iter().position(|event| *event == 4)
            {
                continue;
            }
            for paces in paces(order.len() - 1) {
                cases.push((strategy, order.clone(), paces));
            }
        }
    }
    let (possible, mut tried, mut states) = (cases.len(), 0, BTreeSet::new());
    for (strategy, order, paces) in cases.into_iter().skip(seed() % every()).step_by(every()) {
        let told = format!(
            "{strategy}, {:?}, {paces:?}",
            order.iter().map(|event| EVENTS[*event]).collect::<Vec<_>>()
        );
        let (mut pipeline, events) = scene(strategy);
        for (at, event) in order.iter().enumerate() {
            pipeline.deliver(&events[*event]);
            if let Some(pace) = paces.get(at) {
                go_on(&mut pipeline, *pace);
            }
            never_lost(&pipeline.world, &told);
            states.insert(state(&pipeline.world));
        }
        pipeline.settle();
        assert!(
            pipeline.dead_letters.is_empty(),
            "{told}: {:?}",
            pipeline.dead_letters
        );
        agree(&pipeline.world, &told);
        states.insert(state(&pipeline.world));
        tried += 1;
    }
    report(&format!(
        "{tried} of {possible} orders and paces tried, {} different states seen, each ended with one live release",
        states.len()
    ));
}

/// The calls that an event's first invocations make, undisturbed.
fn calls(strategy: &str, event: usize) -> Vec<String> {
    let (mut pipeline, events) = scene(strategy);
    let before = pipeline.world.effects().len();
    pipeline.deliver(&events[event]);
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
    let mut tried = 0;
    for strategy in STRATEGIES {
        for outer in 0..4 {
            let calls = calls(strategy, outer);
            for inner in (0..4).filter(|inner| *inner != outer) {
                for (call, whole) in calls.iter().flat_map(|call| [(call, false), (call, true)]) {
                    let told = format!(
                        "{strategy}: {} (whole: {whole}) before `{call}` of {}",
                        EVENTS[inner], EVENTS[outer]
                    );
                    let (mut pipeline, events) = scene(strategy);
                    let within: Rc<RefCell<Option<Pipeline>>> = Rc::default();
                    let (slot, event) = (Rc::clone(&within), events[inner].clone());
                    let strategy = strategy.to_owned();
                    pipeline.world.interleave(call, move |world| {
                        let mut second = Pipeline::new(world.clone());
                        second.set_for_deployments("STRATEGY", &strategy);
                        second.deliver(&event);
                        // Its first invocations only, or all that follows, verification included.
                        if whole {
                            second.settle_within(LONGEST);
                        } else {
                            second.work();
                        }
                        *slot.borrow_mut() = Some(second);
                    });
                    pipeline.deliver(&events[outer]);
                    pipeline.work();
                    let mut second = within.borrow_mut().take();
                    loop {
                        let moves = pipeline.settle_within(LONGEST);
                        let other = second.as_mut().is_some_and(|it| it.settle_within(LONGEST));
                        let late = within.borrow_mut().take();
                        let came = late.is_some();
                        second = late.or(second);
                        if !moves && !other && !came {
                            break;
                        }
                    }
                    if let Some(second) = second {
                        let dead = &second.dead_letters;
                        assert!(dead.is_empty(), "{told}: {dead:?}");
                    }
                    assert!(
                        pipeline.dead_letters.is_empty(),
                        "{told}: {:?}",
                        pipeline.dead_letters
                    );
                    never_lost(&pipeline.world, &told);
                    agree(&pipeline.world, &told);
                    tried += 1;
                }
            }
        }
    }
    report(&format!(
        "{tried} meetings inside an invocation tried, each ended with one live release"
    ));
}
