//! The handler in a world in memory: what it stores, what it says, and that a crash anywhere between
//! two effects is mended by the repeat.

use std::fmt::Write as _;

use domain::{evaluation::DatasetManifest, layout::Artifacts, ports::Ensured};
use jiff::SignedDuration;
use memory::{ARTIFACTS_BUCKET, CrashPoint, DATA_BUCKET, Row, When, World, demand};
use serde_json::Value;

use super::*;

mod late;

const KEY: &str = "training/sales.csv";

pub(crate) fn config() -> Config {
    Config {
        data_bucket: DATA_BUCKET.to_owned(),
        artifacts: Artifacts::new(ARTIFACTS_BUCKET),
        holdout_days: 92,
        contract: Contract {
            max_bytes: 512 << 20,
            ..Contract::default()
        },
        await_training: SignedDuration::from_mins(15),
    }
}

/// Sales of two items in one store, `days` long, the last of them on `to`.
fn sales(to: Date, days: i64) -> String {
    let mut text = "date,store,item,sales\n".to_owned();
    for back in (0..days).rev() {
        let date = to.checked_sub(jiff::Span::new().days(back)).unwrap();
        for item in 1..=2 {
            let sales = demand(&Row {
                store: 1,
                item,
                date,
            });
            writeln!(text, "{date},1,{item},{sales}").unwrap();
        }
    }
    text
}

fn december(day: i8) -> Date {
    Date::constant(2023, 12, day)
}

fn ports(world: &World) -> Ports<'_, World, World, World> {
    Ports {
        store: world,
        bus: world,
        clock: world,
    }
}

async fn deliver(world: &World, event: &Value) -> Result<Decision> {
    deliver_to(&config(), world, event).await
}

async fn deliver_to(config: &Config, world: &World, event: &Value) -> Result<Decision> {
    let received = Received::from_value(event.clone()).unwrap();
    match handle(config, &ports(world), received).await? {
        Step::Done(decision) => Ok(decision),
        Step::Wait { decision, .. } => {
            assert!(
                matches!(decision, Decision::AwaitTraining { .. }),
                "nothing to wait for: {decision:?}"
            );
            Ok(decision)
        }
    }
}

fn accepted(decision: Decision) -> String {
    match decision {
        Decision::Accept { dataset, .. } => dataset,
        other => panic!("{other:?}"),
    }
}

fn text(world: &World, at: &Location) -> String {
    String::from_utf8(world.read(at).unwrap()).unwrap()
}

fn manifest(world: &World, dataset: &str) -> DatasetManifest {
    let at = config().artifacts.dataset_manifest(dataset);
    serde_json::from_slice(&world.read(&at).unwrap()).unwrap()
}

fn newest(world: &World) -> String {
    world
        .read_json(&config().artifacts.newest_dataset())
        .unwrap()["dataset"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn an_accepted_upload_becomes_a_snapshot_and_is_announced() {
    let world = World::new();
    let event = world.upload(DATA_BUCKET, KEY, sales(december(31), 200));
    let dataset = accepted(deliver(&world, &event).await.unwrap());

    let artifacts = config().artifacts;
    let manifest = manifest(&world, &dataset);
    assert_eq!(
        (manifest.train_rows, manifest.validation_rows),
        (2 * 108, 2 * 92)
    );
    assert_eq!(manifest.trained_to.to_string(), "2023-09-30");
    assert_eq!(
        (manifest.to, manifest.source.as_str()),
        (december(31), format!("s3://{DATA_BUCKET}/{KEY}").as_str())
    );
    assert_eq!(
        text(&world, &artifacts.train_rows(&dataset))
            .lines()
            .count(),
        1 + 216
    );
    assert_eq!(
        text(&world, &artifacts.validation_rows(&dataset))
            .lines()
            .count(),
        1 + 184
    );
    let features = text(&world, &artifacts.features(&dataset));
    assert_eq!(features.lines().next(), Some("0,1,1,2023-10-01"));
    let report = world
        .read_json(&artifacts.validation_report(&dataset))
        .unwrap();
    assert_eq!(
        (&report["decision"], &report["training"]["findings"]),
        (&"accept".into(), &serde_json::json!([]))
    );
    assert_eq!(newest(&world), dataset);

    let said = world.announcements();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].detail_type, "DatasetValidated");
    assert_eq!(said[0].detail["dataset"], dataset);
    assert_eq!(said[0].detail["rows"], 400);
}

