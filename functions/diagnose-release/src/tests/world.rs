//! Two registered models, releases of them, and a rollback between two.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use domain::{
    Class,
    evaluation::GoldenRow,
    layout::Location,
    ports::{Approval, PackageSpec},
    release::{Configuration, Image, Manifest, Model, Pointer, SCHEMA},
};
use jiff::Timestamp;
use memory::{ARTIFACTS_BUCKET, Row, World, demand};
use serde_json::Value;

use super::super::*;

pub(super) const CAUSED_AT: Timestamp = Timestamp::constant(1_709_517_540, 0);

pub(super) fn config() -> Config {
    Config {
        environment: "dev".to_owned(),
        artifacts: Artifacts::new(ARTIFACTS_BUCKET),
        role_arn: "role".to_owned(),
        key_arn: None,
        instance_type: "ml.m5.large".to_owned(),
        golden_tolerance: 1e-6,
        look_again: Duration::from_secs(20),
        max_wait: Duration::from_mins(10),
    }
}

/// A release of the model, image and setting of these numbers.
pub(super) fn manifest(world: &World, model: u32, image: u32, setting: &str) -> Manifest {
    let packages = world.packages();
    let number = usize::try_from(model).unwrap();
    let package_arn = packages[number - 1].arn.clone();
    Manifest {
        schema: SCHEMA,
        environment: "dev".to_owned(),
        model: Model {
            package_arn,
            training_job: format!("retail-forecast-build-{model}"),
            dataset: format!("data-{model}"),
            uri: uri(model),
            digest: "ab".to_owned(),
        },
        image: Image {
            repository: "infer".to_owned(),
            digest: format!("sha256:{image:064}"),
        },
        configuration: Configuration {
            endpoint_instance_type: "ml.t2.medium".to_owned(),
            endpoint_instance_count: 1,
            environment: BTreeMap::from([("DRAIN_S".to_owned(), setting.to_owned())]),
        },
    }
}

pub(super) fn uri(model: u32) -> String {
    format!("s3://{ARTIFACTS_BUCKET}/models/retail-forecast-build-{model}/output/model.tar.gz")
}

/// Two registered models with golden rows; model n predicts n times the demand.
pub(super) fn world() -> World {
    let world = World::new();
    for model in 1..=2_u32 {
        let factor = f64::from(model);
        world.write(&Location::parse(&uri(model)).unwrap(), "model");
        world.predict_with(move |at| at == uri(model), move |row| factor * demand(row));
        let job = format!("retail-forecast-build-{model}");
        let rows = (1..=3).map(|item| {
            let row = Row {
                store: model,
                item,
                date: jiff::civil::date(2024, 3, 4),
            };
            GoldenRow {
                store_id: row.store,
                item_id: row.item,
                date: row.date,
                prediction: factor * demand(&row),
            }
        });
        let golden = GoldenRows {
            schema: 1,
            rows: rows.collect(),
        };
        let at = config().artifacts.golden_rows(&job);
        world.write(&at, serde_json::to_vec(&golden).unwrap());
        let spec = PackageSpec {
            group: "retail-forecast-models".to_owned(),
            description: "d".to_owned(),
            image: "i".to_owned(),
            model_uri: uri(model),
            approval: Approval::Approved,
            metadata: BTreeMap::from([("training_job".to_owned(), job.clone())]),
            metrics_uri: "m".to_owned(),
            client_token: job,
        };
        ready(world.register(&spec)).unwrap();
    }
    world
}

/// The start of a rollback from one release to the other.
pub(super) fn rolled_back(world: &World, bad: &Manifest, good: &Manifest) -> Value {
    let ids = [bad, good].map(|manifest| {
        let id = manifest.id().unwrap();
        let bytes = serde_json::to_vec(manifest).unwrap();
        world.write(&config().artifacts.release(&id), bytes);
        id
    });
    let [from, release] = ids;
    let pointer = Pointer::empty("dev")
        .aim(&release, CAUSED_AT, CAUSED_AT, "c")
        .verified(&release, CAUSED_AT);
    let at = config().artifacts.pointer("dev");
    world.write(&at, serde_json::to_vec(&pointer.unwrap()).unwrap());
    let started = RollbackStarted {
        release,
        from: from.clone(),
        generation: 7,
        attempt: 1,
        cause: "alarm RetailForecast-API-Error-Rate".to_owned(),
        caused_at: CAUSED_AT,
        differences: vec![],
        quarantined: Some(from),
        abandoned: None,
        bad: None,
        good: None,
        by_hand: None,
    };
    let announcement = Announced::RollbackStarted(started).announcement().unwrap();
    world.envelope(
        "retail-forecast",
        &announcement.detail_type,
        &[],
        &announcement.detail,
    )
}

/// The release 2/2/2 went wrong, and 1/1/1 is good; or with other numbers.
pub(super) fn event(world: &World, bad: (u32, u32, &str), good: (u32, u32, &str)) -> Value {
    let bad = manifest(world, bad.0, bad.1, bad.2);
    let good = manifest(world, good.0, good.1, good.2);
    rolled_back(world, &bad, &good)
}

pub(super) fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the world in memory waited"),
    }
}

pub(super) fn deliver(world: &World, event: &Value) -> Result<Step<Decision>> {
    let ports = Ports {
        store: world,
        sagemaker: world,
        bus: world,
        clock: world,
    };
    let received = Received::from_value(event.clone()).unwrap();
    ready(handle(&config(), &ports, received))
}

/// Delivers until the message doesn't come back.
pub(super) fn settle(world: &World, event: &Value) -> Decision {
    for _ in 0..100 {
        match deliver(world, event) {
            Ok(Step::Done(decision)) => return decision,
            Ok(Step::Wait { after, .. }) => {
                world.advance(after);
                world.run_services();
            }
            Err(error) if error.class() == Class::Transient => world.revive(),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the message comes back for ever");
}

pub(super) fn diagnosis(world: &World, event: &Value) -> Diagnosis {
    match settle(world, event) {
        Decision::Diagnose(diagnosis) => diagnosis,
        other => panic!("{other:?}"),
    }
}

pub(super) fn parts(diagnosis: &Diagnosis) -> Vec<Part> {
    diagnosis.guilty.iter().map(|entry| entry.part).collect()
}

pub(super) fn list(world: &World) -> Quarantine {
    let stored = world.read_json(&config().artifacts.quarantine("dev"));
    stored.map_or_else(Quarantine::default, |stored| {
        serde_json::from_value(stored).unwrap()
    })
}

pub(super) fn is_image(image: &str, number: u32) -> bool {
    image.ends_with(&format!("{number:064}"))
}
