use std::collections::BTreeMap;

use domain::rollout::Deployment;
use jiff::Timestamp;

use super::*;
use crate::decide::{
    decide, suspect,
    tests::{at, config, facts, id, release, restored, restoring, said},
};

/// A was good; B, which has another model, is the target since 100 and is carried by the Deployment.
fn deploying() -> Facts {
    let (a, b) = (release(1, 1), release(2, 1));
    let pointer = facts().pointer.aim(&id(&b), at(100), at(99), "test");
    Facts {
        pointer,
        bad: Some(b.clone()),
        refuges: vec![(id(&a), a)],
        deployment: Some(carrying(&id(&b))),
        endpoint: Some(on(1, "InService")),
        ..facts()
    }
}

/// The same, verified at 110.
fn verified() -> Facts {
    let facts = deploying();
    let pointer = facts
        .pointer
        .verified(&id(&release(2, 1)), at(110))
        .unwrap();
    Facts { pointer, ..facts }
}

fn carrying(release: &str) -> Deployment {
    Deployment {
        environment: BTreeMap::from([("DEPLOYMENT_ID".to_owned(), release.to_owned())]),
        ..Deployment::default()
    }
}

fn config_of(model: u32) -> String {
    endpoint_config(&release(model, 1)).unwrap()
}

/// The endpoint on the configuration of a model.
fn on(model: u32, status: &str) -> Endpoint {
    Endpoint {
        config: config_of(model),
        status: status.to_owned(),
        failure_reason: Some("no capacity".to_owned()),
    }
}

fn changed(at: Timestamp) -> Trigger {
    Trigger {
        release: None,
        at,
        deployed_for: None,
        words: "the endpoint retail-forecast-dev is InService".to_owned(),
        is_alarm: true,
        is_request: false,
        is_evidence: true,
        take_over: None,
    }
}

/// What the two rules make of a word.
fn decided(word: &Word, trigger: Trigger, facts: &Facts) -> (String, String) {
    let from = suspect(&trigger, &facts.pointer).map(str::to_owned);
    let facts = Facts {
        from,
        ..facts.clone()
    };
    let decision = match weigh(word, trigger, &facts, &config()).unwrap() {
        Ok(trigger) => decide(&trigger, &facts, &config()).unwrap(),
        Err(decision) => decision,
    };
    said(&decision)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_an_endpoint_says() {
    let failed = {
        let facts = deploying();
        let pointer = facts
            .pointer
            .failed(&id(&release(2, 1)), "health: 503", at(150));
        Facts {
            pointer: pointer.unwrap(),
            ..facts
        }
    };
    let same_configuration = Facts {
        bad: Some(release(1, 2)),
        endpoint: Some(on(1, "OutOfService")),
        deployment: Some(carrying(&id(&release(1, 2)))),
        ..facts()
    };
    let endpoint = |facts: Facts, model, status: &str| Facts {
        endpoint: Some(on(model, status)),
        ..facts
    };
    let cases = vec![
        (
            "came back while deploying",
            200,
            deploying(),
            "roll-back",
            "came back on",
        ),
        ("why", 200, deploying(), "roll-back", "no capacity"),
        (
            "came back once verified",
            200,
            verified(),
            "roll-back",
            "instead of",
        ),
        (
            "as expected",
            200,
            endpoint(deploying(), 2, "InService"),
            "nothing-wrong",
            "as release",
        ),
        (
            "updating",
            200,
            endpoint(deploying(), 1, "Updating"),
            "nothing-wrong",
            "on its way",
        ),
        (
            "rolling back",
            200,
            endpoint(deploying(), 1, "RollingBack"),
            "nothing-wrong",
            "on its way",
        ),
        (
            "out of service",
            200,
            endpoint(verified(), 2, "OutOfService"),
            "roll-back",
            "is OutOfService",
        ),
        (
            "neither forward nor back",
            200,
            endpoint(deploying(), 1, "UpdateRollbackFailed"),
            "roll-back",
            "is UpdateRollbackFailed",
        ),
        (
            "failed, which takes no update",
            200,
            endpoint(deploying(), 2, "Failed"),
            "give-up",
            "takes no update",
        ),
        (
            "not asked yet",
            200,
            Facts {
                deployment: Some(carrying(&id(&release(1, 1)))),
                ..deploying()
            },
            "nothing-wrong",
            "yet to be given",
        ),
        (
            "of an older update",
            99,
            deploying(),
            "not-live",
            "before release",
        ),
        (
            "gone",
            200,
            Facts {
                endpoint: None,
                ..deploying()
            },
            "nothing-wrong",
            "no endpoint",
        ),
        (
            "of a release that failed",
            200,
            failed,
            "not-live",
            "failed already",
        ),
        (
            "long after the verification",
            3711,
            verified(),
            "give-up",
            "3600 s",
        ),
        (
            "of a configuration that the good release has too",
            200,
            same_configuration,
            "give-up",
            "change nothing",
        ),
        (
            "our own way back is updating it",
            204,
            endpoint(restoring(200, 1), 2, "InService"),
            "already-there",
            "is verified",
        ),
        (
            "back, and a copy comes late",
            200,
            endpoint(restored(200), 2, "InService"),
            "not-live",
            "before release",
        ),
    ];
    for (name, second, facts, expected, word) in cases {
        let (decision, reason) = decided(&Word::Changed, changed(at(second)), &facts);
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(word), "{name}: {reason}");
    }
}