#[tokio::test]
async fn a_rejected_upload_leaves_its_report_and_nothing_to_train_on() {
    let world = World::new();
    let bad = sales(december(31), 200).replace("2023-12-24,1,1,", "2023-12-24,1,1,-");
    let event = world.upload(DATA_BUCKET, KEY, bad);
    let decision = deliver(&world, &event).await.unwrap();
    let Decision::Reject {
        dataset, findings, ..
    } = decision
    else {
        panic!("{decision:?}")
    };
    assert!(
        findings[0].contains("below zero") && findings[0].contains("line 386"),
        "{findings:?}"
    );
    let artifacts = config().artifacts;
    for at in [
        artifacts.dataset_manifest(&dataset),
        artifacts.train_rows(&dataset),
        artifacts.newest_dataset(),
    ] {
        assert_eq!(world.read(&at), None, "{at}");
    }
    let report = world
        .read_json(&artifacts.validation_report(&dataset))
        .unwrap();
    assert_eq!(
        (&report["decision"], &report["findings"][0]),
        (&"reject".into(), &findings[0].clone().into())
    );
    let said = world.announcements();
    assert_eq!(
        (said.len(), said[0].detail_type.as_str()),
        (1, "DatasetRejected")
    );
    assert_eq!(said[0].detail["findings"][0], findings[0]);
}

