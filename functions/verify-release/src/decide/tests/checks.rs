//! Which check decides.

use super::*;
use crate::checks::golden_rows;

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
