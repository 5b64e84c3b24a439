//! The handler in a world in memory: a live release, data sets, the transform between the two halves
//! of a check, and a crash anywhere between two effects mended by the repeat.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use domain::{
    Class,
    layout::Location,
    release::{Configuration, Image, Model, Pointer, SCHEMA},
};
use jiff::civil::Date;
use memory::{ARTIFACTS_BUCKET, CrashPoint, Outcome, Row, When, World, demand};
use serde_json::{Value, json};

use super::*;
use decide::Policy;

const TRAINED: &str = "retail-forecast-build-0a1b2c3d4e5f";
const LIVE: &str = "aaaaaaaaaaaa";
const NEWER: &str = "bbbbbbbbbbbb";
const LIVE_TO: Date = Date::constant(2023, 12, 31);

fn config() -> Config {
    Config {
        environment: "dev".to_owned(),
        artifacts: Artifacts::new(ARTIFACTS_BUCKET),
        policy: Policy {
            min_rows: 100,
            min_accuracy: 0.85,
            max_accuracy_drop: 0.05,
        },
        role_arn: "role".to_owned(),
        key_arn: None,
        instance_type: "ml.m5.large".to_owned(),
    }
}

fn release() -> Manifest {
    Manifest {
        schema: SCHEMA,
        environment: "dev".to_owned(),
        model: Model {
            package_arn: "arn:aws:sagemaker:r:1:model-package/g/1".to_owned(),
            training_job: TRAINED.to_owned(),
            dataset: LIVE.to_owned(),
            uri: format!("s3://{ARTIFACTS_BUCKET}/models/{TRAINED}/output/model.tar.gz"),
            digest: "ab".to_owned(),
        },
        image: Image {
            repository: "1.dkr.ecr.r.amazonaws.com/retail-forecast-infer".to_owned(),
            digest: format!("sha256:{}", "0".repeat(64)),
        },
        configuration: Configuration {
            endpoint_instance_type: "ml.t2.medium".to_owned(),
            endpoint_instance_count: 1,
            environment: BTreeMap::new(),
        },
    }
}

fn write(world: &World, at: &Location, record: &impl serde::Serialize) {
    world.write(at, serde_json::to_vec(record).unwrap());
}

/// Stores a data set of ten series whose held-out rows are the last 31 days before `to`, and makes it
/// the newest.
fn accept(world: &World, dataset: &str, to: Date) {
    let artifacts = config().artifacts;
    let (mut truth, mut features, mut rows) =
        ("date,store,item,sales\n".to_owned(), String::new(), 0);
    for back in (0..31).rev() {
        let date = to.checked_sub(jiff::Span::new().days(back)).unwrap();
        for item in 1..=10 {
            let sales = demand(&Row {
                store: 1,
                item,
                date,
            });
            writeln!(truth, "{date},1,{item},{sales}").unwrap();
            writeln!(features, "{rows},1,{item},{date}").unwrap();
            rows += 1;
        }
    }
    let manifest = DatasetManifest {
        schema: 1,
        dataset: dataset.to_owned(),
        source: String::new(),
        train_rows: 1,
        validation_rows: rows,
        from: Date::constant(2023, 1, 1),
        trained_to: to.checked_sub(jiff::Span::new().days(31)).unwrap(),
        to,
    };
    world.write(&artifacts.validation_rows(dataset), truth);
    world.write(&artifacts.features(dataset), features);
    write(world, &artifacts.dataset_manifest(dataset), &manifest);
    let newest =
        json!({"schema": 1, "dataset": dataset, "to": to, "uploaded": "2024-03-01T00:00:00Z"});
    write(world, &artifacts.newest_dataset(), &newest);
}

/// A world with a live release that was registered with accuracy 0.95 and predicts `factor` times the
/// truth, and a data set that goes on until `to`.
fn world(factor: f64, to: Date) -> World {
    let world = World::new();
    let artifacts = config().artifacts;
    accept(&world, LIVE, LIVE_TO);
    accept(&world, NEWER, to);
    go_live(&world, &release());
    let judgement = json!({"candidate": {"rows": 310, "mse": 1.0, "rmse": 1.0, "mae": 1.0, "r2_score": 0.9, "accuracy": 0.95}, "verdict": "pass"});
    write(&world, &artifacts.judgement(TRAINED), &judgement);
    world.write(&Location::parse(&release().model.uri).unwrap(), "model");
    world.predict_with(|_| true, move |row| factor * demand(row));
    world
}

