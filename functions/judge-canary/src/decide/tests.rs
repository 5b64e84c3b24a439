use std::{collections::BTreeMap, time::Duration};

use domain::ports::Measured;

use super::*;
use crate::compare::Limits;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn config() -> Config {
    Config {
        environment: "dev".into(),
        artifacts_bucket: "a".into(),
        rollout_limit_s: 300,
        bake_s: 600,
        limit_s: 3600,
        period_s: 60,
        limits: Limits {
            min_requests: 50.0,
            error_margin_percent: 1.0,
            latency_ratio: 1.25,
            latency_margin_ms: 20.0,
        },
        look_again: Duration::from_secs(10),
    }
}

fn started() -> CanaryStarted {
    CanaryStarted {
        release: "release-b".into(),
        generation: 4,
        pods: 1,
        of: 3,
        cause: "test".into(),
        caused_at: at(999),
    }
}

/// B is tried out since 1000 beside A.
fn pointer(baking_since: Option<i64>) -> Pointer {
    let live = Pointer::empty("dev")
        .aim("release-a", at(1), at(1), "test")
        .verified("release-a", at(2))
        .unwrap();
    let canary = live
        .aim("release-b", at(1000), at(999), "test")
        .try_out(1, 3);
    match baking_since {
        Some(second) => canary.bake("release-b", at(second)).unwrap(),
        None => canary,
    }
}

fn measured(requests: f64, percent: f64) -> Vec<Measured> {
    vec![Measured {
        start: at(1200),
        requests,
        error_rate_percent: percent,
        latency_ms: 10.0,
    }]
}

/// Its pods are up; both answered 100 requests well.
fn facts(now: i64) -> Facts {
    Facts {
        now: at(now),
        canary: Some(Deployment {
            generation: 4,
            observed_generation: 4,
            wanted: 1,
            updated: 1,
            replicas: 1,
            available: 1,
            environment: BTreeMap::from([("DEPLOYMENT_ID".into(), "release-b".into())]),
            ..Deployment::default()
        }),
        periods: Some(Periods {
            canary: measured(100.0, 0.0),
            live: measured(400.0, 0.0),
        }),
    }
}

fn decided(pointer: &Pointer, facts: &Facts) -> Decision {
    let target = target(&started(), pointer).unwrap();
    decide(&started(), &target, facts, &config())
}

/// Kind, and for a failure its stage.
fn said(decision: &Decision) -> String {
    match decision {
        Decision::Fail { failed } => format!("fail at {}", failed.stage),
        Decision::Bake { .. } => "bake".to_owned(),
        Decision::Pass { .. } => "pass".to_owned(),
        Decision::NotYet { .. } => "not yet".to_owned(),
        other => format!("{other:?}"),
    }
}

