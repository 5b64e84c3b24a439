mod back;
mod checks;

use std::{collections::BTreeMap, time::Duration};

use domain::alarms::AlarmSettings;
use domain::endpoint::EndpointAlarms;
use domain::release::{Configuration, Image, Model, SCHEMA};
use serde_json::{Value, json};

use events::announced::{DeploymentStarted, RollbackStarted};

use domain::{evaluation::GoldenRow, ports::Answer};

use super::*;

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
        begun_by: None,
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
