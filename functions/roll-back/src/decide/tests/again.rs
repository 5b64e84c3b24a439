//! Further tries, give-ups, and requests after them.

use events::announced::RollbackFailed;

use super::*;

#[test]
fn a_way_back_that_fails_is_tried_again_to_a_limit() {
    let failed = |attempt| RollbackFailed {
        release: id(&release(1, 1)),
        from: id(&release(1, 2)),
        attempt,
        stage: "rollout".into(),
        reason: "0 of 2 pods".into(),
        caused_at: at(200),
    };
    let cases = [
        ("first try", 1, restoring(200, 1), "roll-back"),
        (
            "first try, after a crash",
            1,
            restoring(200, 2),
            "roll-back",
        ),
        ("first try, late", 1, restoring(200, 3), "already-there"),
        ("last try", 3, restoring(200, 3), "give-up"),
        ("back meanwhile", 1, restored(200), "not-live"),
    ];
    for (name, attempt, facts, expected) in cases {
        let decision = again(&failed(attempt), at(100), &facts, &config()).unwrap();
        let (said, reason) = said(&decision);
        assert_eq!(said, expected, "{name}: {reason}");
        if let Decision::RollBack(back) = decision {
            assert_eq!((back.attempt, back.caused_at), (2, at(200)), "{name}");
            assert_eq!(back.resumes, name.contains("crash"), "{name}");
        }
    }
    let facts = restoring(200, 3);
    let pointer = facts
        .pointer
        .failed(&id(&release(1, 1)), "rollback: gave up", at(900))
        .unwrap();
    let facts = Facts { pointer, ..facts };
    let decision = again(&failed(3), at(100), &facts, &config()).unwrap();
    assert_eq!(
        said(&decision).0,
        "give-up",
        "announced again after a crash"
    );
}

#[test]
fn a_further_try_blames_what_the_first_one_did_and_nothing_that_was_lifted_since() {
    let b = release(1, 2);
    let alarm = alarm(Some(&b), 200);
    let Decision::RollBack(first) = ruled(&alarm, &facts()) else {
        panic!("expected a rollback");
    };
    let entry = first.guilty.clone().unwrap();
    let failed = RollbackFailed {
        release: id(&release(1, 1)),
        from: id(&b),
        attempt: 1,
        stage: "rollout".into(),
        reason: "0 of 2 pods".into(),
        caused_at: at(200),
    };
    let second = |quarantine: Quarantine| {
        let facts = Facts {
            quarantine,
            ..restoring(200, 1)
        };
        match again(&failed, at(100), &facts, &config()).unwrap() {
            Decision::RollBack(again) => again.guilty,
            other => panic!("{other:?}"),
        }
    };
    let list = Quarantine::default().with(entry.clone()).unwrap();
    assert_eq!(second(list.clone()), first.guilty);
    let lifted = domain::quarantine::Lifted {
        by: "ann".into(),
        reason: "not its fault".into(),
        at: at(300),
    };
    assert_eq!(second(list.lift(&entry.identity, &lifted).unwrap()), None);
    assert_eq!(second(Quarantine::default()), None);
}

#[test]
fn a_further_try_waits_the_longer_the_more_have_failed_and_is_of_the_same_way_back() {
    let failed = |attempt, caused_at| RollbackFailed {
        release: id(&release(1, 1)),
        from: id(&release(1, 2)),
        attempt,
        stage: "write".into(),
        reason: "403".into(),
        caused_at: at(caused_at),
    };
    // Now is 205.
    for (attempt, said_at, after) in [(1, 200, Some(10)), (2, 200, Some(25)), (1, 190, None)] {
        let facts = restoring(200, attempt);
        let decision = again(&failed(attempt, 200), at(said_at), &facts, &config()).unwrap();
        let waits = match decision {
            Decision::Later { after_s, .. } => Some(after_s),
            _ => None,
        };
        assert_eq!(waits, after, "try {attempt}, which failed at {said_at}");
    }
    let decision = again(&failed(1, 150), at(100), &restoring(200, 1), &config()).unwrap();
    assert_eq!(said(&decision).0, "not-live", "of a way back before");
}

