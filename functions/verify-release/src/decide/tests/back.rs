//! What is brought back.

use super::*;

#[test]
fn the_way_back_is_proved_with_its_seconds_and_left_open_when_it_fails() {
    let restoring = |attempt| {
        target(Progress::Restoring {
            from: "release-b".into(),
            attempt,
        })
    };
    let Decision::Restored { restored: done } =
        decide(&restored(1), &restoring(1), &good(), &config())
    else {
        panic!("expected Restored");
    };
    assert_eq!((done.seconds, done.from.as_str()), (21, "release-b"));
    assert!(!done.checks.is_empty());

    let mut facts = good();
    facts.deployment.as_mut().unwrap().paused = true;
    let decision = decide(&restored(2), &restoring(2), &facts, &config());
    let Decision::NotRestored { failed } = decision else {
        panic!("expected NotRestored");
    };
    assert_eq!((failed.attempt, failed.stage.as_str()), (2, "cluster"));

    // Announced again after a crash: the seconds stay what they were.
    let judged = Target {
        judged_at: Some(at(1005)),
        ..target(Progress::Verified)
    };
    let Decision::Restored { restored: again } = decide(&restored(1), &judged, &good(), &config())
    else {
        panic!("expected Restored");
    };
    assert_eq!(again.seconds, 6);

    // A try's verification ends when the next try begins, and a deployment's when a rollback does.
    assert!(restored(2).is_of(&restoring(2)));
    assert!(!restored(1).is_of(&restoring(2)));
    assert!(!deployed().is_of(&restoring(1)));
}

#[test]
fn what_is_brought_back_serves_alone_and_limits_count_from_the_promotion() {
    let canary = |replicas| Deployment {
        replicas,
        ..Deployment::default()
    };
    let facts = |replicas| Facts {
        canary: Some(canary(replicas)),
        ..good()
    };
    let restoring = target(Progress::Restoring {
        from: "release-b".into(),
        attempt: 1,
    });
    let on_its_way = decide(&restored(1), &restoring, &facts(1), &config());
    assert!(
        matches!(on_its_way, Decision::NotYet { .. }),
        "{on_its_way:?}"
    );
    let back = decide(&restored(1), &restoring, &facts(0), &config());
    assert!(matches!(back, Decision::Restored { .. }), "{back:?}");

    let promoted = Target {
        promoted_at: Some(at(5000)),
        ..target(Progress::Deploying)
    };
    let late = Facts {
        now: at(5299),
        deployment: Some(Deployment {
            available: 1,
            ..good().deployment.unwrap()
        }),
        ..facts(1)
    };
    let waits = decide(&deployed(), &promoted, &late, &config());
    assert!(
        matches!(waits, Decision::NotYet { elapsed_s: 299, .. }),
        "{waits:?}"
    );
    let verified = decide(&deployed(), &promoted, &facts(1), &config());
    assert!(
        matches!(verified, Decision::Verified { .. }),
        "{verified:?}"
    );
}

#[test]
fn on_the_way_back_the_endpoint_may_have_to_end_another_update_first() {
    let restoring = target(Progress::Restoring {
        from: "release-b".into(),
        attempt: 1,
    });
    let elsewhere = |now: i64| {
        let mut facts = good();
        facts.now = at(now);
        facts.endpoint.as_mut().unwrap().config = "old".into();
        facts
    };
    let waits = decide(&restored(1), &restoring, &elsewhere(1000 + 1799), &config());
    assert!(matches!(waits, Decision::NotYet { .. }), "{waits:?}");
    let late = decide(&restored(1), &restoring, &elsewhere(1000 + 1800), &config());
    assert!(matches!(late, Decision::NotRestored { .. }), "{late:?}");
}
