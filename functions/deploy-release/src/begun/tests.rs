use jiff::Timestamp;
use serde_json::json;

use domain::{
    quarantine::{Entry, Part},
    release::Restore,
};

use super::*;
use crate::decide::tests::{clean_image, config, image, model, package, release, scan};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Model 1 in image 1 is live; this is on its way.
fn aimed(manifest: &Manifest) -> Pointer {
    let (a, b) = (release(1, 1).id().unwrap(), manifest.id().unwrap());
    Pointer::empty("dev")
        .aim(&a, at(1), at(1), "test")
        .verified(&a, at(2))
        .unwrap()
        .aim(&b, at(150), at(149), "its event")
        .begun_by(Some("event".to_owned()))
}

fn begun(manifest: &Manifest, pointer: &Pointer, is_own: bool) -> Begun {
    Begun {
        target: pointer.target.clone().unwrap(),
        manifest: manifest.clone(),
        base: Some(release(1, 1)),
        is_own,
        quarantine: Quarantine::default(),
        deployment: Some(Deployment::default()),
    }
}

fn said(half: Option<&Half>, begun: &Begun) -> String {
    let decision = decide(half, begun, &config()).unwrap();
    let decision = serde_json::to_value(decision).unwrap();
    let kind = decision["decision"].as_str().unwrap_or("as any other");
    match &decision["failed"]["stage"] {
        serde_json::Value::String(stage) => format!("{kind} at {stage}"),
        _ => kind.to_owned(),
    }
}

#[test]
fn an_event_has_the_same_name_whenever_it_comes() {
    let of = |kind: &str, time: &str, id: &str| {
        let detail = json!({"ModelPackageGroupName": "g", "ModelPackageVersion": 2, "ModelPackageArn": "arn:aws:sagemaker:r:1:model-package/g/2", "ModelApprovalStatus": kind, "ModelPackageStatus": "Completed"});
        let event = json!({"id": id, "source": "aws.sagemaker", "detail-type": "SageMaker Model Package State Change", "time": time, "resources": [], "detail": detail});
        name(&Received::from_value(event).unwrap()).unwrap()
    };
    let first = of("Approved", "2024-03-04T02:00:00Z", "1");
    assert_eq!(first, of("Approved", "2024-03-04T02:00:00Z", "2"));
    assert_ne!(first, of("Approved", "2024-03-04T02:00:01Z", "1"));
}

#[test]
fn its_own_event_goes_on_by_the_kept_manifest_whatever_came_of_what_it_is_about() {
    let (by_model, by_image) = (release(2, 1), release(1, 2));
    let unscanned = Half::Image(image(2, "latest-dev"), None);
    let failed = Half::Image(image(2, "latest-dev"), scan("FAILED", &[]));
    let pending = Half::Model(package(2, Approval::PendingManualApproval));
    let cases = [
        ("deleted", &by_model, None),
        ("as it was", &by_model, Some(model(2))),
        ("undecided again", &by_model, Some(pending)),
        (
            "a newer image took the tag",
            &by_image,
            Some(Half::Image(image(2, "build-2"), scan("COMPLETE", &[]))),
        ),
        (
            "the tag that was asked for is another's",
            &by_image,
            Some(clean_image(3)),
        ),
        ("is scanned again", &by_image, Some(unscanned)),
        ("a later scan failed", &by_image, Some(failed)),
    ];
    for (name, manifest, half) in cases {
        let pointer = aimed(manifest);
        let id = manifest.id().unwrap();
        let decision = decide(half.as_ref(), &begun(manifest, &pointer, true), &config());
        let Some(Decision::Deploy(rollout)) = decision.unwrap() else {
            panic!("{name}");
        };
        assert!(rollout.resumes, "{name}");
        assert_eq!((&rollout.manifest, rollout.caused_at), (manifest, at(149)));

        let trying = pointer.clone().try_out(2, 6);
        let decision = decide(half.as_ref(), &begun(manifest, &trying, true), &config());
        let Some(Decision::Deploy(rollout)) = decision.unwrap() else {
            panic!("{name}");
        };
        assert_eq!(rollout.strategy, Strategy::Canary { pods: 2, of: 6 });

        let live = pointer.verified(&id, at(200)).unwrap();
        assert_eq!(
            said(half.as_ref(), &begun(manifest, &live, true)),
            "already-live"
        );
        let lost = pointer.failed(&id, "health: 503", at(200)).unwrap();
        assert_eq!(
            said(half.as_ref(), &begun(manifest, &lost, true)),
            "already-failed"
        );
        // Any other event is decided on like any other.
        for pointer in [pointer, live, lost] {
            let said = said(half.as_ref(), &begun(manifest, &pointer, false));
            assert_eq!(said, "as any other", "{name}");
        }
    }
}