/// The way back to A was given up.
fn given_up_on() -> Facts {
    let facts = restoring(200, 3);
    let pointer = facts
        .pointer
        .failed(&id(&release(1, 1)), "rollback: gave up", at(900));
    Facts {
        pointer: pointer.unwrap(),
        ..facts
    }
}

fn asked(release: Option<&Manifest>, second: i64) -> Trigger {
    Trigger {
        words: "ann asked (request 7): try once more".into(),
        is_alarm: false,
        is_request: true,
        ..alarm(release, second)
    }
}

#[test]
fn after_a_give_up_a_person_s_request_goes_the_same_way_once_more() {
    let (a, b) = (release(1, 1), release(1, 2));
    for named in [None, Some(&b)] {
        let trigger = asked(named, 950);
        let Decision::RollBack(back) = ruled(&trigger, &given_up_on()) else {
            panic!("{named:?}: expected a rollback");
        };
        assert_eq!((&back.from, &back.release), (&id(&b), &id(&a)));
        assert_eq!((back.attempt, back.resumes), (1, false));
        assert_eq!(back.abandoned, None);
    }
    for trigger in [alarm(Some(&b), 950), alarm(None, 200)] {
        let (said, reason) = said(&ruled(&trigger, &given_up_on()));
        assert!(said != "roll-back", "{said}: {reason}");
    }
}

#[test]
fn a_request_that_is_sent_twice_counts_once() {
    let (a, b) = (release(1, 1), release(1, 2));
    let restore = Restore {
        now: at(203),
        caused_at: at(200),
        cause: asked(None, 200).words,
    };
    let pointer = facts().pointer.restore(&id(&a), &id(&b), 1, restore);
    let back = pointer.verified(&id(&a), at(230)).unwrap();
    let back = Facts {
        pointer: back,
        ..facts()
    };
    for named in [None, Some(&b)] {
        assert_eq!(said(&ruled(&asked(named, 201), &back)).0, "already-there");
    }
    let another = Trigger {
        words: "ann asked (request 8): try once more".into(),
        ..asked(None, 240)
    };
    assert_ne!(said(&ruled(&another, &back)).0, "already-there");
}

#[test]
fn an_alarm_leads_no_further_than_to_what_was_brought_back() {
    let (z, a, b, c) = (release(9, 9), release(1, 1), release(1, 2), release(2, 2));
    // Z, then A, then B were good; B went wrong.
    let good = |pointer: Pointer, release: &Manifest, second| {
        let aimed = pointer.aim(&id(release), at(second), at(second), "test");
        aimed.verified(&id(release), at(second + 5)).unwrap()
    };
    let pointer = good(good(good(Pointer::empty("dev"), &z, 10), &a, 20), &b, 100);
    let restore = Restore {
        now: at(203),
        caused_at: at(200),
        cause: alarm(None, 200).words,
    };
    let pointer = pointer.restore(&id(&a), &id(&b), 1, restore);
    let facts = Facts {
        pointer: pointer.verified(&id(&a), at(230)).unwrap(),
        bad: Some(a.clone()),
        refuges: vec![(id(&z), z.clone())],
        ..facts()
    };
    let cases = [
        (
            "an alarm",
            alarm(Some(&a), 240),
            "give-up",
            "was brought back",
        ),
        ("much later", alarm(Some(&a), 4000), "not-live", "3600 s"),
        (
            "a person",
            asked(None, 240),
            "not-live",
            "name it in the request",
        ),
        (
            "a person who names it",
            asked(Some(&a), 240),
            "roll-back",
            "ann asked",
        ),
    ];
    for (name, trigger, expected, word) in cases {
        let (decision, reason) = said(&ruled(&trigger, &facts));
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(word), "{name}: {reason}");
    }
    let called = |second| ruled(&alarm(Some(&a), second), &facts);
    assert_eq!(called(240), called(250), "people are called once");

    // Beside the next release it stays as well, and that is guarded as ever.
    let next = facts.pointer.aim(&id(&c), at(300), at(300), "test");
    let beside = Facts {
        pointer: next.clone(),
        ..facts.clone()
    };
    assert_eq!(
        said(&ruled(&alarm(Some(&a), 310), &beside)).0,
        "nothing-wrong"
    );
    let verified = Facts {
        pointer: next.verified(&id(&c), at(320)).unwrap(),
        bad: Some(c.clone()),
        refuges: vec![(id(&a), a)],
        ..facts
    };
    assert_eq!(
        said(&ruled(&alarm(Some(&c), 330), &verified)).0,
        "roll-back"
    );
}

