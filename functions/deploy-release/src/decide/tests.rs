mod admit;
mod against;
mod approvals;
mod asked;

use std::collections::BTreeMap;

use domain::{
    alarms::AlarmSettings,
    endpoint::{EndpointAlarms, UpdatePolicy},
    ports::Approval,
    release::{Configuration, Held, Image, SCHEMA},
    settings::Settings,
};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn config() -> Config {
    Config {
        environment: "dev".into(),
        artifacts_bucket: "artifacts".into(),
        group: "retail-forecast-models".into(),
        infer_repository: "retail-forecast-infer".into(),
        image_tag: "latest-dev".into(),
        role_arn: "arn:role".into(),
        endpoint: "retail-forecast-dev".into(),
        configuration: Configuration {
            endpoint_instance_type: "ml.t2.medium".into(),
            endpoint_instance_count: 1,
            environment: BTreeMap::new(),
        },
        first_manager: "retail-forecast-manifests".into(),
        scan_limit_s: 900,
        abandoned_after_s: 1200,
        canary_abandoned_after_s: 7200,
        canary_share_percent: None,
        frozen: None,
        alarms: AlarmSettings {
            namespace: "retail-forecast-dev".into(),
            topic_arn: "topic".into(),
            rollback_arn: "rollback".into(),
            error_rate_percent: 5.0,
            latency_ms: 1000.0,
            period_s: 60,
            periods: 3,
        },
        endpoint_alarms: EndpointAlarms::read(&endpoint_settings()).unwrap(),
        endpoint_update: UpdatePolicy::read(&endpoint_settings()).unwrap(),
    }
}