fn go_live(world: &World, manifest: &Manifest) {
    let artifacts = config().artifacts;
    let (id, now) = (manifest.id().unwrap(), Timestamp::UNIX_EPOCH);
    let pointer = Pointer::empty("dev").aim(&id, now, now, "test");
    write(world, &artifacts.release(&id), manifest);
    write(
        world,
        &artifacts.pointer("dev"),
        &pointer.verified(&id, now).unwrap(),
    );
}

fn schedule(world: &World) -> Value {
    world.envelope("aws.events", "Scheduled Event", &[], &json!({}))
}

async fn deliver(world: &World, event: &Value) -> Result<Step<Decision>> {
    let ports = Ports {
        store: world,
        transforms: world,
        bus: world,
    };
    handle(
        &config(),
        &ports,
        Received::from_value(event.clone()).unwrap(),
    )
    .await
}

async fn done(world: &World, event: &Value) -> Decision {
    match deliver(world, event).await.unwrap() {
        Step::Done(decision) => decision,
        Step::Wait { decision, .. } => panic!("waits: {decision:?}"),
    }
}

/// Lets the transform end; the event of its end.
fn end(world: &World) -> Value {
    let mut events = world.run_services();
    events.retain(|event| event["detail"]["TransformJobStatus"] != "InProgress");
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

fn concluded(decision: &Decision) -> (CheckVerdict, &str) {
    match decision {
        Decision::Conclude {
            verdict, reason, ..
        } => (*verdict, reason),
        other => panic!("{other:?}"),
    }
}

fn said(world: &World) -> Vec<(String, Value)> {
    let said = world.announcements().into_iter();
    said.map(|one| (one.detail_type, one.detail)).collect()
}

const LATER: Date = Date::constant(2024, 1, 20);

#[tokio::test]
async fn the_live_model_is_scored_on_rows_that_are_new_to_it() {
    for (factor, expected) in [
        (1.04, CheckVerdict::Keep),
        (1.11, CheckVerdict::Retrain),
        (1.2, CheckVerdict::Retrain),
    ] {
        let world = world(factor, LATER);
        let decision = done(&world, &schedule(&world)).await;
        let Decision::Score { plan, reason } = &decision else {
            panic!("{decision:?}")
        };
        assert!(
            reason.contains("200 held-out rows after 2023-12-31"),
            "{reason}"
        );
        assert_eq!(
            world.announcements(),
            [],
            "nothing is said before it is known"
        );

        let decision = done(&world, &end(&world)).await;
        let (verdict, reason) = concluded(&decision);
        assert_eq!(verdict, expected, "{reason}");
        let accuracy = format!("accuracy {:.4} on 200 rows", 2.0 - factor);
        assert!(
            reason.contains(&accuracy) && reason.contains("0.9500 at registration"),
            "{reason}"
        );

        let said = said(&world);
        let (last, checked) = said.last().unwrap();
        assert_eq!(
            (last.as_str(), &checked["scheduled"]),
            ("ModelChecked", &plan.job.clone().into())
        );
        assert_eq!(checked["metrics"]["rows"], 200);
        if expected == CheckVerdict::Retrain {
            let (first, request) = &said[0];
            assert_eq!((first.as_str(), said.len()), ("RetrainRequested", 2));
            assert_eq!(
                (&request["dataset"], &request["request"]),
                (&NEWER.into(), &plan.job.clone().into())
            );
            assert_eq!(request["requested_by"], "check-model");
        } else {
            assert_eq!(said.len(), 1);
        }
    }
}

#[tokio::test]
async fn without_new_rows_the_check_says_why() {
    let no_release = World::new();
    accept(&no_release, NEWER, LATER);
    let no_data = World::new();
    go_live(&no_data, &release());
    let same = world(1.0, LATER);
    accept(&same, LIVE, LIVE_TO);
    let cases = [
        (no_release, "no release is live in dev"),
        (no_data, "no data set was accepted yet"),
        (same, "the one that the live model comes from"),
        (
            world(1.0, Date::constant(2023, 12, 30)),
            "ends on 2023-12-30",
        ),
        (
            world(1.0, Date::constant(2024, 1, 9)),
            "90 held-out rows after 2023-12-31",
        ),
    ];
    for (world, expected) in cases {
        let event = schedule(&world);
        let decision = done(&world, &event).await;
        let (verdict, reason) = concluded(&decision);
        assert_eq!(verdict, CheckVerdict::NoData, "{expected}");
        assert!(reason.contains(expected), "{reason}");
        let said = said(&world);
        assert_eq!(said.len(), 1);
        assert_eq!(
            (said[0].0.as_str(), &said[0].1["scheduled"]),
            ("ModelChecked", &event["time"])
        );
        assert_eq!(
            world.run_services(),
            Vec::<Value>::new(),
            "no job was started"
        );

        let seen = world.effects().len();
        let _ = done(&world, &event).await;
        assert_eq!(world.made_since(seen), []);
    }
}

#[tokio::test]
async fn a_check_whose_end_was_never_heard_of_is_found_a_week_later() {
    let world = world(1.2, LATER);
    let _ = done(&world, &schedule(&world)).await;
    let unheard = end(&world);
    world.advance(Duration::from_hours(7 * 24));
    let decision = done(&world, &schedule(&world)).await;
    assert_eq!(concluded(&decision).0, CheckVerdict::Retrain);

    // When the end is heard of after all, the first week's check is told too; no other training is
    // asked for.
    let seen = world.effects().len();
    assert_eq!(done(&world, &unheard).await, decision);
    let made = world.made_since(seen);
    let announced = made.iter().filter(|effect| effect.name == "announce");
    let announced: Vec<&str> = announced.map(|effect| effect.subject.as_str()).collect();
    assert_eq!(announced, ["ModelChecked"]);
    let seen = world.effects().len();
    let _ = done(&world, &unheard).await;
    let _ = done(&world, &schedule(&world)).await;
    assert_eq!(world.made_since(seen), [], "each week is told once");
}

#[tokio::test]
async fn a_job_that_failed_is_no_pass() {
    for (outcome, expected) in [
        (
            Outcome::Fails("out of memory".to_owned()),
            "Failed: out of memory",
        ),
        (Outcome::Stops, "is Stopped"),
    ] {
        let world = world(1.0, LATER);
        world.script(|_| true, outcome);
        let _ = done(&world, &schedule(&world)).await;
        let decision = done(&world, &end(&world)).await;
        let (verdict, reason) = concluded(&decision);
        assert_eq!(verdict, CheckVerdict::NoData);
        assert!(reason.contains(expected), "{reason}");

        // The next week it is said again, since that check has no data either.
        world.advance(Duration::from_hours(7 * 24));
        let event = schedule(&world);
        assert_eq!(
            concluded(&done(&world, &event).await).0,
            CheckVerdict::NoData
        );
        assert_eq!(said(&world).last().unwrap().1["scheduled"], event["time"]);
    }
}

#[tokio::test]
async fn a_release_that_is_live_no_more_asks_for_no_training() {
    let world = world(1.2, LATER);
    let _ = done(&world, &schedule(&world)).await;
    let event = end(&world);
    let mut other = release();
    other.configuration.endpoint_instance_count = 2;
    go_live(&world, &other);
    let decision = done(&world, &event).await;
    assert!(
        matches!(decision, Decision::Superseded { .. }),
        "{decision:?}"
    );
    assert_eq!(world.announcements(), []);
}

#[tokio::test]
async fn predictions_with_gaps_are_refused() {
    let world = world(1.0, LATER);
    let decision = done(&world, &schedule(&world)).await;
    let Decision::Score { plan, .. } = decision else {
        panic!("{decision:?}")
    };
    let event = end(&world);
    let at = config().artifacts.prediction_rows(&plan.job);
    let text = String::from_utf8(world.read(&at).unwrap()).unwrap();
    // The row isn't new to the model, and still the file isn't the one that was asked for.
    let lines: Vec<&str> = text.lines().skip(1).collect();
    world.write(&at, lines.join("\n"));
    let error = deliver(&world, &event).await.unwrap_err();
    assert_eq!(error.class(), Class::Permanent);
    assert!(
        error.to_string().contains("row id 1 where 0 is due"),
        "{error}"
    );
    assert_eq!(world.announcements(), []);
}

#[tokio::test]
async fn an_event_ahead_of_sagemaker_is_waited_for() {
    let world = world(1.0, LATER);
    let _ = done(&world, &schedule(&world)).await;
    world.script(|_| true, Outcome::RunsOn);
    let started = world.run_services().remove(0);
    let mut early = started.clone();
    early["detail"]["TransformJobStatus"] = "Completed".into();
    assert!(matches!(
        deliver(&world, &early).await.unwrap(),
        Step::Wait { .. }
    ));
    assert!(matches!(
        done(&world, &started).await,
        Decision::Wait { .. }
    ));
}

#[tokio::test]
async fn a_failing_read_is_an_error_and_never_no_data() {
    for unreadable in [
        "pointer.json",
        "newest.json",
        "releases/",
        "bbbbbbbbbbbb/manifest.json",
        "validation/sales.csv",
    ] {
        let world = world(1.0, LATER);
        world.fail_reads_of(unreadable);
        assert!(
            deliver(&world, &schedule(&world)).await.is_err(),
            "{unreadable}"
        );
        assert_eq!(world.effects(), []);
    }
    for unreadable in [
        "checks/",
        "judgement.json",
        "rows.csv.out",
        "transform retail",
    ] {
        let world = world(1.2, LATER);
        let _ = done(&world, &schedule(&world)).await;
        let event = end(&world);
        world.fail_reads_of(unreadable);
        assert!(deliver(&world, &event).await.is_err(), "{unreadable}");
        assert_eq!(world.announcements(), []);
    }
}

#[tokio::test]
async fn a_crash_between_any_two_effects_is_mended_by_the_repeat() {
    // The schedule: decision, plan, model and job. The end: decision, request, news.
    for (scored, expected) in [(false, 3), (true, 3)] {
        let staged = || async move {
            let world = world(1.2, LATER);
            let event = schedule(&world);
            if !scored {
                return (world, event);
            }
            let _ = done(&world, &event).await;
            let event = end(&world);
            (world, event)
        };
        let (uneventful, event) = staged().await;
        let before = uneventful.effects().len();
        let decision = done(&uneventful, &event).await;
        let effects = uneventful.effects().len() - before;
        assert_eq!(effects, expected, "{:?}", uneventful.effects());
        for effect in 1..=effects {
            for when in [When::Before, When::After] {
                let (world, event) = staged().await;
                world.crash_at(Some(CrashPoint { effect, when }));
                deliver(&world, &event).await.unwrap_err();
                world.revive();
                assert_eq!(
                    done(&world, &event).await,
                    decision,
                    "crash {when:?} effect {effect}"
                );
                let facts = |world: &World| {
                    let facts: BTreeSet<String> = said(world)
                        .into_iter()
                        .map(|(kind, detail)| kind + &detail.to_string())
                        .collect();
                    facts
                };
                assert_eq!(
                    facts(&world),
                    facts(&uneventful),
                    "crash {when:?} effect {effect}"
                );
                let seen = world.effects().len();
                let _ = done(&world, &event).await;
                assert_eq!(world.made_since(seen), [], "a repeat makes nothing new");
            }
        }
    }
}

#[tokio::test]
async fn events_of_others_change_nothing() {
    let world = world(1.0, LATER);
    let detail = json!({"TransformJobName": format!("{TRAINED}-candidate"), "TransformJobStatus": "Completed"});
    let event = world.envelope(
        "aws.sagemaker",
        "SageMaker Transform Job State Change",
        &[],
        &detail,
    );
    assert!(matches!(
        done(&world, &event).await,
        Decision::NotForThisFunction { .. }
    ));
    assert_eq!(world.effects(), []);
}
