//! Approvals that come again, or late.

use domain::{
    quarantine::{Entry, Lifted, Part},
    release::Restore,
};

use super::*;

/// Model 2 was approved at second 200, deployed, and left for model 1 in image 1, which is live again since 220.
fn gone_back() -> (Pointer, String) {
    let (a, b) = (release(1, 1).id().unwrap(), release(2, 1).id().unwrap());
    let back = Restore {
        now: at(210),
        caused_at: at(205),
        cause: "failed at cluster: paused".into(),
    };
    let pointer = live()
        .pointer
        .aim(&b, at(200), at(200), "model package 2 is Approved")
        .approved(Some((at(200), Some(2))))
        .failed(&b, "cluster: paused", at(204))
        .unwrap()
        .restore(&a, &b, 1, back)
        .verified(&a, at(220))
        .unwrap();
    (pointer, b)
}

#[test]
fn what_was_considered_is_not_deployed_by_the_same_approval_or_an_earlier_one() {
    let (back, b) = gone_back();
    let (image, id) = (release(1, 2), release(1, 2).id().unwrap());
    let later = back
        .aim(&id, at(300), at(300), "image 2")
        .verified(&id, at(310))
        .unwrap();
    let facts = |pointer: &Pointer, caused_at| Facts {
        caused_at: at(caused_at),
        now: at(400),
        pointer: pointer.clone(),
        base: Some(image.clone()),
        ..live()
    };
    let lifted = Entry {
        part: Part::Release,
        identity: b.clone(),
        release: b,
        reason: "alarm".into(),
        since: at(205),
        lifted: Some(Lifted {
            by: "ann".into(),
            reason: "mended".into(),
            at: at(250),
        }),
    };
    let let_go = |pointer: &Pointer, caused_at| {
        let mut facts = facts(pointer, caused_at);
        facts.quarantine.entries.push(lifted.clone());
        facts
    };
    let abandoned = |version| Facts {
        abandoned: Some(release(version, 1)),
        ..facts(&back, 200)
    };
    let mut older = later.clone();
    older.approved_version = None;
    let cases = vec![
        ("again, after another image", 2, facts(&later, 200), false),
        ("an earlier one", 3, facts(&later, 199), false),
        ("another, in the same second", 3, facts(&later, 200), true),
        ("approved once more", 2, facts(&later, 201), true),
        ("again, and nothing came since", 2, facts(&back, 200), false),
        ("again, after a lift", 2, let_go(&back, 200), true),
        (
            "again, after a lift and an image",
            2,
            let_go(&later, 200),
            false,
        ),
        ("again, and never judged", 2, abandoned(2), true),
        (
            "again, and another was never judged",
            2,
            abandoned(3),
            false,
        ),
        ("again, by an older pointer", 2, facts(&older, 200), false),
    ];
    for (name, version, facts, deploys) in cases {
        let (decision, reason) = said(&model(version), &facts);
        let expected = if deploys {
            "deploy"
        } else {
            "not-for-this-function"
        };
        assert_eq!(decision, expected, "{name}: {reason}");
    }
}
