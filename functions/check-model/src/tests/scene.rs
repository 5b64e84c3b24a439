//! A world with a live release and data sets.

use std::{collections::BTreeMap, fmt::Write as _};

use domain::{
    Result, Step,
    evaluation::DatasetManifest,
    layout::{Artifacts, Location},
    release::{Configuration, Image, Manifest, Model, Pointer, SCHEMA},
};
use events::{Received, announced::CheckVerdict};
use jiff::{Timestamp, civil::Date};
use memory::{ARTIFACTS_BUCKET, Row, World, demand};
use serde_json::{Value, json};

use crate::{Config, Decision, Ports, decide::Policy, handle};

pub(super) const TRAINED: &str = "retail-forecast-build-0a1b2c3d4e5f";
pub(super) const LIVE: &str = "aaaaaaaaaaaa";
pub(super) const NEWER: &str = "bbbbbbbbbbbb";
pub(super) const LIVE_TO: Date = Date::constant(2023, 12, 31);

pub(super) fn config() -> Config {
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

pub(super) fn release() -> Manifest {
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

pub(super) fn write(world: &World, at: &Location, record: &impl serde::Serialize) {
    world.write(at, serde_json::to_vec(record).unwrap());
}

/// Stores a data set of ten series whose held-out rows are the last 31 days before `to`, and makes it
/// the newest.
pub(super) fn accept(world: &World, dataset: &str, to: Date) {
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
pub(super) fn world(factor: f64, to: Date) -> World {
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

pub(super) fn go_live(world: &World, manifest: &Manifest) {
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

pub(super) fn schedule(world: &World) -> Value {
    world.envelope("aws.events", "Scheduled Event", &[], &json!({}))
}

pub(super) async fn deliver(world: &World, event: &Value) -> Result<Step<Decision>> {
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

pub(super) async fn done(world: &World, event: &Value) -> Decision {
    match deliver(world, event).await.unwrap() {
        Step::Done(decision) => decision,
        Step::Wait { decision, .. } => panic!("waits: {decision:?}"),
    }
}

/// Lets the transform end; the event of its end.
pub(super) fn ended(world: &World) -> Value {
    let mut events = world.run_services();
    events.retain(|event| event["detail"]["TransformJobStatus"] != "InProgress");
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

pub(super) fn concluded(decision: &Decision) -> (CheckVerdict, &str) {
    match decision {
        Decision::Conclude {
            verdict, reason, ..
        } => (*verdict, reason),
        other => panic!("{other:?}"),
    }
}

pub(super) fn said(world: &World) -> Vec<(String, Value)> {
    let said = world.announcements().into_iter();
    said.map(|one| (one.detail_type, one.detail)).collect()
}