/// The pointer after the endpoint's coming back led to a rollback from B that isn't finished.
fn restoring_for_its_coming_back() -> Facts {
    let facts = deploying();
    let at_now = domain::release::Restore {
        now: at(201),
        caused_at: at(200),
        cause: "the endpoint retail-forecast-dev came back on x instead of y (no capacity)".into(),
    };
    let (a, b) = (id(&release(1, 1)), id(&release(2, 1)));
    let pointer = facts.pointer.restore(&a, &b, 1, at_now);
    Facts {
        pointer,
        // What it says of itself has changed since.
        endpoint: Some(on(1, "Updating")),
        ..facts
    }
}

#[test]
fn the_cause_of_an_unfinished_way_back_finishes_it() {
    let facts = restoring_for_its_coming_back();
    let (decision, reason) = decided(&Word::Changed, changed(at(200)), &facts);
    assert_eq!(decision, "roll-back", "{reason}");
    let (decision, reason) = decided(&Word::Changed, changed(at(202)), &facts);
    assert_eq!(decision, "already-there", "{reason}");
}

#[test]
fn an_alarm_speaks_for_its_configuration_only() {
    let alarm = |model| Word::Alarm {
        config: config_of(model),
    };
    let spoken = |second| Trigger {
        words: "alarm RetailForecast-Endpoint-Error-Rate: crossed".to_owned(),
        ..changed(at(second))
    };
    for (name, word, second, facts, expected, said) in [
        ("baking", alarm(2), 200, deploying(), "roll-back", "crossed"),
        ("live", alarm(2), 200, verified(), "roll-back", "crossed"),
        (
            "of the configuration before",
            alarm(1),
            200,
            verified(),
            "not-live",
            "the alarm watches",
        ),
        (
            "of another one, on the way back",
            alarm(2),
            203,
            restoring_for_its_coming_back(),
            "already-there",
            "on its way back",
        ),
        (
            "long after the verification",
            alarm(2),
            3711,
            verified(),
            "not-live",
            "3600 s",
        ),
    ] {
        let (decision, reason) = decided(&word, spoken(second), &facts);
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(said), "{name}: {reason}");
    }
}

#[test]
fn a_canary_has_not_come_to_the_endpoint() {
    let facts = deploying();
    let pointer = facts.pointer.clone().try_out(1, 3);
    let facts = Facts { pointer, ..facts };
    for status in ["InService", "OutOfService"] {
        let facts = Facts {
            endpoint: Some(on(1, status)),
            ..facts.clone()
        };
        let (said, reason) = decided(&Word::Changed, changed(at(150)), &facts);
        assert_eq!(said, "not-live", "{reason}");
    }
}

#[test]
fn an_alarm_of_the_configuration_that_is_live_is_of_the_live_release_whatever_is_on_its_way() {
    let (a, b, c) = (release(1, 1), release(2, 1), release(3, 1));
    let rolling = verified().pointer.aim(&id(&c), at(150), at(149), "test");
    let canary = rolling.clone().try_out(1, 3);
    for pointer in [rolling, canary] {
        let facts = Facts {
            pointer,
            ..verified()
        };
        let word = Word::Alarm {
            config: config_of(2),
        };
        let of_b = |second| Trigger {
            release: Some(id(&b)),
            ..changed(at(second))
        };
        let (decision, reason) = decided(&word, of_b(200), &facts);
        assert_eq!(decision, "roll-back", "{reason}");
        let (decision, reason) = decided(&word, of_b(3711), &facts);
        assert_eq!(decision, "nothing-wrong", "{reason}");
        let same = Facts {
            refuges: vec![(id(&a), release(2, 9))],
            ..facts
        };
        let (decision, reason) = decided(&word, of_b(200), &same);
        assert_eq!(decision, "give-up", "{reason}");
    }
}
