//! Canaries, and what is live beside a release that is on its way.

use super::*;

#[test]
fn a_canary_is_taken_away_by_its_alarm_by_the_live_ones_and_by_a_verdict() {
    let (a, b) = (release(1, 1), release(1, 2));
    let no_data = Trigger {
        is_alarm: false,
        is_evidence: false,
        ..alarm(Some(&b), 200)
    };
    let cases = [
        ("its own alarm", alarm(Some(&b), 200), Some(Part::Image)),
        (
            "the live release's alarm",
            alarm(Some(&a), 200),
            Some(Part::Release),
        ),
        ("no data", no_data, None),
    ];
    for (name, trigger, part) in cases {
        let facts = trying_out();
        let of_the_live = trigger.release == Some(id(&a));
        if of_the_live {
            // Whether A could be gone away from is looked at first.
            assert_eq!(
                suspect(&trigger, &facts.pointer),
                Some(id(&a).as_str()),
                "{name}"
            );
            let alone = Facts {
                refuges: vec![],
                ..facts.clone()
            };
            let instead = canary_instead(&trigger, &alone, &facts.pointer, &config()).unwrap();
            let instead = instead.unwrap();
            assert_eq!((instead.canary, instead.barred), (id(&b).as_str(), None));
        }
        let Decision::RollBack(back) = decide(&trigger, &facts, &config()).unwrap() else {
            panic!("{name}: expected a rollback");
        };
        assert_eq!((&back.from, &back.release), (&id(&b), &id(&a)), "{name}");
        let blamed = back.guilty.as_ref().map(|guilty| guilty.part);
        assert_eq!(blamed, part, "{name}: {:?}", back.guilty);
    }
    let old = alarm(Some(&a), 99);
    let decision = decide(&old, &trying_out(), &config()).unwrap();
    assert_eq!(said(&decision).0, "not-live", "spoke before the canary");
}

#[test]
fn an_alarm_of_what_is_live_counts_while_another_release_is_on_its_way() {
    let (a, b, c) = (release(1, 1), release(1, 2), release(2, 2));
    let rolling = facts().pointer.aim(&id(&c), at(150), at(149), "test");
    let canary = rolling.clone().try_out(1, 3);
    for pointer in [rolling, canary] {
        let facts = Facts { pointer, ..facts() };
        let Decision::RollBack(back) = ruled(&alarm(Some(&b), 200), &facts) else {
            panic!("expected a rollback");
        };
        assert_eq!((&back.from, &back.release), (&id(&b), &id(&a)));
        assert_eq!(back.abandoned, Some(id(&c)));
        assert_eq!(back.guilty.unwrap().part, Part::Image);

        let (late, reason) = said(&ruled(&alarm(Some(&b), 3711), &facts));
        assert_eq!(late, "nothing-wrong", "{reason}");
        let (early, reason) = said(&ruled(&alarm(Some(&b), 100), &facts));
        assert_eq!(early, "not-live", "{reason}");
    }
}

#[test]
fn past_its_guarded_time_the_live_one_s_alarm_takes_the_canary_away_and_a_person_s_word_has_no_such_time()
 {
    let (a, b, c) = (release(1, 1), release(1, 2), release(2, 2));
    let on_its_way = facts().pointer.aim(&id(&c), at(3000), at(2999), "test");
    let facts = Facts {
        pointer: on_its_way.try_out(1, 3),
        ..facts()
    };
    let late = alarm(Some(&b), 3711);
    let instead = canary_instead(&late, &facts, &facts.pointer, &config()).unwrap();
    let instead = instead.unwrap();
    assert_eq!((instead.canary, instead.barred), (id(&c).as_str(), None));
    let of_canary = Facts {
        from: Some(id(&c)),
        bad: Some(c.clone()),
        refuges: vec![(id(&b), b.clone())],
        ..facts.clone()
    };
    let Decision::RollBack(back) = decide(&late, &of_canary, &config()).unwrap() else {
        panic!("expected a rollback");
    };
    assert_eq!((&back.from, &back.release), (&id(&c), &id(&b)));
    assert_eq!(back.guilty, None);

    let asked = Trigger {
        is_alarm: false,
        is_request: true,
        ..late
    };
    let instead = canary_instead(&asked, &facts, &facts.pointer, &config());
    assert_eq!(instead.unwrap(), None);
    let Decision::RollBack(back) = ruled(&asked, &facts) else {
        panic!("expected a rollback");
    };
    assert_eq!((&back.from, &back.release), (&id(&b), &id(&a)));
    assert_eq!(back.abandoned, Some(id(&c)));
}

