mod world;

use domain::{ports::Approval, quarantine::Lifted, release::Pointer};
use memory::{CrashPoint, Outcome as Ends, When, World};

use super::*;
use world::*;

#[test]
fn the_part_that_fails_in_the_good_release_is_guilty() {
    type Spoil = fn(&World);
    let image: Spoil = |world| world.distort(|image, _| is_image(image, 2), 1.5);
    let setting: Spoil = |world| world.distort(|_, variables| variables["DRAIN_S"] == "2", 1.5);
    let model: Spoil = |world| world.predict_with(|at| at == uri(2), |_| 0.0);
    let together: Spoil = |world| {
        world.distort(
            |image, variables| is_image(image, 2) && variables["DRAIN_S"] == "2",
            1.5,
        );
    };
    let all: Spoil = |world| world.distort(|_, _| true, 1.5);
    let none: Spoil = |_| ();
    let cases = [
        ((2, 2, "1"), image, vec![Part::Image], 4),
        ((2, 2, "1"), model, vec![Part::Model], 4),
        ((1, 2, "2"), image, vec![Part::Image], 4),
        ((1, 2, "2"), setting, vec![Part::Configuration], 4),
        ((2, 1, "2"), setting, vec![Part::Configuration], 4),
        ((2, 2, "2"), model, vec![Part::Model], 5),
        ((2, 2, "2"), together, vec![], 5),
        ((2, 2, "2"), all, vec![], 5),
        ((2, 2, "2"), none, vec![], 5),
    ];
    for (bad, spoil, expected, jobs) in cases {
        let world = world();
        spoil(&world);
        let event = event(&world, bad, (1, 1, "1"));
        let diagnosis = diagnosis(&world, &event);
        assert_eq!(parts(&diagnosis), expected, "{diagnosis:#?}");
        assert_eq!(diagnosis.tried.len(), jobs);
        let held: Vec<Part> = list(&world).entries.iter().map(|e| e.part).collect();
        assert_eq!(held, expected);
        let rejected = world
            .packages()
            .iter()
            .filter(|package| package.approval == Approval::Rejected)
            .count();
        assert_eq!(rejected, usize::from(expected == [Part::Model]));
        let said = world.announcements();
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0].detail_type, "ReleaseDiagnosed");
        assert_eq!(
            said[0].detail["guilty"].as_array().unwrap().len(),
            expected.len()
        );
    }
}

#[test]
fn one_different_part_needs_no_trial() {
    for bad in [(2, 1, "1"), (1, 2, "1"), (1, 1, "2")] {
        let world = world();
        let event = event(&world, bad, (1, 1, "1"));
        let seen = world.effects().len();
        assert!(matches!(settle(&world, &event), Decision::OnePart { .. }));
        assert_eq!(world.effects().len(), seen);
    }
}

#[test]
fn the_endpoint_s_instances_are_not_tried_and_that_is_said() {
    let world = world();
    let good = manifest(&world, 1, 1, "1");
    let mut bad = manifest(&world, 1, 2, "1");
    bad.configuration.endpoint_instance_type = "ml.m5.large".to_owned();
    let event = rolled_back(&world, &bad, &good);
    let diagnosis = diagnosis(&world, &event);
    assert_eq!(diagnosis.tried.len(), 2);
    assert_eq!(parts(&diagnosis), []);
    assert!(
        diagnosis
            .reason
            .contains("the endpoint's instances differ too"),
        "{}",
        diagnosis.reason
    );
}

#[test]
fn without_golden_rows_of_the_good_model_nothing_is_begun() {
    let world = world();
    let event = event(&world, (2, 2, "1"), (1, 1, "1"));
    world.delete(&config().artifacts.golden_rows("retail-forecast-build-1"));
    let seen = world.effects().len();
    let diagnosis = diagnosis(&world, &event);
    assert_eq!(parts(&diagnosis), []);
    assert!(
        diagnosis.reason.contains("no golden rows"),
        "{}",
        diagnosis.reason
    );
    let made = world.made_since(seen);
    assert!(
        made.iter().all(|effect| effect.name != "ensure_transform"),
        "{made:?}"
    );
}