fn endpoint_settings() -> Settings {
    let settings = [
        ("ENDPOINT_NAME", "retail-forecast-dev"),
        ("ENDPOINT_INSTANCE_COUNT", "1"),
        ("ENDPOINT_TRAFFIC", "ALL_AT_ONCE"),
        ("ENDPOINT_BAKE_S", "300"),
        ("ENDPOINT_KEEP_OLD_S", "60"),
        ("ENDPOINT_UPDATE_LIMIT_S", "1800"),
        ("ENDPOINT_ALARM_ERROR_RATE_PERCENT", "5"),
        ("ENDPOINT_ALARM_LATENCY_MS", "1000"),
        ("ENDPOINT_ALARM_PERIOD_S", "60"),
        ("ENDPOINT_ALARM_PERIODS", "2"),
        ("ALERTS_TOPIC_ARN", "topic"),
        ("ROLLBACK_FUNCTION_ARN", "rollback"),
    ];
    Settings::new(settings.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

pub(crate) fn package(version: u32, approval: Approval) -> Package {
    Package {
        arn: format!("arn:aws:sagemaker:r:1:model-package/retail-forecast-models/{version}"),
        group: "retail-forecast-models".into(),
        version,
        approval,
        approval_description: None,
        was_changed: false,
        model_uri: format!("s3://artifacts/models/{version}/model.tar.gz"),
        metadata: ["training_job", "dataset", "model_digest"]
            .into_iter()
            .map(|key| (key.to_owned(), format!("{key}-{version}")))
            .collect(),
    }
}

pub(crate) fn image(n: u8, tag: &str) -> StoredImage {
    StoredImage {
        image: Image {
            repository: "registry/retail-forecast-infer".into(),
            digest: format!("sha256:{}", n.to_string().repeat(64)),
        },
        tags: vec![tag.to_owned()],
        pushed: None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the facts have it")]
pub(crate) fn scan(status: &str, findings: &[(&str, u32)]) -> Option<Scan> {
    let findings = findings
        .iter()
        .map(|(severity, count)| ((*severity).to_owned(), *count))
        .collect();
    Some(Scan {
        status: status.into(),
        completed: None,
        findings,
    })
}

fn clean() -> Option<Scan> {
    scan("COMPLETE", &[("LOW", 3)])
}

pub(crate) fn release(version: u32, n: u8) -> Manifest {
    parts::manifest(
        &config(),
        parts::model(&package(version, Approval::Approved)).unwrap(),
        image(n, "latest-dev").image,
    )
}

/// Model 1 in image 1 is live since second 100.
fn live() -> Facts {
    let manifest = release(1, 1);
    let id = manifest.id().unwrap();
    let pointer = Pointer::empty("dev")
        .aim(&id, at(100), at(100), "test")
        .verified(&id, at(110))
        .unwrap();
    Facts {
        caused_at: at(200),
        event: Some("event-200".to_owned()),
        by_push: false,
        asked: None,
        now: at(201),
        pointer,
        quarantine: Quarantine::default(),
        base: Some(manifest),
        abandoned: None,
        base_model: Some(package(1, Approval::Approved)),
        waiting_model: None,
        tagged_image: None,
        deployment: Some(Deployment {
            wanted: 4,
            image_managers: vec![converge::FIELD_MANAGER.into()],
            ..Deployment::default()
        }),
        has_canary: true,
    }
}

/// Nothing was ever deployed.
fn fresh() -> Facts {
    Facts {
        pointer: Pointer::empty("dev"),
        base: None,
        ..live()
    }
}

pub(crate) fn model(version: u32) -> Half {
    Half::Model(package(version, Approval::Approved))
}

pub(crate) fn clean_image(n: u8) -> Half {
    Half::Image(image(n, "latest-dev"), clean())
}

fn on_its_way(facts: Facts, manifest: &Manifest, since: i64) -> Facts {
    let pointer = facts
        .pointer
        .aim(&manifest.id().unwrap(), at(since), at(since), "test");
    Facts { pointer, ..facts }
}

fn said(half: &Half, facts: &Facts) -> (String, String) {
    let decision = serde_json::to_value(decide(half, facts, &config()).unwrap()).unwrap();
    (
        decision["decision"].as_str().unwrap().to_owned(),
        decision["reason"].as_str().unwrap_or_default().to_owned(),
    )
}

#[test]
fn a_release_is_that_very_package_in_the_live_image() {
    let Decision::Deploy(rollout) = decide(&model(2), &live(), &config()).unwrap() else {
        panic!("expected Deploy");
    };
    assert_eq!(rollout.manifest, release(2, 1));
    assert_eq!(rollout.manifest.schema, SCHEMA);
    assert!(!rollout.resumes);
    let Decision::Deploy(rollout) = decide(&clean_image(2), &live(), &config()).unwrap() else {
        panic!("expected Deploy");
    };
    assert_eq!(rollout.manifest, release(1, 2));
}

#[test]
fn one_owner_of_the_image() {
    let owned = |manager: &str| {
        let mut facts = live();
        facts.deployment.as_mut().unwrap().image_managers = vec![manager.to_owned()];
        facts
    };
    let (decision, reason) = said(&model(2), &owned("helm"));
    assert_eq!(decision, "skip");
    assert!(reason.contains("helm"), "{reason}");
    let Decision::Deploy(rollout) =
        decide(&model(2), &owned("retail-forecast-manifests"), &config()).unwrap()
    else {
        panic!("expected Deploy");
    };
    assert!(rollout.take_over);

    // Several are named as people are told them.
    let mut facts = live();
    let two = ["helm", "kubectl-edit"].map(str::to_owned);
    facts.deployment.as_mut().unwrap().image_managers = two.to_vec();
    let (decision, reason) = said(&model(2), &facts);
    assert_eq!(decision, "skip");
    assert!(
        reason.contains("field manager helm, kubectl-edit: "),
        "{reason}"
    );
    for (names, is_ours) in [("helm", false), ("manifests, helm, kubectl-edit", true)] {
        let config = Config {
            first_manager: names.to_owned(),
            ..config()
        };
        let decision = decide(&model(2), &facts, &config).unwrap();
        let takes_over = matches!(decision, Decision::Deploy(rollout) if rollout.take_over);
        assert_eq!(takes_over, is_ours, "{names}");
    }
}

#[test]
fn what_is_held_is_in_the_next_target() {
    let mut pointer = Pointer::empty("dev");
    pointer.held = Some(Held {
        package_arn: "arn/2".into(),
        reason: "no image".into(),
    });
    assert_eq!(pointer.aim("release-a", at(1), at(1), "test").held, None);
}

#[test]
fn the_pod_template_carries_model_and_release() {
    let manifest = release(2, 1);
    let patch = converge::deployment("release-a", &manifest, "test").unwrap();
    assert_eq!(patch.environment["MODEL_URI"], manifest.model.uri);
    assert_eq!(patch.environment["MODEL_DIGEST"], "model_digest-2");
    assert_eq!(patch.environment["DEPLOYMENT_ID"], "release-a");
    assert!(patch.image.contains("@sha256:"));
}

#[test]
fn a_canary_is_tried_out_where_something_live_can_be_compared_with() {
    let canaries = Config {
        canary_share_percent: Some(20),
        ..config()
    };
    let strategy = |facts: &Facts, config: &Config| {
        let Decision::Deploy(rollout) = decide(&model(2), facts, config).unwrap() else {
            panic!("{:?}", decide(&model(2), facts, config));
        };
        rollout.strategy
    };
    assert!(matches!(
        strategy(&live(), &config()),
        Strategy::Rolling { .. }
    ));
    let one_of_five = Strategy::Canary { pods: 1, of: 5 };
    assert_eq!(strategy(&live(), &canaries), one_of_five);

    // What was begun goes on as it began, whatever an autoscaler did meanwhile.
    let next = release(2, 1);
    let mut begun = on_its_way(live(), &next, 199);
    begun.pointer = begun.pointer.try_out(2, 6);
    let Decision::Deploy(rollout) = decide(&model(2), &begun, &canaries).unwrap() else {
        panic!("expected a deployment");
    };
    assert!(rollout.resumes);
    assert_eq!(rollout.strategy, Strategy::Canary { pods: 2, of: 6 });

    let mut first = fresh();
    first.tagged_image = Some((image(1, "latest-dev"), clean()));
    assert!(matches!(
        strategy(&first, &canaries),
        Strategy::Rolling { .. }
    ));

    let without = Facts {
        has_canary: false,
        ..live()
    };
    let Decision::Skip { reason, .. } = decide(&model(2), &without, &canaries).unwrap() else {
        panic!("expected a skip");
    };
    assert!(
        reason.contains("apply the Kubernetes manifests"),
        "{reason}"
    );
}

#[test]
fn a_freeze_stops_what_would_be_deployed_and_says_so() {
    let frozen = Config {
        frozen: Some("peak season".into()),
        ..config()
    };
    for half in [model(2), clean_image(2)] {
        let Decision::Skip { reason, .. } = decide(&half, &live(), &frozen).unwrap() else {
            panic!("expected a skip");
        };
        assert!(reason.contains("peak season"), "{reason}");
    }
}

#[test]
fn without_a_deployment_only_a_deployment_is_refused() {
    let gone = |facts: Facts| Facts {
        deployment: None,
        ..facts
    };
    let (decision, reason) = said(&model(2), &gone(live()));
    assert_eq!(decision, "skip");
    assert!(
        reason.contains("apply the Kubernetes manifests"),
        "{reason}"
    );
    assert_eq!(said(&model(1), &gone(live())).0, "already-live");
    assert_eq!(said(&model(2), &gone(fresh())).0, "hold");
}

#[test]
fn a_release_carries_the_build_that_caused_it() {
    let built = |half: &Half| match decide(half, &live(), &config()).unwrap() {
        Decision::Deploy(rollout) => rollout.build,
        other => panic!("{other:?}"),
    };
    let mut by_a_build = package(2, Approval::Approved);
    let job = "retail-forecast-build-7-0a1b2c3".to_owned();
    by_a_build.metadata.insert("training_job".into(), job);
    assert_eq!(
        built(&Half::Model(by_a_build)).as_deref(),
        Some("build-7-0a1b2c3")
    );
    let mut tagged = image(2, "latest-dev");
    tagged.tags.push("build-8-ffffffff".into());
    assert_eq!(
        built(&Half::Image(tagged, clean())).as_deref(),
        Some("build-8-ffffffff")
    );
}