type Edit = Box<dyn Fn(&mut Facts)>;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_canary_comes_up_bakes_and_is_judged() {
    let up =
        |edit: fn(&mut Deployment)| move |facts: &mut Facts| edit(facts.canary.as_mut().unwrap());
    let gone = up(|canary| {
        canary.wanted = 0;
        canary.updated = 0;
        canary.replicas = 0;
        canary.available = 0;
    });
    let none_available = up(|canary| canary.available = 0);
    let stuck = up(|canary| canary.deadline_exceeded = true);
    let somebody_elses = up(|canary| {
        canary
            .environment
            .insert("DEPLOYMENT_ID".into(), "other".into());
    });
    let paused = up(|canary| canary.paused = true);
    let scaled_away = up(|canary| {
        canary.wanted = 0;
        canary.updated = 0;
        canary.replicas = 0;
        canary.available = 0;
    });
    let seen = |canary: (f64, f64)| {
        move |facts: &mut Facts| {
            facts.periods.as_mut().unwrap().canary = measured(canary.0, canary.1);
        }
    };
    let cases: Vec<(&str, Option<i64>, i64, Edit, &str)> = vec![
        (
            "pods not up",
            None,
            1100,
            Box::new(none_available),
            "not yet",
        ),
        (
            "pods never up",
            None,
            1300,
            Box::new(none_available),
            "fail at canary",
        ),
        ("stuck", None, 1010, Box::new(stuck), "fail at canary"),
        (
            "changed by hand",
            None,
            1010,
            Box::new(somebody_elses),
            "fail at cluster",
        ),
        (
            "deleted",
            None,
            1010,
            Box::new(|facts| facts.canary = None),
            "fail at cluster",
        ),
        ("paused", None, 1010, Box::new(paused), "fail at cluster"),
        ("up", None, 1100, Box::new(|_| ()), "bake"),
        ("baking", Some(1100), 1699, Box::new(|_| ()), "not yet"),
        ("baked well", Some(1100), 1700, Box::new(|_| ()), "pass"),
        (
            "baked badly",
            Some(1100),
            1700,
            Box::new(seen((100.0, 4.0))),
            "fail at canary",
        ),
        (
            "a quiet night",
            Some(1100),
            1700,
            Box::new(seen((3.0, 100.0))),
            "not yet",
        ),
        (
            "a quiet night, late",
            Some(1100),
            4699,
            Box::new(seen((3.0, 0.0))),
            "not yet",
        ),
        (
            "a quiet night, too late",
            Some(1100),
            4700,
            Box::new(seen((3.0, 0.0))),
            "fail at canary-no-data",
        ),
        (
            "lost its pod while baking",
            Some(1100),
            1700,
            Box::new(none_available),
            "not yet",
        ),
        (
            "crashes under its requests",
            Some(1100),
            1700,
            Box::new(move |facts| {
                none_available(facts);
                seen((100.0, 90.0))(facts);
            }),
            "fail at canary",
        ),
        (
            "scaled to zero by somebody",
            Some(1100),
            1700,
            Box::new(scaled_away),
            "not yet",
        ),
        (
            "scaled to zero by somebody, too late",
            Some(1100),
            2000,
            Box::new(gone),
            "fail at cluster",
        ),
        (
            "a stray error",
            Some(1100),
            1700,
            Box::new(seen((50.0, 2.0))),
            "pass",
        ),
        (
            "lost its pod, may be back",
            Some(1100),
            1999,
            Box::new(none_available),
            "not yet",
        ),
        (
            "lost its pod for good",
            Some(1100),
            2000,
            Box::new(none_available),
            "fail at canary",
        ),
    ];
    for (name, baking_since, now, edit, expected) in cases {
        let mut facts = facts(now);
        if baking_since.is_none() {
            facts.periods = None;
        }
        edit(&mut facts);
        let decision = decided(&pointer(baking_since), &facts);
        assert_eq!(said(&decision), expected, "{name}: {decision:?}");
        // Both ends say which share of the pods they speak of.
        match &decision {
            Decision::Pass { passed } => assert_eq!(passed.checks[0], "1 of 3 pods", "{name}"),
            Decision::Fail { failed } => {
                assert!(failed.reason.starts_with("on 1 of 3 pods: "), "{name}");
            }
            _ => {}
        }
    }
}

#[test]
fn a_failure_is_announced_again_after_a_crash_and_nothing_else_is_its_business() {
    let failed = pointer(Some(1100))
        .failed("release-b", "canary-no-data: too few", at(4700))
        .unwrap();
    let Decision::Fail { failed } = decided(&failed, &facts(4800)) else {
        panic!("expected a failure");
    };
    assert_eq!(
        (failed.stage.as_str(), failed.reason.as_str()),
        (CANARY_NO_DATA, "too few")
    );

    let promoted = pointer(Some(1100)).promote("release-b", at(1700)).unwrap();
    let failed_later = promoted
        .failed("release-b", "health: 503", at(1800))
        .unwrap();
    let another = pointer(None).aim("release-c", at(2000), at(2000), "test");
    let retried = pointer(None)
        .aim("release-b", at(2000), at(1999), "test")
        .try_out(1, 3);
    for pointer in [
        promoted,
        failed_later,
        another,
        retried,
        Pointer::empty("dev"),
    ] {
        assert!(target(&started(), &pointer).is_err(), "{pointer:?}");
    }
}
