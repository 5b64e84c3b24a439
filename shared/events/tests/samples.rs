//! The samples are what they claim to be: whole payloads in the shape that AWS documents.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use events::pattern::Pattern;
use serde_json::{Value, json};
use support::{Failure, malformed, samples};

/// Envelope fields that EventBridge always sends.
const ENVELOPE: [&str; 9] = [
    "version",
    "id",
    "detail-type",
    "source",
    "account",
    "time",
    "region",
    "resources",
    "detail",
];

/// Fields of the payload with which an alarm invokes a function itself.
const ALARM: [&str; 6] = [
    "source",
    "alarmArn",
    "accountId",
    "time",
    "region",
    "alarmData",
];

/// Samples that carry a field twice, as AWS's own does; a JSON map keeps the second.
const DOUBLED_SOURCE: [&str; 1] = ["model-package-state-change/rejected"];

#[test]
fn samples_are_whole() -> Result<(), Failure> {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut ids = BTreeSet::new();
    for (name, sample) in samples()? {
        let (event, _) = name
            .split_once('/')
            .ok_or("a sample outside of an event's folder")?;
        let direct = event == "cloudwatch-alarm-direct";
        let required: &[&str] = if direct { &ALARM } else { &ENVELOPE };
        for field in required {
            assert!(!sample[field].is_null(), "{name} lacks `{field}`");
        }
        if !direct {
            assert_eq!(sample["version"], "0", "{name}");
            assert!(
                sample["detail"].is_object() && sample["resources"].is_array(),
                "{name}"
            );
            assert_eq!(
                sample["source"].is_array(),
                DOUBLED_SOURCE.contains(&name.as_str()),
                "{name}"
            );
            // Functions recognise a redelivery by the id, so no two samples may share one.
            assert!(ids.insert(sample["id"].to_string()), "{name} repeats an id");
        }
        *counts.entry(event.to_owned()).or_default() += 1;
    }
    for (event, count) in &counts {
        println!("{count:3} {event}");
    }
    assert!(counts.values().sum::<usize>() >= 50, "{counts:?}");
    Ok(())
}

/// The cases that the README's table names for each event.
fn documented() -> Result<BTreeMap<String, BTreeSet<String>>, Failure> {
    let readme = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../events/samples/README.md"
    );
    let readme = std::fs::read_to_string(readme)?;
    let quoted = |cell: &str| -> BTreeSet<String> {
        let names = cell.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    };
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    Ok(rows
        .filter_map(|row| {
            let mut cells = row.split('|').skip(1);
            let event = quoted(cells.next()?).pop_first()?;
            Some((event, quoted(cells.next()?)))
        })
        .collect())
}

#[test]
fn the_readme_names_each_sample_and_no_other() -> Result<(), Failure> {
    let mut there = BTreeMap::<String, BTreeSet<String>>::new();
    for (name, _) in samples()? {
        let (event, case) = name
            .split_once('/')
            .ok_or("a sample outside of an event's folder")?;
        let cases = there.entry(event.to_owned()).or_default();
        cases.insert(case.to_owned());
    }
    let malformed = malformed()?.into_iter().map(|(name, _)| name);
    there.insert("malformed".to_owned(), malformed.collect());
    assert_eq!(documented()?, there);
    Ok(())
}

#[test]
fn a_folder_holds_one_detail_type() -> Result<(), Failure> {
    let mut types = BTreeMap::<String, BTreeSet<String>>::new();
    for (name, sample) in samples()? {
        let (event, _) = name
            .split_once('/')
            .ok_or("a sample outside of an event's folder")?;
        types
            .entry(event.to_owned())
            .or_default()
            .insert(sample["detail-type"].to_string());
    }
    for (event, types) in types {
        assert_eq!(types.len(), 1, "{event} holds {types:?}");
    }
    Ok(())
}

/// What a rule on the documented fields selects among the samples: the quirks don't hide an event.
#[test]
fn patterns_select_samples() -> Result<(), Failure> {
    let selected = |pattern: &Value| -> Result<Vec<String>, Failure> {
        let pattern = Pattern::parse(pattern)?;
        let selected = samples()?
            .into_iter()
            .filter(|(_, sample)| pattern.matches(sample));
        Ok(selected.map(|(name, _)| name).collect())
    };
    assert_eq!(
        selected(&json!({
            "source": ["aws.sagemaker"],
            "detail-type": ["SageMaker Model Package State Change"],
            "detail": {"ModelApprovalStatus": ["Rejected"]}
        }))?,
        ["model-package-state-change/rejected"]
    );
    assert_eq!(
        selected(&json!({
            "detail-type": ["CloudWatch Alarm State Change"],
            "detail": {"configuration": {"metrics": {"metricStat": {"metric": {
                "namespace": [{"prefix": "RetailForecast/"}],
                "name": ["Latency"]
            }}}}}
        }))?,
        ["cloudwatch-alarm-state-change/latency-alarm"]
    );
    assert_eq!(
        selected(&json!({
            "detail-type": ["ECR Image Scan"],
            "detail": {
                "image-tags": ["latest-dev"],
                "repository-name": ["retail-forecast-infer"],
                "scan-status": ["COMPLETE"],
                "finding-severity-counts": {
                    "HIGH": [{"exists": false}],
                    "CRITICAL": [{"exists": false}]
                }
            }
        }))?,
        [
            "ecr-image-scan/complete-clean",
            "ecr-image-scan/complete-low"
        ]
    );
    Ok(())
}

#[test]
fn malformed_samples_are_malformed_in_different_ways() -> Result<(), Failure> {
    let outcomes: BTreeMap<_, _> = malformed()?
        .into_iter()
        .map(|(name, text)| (name, serde_json::from_str::<Value>(&text).is_ok()))
        .collect();
    let expected = [
        ("empty-object.json", true),
        ("not-json.txt", false),
        ("truncated.json", false),
        ("unknown-event.json", true),
        ("wrong-types.json", true),
    ];
    let expected = expected.map(|(name, is_json)| (name.to_owned(), is_json));
    assert_eq!(outcomes, BTreeMap::from(expected));
    Ok(())
}