#[test]
fn without_golden_rows_of_the_bad_model_the_image_is_tried_all_the_same() {
    let world = world();
    world.distort(|image, _| is_image(image, 2), 1.5);
    let event = event(&world, (2, 2, "1"), (1, 1, "1"));
    world.delete(&config().artifacts.golden_rows("retail-forecast-build-2"));
    let diagnosis = diagnosis(&world, &event);
    assert_eq!(parts(&diagnosis), [Part::Image], "{diagnosis:#?}");
}

#[test]
fn a_transform_without_an_end_is_waited_for_up_to_the_limit() {
    let world = world();
    world.distort(|image, _| is_image(image, 2), 1.5);
    world.script(|subject| subject.starts_with("transform "), Ends::RunsOn);
    let event = event(&world, (2, 2, "1"), (1, 1, "1"));
    let diagnosis = diagnosis(&world, &event);
    assert_eq!(parts(&diagnosis), []);
    assert!(diagnosis.reason.contains("600 s"), "{}", diagnosis.reason);
    let waited = world.now().duration_since(CAUSED_AT).as_secs();
    assert!((600..700).contains(&waited), "{waited} s");
}

#[test]
fn a_message_that_comes_late_still_looks_once_at_what_it_begins() {
    let world = world();
    world.distort(|image, _| is_image(image, 2), 1.5);
    let event = event(&world, (2, 2, "1"), (1, 1, "1"));
    world.advance(Duration::from_hours(3));
    assert_eq!(parts(&diagnosis(&world, &event)), [Part::Image]);
}

#[test]
fn failed_transforms_speak_against_what_they_contain_and_stopped_ones_do_not() {
    let bad_image = |world: &World| {
        let good = manifest(world, 1, 1, "1").id().unwrap();
        let bad = manifest(world, 2, 2, "1").id().unwrap();
        ["image", "model,image"].map(|parts| names::diagnosis_job(&bad, &good, parts))
    };
    let algorithm = Ends::Fails("AlgorithmError: the program ended".to_owned());
    let capacity = Ends::Fails("CapacityError: no instances".to_owned());
    for (end, expected) in [
        (algorithm, vec![Part::Image]),
        (capacity, vec![]),
        (Ends::Stops, vec![]),
    ] {
        let world = world();
        let jobs = bad_image(&world);
        world.script(
            move |subject| jobs.iter().any(|job| subject.ends_with(job.as_str())),
            end,
        );
        let event = event(&world, (2, 2, "1"), (1, 1, "1"));
        let diagnosis = diagnosis(&world, &event);
        assert_eq!(parts(&diagnosis), expected, "{diagnosis:#?}");
    }
}

#[test]
fn a_repeat_makes_nothing_new_and_a_person_s_word_stays() {
    let world = world();
    world.predict_with(|at| at == uri(2), |_| 0.0);
    let event = event(&world, (2, 2, "1"), (1, 1, "1"));
    let first = diagnosis(&world, &event);
    let seen = world.effects().len();
    assert_eq!(diagnosis(&world, &event), first);
    assert_eq!(world.made_since(seen), []);

    let identity = &first.guilty[0].identity;
    let lifted = Lifted {
        by: "ann".to_owned(),
        reason: "r".to_owned(),
        at: world.now(),
    };
    let shorter = list(&world).lift(identity, &lifted).unwrap();
    let at = config().artifacts.quarantine("dev");
    world.write(&at, serde_json::to_vec(&shorter).unwrap());
    world.approve(identity).unwrap();
    let _ = diagnosis(&world, &event);
    assert_eq!(list(&world), shorter, "the same cause");
    assert_eq!(world.packages()[1].approval, Approval::Approved);

    let mut later = event.clone();
    later["detail"]["caused_at"] = serde_json::json!("2024-03-05T00:00:00Z");
    let _ = diagnosis(&world, &later);
    assert_eq!(list(&world).entries.len(), 2, "another cause");
    assert_eq!(world.packages()[1].approval, Approval::Rejected);
}

