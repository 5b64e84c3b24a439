//! A world with a data set, a plan, and the transforms of both sides under way.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use domain::{
    Result, Step,
    evaluation::{Contender, DatasetManifest, Plan, Verdict},
    layout::{Artifacts, Location},
    ports::{TransformSpec, Transforms as _},
};
use events::Received;
use jiff::civil::Date;
use memory::{ARTIFACTS_BUCKET, Row, World, demand};
use serde_json::{Value, json};

use crate::{Config, Decision, Ports, decide::Policy, handle};

pub(super) const JOB: &str = "retail-forecast-build-0a1b2c3d4e5f";
pub(super) const DATASET: &str = "b277fd623676";
pub(super) const FIRST_DAY: Date = Date::constant(2022, 1, 1);
pub(super) const TRAIN_DAYS: i64 = 400;
pub(super) const DAYS: i64 = 500;

pub(super) fn config() -> Config {
    Config {
        artifacts: Artifacts::new(ARTIFACTS_BUCKET),
        policy: Policy {
            min_accuracy: 0.85,
            tolerance: 0.10,
            min_rows: 100,
            beat_naive: true,
        },
        max_wait: Duration::from_hours(1),
    }
}

pub(super) fn day(offset: i64) -> Date {
    FIRST_DAY
        .checked_add(jiff::Span::new().days(offset))
        .unwrap()
}

/// Demand that grows, so that repeating the last year isn't good enough.
pub(super) fn truth(row: &Row) -> f64 {
    let years = row.date.duration_since(FIRST_DAY).as_hours() as f64 / (24.0 * 365.0);
    (demand(row) * (1.0 + years)).round()
}

pub(super) fn uri(side: &str) -> String {
    format!("s3://{ARTIFACTS_BUCKET}/models/{side}/output/model.tar.gz")
}

pub(super) fn contender(side: &str) -> Contender {
    Contender {
        transform_job: format!("{JOB}-{side}"),
        model_uri: uri(side),
        package_arn: None,
    }
}

pub(super) fn transform(side: &str) -> TransformSpec {
    let artifacts = config().artifacts;
    TransformSpec {
        name: format!("{JOB}-{side}"),
        model_name: format!("model-{side}"),
        image: "infer@sha256:0".to_owned(),
        model_uri: uri(side),
        environment: BTreeMap::new(),
        role_arn: "role".to_owned(),
        input: artifacts.features(DATASET).to_string(),
        output: artifacts.predictions(&format!("{JOB}-{side}")).to_string(),
        key_arn: None,
        instance_type: "ml.m5.large".to_owned(),
        tags: BTreeMap::new(),
    }
}

/// A world with a data set, a plan, and the transforms under way. `errors` are the factors by which the
/// candidate and the champion miss the truth; the held-out rows begin `held_out` days before the end.
pub(super) async fn world(candidate: f64, champion: Option<f64>, held_out: i64) -> World {
    let world = World::new();
    let artifacts = config().artifacts;
    let (mut train, mut validation, mut features) = (
        "date,store,item,sales\n".to_owned(),
        "date,store,item,sales\n".to_owned(),
        String::new(),
    );
    let mut rows = 0;
    for offset in (0..TRAIN_DAYS).chain(DAYS - held_out..DAYS) {
        for item in 1..=3 {
            let row = Row {
                store: 1,
                item,
                date: day(offset),
            };
            let line = format!("{},1,{item},{}\n", row.date, truth(&row));
            if offset < TRAIN_DAYS {
                train.push_str(&line);
            } else {
                validation.push_str(&line);
                writeln!(features, "{rows},1,{item},{}", row.date).unwrap();
                rows += 1;
            }
        }
    }
    let manifest = DatasetManifest {
        schema: 1,
        dataset: DATASET.to_owned(),
        source: "s3://data/training/sales.csv".to_owned(),
        train_rows: 1200,
        validation_rows: rows,
        from: day(0),
        trained_to: day(TRAIN_DAYS - 1),
        to: day(DAYS - 1),
    };
    let plan = Plan {
        schema: 1,
        training_job: JOB.to_owned(),
        dataset: DATASET.to_owned(),
        image: "infer@sha256:0".to_owned(),
        candidate: contender("candidate"),
        champion: champion.map(|_| contender("champion")),
    };
    world.write(&artifacts.train_rows(DATASET), train);
    world.write(&artifacts.validation_rows(DATASET), validation);
    world.write(&artifacts.features(DATASET), features);
    world.write(
        &artifacts.dataset_manifest(DATASET),
        serde_json::to_vec(&manifest).unwrap(),
    );
    world.write(
        &artifacts.evaluation_plan(JOB),
        serde_json::to_vec(&plan).unwrap(),
    );
    for (side, factor) in [("candidate", Some(candidate)), ("champion", champion)] {
        if let Some(factor) = factor {
            world.write(&Location::parse(&uri(side)).unwrap(), side);
            world.predict_with(
                move |model| model == uri(side),
                move |row| factor * truth(row),
            );
            world.ensure_transform(&transform(side)).await.unwrap();
        }
    }
    world
}

pub(super) async fn deliver(world: &World, event: &Value) -> Result<Step<Decision>> {
    let ports = Ports {
        store: world,
        transforms: world,
        bus: world,
        clock: world,
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

/// Lets the transforms end; the events of their ends, the candidate's first.
pub(super) fn ends(world: &World) -> Vec<Value> {
    let mut events = world.run_services();
    events.retain(|event| event["detail"]["TransformJobStatus"] != "InProgress");
    events
}

pub(super) fn verdict(decision: &Decision) -> (Verdict, &str) {
    match decision {
        Decision::Judge {
            verdict, reason, ..
        }
        | Decision::AlreadyJudged {
            verdict, reason, ..
        } => (verdict.clone(), reason),
        other => panic!("{other:?}"),
    }
}

/// The job that a model can't be judged because of, and why.
pub(super) fn not_judged(decision: &Decision) -> (String, String) {
    match decision {
        Decision::FailEvaluation {
            failed_job, reason, ..
        } => (failed_job.clone(), reason.clone()),
        other => panic!("{other:?}"),
    }
}

pub(super) fn stored(world: &World, at: &Location) -> Value {
    world
        .read_json(at)
        .unwrap_or_else(|| panic!("{at} is missing"))
}

pub(super) fn override_request(world: &World, by: &str) -> Value {
    let detail = json!({"training_job": JOB, "by": by, "reason": "a strike in March"});
    world.envelope("retail-forecast", "OverrideRequested", &[], &detail)
}
