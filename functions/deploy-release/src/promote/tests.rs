use domain::rollout::Deployment;
use jiff::Timestamp;

use super::*;
use crate::decide::tests::{config, release};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A is live; B bakes since 110.
fn facts() -> Facts {
    let (a, b) = (release(1, 1), release(2, 1));
    let id = b.id().unwrap();
    let pointer = Pointer::empty("dev")
        .aim(&a.id().unwrap(), at(1), at(1), "test")
        .verified(&a.id().unwrap(), at(2))
        .unwrap()
        .aim(&id, at(100), at(99), "test")
        .try_out(1, 3)
        .bake(&id, at(110))
        .unwrap();
    Facts {
        pointer,
        manifest: b,
        quarantine: Quarantine::default(),
        deployment: Some(Deployment::default()),
    }
}

fn passed() -> CanaryPassed {
    CanaryPassed {
        release: release(2, 1).id().unwrap(),
        live: release(1, 1).id().unwrap(),
        checks: vec!["no errors".into()],
        since: at(100),
        caused_at: at(99),
    }
}

fn said(facts: &Facts) -> String {
    match decide(&passed(), facts, &config()).unwrap() {
        Decision::Deploy(rollout) => format!("deploy {}", rollout.resumes),
        Decision::Unpromotable { failed } => format!("unpromotable: {}", failed.reason),
        Decision::AlreadyLive { .. } => "already live".to_owned(),
        Decision::AlreadyFailed { .. } => "already failed".to_owned(),
        Decision::NotForThisFunction { .. } => "not for this function".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn what_passed_is_rolled_out_once() {
    let id = passed().release;
    assert_eq!(said(&facts()), "deploy false");
    let pointer = |pointer: Pointer| Facts { pointer, ..facts() };
    let promoted = facts().pointer.promote(&id, at(700)).unwrap();
    assert_eq!(said(&pointer(promoted.clone())), "deploy true");
    let verified = promoted.verified(&id, at(800)).unwrap();
    assert_eq!(said(&pointer(verified)), "already live");
    let failed = promoted.failed(&id, "health: 503", at(800)).unwrap();
    assert_eq!(said(&pointer(failed)), "already failed");
    let later = promoted.aim("release-c", at(900), at(900), "test");
    assert_eq!(said(&pointer(later)), "not for this function");
    // Once more by the same event, after its quarantine was lifted.
    let retried = promoted.aim(&id, at(900), at(99), "test").try_out(1, 3);
    assert_eq!(said(&pointer(retried)), "not for this function");
}

#[test]
fn what_passed_and_cannot_be_rolled_out_has_failed() {
    let gone = Facts {
        deployment: None,
        ..facts()
    };
    assert!(said(&gone).starts_with("unpromotable"), "{}", said(&gone));
    let mut helm = facts();
    helm.deployment = Some(Deployment {
        image_managers: vec!["helm".into()],
        ..Deployment::default()
    });
    assert!(said(&helm).contains("helm"), "{}", said(&helm));

    let frozen = Config {
        frozen: Some("peak season".into()),
        ..config()
    };
    let decision = decide(&passed(), &facts(), &frozen).unwrap();
    assert!(
        matches!(decision, Decision::Unpromotable { .. }),
        "{decision:?}"
    );

    // A crash came between the pointer and the announcement.
    let id = passed().release;
    let pointer = facts()
        .pointer
        .failed(&id, "promotion: helm", at(700))
        .unwrap();
    let failed = Facts { pointer, ..facts() };
    assert_eq!(said(&failed), "unpromotable: helm");
}

#[test]
fn what_was_quarantined_meanwhile_is_not_rolled_out() {
    let entry = domain::quarantine::Entry {
        part: domain::quarantine::Part::Model,
        identity: release(2, 1).model.package_arn,
        release: "release-z".into(),
        reason: "found guilty".into(),
        since: at(150),
        lifted: None,
    };
    let facts = Facts {
        quarantine: Quarantine::default().with(entry).unwrap(),
        ..facts()
    };
    let Decision::Unpromotable { failed } = decide(&passed(), &facts, &config()).unwrap() else {
        panic!("expected Unpromotable");
    };
    assert_eq!(failed.stage, "quarantine");
    assert!(failed.reason.contains("found guilty"), "{}", failed.reason);
}
