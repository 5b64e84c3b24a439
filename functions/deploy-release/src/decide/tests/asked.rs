//! A request for an image that is there.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_asked_for() {
    let request = |request: &str| DeploymentRequested {
        image: None,
        request: request.into(),
        by: "ann".into(),
        reason: "the freeze is over".into(),
    };
    let asked = |facts: Facts| Facts {
        asked: Some(request("1")),
        ..facts
    };
    let begun = |cause: &str, at_second| {
        let id = release(1, 2).id().unwrap();
        let pointer = live().pointer;
        Facts {
            pointer: pointer.aim(&id, at(at_second), at(at_second), cause),
            ..live()
        }
    };
    let subject = subject(&clean_image(2)).unwrap();
    let own = format!("image {subject} was asked for by ann (request 1): the freeze is over");
    let pushed = format!("image {subject} was tagged, and its scan is clean");
    let by_itself = {
        let id = release(1, 1).id().unwrap();
        let pointer = Pointer::empty("dev").aim(&id, at(200), at(200), "test");
        Facts {
            pointer: pointer.verified(&id, at(210)).unwrap(),
            ..live()
        }
    };
    let unscanned = || Half::Image(image(2, "latest-dev"), None);
    let late = Facts {
        now: at(1100),
        ..live()
    };
    let other = || Half::Image(image(2, "latest-prod"), clean());
    let cases = vec![
        (
            "another image",
            clean_image(2),
            live(),
            "deploy",
            "asked for by ann (request 1)",
        ),
        ("live", clean_image(1), live(), "refuse", "live since"),
        (
            "live by this very request",
            clean_image(1),
            by_itself,
            "already-live",
            "",
        ),
        (
            "its own rollout",
            clean_image(2),
            begun(&own, 200),
            "deploy",
            "",
        ),
        (
            "an earlier request's",
            clean_image(2),
            begun(&own, 150),
            "already-begun",
            "",
        ),
        (
            "its push's",
            clean_image(2),
            begun(&pushed, 199),
            "already-begun",
            "",
        ),
        (
            "a model's",
            clean_image(2),
            begun("model package 1 is Approved", 199),
            "already-begun",
            "",
        ),
        (
            "findings",
            Half::Image(image(2, "latest-dev"), scan("COMPLETE", &[("HIGH", 1)])),
            live(),
            "refuse",
            "1 HIGH",
        ),
        ("never scanned", unscanned(), live(), "scanning", ""),
        (
            "never scanned, after the limit",
            unscanned(),
            late,
            "refuse",
            "900 s after it was asked for",
        ),
        (
            "another environment's",
            other(),
            live(),
            "refuse",
            "latest-dev",
        ),
    ];
    for (name, half, facts, expected, word) in cases {
        let (decision, reason) = said(&half, &asked(facts));
        assert_eq!(decision, expected, "{name}: {reason}");
        assert!(reason.contains(word), "{name}: {reason}");
    }

    // ECR's events leave what a request began to that request.
    let (decision, _) = said(&clean_image(2), &begun(&own, 150));
    assert_eq!(decision, "already-begun");
}
