use std::{collections::BTreeMap, time::Duration};

use domain::alarms::AlarmSettings;
use domain::endpoint::EndpointAlarms;
use domain::release::{Configuration, Image, Model, SCHEMA};
use serde_json::{Value, json};

use events::announced::{DeploymentStarted, RollbackStarted};

use domain::{evaluation::GoldenRow, ports::Answer};

use super::*;
use crate::checks::golden_rows;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn config() -> Config {
    Config {
        environment: "dev".into(),
        artifacts_bucket: "a".into(),
        endpoint: "retail-forecast-dev".into(),
        rollout_limit_s: 300,
        health_limit_s: 300,
        endpoint_limit_s: 1800,
        look_again: Duration::from_secs(10),
        alarms: AlarmSettings {
            namespace: "retail-forecast-dev".into(),
            topic_arn: "topic".into(),
            rollback_arn: "rollback".into(),
            error_rate_percent: 5.0,
            latency_ms: 1000.0,
            period_s: 60,
            periods: 3,
        },
        endpoint_alarms: EndpointAlarms {
            endpoint: "retail-forecast-dev".into(),
            actions: vec!["topic".into(), "rollback".into()],
            error_rate_percent: 5.0,
            latency_ms: 1000.0,
            period_s: 60,
            periods: 2,
        },
        golden_tolerance: 1e-6,
    }
}

fn ok(body: Value) -> Answer {
    Answer {
        status: 200,
        body,
        trouble: None,
    }
}

fn target(progress: Progress) -> Target {
    Target {
        release: "release-a".into(),
        progress,
        since: at(1000),
        promoted_at: None,
        caused_at: at(999),
        cause: "test".into(),
        build: None,
        gone_from: None,
        abandoned: None,
        gone_from_build: None,
        left_over: None,
        given_up_at: None,
        api_serves_since: None,
        judged_at: None,
        endpoint_repairs: 0,
    }
}

fn deployed() -> Started {
    Started::Deployment(DeploymentStarted {
        release: "release-a".into(),
        generation: 4,
        cause: "test".into(),
        caused_at: Some(at(999)),
    })
}

fn restored(attempt: u32) -> Started {
    Started::Rollback(Box::new(RollbackStarted {
        release: "release-a".into(),
        from: "release-b".into(),
        generation: 4,
        attempt,
        cause: "alarm".into(),
        caused_at: at(999),
        differences: vec![],
        quarantined: Some("image".into()),
        abandoned: None,
        bad: None,
        good: None,
        by_hand: None,
    }))
}