#[test]
fn a_guilty_part_that_went_live_meanwhile_is_asked_away() {
    let world = world();
    world.distort(|image, _| is_image(image, 2), 1.5);
    let event = event(&world, (2, 2, "1"), (1, 1, "1"));
    let live = manifest(&world, 1, 2, "1");
    let id = live.id().unwrap();
    let artifacts = config().artifacts;
    world.write(&artifacts.release(&id), serde_json::to_vec(&live).unwrap());
    let pointer = Pointer::empty("dev").aim(&id, CAUSED_AT, CAUSED_AT, "c");
    world.write(
        &artifacts.pointer("dev"),
        serde_json::to_vec(&pointer).unwrap(),
    );
    let _ = diagnosis(&world, &event);
    let said = world.announcements();
    assert_eq!(said[0].detail_type, "RollbackRequested");
    assert_eq!(said[0].detail["release"], id);
    assert_eq!(said[1].detail_type, "ReleaseDiagnosed");
}

#[test]
fn a_read_that_fails_is_an_error_and_never_an_answer() {
    let golden = "golden.json";
    for unreadable in [
        "releases/",
        golden,
        "transform retail",
        "quarantine",
        "rows.csv.out",
    ] {
        let world = world();
        let event = event(&world, (2, 2, "1"), (1, 1, "1"));
        let _ = deliver(&world, &event);
        world.run_services();
        world.fail_reads_of(unreadable);
        assert!(deliver(&world, &event).is_err(), "{unreadable}");
        assert_eq!(world.announcements(), [], "{unreadable}");
    }
}

#[test]
fn a_crash_between_any_two_effects_is_mended_by_the_repeat() {
    let scene = || {
        let world = world();
        world.distort(|image, _| is_image(image, 2), 1.5);
        world.predict_with(|at| at == uri(2), |_| 0.0);
        let event = event(&world, (2, 2, "1"), (1, 1, "1"));
        (world, event)
    };
    let (uneventful, event) = scene();
    let before = uneventful.effects().len();
    let _ = settle(&uneventful, &event);
    let effects = uneventful.effects().len() - before;
    // Rows and a transform for each of four, the decision, the list, the rejection, the news.
    assert_eq!(effects, 12, "{:?}", uneventful.effects());
    for effect in 1..=effects {
        for when in [When::Before, When::After] {
            let (world, event) = scene();
            world.crash_at(Some(CrashPoint { effect, when }));
            let _ = settle(&world, &event);
            let differences = world.snapshot().differences(&uneventful.snapshot());
            assert_eq!(differences, [""; 0], "crash {when:?} effect {effect}");
        }
    }
}

#[test]
fn a_list_that_somebody_else_changed_is_read_again() {
    let world = world();
    world.distort(|image, _| is_image(image, 2), 1.5);
    let event = event(&world, (2, 2, "1"), (1, 1, "1"));
    let other = Entry {
        part: Part::Image,
        identity: "another".to_owned(),
        release: "release-0".to_owned(),
        reason: "r".to_owned(),
        since: CAUSED_AT,
        lifted: None,
    };
    world.interleave("swap s3://retail-mlops-artifacts-000000000000-ap-southeast-1/environments/dev/quarantine.json", move |world| {
        let list = Quarantine::default().with(other).unwrap();
        let at = config().artifacts.quarantine("dev");
        world.write(&at, serde_json::to_vec(&list).unwrap());
    });
    let _ = diagnosis(&world, &event);
    let identities: Vec<String> = list(&world)
        .entries
        .into_iter()
        .map(|entry| entry.identity)
        .collect();
    assert_eq!(identities.len(), 2, "{identities:?}");
    assert_eq!(identities[0], "another");
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let read = |name: &str, value: &str| {
        let defaults = [
            ("ENVIRONMENT", "dev"),
            ("ARTIFACTS_BUCKET", "artifacts"),
            ("EXECUTION_ROLE_ARN", "role"),
            ("TRANSFORM_INSTANCE_TYPE", "ml.m5.large"),
            ("GOLDEN_TOLERANCE", "1e-6"),
            ("LOOK_AGAIN_S", "20"),
            ("MAX_WAIT_S", "3600"),
        ];
        let all = defaults.into_iter().chain([(name, value)]);
        Config::read(&Settings::new(
            all.map(|(name, value)| (name.to_owned(), value.to_owned())),
        ))
    };
    assert_eq!(
        read("MAX_WAIT_S", "60").unwrap().max_wait,
        Duration::from_mins(1)
    );
    for (name, value) in [
        ("GOLDEN_TOLERANCE", "NaN"),
        ("GOLDEN_TOLERANCE", "-1"),
        ("MAX_WAIT_S", "1h"),
    ] {
        let error = read(name, value).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}
