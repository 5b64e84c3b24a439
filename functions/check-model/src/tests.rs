//! The handler in a world in memory: a live release, data sets, the transform between the two halves
//! of a check, and a crash anywhere between two effects mended by the repeat.

mod scene;

use std::collections::BTreeSet;

use jiff::civil::Date;
use memory::{CrashPoint, Outcome, When, World};
use serde_json::{Value, json};

use super::*;
use scene::*;

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

        let decision = done(&world, &ended(&world)).await;
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
    let unheard = ended(&world);
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
        let decision = done(&world, &ended(&world)).await;
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
    let event = ended(&world);
    let mut other = release();
    other.configuration.endpoint_instance_count = 2;
    go_live(&world, &other);
    let decision = done(&world, &event).await;
    let (verdict, reason) = concluded(&decision);
    assert_eq!(verdict, CheckVerdict::NoData);
    assert!(reason.contains("is live now"), "{reason}");
    let said = said(&world);
    assert_eq!(said.len(), 1);
    assert_eq!(
        (said[0].0.as_str(), &said[0].1["verdict"]),
        ("ModelChecked", &"no-data".into())
    );
}

#[tokio::test]
async fn predictions_with_gaps_are_refused() {
    let world = world(1.0, LATER);
    let decision = done(&world, &schedule(&world)).await;
    let Decision::Score { plan, .. } = decision else {
        panic!("{decision:?}")
    };
    let event = ended(&world);
    let at = config().artifacts.prediction_rows(&plan.job);
    let text = String::from_utf8(world.read(&at).unwrap()).unwrap();
    // The row isn't new to the model, and still the file isn't the one that was asked for.
    let lines: Vec<&str> = text.lines().skip(1).collect();
    world.write(&at, lines.join("\n"));
    is_no_data(&world, &event, "row id 1 where 0 is due").await;
    world.delete(&at);
    is_no_data(&world, &event, &at.to_string()).await;
}

/// The check ends as no-data for this reason, people hear of it, and a crash on the way is mended.
async fn is_no_data(world: &World, event: &Value, why: &str) {
    for effect in 1..=2 {
        for when in [When::Before, When::After] {
            world.crash_at(Some(CrashPoint { effect, when }));
            deliver(world, event).await.unwrap_err();
            world.revive();
        }
    }
    let decision = done(world, event).await;
    let (verdict, reason) = concluded(&decision);
    assert_eq!(verdict, CheckVerdict::NoData, "{reason}");
    assert!(reason.contains(why), "`{why}` in: {reason}");
    let said = said(world);
    let (last, checked) = said.last().unwrap();
    assert_eq!(
        (last.as_str(), &checked["reason"]),
        ("ModelChecked", &reason.into())
    );
    assert!(
        said.iter().all(|(kind, _)| kind == "ModelChecked"),
        "{said:?}"
    );
}

#[tokio::test]
async fn what_is_gone_or_refused_leaves_a_week_without_data_and_no_dead_letter() {
    let artifacts = config().artifacts;
    let id = release().id().unwrap();
    for at in [
        artifacts.dataset_manifest(LIVE),
        artifacts.dataset_manifest(NEWER),
        artifacts.validation_rows(NEWER),
        artifacts.release(&id),
    ] {
        let world = world(1.0, LATER);
        world.delete(&at);
        is_no_data(&world, &schedule(&world), &at.to_string()).await;
    }
    let world = world(1.0, LATER);
    world.refuse_effects_of("ensure_transform", "ValidationException: no such role");
    let decision = done(&world, &schedule(&world)).await;
    let (verdict, reason) = concluded(&decision);
    assert_eq!(verdict, CheckVerdict::NoData);
    assert!(reason.contains("no such role"), "{reason}");
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
        let event = ended(&world);
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
            let event = ended(&world);
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
    // A check of another environment in the same account.
    let detail = json!({"TransformJobName": "retail-forecast-check-0a1b2c3d4e5f", "TransformJobStatus": "Completed"});
    let kind = "SageMaker Transform Job State Change";
    let event = world.envelope("aws.sagemaker", kind, &[], &detail);
    assert!(matches!(
        done(&world, &event).await,
        Decision::NotForThisFunction { .. }
    ));
    assert_eq!(world.effects(), []);
}
