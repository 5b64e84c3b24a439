//! Predictions, data and records that nothing can be judged by.

use domain::layout::Location;

use super::*;

type Spoil = fn(Vec<String>) -> Vec<String>;

#[tokio::test]
async fn predictions_that_do_not_fit_the_rows_are_refused_by_line() {
    let at = config()
        .artifacts
        .prediction_rows(&format!("{JOB}-champion"));
    let cases: [(&str, Spoil, &str); 6] = [
        (
            "missing",
            |mut lines| {
                lines.remove(17);
                lines
            },
            "row id 18 where 17 is due",
        ),
        (
            "doubled",
            |mut lines| {
                lines.insert(17, lines[17].clone());
                lines
            },
            "row id 17 where 18 is due",
        ),
        (
            "unknown",
            |mut lines| {
                lines.push("999,1".to_owned());
                lines
            },
            "a prediction too many",
        ),
        (
            "cut off",
            |mut lines| {
                lines.truncate(100);
                lines
            },
            "predictions end after 100 rows",
        ),
        (
            "no number",
            |mut lines| {
                lines[3] = "3,NaN".to_owned();
                lines
            },
            "not finite",
        ),
        ("empty", |_| Vec::new(), "predictions end after 0 rows"),
    ];
    for (name, spoil, expected) in cases {
        let world = world(1.02, Some(1.04), 60).await;
        let events = ends(&world);
        let text = String::from_utf8(world.read(&at).unwrap()).unwrap();
        let lines = spoil(text.lines().map(str::to_owned).collect());
        world.write(&at, lines.join("\n"));
        let (failed, reason) = not_judged(&done(&world, &events[0]).await);
        assert_eq!(failed, format!("{JOB}-champion"), "{name}");
        assert!(reason.contains(expected), "{name}: {reason}");
        let said = world.announcements();
        assert_eq!(said.len(), 1, "{name}");
        assert_eq!(said[0].detail_type, "TrainingFailed", "{name}");
        assert_eq!(said[0].detail["status"], NOT_JUDGED, "{name}");
        assert_eq!(world.read(&config().artifacts.judgement(JOB)), None);
    }
}

#[tokio::test]
async fn both_sides_on_fewer_rows_than_the_data_set_has_are_refused() {
    let world = world(1.02, None, 60).await;
    let events = ends(&world);
    let at = config().artifacts.validation_rows(DATASET);
    let text = String::from_utf8(world.read(&at).unwrap()).unwrap();
    let shorter: Vec<&str> = text.lines().take(150).collect();
    world.write(&at, shorter.join("\n"));
    let predictions = config()
        .artifacts
        .prediction_rows(&format!("{JOB}-candidate"));
    let text = String::from_utf8(world.read(&predictions).unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().take(149).collect();
    world.write(&predictions, lines.join("\n"));
    let (_, reason) = not_judged(&done(&world, &events[0]).await);
    assert!(
        reason.contains("149 rows") && reason.contains("180"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_file_that_is_missing_is_told_of_the_job_that_should_have_written_it() {
    let artifacts = config().artifacts;
    for (at, job) in [
        (
            artifacts.prediction_rows(&format!("{JOB}-candidate")),
            format!("{JOB}-candidate"),
        ),
        (artifacts.train_rows(DATASET), JOB.to_owned()),
        (artifacts.dataset_manifest(DATASET), JOB.to_owned()),
    ] {
        let world = world(1.02, None, 60).await;
        let events = ends(&world);
        world.delete(&at);
        let (failed, reason) = not_judged(&done(&world, &events[0]).await);
        assert_eq!(failed, job, "{at}");
        assert!(reason.contains(&at.to_string()), "{reason}");
    }
}

#[tokio::test]
async fn a_crash_on_the_way_to_tell_is_mended_by_the_repeat() {
    let at = config()
        .artifacts
        .prediction_rows(&format!("{JOB}-candidate"));
    let spoilt = || async {
        let world = world(1.02, None, 60).await;
        let event = ends(&world).remove(0);
        world.write(&at, "0,NaN\n");
        (world, event)
    };
    let (uneventful, event) = spoilt().await;
    let decision = done(&uneventful, &event).await;
    for effect in 1..=2 {
        for when in [When::Before, When::After] {
            let (world, event) = spoilt().await;
            world.crash_at(Some(CrashPoint { effect, when }));
            deliver(&world, &event).await.unwrap_err();
            world.revive();
            assert_eq!(done(&world, &event).await, decision);
            let last = |world: &World| world.announcements().pop();
            assert_eq!(last(&world), last(&uneventful), "{when:?} effect {effect}");
        }
    }
    // Predictions that came after all are judged after all.
    let (world, event) = spoilt().await;
    let good = world.read(&at).unwrap();
    let _ = done(&world, &event).await;
    let lines = uneventful_predictions(&at).await;
    assert_ne!(lines, good);
    world.write(&at, lines);
    assert_eq!(verdict(&done(&world, &event).await).0, Verdict::FirstModel);
}

async fn uneventful_predictions(at: &Location) -> Vec<u8> {
    let world = world(1.02, None, 60).await;
    let _ = ends(&world);
    world.read(at).unwrap()
}
