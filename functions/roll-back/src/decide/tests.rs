mod again;
mod beside;

use std::collections::BTreeMap;

use domain::{
    converge,
    quarantine::Part,
    release::{Configuration, Image, Model, Restore, SCHEMA},
};

use super::*;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn config() -> Config {
    Config {
        environment: "dev".into(),
        artifacts_bucket: "artifacts".into(),
        namespace: "retail-forecast-dev".into(),
        role_arn: "role".into(),
        endpoint: "retail-forecast-dev".into(),
        first_manager: "retail-forecast-manifests".into(),
        guard_s: 3600,
        max_attempts: 3,
    }
}

pub(crate) fn release(model: u32, image: u32) -> Manifest {
    Manifest {
        schema: SCHEMA,
        environment: "dev".into(),
        model: Model {
            package_arn: format!("arn:aws:sagemaker:r:1:model-package/g/{model}"),
            training_job: format!("job-{model}"),
            dataset: format!("data-{model}"),
            uri: "s3://a/m".into(),
            digest: "ab".into(),
        },
        image: Image {
            repository: "infer".into(),
            digest: format!("sha256:{image:064}"),
        },
        configuration: Configuration {
            endpoint_instance_type: "ml.m5.large".into(),
            endpoint_instance_count: 1,
            environment: BTreeMap::new(),
        },
    }
}

pub(crate) fn id(manifest: &Manifest) -> String {
    manifest.id().unwrap()
}

/// A was good; B, which has another image, is live and was verified at 110.
pub(crate) fn facts() -> Facts {
    let (a, b) = (release(1, 1), release(1, 2));
    let pointer = Pointer::empty("dev")
        .aim(&id(&a), at(10), at(10), "test")
        .verified(&id(&a), at(20))
        .unwrap()
        .aim(&id(&b), at(100), at(99), "test")
        .verified(&id(&b), at(110))
        .unwrap();
    Facts {
        now: at(205),
        pointer,
        from: Some(id(&b)),
        bad: Some(b),
        refuges: vec![(id(&a), a)],
        quarantine: Quarantine::default(),
        deployment: Some(Deployment::default()),
        canary: None,
        endpoint: None,
    }
}

fn alarm(release: Option<&Manifest>, second: i64) -> Trigger {
    Trigger {
        release: release.map(id),
        at: at(second),
        deployed_for: None,
        words: "alarm RetailForecast-API-Error-Rate-retail-forecast-dev".into(),
        is_alarm: true,
        is_request: false,
        is_evidence: true,
        take_over: None,
    }
}

/// What the rule makes of a word, once it is known whom it accuses.
fn ruled(trigger: &Trigger, facts: &Facts) -> Decision {
    let from = suspect(trigger, &facts.pointer).map(str::to_owned);
    let facts = Facts {
        from,
        ..facts.clone()
    };
    decide(trigger, &facts, &config()).unwrap()
}

/// The pointer after a rollback from B began, for this cause and try.
pub(crate) fn restoring(caused_at: i64, attempt: u32) -> Facts {
    let facts = facts();
    let restore = Restore {
        now: at(203),
        caused_at: at(caused_at),
        cause: alarm(None, caused_at).words,
    };
    let pointer = facts
        .pointer
        .restore(&id(&release(1, 1)), &id(&release(1, 2)), attempt, restore);
    Facts { pointer, ..facts }
}

pub(crate) fn restored(caused_at: i64) -> Facts {
    let facts = restoring(caused_at, 1);
    let pointer = facts
        .pointer
        .verified(&id(&release(1, 1)), at(230))
        .unwrap();
    Facts { pointer, ..facts }
}

pub(crate) fn said(decision: &Decision) -> (String, String) {
    let value = serde_json::to_value(decision).unwrap();
    (
        value["decision"].as_str().unwrap().to_owned(),
        value["reason"].as_str().unwrap_or_default().to_owned(),
    )
}