#[test]
fn a_canary_goes_whoever_owns_the_live_deployment_and_is_blamed_where_there_is_no_way_back() {
    let (a, b) = (release(1, 1), release(1, 2));
    let patch = converge::deployment(&id(&a), &a, "then").unwrap();
    let carries = Deployment {
        generation: 7,
        image_managers: vec!["helm".into()],
        image: Some(patch.image),
        environment: patch.environment,
        annotations: patch.annotations,
        ..Deployment::default()
    };
    let changed = Deployment {
        image: Some("other".into()),
        ..carries.clone()
    };
    let pods_of_b = Deployment {
        wanted: 1,
        environment: [("DEPLOYMENT_ID".to_owned(), id(&b))].into(),
        ..Deployment::default()
    };
    let baking = trying_out();
    let failed = Facts {
        pointer: baking
            .pointer
            .failed(&id(&b), "canary: slow", at(190))
            .unwrap(),
        canary: Some(pods_of_b),
        ..baking.clone()
    };
    for facts in [baking, failed] {
        let with = |deployment: &Deployment| Facts {
            deployment: Some(deployment.clone()),
            ..facts.clone()
        };
        let Decision::RollBack(back) = ruled(&alarm(Some(&b), 200), &with(&carries)) else {
            panic!("expected a rollback");
        };
        assert_eq!((back.untouched, back.take_over), (Some(7), false));
        let Decision::GiveUp(given_up) = ruled(&alarm(Some(&b), 200), &with(&changed)) else {
            panic!("expected a give-up");
        };
        assert_eq!(given_up.guilty.unwrap().part, Part::Image);
    }
    // What came to all pods is no canary; where its own write came to none, nothing has to be written.
    let rolling = |deployment| Facts {
        deployment: Some(deployment),
        ..super::facts()
    };
    let Decision::GiveUp(given_up) = ruled(&alarm(Some(&b), 200), &rolling(changed)) else {
        panic!("expected a give-up");
    };
    assert_eq!(given_up.guilty, None);
    let Decision::RollBack(back) = ruled(&alarm(Some(&b), 200), &rolling(carries)) else {
        panic!("expected a rollback");
    };
    assert_eq!((back.untouched, back.take_over), (Some(7), false));
}

#[test]
fn what_is_live_and_can_t_be_gone_from_is_told_beside_a_release_on_its_way() {
    let (b, c) = (release(1, 2), release(2, 2));
    let rolling = facts().pointer.aim(&id(&c), at(150), at(149), "test");
    let canary = rolling.clone().try_out(1, 3);
    let alone = |pointer: &Pointer| Facts {
        pointer: pointer.clone(),
        refuges: vec![],
        ..facts()
    };
    for is_request in [false, true] {
        let trigger = Trigger {
            is_alarm: !is_request,
            is_request,
            ..alarm(Some(&b), 200)
        };
        let Decision::GiveUp(given_up) = ruled(&trigger, &alone(&rolling)) else {
            panic!("expected a give-up");
        };
        let advice = format!("{} is on its way, and takes the place of", id(&c));
        assert!(given_up.advice.contains(&advice), "{}", given_up.advice);
        assert_eq!((given_up.from, given_up.guilty), (id(&b), None));

        // A canary goes instead; where the way back of what is live is barred, that is told.
        let taken = Facts {
            pointer: canary.clone(),
            deployment: Some(Deployment {
                image_managers: vec!["helm".into()],
                ..Deployment::default()
            }),
            ..facts()
        };
        for (facts, told) in [(alone(&canary), false), (taken, true)] {
            let instead = canary_instead(&trigger, &facts, &canary, &config()).unwrap();
            let instead = instead.unwrap();
            assert_eq!(instead.canary, id(&c));
            assert_eq!(instead.barred.is_some(), told);
        }
    }
}

#[test]
fn behind_a_failure_what_is_known_good_says_what_goes_first() {
    let (b, c) = (release(1, 2), release(2, 2));
    let failed = facts().pointer.aim(&id(&c), at(150), at(149), "test");
    let failed = failed.failed(&id(&c), "canary: slow", at(190)).unwrap();
    let facts = Facts {
        pointer: failed,
        ..facts()
    };
    let (decision, reason) = said(&ruled(&alarm(Some(&b), 200), &facts));
    assert_eq!(decision, "not-live", "{reason}");
    let first = format!("ask for a rollback of {} first", id(&c));
    assert!(reason.contains(&first), "{reason}");
}

#[test]
fn an_alarm_that_says_no_release_is_of_what_was_live_when_it_spoke() {
    let (a, b, c) = (release(1, 1), release(1, 2), release(2, 2));
    let live = facts().pointer;
    let rolling = live.aim(&id(&c), at(150), at(149), "test");
    let canary = rolling.clone().try_out(1, 3);
    let failed = rolling.failed(&id(&c), "rollout: 0 of 2", at(190)).unwrap();
    let next = rolling.verified(&id(&c), at(190)).unwrap();
    let back = |from: &Manifest, to: &Manifest, live: &Manifest| {
        let cause = of_live(alarm(None, 180), &rolling).words;
        let cause = cause.replace(&id(&b), &id(live));
        let restore = Restore {
            now: at(182),
            caused_at: at(180),
            cause,
        };
        rolling.restore(&id(to), &id(from), 1, restore)
    };
    let cases = [
        ("alone", live, None),
        ("beside a rollout", rolling.clone(), Some(&b)),
        ("beside a canary", canary, Some(&b)),
        ("beside what failed", failed, Some(&b)),
        ("late", next, Some(&b)),
        ("again, on the way back from it", back(&b, &a, &b), Some(&b)),
        ("again, when the canary went", back(&c, &b, &b), Some(&b)),
    ];
    for (name, pointer, expected) in cases {
        let said = of_live(alarm(None, 180), &pointer);
        assert_eq!(said.release, expected.map(id), "{name}");
        let named = alarm(Some(&c), 180);
        assert_eq!(of_live(named.clone(), &pointer), named, "{name}");
    }
}
