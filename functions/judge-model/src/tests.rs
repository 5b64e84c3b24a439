//! The handler in a world in memory: both sides scored by the world's transforms, judged, and a crash
//! anywhere between two effects mended by the repeat.

mod overrides;
mod scene;
mod unusable;

use domain::evaluation::Verdict;
use memory::{CrashPoint, Outcome, Row, When, World};
use serde_json::json;

use super::*;
use scene::*;

#[tokio::test]
async fn a_better_model_passes_and_everything_is_kept() {
    let world = world(1.02, Some(1.04), 60).await;
    let events = ends(&world);
    let decision = done(&world, &events[0]).await;
    assert_eq!(verdict(&decision).0, Verdict::Pass, "{decision:?}");

    let artifacts = config().artifacts;
    let judgement = stored(&world, &artifacts.judgement(JOB));
    assert_eq!(
        (&judgement["rows"], &judgement["verdict"]),
        (&180.into(), &"pass".into())
    );
    assert_eq!(judgement["baseline"]["source"], "champion");
    assert_eq!(judgement["gates"].as_array().unwrap().len(), 6);
    let accuracy = judgement["candidate"]["accuracy"].as_f64().unwrap();
    assert!((accuracy - 0.98).abs() < 1e-9, "{accuracy}");
    let naive = &judgement["naive"]["naive"];
    assert_eq!(naive["rows"], 180);
    assert!(naive["accuracy"].as_f64().unwrap() < accuracy);

    let results = stored(&world, &artifacts.evaluation_results(JOB));
    assert_eq!(results["job_name"], JOB);
    assert_eq!(
        (&results["approved"], &results["model_uri"]),
        (&true.into(), &uri("candidate").into())
    );
    assert_eq!(
        results["metrics"]["accuracy"],
        judgement["candidate"]["accuracy"]
    );
    assert_eq!(
        results["baseline"]["rmse"],
        judgement["baseline"]["metrics"]["rmse"]
    );

    let golden: GoldenRows =
        serde_json::from_value(stored(&world, &artifacts.golden_rows(JOB))).unwrap();
    assert_eq!(golden.rows.len(), 10);
    for row in &golden.rows {
        let truth = truth(&Row {
            store: row.store_id,
            item: row.item_id,
            date: row.date,
        });
        assert!((row.prediction - 1.02 * truth).abs() < 1e-9, "{row:?}");
    }
    for at in [artifacts.plot_actual(JOB), artifacts.plot_residuals(JOB)] {
        assert!(world.read(&at).unwrap().starts_with(b"<svg"));
    }
    let said = world.announcements();
    assert_eq!(
        (said.len(), said[0].detail_type.as_str()),
        (1, "ModelJudged")
    );
    assert_eq!(
        said[0].detail["record"],
        artifacts.judgement(JOB).to_string()
    );

    // The other side's end says the same again.
    let seen = world.effects().len();
    assert!(matches!(
        done(&world, &events[1]).await,
        Decision::AlreadyJudged { .. }
    ));
    assert_eq!(world.made_since(seen), []);
}

#[tokio::test]
async fn verdicts_by_what_was_measured() {
    let cases = [
        (
            "much worse than the champion",
            1.10,
            Some(1.04),
            60,
            Verdict::Fail,
            "at most the champion's",
        ),
        (
            "inaccurate",
            1.20,
            None,
            60,
            Verdict::Fail,
            "accuracy (1 - WAPE)",
        ),
        ("no rows", 1.02, None, 0, Verdict::NoData, "(0 against 100)"),
        (
            "first model",
            1.02,
            None,
            60,
            Verdict::FirstModel,
            "no baseline",
        ),
        (
            "few rows",
            1.02,
            Some(1.04),
            30,
            Verdict::NoData,
            "(90 against 100)",
        ),
    ];
    for (name, candidate, champion, held_out, expected, reason) in cases {
        let world = world(candidate, champion, held_out).await;
        let events = ends(&world);
        let decision = done(&world, &events[0]).await;
        let (verdict, why) = verdict(&decision);
        assert_eq!(verdict, expected, "{name}: {why}");
        assert!(why.contains(reason), "{name}: {why}");
        let results = stored(&world, &config().artifacts.evaluation_results(JOB));
        assert_eq!(results["approved"], expected.approves(), "{name}");
    }
}