/// Everything as it should be, 20 s after the start.
fn good() -> Facts {
    let manifest = Manifest {
        schema: SCHEMA,
        environment: "dev".into(),
        model: Model {
            package_arn: "arn/1".into(),
            training_job: "j".into(),
            dataset: "d".into(),
            uri: "u".into(),
            digest: "g".into(),
        },
        image: Image {
            repository: "infer".into(),
            digest: format!("sha256:{}", "1".repeat(64)),
        },
        configuration: Configuration {
            endpoint_instance_type: "ml.t2.medium".into(),
            endpoint_instance_count: 1,
            environment: BTreeMap::new(),
        },
    };
    let row = GoldenRow {
        store_id: 1,
        item_id: 2,
        date: jiff::civil::date(2017, 10, 1),
        prediction: 40.0,
    };
    Facts {
        now: at(1020),
        canary: None,
        generation: 4,
        deployment: Some(Deployment {
            generation: 4,
            observed_generation: 4,
            wanted: 2,
            updated: 2,
            replicas: 2,
            available: 2,
            image: Some(manifest.image.reference().unwrap()),
            environment: BTreeMap::from([("DEPLOYMENT_ID".into(), "release-a".into())]),
            ..Deployment::default()
        }),
        endpoint: Some(Endpoint {
            config: domain::release::endpoint_config(&manifest).unwrap(),
            status: "InService".into(),
            failure_reason: None,
        }),
        answers: Some(Answers {
            health: ok(json!({"release": "release-a"})),
            predict: Some(ok(json!({"prediction": 12.5}))),
            golden: vec![ok(json!({"prediction": 40.000_000_1}))],
        }),
        golden: Some(GoldenRows {
            schema: 1,
            rows: vec![row],
        }),
        manifest,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn the_first_open_check_decides() {
    type Change = fn(&mut Facts);
    let no_answer = |f: &mut Facts| {
        f.answers.as_mut().unwrap().health = Answer {
            status: 0,
            body: Value::Null,
            trouble: Some("connection refused".into()),
        }
    };
    let cases: [(&str, Change, &str, &str); 20] = [
        ("all good", |_| (), "verified", "golden rows"),
        (
            "pods missing",
            |f| f.deployment.as_mut().unwrap().available = 1,
            "not-yet",
            "1 of 2 updated pods available",
        ),
        (
            "pods missing, too late",
            |f| {
                f.deployment.as_mut().unwrap().available = 1;
                f.now = at(1300);
            },
            "failed",
            "after 300 s",
        ),
        (
            "progress deadline",
            |f| f.deployment.as_mut().unwrap().deadline_exceeded = true,
            "failed",
            "progress deadline",
        ),
        (
            "paused",
            |f| f.deployment.as_mut().unwrap().paused = true,
            "failed",
            "paused",
        ),
        (
            "Deployment deleted",
            |f| f.deployment = None,
            "failed",
            "doesn't exist",
        ),
        (
            "somebody set another image",
            |f| f.deployment.as_mut().unwrap().image = Some("x".into()),
            "failed",
            "somebody else",
        ),
        (
            "endpoint updating",
            |f| f.endpoint.as_mut().unwrap().status = "Updating".into(),
            "not-yet",
            "Updating",
        ),
        (
            "endpoint baking, past the rollout's limit",
            |f| {
                f.endpoint.as_mut().unwrap().status = "Updating".into();
                f.now = at(1000 + 1799);
            },
            "not-yet",
            "Updating",
        ),
        (
            "endpoint baking, too late",
            |f| {
                f.endpoint.as_mut().unwrap().status = "Updating".into();
                f.now = at(1000 + 1800);
            },
            "failed",
            "after 1800 s",
        ),
        (
            "endpoint baking, and the API answers wrongly",
            |f| {
                f.endpoint.as_mut().unwrap().status = "Updating".into();
                f.answers.as_mut().unwrap().predict = Some(ok(json!({})));
            },
            "failed",
            "without a `prediction`",
        ),
        (
            "endpoint came back on the old configuration",
            |f| f.endpoint.as_mut().unwrap().config = "old".into(),
            "failed",
            "came back on old",
        ),
        (
            "endpoint failed",
            |f| f.endpoint.as_mut().unwrap().status = "Failed".into(),
            "failed",
            "Failed",
        ),
        (
            "no endpoint",
            |f| f.endpoint = None,
            "failed",
            "doesn't exist",
        ),
        ("no answer", no_answer, "not-yet", "connection refused"),
        (
            "no answer, within the health limit",
            |f| {
                f.answers.as_mut().unwrap().health.status = 503;
                f.now = at(1599);
            },
            "not-yet",
            "503",
        ),
        (
            "no answer, too late",
            |f| {
                f.answers.as_mut().unwrap().health.status = 503;
                f.now = at(1600);
            },
            "failed",
            "503",
        ),
        (
            "another release answers",
            |f| f.answers.as_mut().unwrap().health.body = json!({"release": "release-b"}),
            "not-yet",
            "release-b",
        ),
        (
            "no prediction in the answer",
            |f| f.answers.as_mut().unwrap().predict = Some(ok(json!({}))),
            "failed",
            "without a `prediction`",
        ),
        (
            "another prediction than judged",
            |f| f.answers.as_mut().unwrap().golden[0].body = json!({"prediction": 40.001}),
            "failed",
            "store 1 item 2 on 2017-10-01",
        ),
    ];
    for (name, change, expected, word) in cases {
        let mut facts = good();
        change(&mut facts);
        let decision = serde_json::to_value(decide(
            &deployed(),
            &target(Progress::Deploying),
            &facts,
            &config(),
        ))
        .unwrap();
        assert_eq!(decision["decision"], expected, "{name}: {decision}");
        assert!(decision.to_string().contains(word), "{name}: {decision}");
    }
}

#[test]
fn a_verdict_that_was_given_is_announced_again_as_it_was() {
    let mut facts = good();
    facts.answers = None;
    assert!(matches!(
        decide(&deployed(), &target(Progress::Verified), &facts, &config()),
        Decision::Verified { .. }
    ));
    let failed = target(Progress::Failed {
        reason: "health: after 600 s, the limit being 600 s: status 503".into(),
    });
    let Decision::Failed { failed } = decide(&deployed(), &failed, &good(), &config()) else {
        panic!("expected Failed");
    };
    assert_eq!(
        (failed.stage.as_str(), failed.reason.as_str()),
        ("health", "after 600 s, the limit being 600 s: status 503")
    );
}

#[test]
fn only_the_target_is_verified() {
    let other = Pointer::empty("dev").aim("release-b", at(1), at(1), "test");
    let pointer = Pointer::empty("dev").aim("release-a", at(1000), at(999), "test");
    assert!(super::target(&deployed(), &other).is_err());
    assert!(super::target(&deployed(), &pointer).is_ok());
    assert!(super::target(&deployed(), &Pointer::empty("dev")).is_err());
    let earlier = Pointer::empty("dev").aim("release-a", at(1), at(1), "test");
    assert!(super::target(&deployed(), &earlier).is_err());
    assert!(super::target(&restored(1), &earlier).is_err());
}

#[test]
fn an_earlier_life_of_the_same_release_is_over() {
    let earlier = |progress| Target {
        caused_at: at(500),
        ..target(progress)
    };
    let restoring = || Progress::Restoring {
        from: "release-b".into(),
        attempt: 1,
    };
    assert!(deployed().is_of(&target(Progress::Deploying)));
    assert!(!deployed().is_of(&earlier(Progress::Deploying)));
    assert!(!deployed().is_of(&earlier(Progress::Verified)));
    assert!(restored(1).is_of(&target(restoring())));
    assert!(!restored(1).is_of(&earlier(restoring())));
    assert!(!restored(1).is_of(&earlier(Progress::Verified)));
    let Started::Deployment(mut old) = deployed() else {
        panic!("a deployment");
    };
    old.caused_at = None;
    assert!(Started::Deployment(old).is_of(&earlier(Progress::Deploying)));
}

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
fn not_a_number_is_a_difference() {
    let golden = GoldenRows {
        schema: 1,
        rows: vec![GoldenRow {
            store_id: 1,
            item_id: 1,
            date: jiff::civil::date(2020, 1, 1),
            prediction: f64::NAN,
        }],
    };
    assert!(
        golden_rows(&golden, &[ok(json!({"prediction": 1.0}))], 1e-6)
            .is_some_and(|open| open.hopeless)
    );
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
fn what_somebody_did_to_the_cluster_is_not_the_releases_fault() {
    type Change = fn(&mut Facts);
    let cases: [(&str, Change, &str); 6] = [
        (
            "paused",
            |f| f.deployment.as_mut().unwrap().paused = true,
            "cluster",
        ),
        ("deleted", |f| f.deployment = None, "cluster"),
        (
            "another image",
            |f| f.deployment.as_mut().unwrap().image = Some("x".into()),
            "cluster",
        ),
        (
            "another release",
            |f| f.deployment.as_mut().unwrap().environment.clear(),
            "cluster",
        ),
        ("no endpoint", |f| f.endpoint = None, "cluster"),
        (
            "progress deadline",
            |f| f.deployment.as_mut().unwrap().deadline_exceeded = true,
            "rollout",
        ),
    ];
    for (name, change, stage) in cases {
        let mut facts = good();
        change(&mut facts);
        let decision = decide(&deployed(), &target(Progress::Deploying), &facts, &config());
        let Decision::Failed { failed } = decision else {
            panic!("{name}: {decision:?}");
        };
        assert_eq!(failed.stage, stage, "{name}");
    }
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