#[test]
fn a_word_against_what_it_brings_ends_it_whoever_says_it() {
    let rejected = |version| Half::Model(package(version, Approval::Rejected));
    let found = |n| Half::Image(image(n, "latest-dev"), scan("COMPLETE", &[("HIGH", 1)]));
    let cases = [
        (release(2, 1), rejected(2), true),
        (release(1, 2), found(2), true),
        // What is live is brought by none.
        (release(1, 2), rejected(1), false),
        (release(2, 1), found(1), false),
        (release(2, 1), rejected(3), false),
        (release(1, 2), found(3), false),
    ];
    for (manifest, half, ends) in cases {
        let id = manifest.id().unwrap();
        let pointer = aimed(&manifest);
        let baking = pointer.clone().try_out(1, 3).bake(&id, at(155)).unwrap();
        let promoted = baking.promote(&id, at(160)).unwrap();
        for pointer in [pointer, baking, promoted] {
            for is_own in [true, false] {
                let begun = begun(&manifest, &pointer, is_own);
                let expected = match (ends, is_own) {
                    (true, _) => "ended at rejection",
                    (false, true) => "deploy",
                    (false, false) => "as any other",
                };
                assert_eq!(said(Some(&half), &begun), expected, "{half:?}");
            }
        }
    }
}

#[test]
fn what_ended_is_announced_again_until_it_is_heard() {
    let manifest = release(2, 1);
    let (id, pointer) = (manifest.id().unwrap(), aimed(&manifest));
    let rejected = Half::Model(package(2, Approval::Rejected));
    let failed = |reason: &str| pointer.failed(&id, reason, at(160)).unwrap();
    let given_up = failed("rejection: why").give_up(&id, at(170)).unwrap();
    let cases = [
        ("rejection: why", true, "ended at rejection"),
        ("rejection: why", false, "ended at rejection"),
        ("write: 403", true, "ended at write"),
        ("write: 403", false, "as any other"),
        ("quarantine: why", true, "ended at quarantine"),
        ("health: 503", true, "already-failed"),
        ("health: 503", false, "as any other"),
    ];
    for (reason, is_own, expected) in cases {
        let begun = begun(&manifest, &failed(reason), is_own);
        assert_eq!(said(Some(&rejected), &begun), expected, "{reason}");
    }
    let heard = begun(&manifest, &given_up, true);
    assert_eq!(said(Some(&rejected), &heard), "already-failed");
    let back = Restore {
        now: at(170),
        caused_at: at(165),
        cause: "alarm".into(),
    };
    let restoring = pointer.restore(&release(1, 1).id().unwrap(), &id, 1, back);
    let other = begun(&release(1, 1), &restoring, false);
    assert_eq!(said(Some(&rejected), &other), "as any other");
}

#[test]
fn what_is_quarantined_or_can_not_be_written_ends() {
    let manifest = release(2, 1);
    let pointer = aimed(&manifest);
    let entry = Entry {
        part: Part::Model,
        identity: manifest.model.package_arn.clone(),
        release: "release-z".into(),
        reason: "found guilty".into(),
        since: at(150),
        lifted: None,
    };
    let own = begun(&manifest, &pointer, true);
    let quarantined = Begun {
        quarantine: Quarantine::default().with(entry).unwrap(),
        ..own.clone()
    };
    assert_eq!(said(Some(&model(2)), &quarantined), "ended at quarantine");
    let gone = Begun {
        deployment: None,
        ..own.clone()
    };
    assert_eq!(said(Some(&model(2)), &gone), "ended at write");

    let helm = |deployment: Deployment| Begun {
        deployment: Some(Deployment {
            image_managers: vec![converge::FIELD_MANAGER.into(), "helm".into()],
            ..deployment
        }),
        ..own.clone()
    };
    let unwritten = helm(Deployment::default());
    assert_eq!(said(Some(&model(2)), &unwritten), "ended at write");
    // What carries the release is watched.
    let patch = converge::deployment(&own.target.release, &manifest, "").unwrap();
    let written = helm(Deployment {
        image: Some(patch.image),
        environment: patch.environment,
        annotations: patch.annotations,
        ..Deployment::default()
    });
    assert_eq!(said(Some(&model(2)), &written), "deploy");
    // A canary's Deployment is ours alone.
    let canary = Begun {
        target: pointer.try_out(1, 3).target.unwrap(),
        ..unwritten
    };
    assert_eq!(said(Some(&model(2)), &canary), "deploy");
}