#[tokio::test]
async fn a_recorded_baseline_is_for_the_first_model_only() {
    let recorded =
        json!({"mse": 0.01, "rmse": 0.1, "mae": 0.1, "r2_score": 0.99, "accuracy": 0.99});
    for (champion, expected) in [(None, Verdict::Fail), (Some(1.02), Verdict::Pass)] {
        let world = world(1.02, champion, 60).await;
        world.write(&config().artifacts.baseline(), recorded.to_string());
        let events = ends(&world);
        assert_eq!(verdict(&done(&world, &events[0]).await).0, expected);
    }
    let world = world(1.02, None, 60).await;
    world.write(&config().artifacts.baseline(), r#"{"rmse": "8.1"}"#);
    let events = ends(&world);
    let (failed, reason) = not_judged(&done(&world, &events[0]).await);
    assert_eq!(failed, JOB);
    assert!(reason.contains("baselines/metrics.json"), "{reason}");
}

#[tokio::test]
async fn a_side_that_still_runs_is_waited_for_but_not_forever() {
    let world = world(1.02, Some(1.04), 60).await;
    world.script(|subject| subject.ends_with("-champion"), Outcome::RunsOn);
    let event = ends(&world).remove(0);
    let Step::Wait { after, decision } = deliver(&world, &event).await.unwrap() else {
        panic!("judged")
    };
    assert_eq!(after, LOOK_AGAIN);
    assert!(
        matches!(&decision, Decision::Wait { reason, .. } if reason.contains("champion is InProgress")),
        "{decision:?}"
    );
    assert_eq!(world.announcements(), []);

    world.advance(Duration::from_hours(1));
    let decision = done(&world, &event).await;
    assert!(
        matches!(&decision, Decision::FailEvaluation { status, .. } if status == "InProgress"),
        "{decision:?}"
    );

    // What comes after all is judged after all.
    world.script(|subject| subject.ends_with("-champion"), Outcome::Completes);
    let late = ends(&world).remove(0);
    assert_eq!(verdict(&done(&world, &late).await).0, Verdict::Pass);
}

#[tokio::test]
async fn a_side_that_failed_ends_the_evaluation_and_is_never_skipped() {
    for side in ["candidate", "champion"] {
        for (outcome, status, reason) in [
            (
                Outcome::Fails("AlgorithmError: out of memory".to_owned()),
                "Failed",
                "AlgorithmError: out of memory",
            ),
            (Outcome::Stops, "Stopped", "SageMaker gives no reason"),
        ] {
            let world = world(1.02, Some(1.04), 60).await;
            world.script(move |subject| subject.ends_with(side), outcome);
            for event in ends(&world) {
                let decision = done(&world, &event).await;
                assert!(
                    matches!(decision, Decision::FailEvaluation { .. }),
                    "{decision:?}"
                );
            }
            let said = world.announcements();
            assert_eq!(
                (said.len(), said[0].detail_type.as_str()),
                (2, "TrainingFailed")
            );
            assert_eq!(said[0], said[1]);
            assert_eq!(said[0].detail["failed_job"], format!("{JOB}-{side}"));
            assert_eq!(
                (&said[0].detail["status"], &said[0].detail["reason"]),
                (&status.into(), &reason.into())
            );
            assert_eq!(world.read(&config().artifacts.judgement(JOB)), None);
        }
    }
}

#[tokio::test]
async fn events_of_others_change_nothing() {
    let world = World::new();
    let job = |name: &str| {
        let detail = json!({"TransformJobName": name, "TransformJobStatus": "Completed"});
        world.envelope(
            "aws.sagemaker",
            "SageMaker Transform Job State Change",
            &[],
            &detail,
        )
    };
    let schedule = world.envelope("aws.events", "Scheduled Event", &[], &json!({}));
    // Of another environment in the same account: nobody here planned it.
    let elsewhere = job(&format!("{JOB}-candidate"));
    for event in [
        elsewhere,
        job("retail-forecast-check-0a1b2c3d4e5f"),
        job("other-build-1-candidate"),
        schedule,
    ] {
        let decision = done(&world, &event).await;
        assert!(
            matches!(decision, Decision::NotForThisFunction { .. }),
            "{decision:?}"
        );
    }
    assert_eq!(world.effects(), []);
}

#[tokio::test]
async fn a_failing_read_is_an_error_and_never_a_verdict() {
    for unreadable in [
        "get s3",
        "transform retail",
        "download s3",
        "champion/rows.csv.out",
        "train/sales.csv",
    ] {
        let world = world(1.02, Some(1.04), 60).await;
        let events = ends(&world);
        let seen = world.effects().len();
        world.fail_reads_of(unreadable);
        assert!(deliver(&world, &events[0]).await.is_err(), "{unreadable}");
        assert_eq!(world.effects().len(), seen, "{unreadable}");
    }
}

#[tokio::test]
async fn a_crash_between_any_two_effects_is_mended_by_the_repeat() {
    let judged = |factor: f64, overridden: bool| async move {
        let world = world(factor, Some(1.04), 60).await;
        let mut event = ends(&world).remove(0);
        if overridden {
            let _ = done(&world, &event).await;
            event = override_request(&world, "ann");
        }
        (world, event)
    };
    for (factor, overridden, expected) in [(1.02, false, 7), (1.20, true, 4)] {
        let (uneventful, event) = judged(factor, overridden).await;
        let before = uneventful.effects().len();
        let _ = done(&uneventful, &event).await;
        let effects = uneventful.effects().len() - before;
        assert_eq!(effects, expected, "{:?}", uneventful.effects());
        for effect in 1..=effects {
            for when in [When::Before, When::After] {
                let (world, event) = judged(factor, overridden).await;
                world.crash_at(Some(CrashPoint { effect, when }));
                deliver(&world, &event).await.unwrap_err();
                world.revive();
                let _ = done(&world, &event).await;
                let artifacts = config().artifacts;
                for at in [
                    artifacts.judgement(JOB),
                    artifacts.evaluation_results(JOB),
                    artifacts.golden_rows(JOB),
                    artifacts.plot_actual(JOB),
                    artifacts.plot_residuals(JOB),
                ] {
                    assert_eq!(
                        world.read(&at),
                        uneventful.read(&at),
                        "{at}, crash {when:?} effect {effect}"
                    );
                }
                let last = |world: &World| world.announcements().pop();
                assert_eq!(
                    last(&world),
                    last(&uneventful),
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
async fn of_two_judges_at_once_the_first_counts() {
    let world = world(1.02, Some(1.04), 60).await;
    let events = ends(&world);
    let other = events[1].clone();
    world.interleave("/judgement.json", move |world| {
        let world = world.clone();
        let judged = async move { deliver(&world, &other).await };
        // Nothing in a world in memory ever waits: one poll is the whole of it.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::pin::pin!(judged).poll(&mut context).is_ready());
    });
    assert!(matches!(
        done(&world, &events[0]).await,
        Decision::AlreadyJudged { .. }
    ));
    let said = world.announcements();
    assert_eq!((said.len(), &said[0]), (2, &said[1]));
}
