use events::announced::{ReleaseFailed, ReleaseVerified, RollbackStarted};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn verified() -> Announced {
    Announced::ReleaseVerified(ReleaseVerified {
        release: "release-a".into(),
        package_arn: "arn".into(),
        image: "image".into(),
        build: None,
        checks: vec![],
        caused_at: at(1000),
    })
}

fn failed(stage: &str) -> Announced {
    Announced::ReleaseFailed(ReleaseFailed {
        release: "release-a".into(),
        stage: stage.into(),
        reason: "r".into(),
        build: None,
        caused_at: at(1000),
    })
}

fn rolled_back(cause: &str) -> Announced {
    Announced::RollbackStarted(RollbackStarted {
        release: "release-0".into(),
        from: "release-a".into(),
        generation: 1,
        attempt: 1,
        cause: cause.into(),
        caused_at: at(1000),
        differences: vec![],
        quarantined: None,
        abandoned: None,
        bad: None,
        good: None,
        by_hand: None,
    })
}

/// A name, events with the seconds when they were announced, and what is read after them.
type Case<'a> = (&'a str, &'a [(&'a Announced, i64)], &'a str);

/// What events add, in the order in which they come.
fn added(events: &[(&Announced, i64)]) -> Vec<Kpi> {
    let (mut known, mut added) = (None, vec![]);
    for (event, second) in events {
        if release(event).is_none() {
            continue;
        }
        if let Some((counts, kpi)) = count(event, at(*second), known.as_ref()) {
            let (at, fact) = (at(*second), String::new());
            known = Some(Counted { counts, at, fact });
            added.extend(kpi);
        }
    }
    added
}

/// Deployments, successes and percent failed, as they are read.
fn read(added: &[Kpi]) -> String {
    let sum = |name: &str| -> f64 {
        let lines = added.iter().map(|kpi| kpi.embedded("dev"));
        lines.filter_map(|line| line[name].as_f64()).sum()
    };
    let count = sum("DeploymentCount");
    let (success, failed) = (sum("DeploymentSuccess"), sum("FailureRate"));
    format!("{success} of {count}, {} % failed", failed / count)
}

fn line(event: &Announced) -> Value {
    added(&[(event, 1090)])[0].embedded("dev")
}

#[test]
fn a_deployment_counts_once_with_its_lead_time() {
    let line = line(&verified());
    for (name, value) in [
        ("DeploymentCount", 1.0),
        ("DeploymentFrequency", 1.0),
        ("DeploymentSuccess", 1.0),
        ("FailureRate", 0.0),
        ("LeadTimeMinutes", 1.5),
        ("LeadTime", 1.5),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    assert_eq!(line["Environment"], "dev");
    assert_eq!(line["_aws"]["Timestamp"], 1_090_000);
}

#[test]
fn what_is_rolled_back_is_a_failed_deployment_in_whatever_order_one_hears_of_it() {
    let (good, lost, no_data) = (verified(), failed("health"), failed(CANARY_NO_DATA));
    let (alarm, follows) = (
        rolled_back("alarm X: 3 of 3"),
        rolled_back("failed at health: r"),
    );
    let cases: [Case<'_>; 10] = [
        ("verified", &[(&good, 10)], "1 of 1, 0 % failed"),
        ("failed", &[(&lost, 10)], "0 of 1, 100 % failed"),
        (
            "failed, and gone back from",
            &[(&lost, 10), (&follows, 11)],
            "0 of 1, 100 % failed",
        ),
        (
            "the same, heard late",
            &[(&follows, 11), (&lost, 10)],
            "0 of 1, 100 % failed",
        ),
        (
            "verified, then rolled back",
            &[(&good, 10), (&alarm, 90)],
            "0 of 1, 100 % failed",
        ),
        (
            "the same, heard late",
            &[(&alarm, 90), (&good, 10)],
            "0 of 1, 100 % failed",
        ),
        (
            "tried to go back twice",
            &[(&good, 10), (&alarm, 90), (&alarm, 95)],
            "0 of 1, 100 % failed",
        ),
        (
            "rolled back on its way",
            &[(&alarm, 10)],
            "0 of 1, 100 % failed",
        ),
        (
            "deployed again",
            &[(&good, 10), (&alarm, 20), (&good, 90)],
            "1 of 2, 50 % failed",
        ),
        (
            "a canary without requests, tried again",
            &[(&no_data, 10), (&follows, 11), (&good, 90)],
            "1 of 1, 0 % failed",
        ),
    ];
    for (name, events, expected) in cases {
        assert_eq!(read(&added(events)), expected, "{name}");
    }
}

#[test]
fn a_rollback_counts_when_its_deployment_did_as_long_as_cloudwatch_takes_it() {
    let (good, alarm) = (verified(), rolled_back("alarm"));
    let day = 86_400;
    for (rolled_back_at, counts_at) in [(10 + day, 10), (10 + 14 * day, 10 + 14 * day)] {
        let added = added(&[(&good, 10), (&alarm, rolled_back_at)]);
        assert_eq!(added[1].at, at(counts_at));
    }
}

#[test]
fn each_metric_that_is_declared_has_its_value() {
    let back = added(&[(&verified(), 10), (&rolled_back("alarm"), 90)]).remove(1);
    for line in [
        line(&verified()),
        line(&failed("health")),
        back.embedded("dev"),
    ] {
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(declared["Namespace"], "RetailForecast/Pipeline");
        assert_eq!(declared["Dimensions"], json!([["Environment"]]));
        let metrics = declared["Metrics"].as_array().unwrap();
        for metric in metrics {
            assert!(
                line[metric["Name"].as_str().unwrap()].is_number(),
                "{metric}"
            );
        }
        // And no value is left undeclared: it would be no metric.
        let numbers = line
            .as_object()
            .unwrap()
            .values()
            .filter(|value| value.is_number());
        assert_eq!(numbers.count(), metrics.len());
    }
}

#[test]
fn a_failed_deployment_has_no_lead_time() {
    assert_eq!(line(&failed("health"))["LeadTime"], Value::Null);
}

#[test]
fn the_dashboard_shows_what_is_published_and_reads_it_as_it_is_meant() {
    let dashboard = include_str!("../../../../infra/modules/dashboard/main.tf");
    assert!(dashboard.contains(&format!("[\"{NAMESPACE}\", metric, \"Environment\"")));
    let shown: Vec<&str> = dashboard
        .lines()
        .filter_map(|line| line.split_once("for metric, read in {")?.1.split_once('}'))
        .flat_map(|(shown, _)| shown.split(','))
        .filter_map(|one| Some(one.split_once('=')?.0.trim()))
        .collect();
    assert_eq!(shown.len(), 4, "{shown:?}");
    let line = line(&verified());
    let unpublished: Vec<_> = shown
        .iter()
        .filter(|name| !line[**name].is_number())
        .collect();
    assert!(unpublished.is_empty(), "{unpublished:?}");
    assert!(dashboard.contains("failurerate / deploymentcount"));
}

#[test]
fn what_ends_no_deployment_is_not_counted() {
    assert_eq!(added(&[(&failed(CANARY_NO_DATA), 1090)]), []);
    let started = Announced::DeploymentStarted(events::announced::DeploymentStarted {
        release: "release-a".into(),
        generation: 1,
        cause: "c".into(),
        caused_at: None,
    });
    assert_eq!(release(&started), None);
}