/// B, which has another image, is tried out beside A.
fn trying_out() -> Facts {
    let (a, b) = (release(1, 1), release(1, 2));
    let pointer = Pointer::empty("dev")
        .aim(&id(&a), at(10), at(10), "test")
        .verified(&id(&a), at(20))
        .unwrap()
        .aim(&id(&b), at(100), at(99), "test")
        .try_out(1, 3);
    Facts { pointer, ..facts() }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_speaks_against_a_release() {
    let (a, b, c) = (release(1, 1), release(1, 2), release(2, 2));
    let alone = Facts {
        refuges: vec![],
        ..facts()
    };
    let taken = Facts {
        deployment: Some(Deployment {
            image_managers: vec!["helm".into()],
            ..Deployment::default()
        }),
        ..facts()
    };
    let quarantined = Facts {
        quarantine: Quarantine::default()
            .with(Entry {
                part: Part::Image,
                identity: Part::Image.of(&a).unwrap(),
                release: "release-z".into(),
                reason: "bad".into(),
                since: at(1),
                lifted: None,
            })
            .unwrap(),
        ..facts()
    };
    let cases = vec![
        (
            "alarm of the live release",
            alarm(Some(&b), 200),
            facts(),
            "roll-back",
            "Error-Rate",
        ),
        (
            "alarm that can't say which",
            alarm(None, 200),
            facts(),
            "roll-back",
            "Error-Rate",
        ),
        (
            "alarm of a release before",
            alarm(Some(&a), 200),
            facts(),
            "not-live",
            "isn't live",
        ),
        (
            "alarm of a release that never was",
            alarm(Some(&c), 200),
            facts(),
            "not-live",
            "isn't live",
        ),
        (
            "alarm from before",
            alarm(None, 90),
            facts(),
            "not-live",
            "before that",
        ),
        (
            "alarm within the guarded time",
            alarm(Some(&b), 3710),
            facts(),
            "roll-back",
            "Error-Rate",
        ),
        (
            "alarm after it",
            alarm(Some(&b), 3711),
            facts(),
            "not-live",
            "3600 s",
        ),
        (
            "a person after it",
            Trigger {
                is_alarm: false,
                is_evidence: true,
                words: "ann asked: slow".into(),
                ..alarm(None, 9000)
            },
            facts(),
            "roll-back",
            "ann asked",
        ),
        (
            "nothing known good",
            alarm(Some(&b), 200),
            alone,
            "give-up",
            "no release is known good",
        ),
        (
            "what is known good is quarantined",
            alarm(Some(&b), 200),
            quarantined,
            "give-up",
            "quarantined",
        ),
        (
            "Helm owns the image",
            alarm(Some(&b), 200),
            taken,
            "give-up",
            "helm",
        ),
        (
            "no Deployment",
            alarm(Some(&b), 200),
            Facts {
                deployment: None,
                ..facts()
            },
            "give-up",
            "doesn't exist",
        ),
        (
            "nothing is live",
            alarm(None, 200),
            Facts {
                pointer: Pointer::empty("dev"),
                ..facts()
            },
            "not-live",
            "nothing is live",
        ),
        (
            "the same alarm, on the way",
            alarm(Some(&b), 200),
            restoring(200, 1),
            "roll-back",
            "Error-Rate",
        ),
        (
            "another alarm, on the way",
            alarm(Some(&b), 201),
            restoring(200, 1),
            "already-there",
            "is the target since",
        ),
        (
            "an alarm that can't say which, on the way",
            alarm(None, 201),
            restoring(200, 1),
            "already-there",
            "is the target since",
        ),
        (
            "the same alarm, back",
            alarm(Some(&b), 200),
            restored(200),
            "already-there",
            "is the target since",
        ),
        (
            "the same alarm that can't say which, back",
            alarm(None, 200),
            restored(200),
            "already-there",
            "is the target since",
        ),
        (
            "another alarm of the bad one, back",
            alarm(Some(&b), 240),
            restored(200),
            "not-live",
            "isn't live",
        ),
    ];
    for (name, trigger, facts, expected, word) in cases {
        let (decision, reason) = said(&ruled(&trigger, &facts));
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(word), "{name}: {reason}");
    }
}

#[test]
fn the_way_back_is_whole_and_says_what_is_to_blame() {
    let Decision::RollBack(back) = ruled(&alarm(None, 200), &facts()) else {
        panic!("expected a rollback");
    };
    assert_eq!(back.release, id(&release(1, 1)));
    assert_eq!(back.manifest, release(1, 1));
    assert_eq!((back.attempt, back.resumes), (1, false));
    let guilty = back.guilty.unwrap();
    assert_eq!(guilty.part, Part::Image);
    assert_eq!(guilty.identity, Part::Image.of(&release(1, 2)).unwrap());
    assert_eq!(back.differences.len(), 1);

    let both = Facts {
        bad: Some(release(2, 2)),
        ..facts()
    };
    let Decision::RollBack(back) = ruled(&alarm(None, 200), &both) else {
        panic!("expected a rollback");
    };
    let guilty = back.guilty.unwrap();
    assert_eq!(guilty.part, Part::Release);
    assert!(guilty.reason.contains("can't be told"), "{}", guilty.reason);
}

#[test]
fn good_a_bad_b_bad_c_goes_back_to_a() {
    let (a, c) = (release(1, 1), release(2, 1));
    let pointer = restored(200).pointer.aim(&id(&c), at(300), at(300), "test");
    assert_eq!(pointer.refuges(&id(&c)), [id(&a)]);
    let facts = Facts {
        pointer,
        bad: Some(c.clone()),
        ..facts()
    };
    let Decision::RollBack(back) = ruled(&alarm(Some(&c), 310), &facts) else {
        panic!("expected a rollback");
    };
    assert_eq!(
        (back.release, back.guilty.unwrap().part),
        (id(&a), Part::Model)
    );
}

#[test]
fn a_deployment_that_carries_the_good_release_goes_on() {
    let (a, b) = (release(1, 1), release(1, 2));
    let patch = converge::deployment(&id(&a), &a, "then").unwrap();
    let carries = Deployment {
        generation: 7,
        image: Some(patch.image),
        environment: patch.environment,
        annotations: patch.annotations,
        ..Deployment::default()
    };
    let untouched = |deployment: &Deployment| {
        let facts = Facts {
            deployment: Some(deployment.clone()),
            ..trying_out()
        };
        match ruled(&alarm(Some(&b), 200), &facts) {
            Decision::RollBack(back) => back.untouched,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(untouched(&carries), Some(7));
    let other = Deployment {
        image: Some("other".into()),
        ..carries
    };
    assert_eq!(untouched(&other), None);
}

#[test]
fn a_failure_is_of_its_own_deployment_whatever_the_time() {
    let b = release(1, 2);
    let failed = |deployed_for| Trigger {
        is_alarm: false,
        deployed_for: Some(at(deployed_for)),
        // The event's time is cut to seconds: before the target's own time.
        ..alarm(Some(&b), 99)
    };
    assert_eq!(said(&ruled(&failed(99), &facts())).0, "roll-back");
    assert_eq!(said(&ruled(&failed(98), &facts())).0, "not-live");
}