#[test]
fn a_copy_of_a_request_that_was_given_up_is_no_further_try() {
    let (a, b) = (release(1, 1), release(1, 2));
    let restore = Restore {
        now: at(203),
        caused_at: at(200),
        cause: asked(None, 200).words,
    };
    let pointer = facts().pointer.restore(&id(&a), &id(&b), 3, restore);
    let facts = Facts {
        pointer: pointer
            .failed(&id(&a), "rollback: gave up", at(900))
            .unwrap(),
        ..facts()
    };
    let another = Trigger {
        words: "ann asked (request 8): try once more".into(),
        ..asked(None, 950)
    };
    assert_eq!(said(&ruled(&asked(None, 200), &facts)).0, "already-there");
    assert_eq!(said(&ruled(&another, &facts)).0, "roll-back");
    // It was given up at once, and that may be yet to be told.
    let barred = Facts {
        deployment: None,
        ..facts
    };
    assert_eq!(said(&ruled(&asked(None, 200), &barred)).0, "give-up");
}

#[test]
fn what_is_brought_back_is_proved_before_anything_speaks_against_it() {
    let (z, a, b) = (release(9, 9), release(1, 1), release(1, 2));
    // A, and Z before it where there is one, was good; B, which was rolled out, is gone away from at 203.
    let way_back = |has_refuge: bool, is_proved: bool| {
        let good = |pointer: Pointer, release: &Manifest, second| {
            let aimed = pointer.aim(&id(release), at(second), at(second), "test");
            aimed.verified(&id(release), at(second + 5)).unwrap()
        };
        let mut pointer = Pointer::empty("dev");
        if has_refuge {
            pointer = good(pointer, &z, 10);
        }
        let restore = Restore {
            now: at(203),
            caused_at: at(200),
            cause: alarm(Some(&b), 200).words,
        };
        let pointer = good(pointer, &a, 20).aim(&id(&b), at(100), at(99), "test");
        let pointer = pointer.restore(&id(&a), &id(&b), 1, restore);
        Facts {
            pointer: if is_proved {
                pointer.verified(&id(&a), at(230)).unwrap()
            } else {
                pointer
            },
            bad: Some(a.clone()),
            refuges: has_refuge
                .then(|| (id(&z), z.clone()))
                .into_iter()
                .collect(),
            ..facts()
        }
    };
    let of_a = |second| alarm(Some(&a), second);
    let anew = "begin anew";
    let cases = [
        ("its alarm", of_a(205), true, false, "already-there", anew),
        (
            "its alarm, alone",
            of_a(205),
            false,
            false,
            "already-there",
            anew,
        ),
        (
            "its alarm, late",
            of_a(229),
            true,
            true,
            "already-there",
            anew,
        ),
        (
            "its alarm, anew",
            of_a(230),
            true,
            true,
            "roll-back",
            "Error-Rate",
        ),
        (
            "a person",
            asked(Some(&a), 205),
            true,
            false,
            "roll-back",
            "ann",
        ),
        (
            "a person, alone",
            asked(Some(&a), 205),
            false,
            false,
            "already-there",
            "isn't possible now: no release",
        ),
        (
            "a person, once it is proved",
            asked(Some(&a), 240),
            false,
            true,
            "give-up",
            "no release",
        ),
    ];
    for (name, trigger, has_refuge, is_proved, expected, word) in cases {
        let (decision, reason) = said(&ruled(&trigger, &way_back(has_refuge, is_proved)));
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(word), "{name}: {reason}");
    }
}
