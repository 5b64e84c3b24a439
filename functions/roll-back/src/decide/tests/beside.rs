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
            assert_eq!(
                canary_instead(&trigger, &alone, &facts.pointer).unwrap(),
                Some(id(&b).as_str())
            );
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
