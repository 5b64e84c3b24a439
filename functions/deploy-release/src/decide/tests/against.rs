//! What the pointer says.

use super::*;

#[test]
fn of_an_images_two_events_the_one_that_began_goes_on() {
    let image = clean_image(2);
    let pushed = |by_push| Facts { by_push, ..live() };
    for began_by_push in [true, false] {
        let Decision::Deploy(rollout) = decide(&image, &pushed(began_by_push), &config()).unwrap()
        else {
            panic!("expected Deploy");
        };
        let pointer = live().pointer;
        let pointer = pointer.aim(&rollout.release, at(200), at(200), &rollout.reason);
        let again = |by_push| Facts {
            pointer: pointer.clone(),
            ..pushed(by_push)
        };
        let same = decide(&image, &again(began_by_push), &config()).unwrap();
        assert!(matches!(same, Decision::Deploy(rollout) if rollout.resumes));
        let other = decide(&image, &again(!began_by_push), &config()).unwrap();
        assert!(matches!(other, Decision::AlreadyBegun { .. }), "{other:?}");
    }
}

#[test]
fn a_canary_may_take_longer_than_a_rollout_until_it_counts_as_abandoned() {
    let mut baking = on_its_way(live(), &release(3, 1), 100);
    baking.now = at(100 + 1300);
    let rolling = decide(&model(2), &baking, &config()).unwrap();
    assert!(matches!(rolling, Decision::Deploy(_)), "{rolling:?}");
    baking.pointer = baking.pointer.try_out(1, 3);
    let waits = decide(&model(2), &baking, &config()).unwrap();
    assert!(matches!(waits, Decision::Busy { .. }), "{waits:?}");
    baking.now = at(100 + 7200);
    let abandoned = decide(&model(2), &baking, &config()).unwrap();
    assert!(matches!(abandoned, Decision::Deploy(_)), "{abandoned:?}");
}

#[test]
fn what_failed_is_gone_away_from_before_another_release_comes() {
    let failed = on_its_way(live(), &release(3, 1), 150);
    let id = release(3, 1).id().unwrap();
    let pointer = failed.pointer.failed(&id, "health: 503", at(195)).unwrap();
    let failed = Facts { pointer, ..failed };
    let (decision, reason) = said(&model(2), &failed);
    assert_eq!(decision, "busy", "{reason}");
    assert!(reason.contains("gone away from"), "{reason}");
    let later = Facts {
        now: at(195 + 2400),
        ..failed
    };
    assert_eq!(said(&model(2), &later).0, "deploy", "nobody came");
}

#[test]
fn behind_a_canary_the_wait_is_longer() {
    let rolling = on_its_way(live(), &release(3, 1), 195);
    let canary = Facts {
        pointer: rolling.pointer.clone().try_out(1, 3),
        ..rolling.clone()
    };
    for (facts, expected) in [(rolling, 15), (canary, 60)] {
        match decide(&model(2), &facts, &config()).unwrap() {
            Decision::Busy { again_s, .. } => assert_eq!(again_s, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_first_release_that_failed_is_tried_once_more_by_a_newer_cause() {
    let tagged = Facts {
        tagged_image: Some((image(2, "latest-dev"), clean())),
        ..fresh()
    };
    let failed = on_its_way(tagged, &release(2, 2), 150);
    let id = release(2, 2).id().unwrap();
    let pointer = failed.pointer.failed(&id, "health: 503", at(160)).unwrap();
    let at_time = |caused_at| Facts {
        caused_at: at(caused_at),
        pointer: pointer.clone(),
        ..failed.clone()
    };
    assert_eq!(said(&model(2), &at_time(149)).0, "skip");
    assert_eq!(said(&model(2), &at_time(150)).0, "already-failed");
    let Decision::Deploy(rollout) = decide(&model(2), &at_time(151), &config()).unwrap() else {
        panic!("expected Deploy");
    };
    assert!(!rollout.resumes, "the pointer says that it failed");
}

#[test]
fn a_write_that_was_refused_is_announced_again_by_its_own_event() {
    let facts = on_its_way(live(), &release(2, 1), 150);
    let id = release(2, 1).id().unwrap();
    let pointer = facts.pointer.failed(&id, "write: 403", at(160)).unwrap();
    let facts = Facts {
        caused_at: at(150),
        pointer,
        ..facts
    };
    match decide(&model(2), &facts, &config()).unwrap() {
        Decision::Ended { failed } => {
            assert_eq!(
                (failed.stage.as_str(), failed.reason.as_str()),
                ("write", "403")
            );
            assert_eq!(failed.caused_at, at(150));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_repeat_doesn_t_deploy_what_was_gone_away_from_and_a_newer_cause_does() {
    let restore = domain::release::Restore {
        now: at(210),
        caused_at: at(205),
        cause: "failed at promotion: frozen".into(),
    };
    let (a, b) = (release(1, 1).id().unwrap(), release(2, 1).id().unwrap());
    let pointer = on_its_way(live(), &release(2, 1), 200).pointer;
    let pointer = pointer
        .restore(&a, &b, 1, restore)
        .verified(&a, at(220))
        .unwrap();
    let facts = |caused_at| Facts {
        caused_at: at(caused_at),
        now: at(400),
        pointer: pointer.clone(),
        ..live()
    };
    assert_eq!(said(&model(2), &facts(200)).0, "already-failed");
    assert_eq!(said(&model(2), &facts(300)).0, "deploy");
    // A person let go what was quarantined for it: the event may be sent again.
    let mut lifted = facts(200);
    lifted.quarantine.entries.push(domain::quarantine::Entry {
        part: domain::quarantine::Part::Release,
        identity: b.clone(),
        release: b,
        reason: "alarm".into(),
        since: at(205),
        lifted: Some(domain::quarantine::Lifted {
            by: "ann".into(),
            reason: "mended".into(),
            at: at(300),
        }),
    });
    assert_eq!(said(&model(2), &lifted).0, "deploy");
}

#[test]
fn an_earlier_version_that_its_approval_began_is_gone_on_with() {
    let later = release(3, 1);
    let id = later.id().unwrap();
    let pointer = Pointer::empty("dev")
        .aim(&id, at(100), at(100), "test")
        .approved(Some((at(100), Some(3))))
        .verified(&id, at(110))
        .unwrap();
    let facts = Facts {
        pointer,
        base: Some(later),
        base_model: Some(package(3, Approval::Approved)),
        ..live()
    };
    let Decision::Deploy(rollout) = decide(&model(2), &facts, &config()).unwrap() else {
        panic!("expected Deploy");
    };
    let pointer = facts
        .pointer
        .aim(&rollout.release, at(201), at(200), &rollout.reason)
        .approved(Some((at(200), Some(2))));
    let again = decide(&model(2), &Facts { pointer, ..facts }, &config()).unwrap();
    assert!(
        matches!(&again, Decision::Deploy(rollout) if rollout.resumes),
        "{again:?}"
    );
}
