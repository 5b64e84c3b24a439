//! Which function each sample event wakes, by `events/patterns`; and that each sample is parsed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::{fmt::Write as _, fs, path::Path};

use events::{Event, Received};
use serde_json::Value;
use stories::Routes;

/// Every well-formed sample as `event/case`, sorted.
fn samples() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/samples");
    let mut samples = vec![];
    for event in fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.ends_with("malformed"))
    {
        for case in fs::read_dir(&event)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let name = case
                .strip_prefix(&folder)
                .unwrap()
                .with_extension("")
                .display()
                .to_string();
            samples.push((
                name,
                serde_json::from_slice(&fs::read(&case).unwrap()).unwrap(),
            ));
        }
    }
    samples.sort_by(|(one, _), (other, _)| one.cmp(other));
    samples
}

#[test]
fn each_sample_is_routed() {
    let routes = Routes::read("retail-mlops-data-123456789012-ap-southeast-1");
    let mut table = String::new();
    for (name, sample) in samples() {
        let matched = routes.of(&sample);
        let matched = if matched.is_empty() {
            "-".to_owned()
        } else {
            matched.join(", ")
        };
        writeln!(table, "{name:<52} {matched}").unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn each_sample_is_parsed_and_the_routed_ones_are_known() {
    let routes = Routes::read("retail-mlops-data-123456789012-ap-southeast-1");
    for (name, sample) in samples() {
        let is_routed = !routes.of(&sample).is_empty();
        let received =
            Received::from_value(sample).unwrap_or_else(|error| panic!("{name}: {error}"));
        let known = !matches!(received.event, Event::Other { .. });
        assert!(
            known || !is_routed,
            "{name} wakes a function that doesn't know it"
        );
    }
}

#[test]
fn what_is_malformed_is_refused_with_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/samples/malformed");
    for name in [
        "truncated.json",
        "not-json.txt",
        "empty-object.json",
        "wrong-types.json",
    ] {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let error = Received::parse(&text).expect_err(name);
        assert_eq!(error.class(), domain::Class::Malformed, "{name}");
        assert!(error.to_string().len() > 20, "{name}: {error}");
    }
    let unknown =
        Received::parse(&fs::read_to_string(folder.join("unknown-event.json")).unwrap()).unwrap();
    assert!(matches!(unknown.event, Event::Other { .. }));
}