#[tokio::test]
async fn empty_and_damaged_files_are_rejected() {
    let world = World::new();
    for (bytes, expected) in [
        (&b""[..], "nothing in the file"),
        (&[0x1f, 0x8b, 8, 0, 0][..], "gzip"),
    ] {
        let event = world.upload(DATA_BUCKET, KEY, bytes);
        match deliver(&world, &event).await.unwrap() {
            Decision::Reject { findings, .. } => {
                assert!(findings[0].contains(expected), "{findings:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_validation_file_judges_instead_of_the_last_days() {
    let world = World::new();
    let judging = sales(Date::constant(2024, 1, 31), 31);
    let first = world.upload(DATA_BUCKET, "validation/sales.csv", judging);
    let decision = deliver(&world, &first).await.unwrap();
    assert!(
        matches!(decision, Decision::AwaitTraining { .. }),
        "{decision:?}"
    );
    assert_eq!(world.effects(), []);

    let second = world.upload(DATA_BUCKET, KEY, sales(december(31), 200));
    let dataset = accepted(deliver(&world, &second).await.unwrap());
    let manifest = manifest(&world, &dataset);
    assert_eq!((manifest.train_rows, manifest.validation_rows), (400, 62));
    assert_eq!(manifest.trained_to, december(31));
    assert_eq!(manifest.to.to_string(), "2024-01-31");
    let features = text(&world, &config().artifacts.features(&dataset));
    assert_eq!(features.lines().count(), 62);

    // The late repeat of the first event finds the same pair: one data set, one fact.
    assert_eq!(accepted(deliver(&world, &first).await.unwrap()), dataset);
    let said = world.announcements();
    assert_eq!((said.len(), &said[0]), (2, &said[1]));
}

#[tokio::test]
async fn the_age_of_a_pair_is_its_validation_files() {
    let world = World::new();
    let mut config = config();
    let event = world.upload(DATA_BUCKET, KEY, sales(december(31), 200));
    let uploaded = Received::from_value(event.clone()).unwrap().time;
    let today = uploaded.to_zoned(TimeZone::UTC).date();
    let age = u32::try_from((today - december(31)).get_days()).unwrap();
    for (limit, stale) in [(age, false), (age - 1, true)] {
        config.contract.max_age_days = Some(limit);
        match deliver_to(&config, &world, &event).await.unwrap() {
            Decision::Accept { .. } => assert!(!stale),
            Decision::Reject { findings, .. } => {
                assert!(stale && findings[0].contains("days old"), "{findings:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    world.upload(
        DATA_BUCKET,
        "validation/sales.csv",
        sales(Date::constant(2024, 1, 31), 31),
    );
    config.contract.max_age_days = Some(age - 31);
    accepted(deliver_to(&config, &world, &event).await.unwrap());
    config.contract.max_age_days = Some(age - 32);
    let decision = deliver_to(&config, &world, &event).await.unwrap();
    let Decision::Reject { findings, .. } = decision else {
        panic!("{decision:?}")
    };
    assert!(findings[0].starts_with("validation/"), "{findings:?}");
    assert_eq!(findings.len(), 1, "{findings:?}");
}

#[tokio::test]
async fn a_validation_file_whose_training_file_does_not_come_is_told_once() {
    let world = World::new();
    let judging = sales(Date::constant(2024, 1, 31), 31);
    let event = world.upload(DATA_BUCKET, "validation/sales.csv", judging.clone());
    world.advance(Duration::from_secs(899));
    let decision = deliver(&world, &event).await.unwrap();
    assert!(matches!(decision, Decision::AwaitTraining { .. }));
    assert_eq!(world.effects(), []);

    world.advance(Duration::from_secs(1));
    for _ in 0..2 {
        let decision = deliver(&world, &event).await.unwrap();
        assert!(
            matches!(&decision, Decision::Reject { source, .. } if source.ends_with("validation/sales.csv")),
            "{decision:?}"
        );
    }
    let said = world.announcements();
    assert_eq!((said.len(), &said[0]), (2, &said[1]), "one fact");
    assert_eq!(said[0].detail_type, "DatasetRejected");

    // Its training file makes a pair of it after all.
    let late = world.upload(DATA_BUCKET, KEY, sales(december(31), 200));
    let dataset = accepted(deliver(&world, &late).await.unwrap());
    assert_eq!(manifest(&world, &dataset).validation_rows, 62);

    // The same file under another name, alone again, is another fact.
    let other = world.upload(DATA_BUCKET, "validation/other.csv", judging);
    world.advance(Duration::from_hours(1));
    assert!(deliver(&world, &other).await.is_ok());
    let said = world.announcements();
    assert_ne!(said[0].detail["id"], said.last().unwrap().detail["id"]);
}

#[tokio::test]
async fn the_same_broken_bytes_again_are_told_again_and_the_same_event_is_not() {
    let world = World::new();
    let bad = sales(december(31), 200).replace("2023-12-24,1,1,", "2023-12-24,1,1,-");
    let first = world.upload(DATA_BUCKET, KEY, bad.clone());
    let second = world.upload(DATA_BUCKET, KEY, bad);
    for event in [&first, &second, &first, &second] {
        let decision = deliver(&world, event).await.unwrap();
        assert!(matches!(decision, Decision::Reject { .. }), "{decision:?}");
    }
    let said = world.announcements();
    let ids: Vec<_> = said.iter().map(|one| one.detail["id"].clone()).collect();
    assert_ne!(ids[0], ids[1], "an upload each");
    assert_eq!(ids[..2], ids[2..], "a redelivery keeps its id");
    assert_eq!(said[0].detail["dataset"], said[1].detail["dataset"]);
}

#[tokio::test]
async fn an_upload_that_cannot_fit_is_refused_unread() {
    let world = World::new();
    let rows = sales(december(31), 200);
    let mut config = config();
    config.contract.max_bytes = rows.len() as u64 - 1;
    let event = world.upload(DATA_BUCKET, KEY, rows);
    let decision = deliver_to(&config, &world, &event).await.unwrap();
    let Decision::Reject {
        dataset, findings, ..
    } = decision
    else {
        panic!("{decision:?}")
    };
    let expected = format!(
        "have {} bytes; at most {} are taken",
        config.contract.max_bytes + 1,
        config.contract.max_bytes
    );
    assert!(findings[0].contains(&expected), "{findings:?}");
    let report = world
        .read_json(&config.artifacts.validation_report(&dataset))
        .unwrap();
    assert_eq!(report["findings"][0], findings[0]);
    assert_eq!(report.get("training"), None, "it wasn't read");
    assert_eq!(world.announcements()[0].detail_type, "DatasetRejected");
}

#[tokio::test]
async fn the_version_of_the_event_counts_and_a_deleted_one_is_gone() {
    let world = World::new();
    let old = world.upload(DATA_BUCKET, KEY, sales(december(30), 200));
    let new = world.upload(DATA_BUCKET, KEY, sales(december(31), 200));
    let newer = accepted(deliver(&world, &new).await.unwrap());
    let older = accepted(deliver(&world, &old).await.unwrap());
    assert_ne!(older, newer);
    assert_eq!(
        newest(&world),
        newer,
        "a late event doesn't undo a newer one"
    );

    world.delete(&Location::new(DATA_BUCKET, KEY));
    let seen = world.effects().len();
    let decision = deliver(&world, &new).await.unwrap();
    assert!(
        matches!(&decision, Decision::Gone { reason } if reason.contains(KEY)),
        "{decision:?}"
    );
    assert_eq!(world.effects().len(), seen);
}

#[tokio::test]
async fn a_failing_read_is_an_error_and_not_an_absence() {
    let world = World::new();
    let event = world.upload(DATA_BUCKET, KEY, sales(december(31), 200));
    world.fail_reads_of("validation/sales.csv");
    assert!(deliver(&world, &event).await.is_err());
    assert_eq!(world.effects(), []);
}

#[tokio::test]
async fn a_crash_between_any_two_effects_is_mended_by_the_repeat() {
    let uneventful = World::new();
    let upload = |world: &World| world.upload(DATA_BUCKET, KEY, sales(december(31), 200));
    let event = upload(&uneventful);
    let dataset = accepted(deliver(&uneventful, &event).await.unwrap());
    let effects = uneventful.effects().len();
    assert_eq!(effects, 8, "{:?}", uneventful.effects());

    for effect in 1..=effects {
        for when in [When::Before, When::After] {
            let world = World::new();
            let event = upload(&world);
            world.crash_at(Some(CrashPoint { effect, when }));
            deliver(&world, &event).await.unwrap_err();
            world.revive();
            assert_eq!(accepted(deliver(&world, &event).await.unwrap()), dataset);
            for at in [
                config().artifacts.dataset_manifest(&dataset),
                config().artifacts.train_rows(&dataset),
                config().artifacts.validation_rows(&dataset),
                config().artifacts.features(&dataset),
                config().artifacts.newest_dataset(),
                config().artifacts.validation_report(&dataset),
            ] {
                assert_eq!(
                    world.read(&at),
                    uneventful.read(&at),
                    "{at}, crash {when:?} effect {effect}"
                );
            }
            let said = world.announcements();
            assert!(said.iter().all(|one| *one == uneventful.announcements()[0]));

            let seen = world.effects().len();
            accepted(deliver(&world, &event).await.unwrap());
            assert_eq!(world.made_since(seen), [], "a repeat makes nothing new");
        }
    }
}

#[tokio::test]
async fn a_snapshot_stays_when_the_holdout_is_configured_differently() {
    let world = World::new();
    let event = world.upload(DATA_BUCKET, KEY, sales(december(31), 200));
    let dataset = accepted(deliver(&world, &event).await.unwrap());
    let before = manifest(&world, &dataset);
    let other = Config {
        holdout_days: 30,
        ..config()
    };
    let _ = handle(&other, &ports(&world), Received::from_value(event).unwrap())
        .await
        .unwrap();
    assert_eq!(manifest(&world, &dataset), before);
}

#[tokio::test]
async fn the_newest_moves_by_compare_and_swap() {
    let world = World::new();
    let event = world.upload(DATA_BUCKET, KEY, sales(december(31), 200));
    world.interleave("swap s3://retail-mlops-artifacts-000000000000-ap-southeast-1/datasets/newest.json", |world| {
        let other = r#"{"schema": 1, "dataset": "ffffffffffff", "to": "2024-02-01", "uploaded": "2024-02-01T00:00:00Z"}"#;
        world.write(&config().artifacts.newest_dataset(), other);
    });
    let error = deliver(&world, &event).await.unwrap_err();
    assert_eq!(error.class(), domain::Class::Transient);
    accepted(deliver(&world, &event).await.unwrap());
    assert_eq!(
        newest(&world),
        "ffffffffffff",
        "the set with the later day stays the newest"
    );
    assert_eq!(world.effects().last().unwrap().ensured, Ensured::Made);
}
