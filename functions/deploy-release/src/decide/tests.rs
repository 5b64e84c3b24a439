use std::collections::BTreeMap;

use domain::alarms::AlarmSettings;
use domain::endpoint::{EndpointAlarms, UpdatePolicy};
use domain::release::{Configuration, Held, SCHEMA};

use domain::settings::Settings;

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

fn package(version: u32, approval: Approval) -> Package {
    Package {
        arn: format!("arn:aws:sagemaker:r:1:model-package/retail-forecast-models/{version}"),
        group: "retail-forecast-models".into(),
        version,
        approval,
        approval_description: None,
        model_uri: format!("s3://artifacts/models/{version}/model.tar.gz"),
        metadata: ["training_job", "dataset", "model_digest"]
            .into_iter()
            .map(|key| (key.to_owned(), format!("{key}-{version}")))
            .collect(),
    }
}

fn image(n: u8, tag: &str) -> StoredImage {
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
fn scan(status: &str, findings: &[(&str, u32)]) -> Option<Scan> {
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
        by_push: false,
        now: at(201),
        pointer,
        quarantine: Quarantine::default(),
        base: Some(manifest),
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

fn model(version: u32) -> Half {
    Half::Model(package(version, Approval::Approved))
}

fn clean_image(n: u8) -> Half {
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
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_model() {
    let tagged = |scan| Facts {
        tagged_image: Some((image(2, "latest-dev"), scan)),
        ..fresh()
    };
    let mut foreign = package(2, Approval::Approved);
    foreign.group = "churn".into();
    let mut bare = package(2, Approval::Approved);
    bare.metadata.clear();
    let late = Facts {
        caused_at: at(99),
        base: Some(release(3, 1)),
        ..live()
    };
    let deliberate = Facts {
        caused_at: at(300),
        base: Some(release(3, 1)),
        ..live()
    };
    let failed_before = {
        let facts = on_its_way(live(), &release(2, 1), 150);
        let pointer = facts
            .pointer
            .failed(&release(2, 1).id().unwrap(), "health: status 503", at(160))
            .unwrap();
        Facts { pointer, ..facts }
    };
    let failed_by_this_event = Facts {
        caused_at: at(150),
        ..failed_before.clone()
    };
    let cases = vec![
        ("approved", model(2), live(), "deploy", "is Approved"),
        (
            "the event that caused what failed",
            model(2),
            failed_by_this_event,
            "already-failed",
            "status 503",
        ),
        (
            "pending",
            Half::Model(package(2, Approval::PendingManualApproval)),
            live(),
            "skip",
            "waits for a person",
        ),
        (
            "rejected",
            Half::Model(package(2, Approval::Rejected)),
            live(),
            "skip",
            "Rejected",
        ),
        (
            "another group",
            Half::Model(foreign),
            live(),
            "not-for-this-function",
            "churn",
        ),
        (
            "not registered by us",
            Half::Model(bare),
            live(),
            "skip",
            "training_job",
        ),
        (
            "already live",
            model(1),
            live(),
            "already-live",
            "live since",
        ),
        (
            "an approval that came late",
            model(2),
            late,
            "not-for-this-function",
            "came late",
        ),
        (
            "an older model approved on purpose",
            model(2),
            deliberate,
            "deploy",
            "is Approved",
        ),
        (
            "another release on its way",
            model(2),
            on_its_way(live(), &release(3, 1), 195),
            "busy",
            "since 6 s",
        ),
        (
            "abandoned release",
            model(2),
            on_its_way(live(), &release(3, 1), -2000),
            "deploy",
            "",
        ),
        (
            "its own release on its way",
            model(2),
            on_its_way(live(), &release(2, 1), 195),
            "deploy",
            "",
        ),
        (
            "failed before",
            model(2),
            failed_before,
            "skip",
            "status 503",
        ),
        (
            "first, no image",
            model(2),
            fresh(),
            "hold",
            "no image is tagged",
        ),
        (
            "first, clean image",
            model(2),
            tagged(clean()),
            "deploy",
            "",
        ),
        (
            "first, vulnerable image",
            model(2),
            tagged(scan("COMPLETE", &[("HIGH", 1)])),
            "hold",
            "1 HIGH",
        ),
        (
            "first, unscanned image",
            model(2),
            tagged(None),
            "hold",
            "not been scanned",
        ),
    ];
    for (name, half, facts, expected, word) in cases {
        let (decision, reason) = said(&half, &facts);
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(word), "{name}: {reason}");
    }
}

#[test]
fn an_images_scan() {
    let with = |scan| Half::Image(image(2, "latest-dev"), scan);
    let cases = vec![
        ("clean", clean_image(2), live(), "deploy", "scanned clean"),
        (
            "critical",
            with(scan("COMPLETE", &[("CRITICAL", 2), ("HIGH", 1)])),
            live(),
            "skip",
            "2 CRITICAL and 1 HIGH",
        ),
        (
            "high",
            with(scan("ACTIVE", &[("HIGH", 1)])),
            live(),
            "skip",
            "1 HIGH",
        ),
        (
            "scan failed",
            with(scan("FAILED", &[])),
            live(),
            "skip",
            "FAILED",
        ),
        (
            "scan running",
            with(scan("IN_PROGRESS", &[])),
            live(),
            "scanning",
            "waited for 1 s, and 900 s at most",
        ),
        (
            "scan runs on for too long",
            with(scan("IN_PROGRESS", &[])),
            Facts {
                now: at(1100),
                ..live()
            },
            "skip",
            "IN_PROGRESS, and only a finished scan says that it is clean, 900 s after its push (SCAN_LIMIT_S)",
        ),
        (
            "scanner can't read it",
            with(scan("UNSUPPORTED_IMAGE", &[])),
            live(),
            "skip",
            "`scans/` in the artifacts bucket has no result",
        ),
        (
            "not scanned yet",
            with(None),
            live(),
            "scanning",
            "not been scanned",
        ),
        (
            "never scanned",
            with(None),
            Facts {
                now: at(1100),
                ..live()
            },
            "skip",
            "not been scanned",
        ),
        (
            "another environment's",
            Half::Image(image(2, "latest-prod"), clean()),
            live(),
            "not-for-this-function",
            "latest-dev",
        ),
    ];
    for (name, half, facts, expected, word) in cases {
        let (decision, reason) = said(&half, &facts);
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(word), "{name}: {reason}");
    }
}

#[test]
fn an_image() {
    let waiting = |approval| Facts {
        waiting_model: Some(package(2, approval)),
        ..fresh()
    };
    let cases = [
        ("already live", clean_image(1), live(), "already-live", ""),
        (
            "first, no model",
            clean_image(2),
            fresh(),
            "skip",
            "no model",
        ),
        (
            "first, a model waits",
            clean_image(2),
            waiting(Approval::Approved),
            "deploy",
            "",
        ),
        (
            "first, the model was rejected meanwhile",
            clean_image(2),
            waiting(Approval::Rejected),
            "skip",
            "Rejected",
        ),
    ];
    for (name, half, facts, expected, word) in cases {
        let (decision, reason) = said(&half, &facts);
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(word), "{name}: {reason}");
    }
}

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
        Decision::Unwritable { failed } => {
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
