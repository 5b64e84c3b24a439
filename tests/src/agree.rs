//! What holds of every world: in the end, and between any two steps.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    alarms::silence_name,
    endpoint::alarm_names,
    layout::{Artifacts, Location},
    ports::AlarmSpec,
    quarantine::Quarantine,
    release::{Manifest, Pointer, Progress, endpoint_config},
};
use memory::{ARTIFACTS_BUCKET, World};
use serde_json::json;

const NAMESPACE: &str = "retail-forecast-dev";
/// The owner's alarms.
const OWNERS: [&str; 2] = [
    "RetailForecast-API-Error-Rate-retail-forecast-dev",
    "RetailForecast-API-Latency-retail-forecast-dev",
];

fn read<T: serde::de::DeserializeOwned>(world: &World, at: &Location) -> Option<T> {
    serde_json::from_value(world.read_json(at)?).ok()
}

/// Whether a release has a quarantined part.
#[allow(clippy::unwrap_used)]
fn is_quarantined(world: &World, release: &str) -> bool {
    let artifacts = Artifacts::new(ARTIFACTS_BUCKET);
    let manifest: Manifest = read(world, &artifacts.release(release)).unwrap();
    let list: Quarantine = read(world, &artifacts.quarantine("dev")).unwrap_or_default();
    list.forbids(&manifest).unwrap().is_some()
}

/// The release that an alarm watches.
fn watched<'a>(alarms: &'a BTreeMap<String, AlarmSpec>, alarm: &str) -> Option<&'a str> {
    let dimensions = &alarms.get(alarm)?.dimensions;
    dimensions.get("DeploymentId").map(String::as_str)
}

/// Once everything is at rest: one release is live, pointer and targets agree on it, nothing quarantined is
/// live, and the alarms are those of the live release, no more and no less.
///
/// # Panics
/// When that isn't so.
#[allow(clippy::unwrap_used, clippy::expect_used)]
pub fn agree(world: &World, told: &str) {
    let artifacts = Artifacts::new(ARTIFACTS_BUCKET);
    let pointer: Pointer = read(world, &artifacts.pointer("dev")).unwrap();
    let target = pointer.target.expect("something is live");
    let release = target.release;
    assert_eq!(target.progress, Progress::Verified, "{told}: {release}");
    let good = pointer.known_good.expect("something is known good");
    assert_eq!(good.release, release, "{told}");
    assert!(
        !is_quarantined(world, &release),
        "{told}: {release} is quarantined and live"
    );
    let manifest: Manifest = read(world, &artifacts.release(&release)).unwrap();
    let config = endpoint_config(&manifest).unwrap();
    let image = manifest.image.reference().unwrap();
    let (alarms, snapshot) = (world.alarms(), world.snapshot());
    let world = snapshot.as_json();
    let deployment = &world["deployment"];
    for carried in [&deployment["environment"], &deployment["serving"]] {
        assert_eq!(carried["DEPLOYMENT_ID"], json!(release), "{told}");
    }
    assert_eq!(deployment["image"], json!(image), "{told}");
    let endpoint = &world["endpoints"]["retail-forecast-dev"];
    assert_eq!(endpoint["config"], json!(config), "{told}");
    assert_eq!(
        world["canary"]["wanted"], 0,
        "{told}: pods of a canary are left"
    );
    for alarm in OWNERS {
        assert_eq!(watched(&alarms, alarm), Some(&*release), "{told}: {alarm}");
    }
    let silence = silence_name(NAMESPACE);
    let expected = OWNERS.map(str::to_owned).into_iter().chain([silence]);
    let expected: BTreeSet<String> = expected.chain(alarm_names(&config)).collect();
    let there: BTreeSet<String> = alarms.into_keys().collect();
    assert_eq!(there, expected, "{told}: the alarms of {release}");
}

/// At every moment: something is known good; what was verified is that, and isn't quarantined.
///
/// # Panics
/// When that isn't so.
#[allow(clippy::unwrap_used, clippy::expect_used)]
pub fn never_lost(world: &World, told: &str) -> (String, Progress) {
    let pointer: Pointer = read(world, &Artifacts::new(ARTIFACTS_BUCKET).pointer("dev")).unwrap();
    let good = pointer.known_good.expect("known good is lost").release;
    let target = pointer.target.expect("the target is lost");
    if target.progress == Progress::Verified {
        assert_eq!(target.release, good, "{told}: verified, and not known good");
        let is_quarantined = is_quarantined(world, &good);
        assert!(!is_quarantined, "{told}: {good} is quarantined and live");
    }
    (good, target.progress)
}

/// Between any two invocations, besides: the owner's alarms are there and watch what is known good.
///
/// # Panics
/// When that isn't so.
pub fn hold(world: &World, told: &str) {
    let (good, progress) = never_lost(world, told);
    let alarms = world.alarms();
    for alarm in OWNERS {
        let watched = watched(&alarms, alarm);
        assert!(watched.is_some(), "{told}: {alarm} is gone");
        // On the way back they still watch what is gone away from.
        if !matches!(progress, Progress::Restoring { .. }) {
            assert_eq!(watched, Some(&*good), "{told}: {alarm}");
        }
    }
}
