use super::*;

fn request() -> Request {
    Request {
        dataset: "0a1b".into(),
        training_job: "retail-forecast-build-1".into(),
        created_by: "Upload".into(),
        reason: "s3://d/training/x was accepted".into(),
    }
}

fn job(status: JobStatus, failure_reason: Option<&str>) -> TrainingJob {
    let asked = spec(&request(), &crate::tests::config());
    TrainingJob {
        name: "retail-forecast-build-1".into(),
        status,
        failure_reason: failure_reason.map(str::to_owned),
        channels: asked.channels,
        model_uri: None,
        hyperparameters: asked.hyperparameters,
    }
}

fn facts(accepted: bool, job: Option<TrainingJob>) -> Facts {
    Facts {
        accepted,
        job,
        failure: None,
        begun: false,
    }
}

#[test]
fn cases() {
    let config = crate::tests::config();
    let with = |change: fn(&mut TrainingJob)| {
        let mut job = job(JobStatus::Completed, None);
        change(&mut job);
        Some(job)
    };
    let running = Some(job(JobStatus::InProgress, None));
    let done = Some(job(JobStatus::Completed, None));
    let failed = Some(job(JobStatus::Failed, Some("out of memory")));
    let other_data = with(|job| job.channels[0].uri = "s3://artifacts/datasets/ff/train/".into());
    let other_parameters = with(|job| job.hyperparameters.clear());
    let cases = [
        ("new data", true, None, "start"),
        ("never accepted", false, None, "unknown-dataset"),
        ("running", true, running, "already-started"),
        ("done", true, done, "already-started"),
        ("failed before", true, failed, "ended-before"),
        (
            "the build trained other data",
            true,
            other_data,
            "name-taken",
        ),
        (
            "with other parameters",
            true,
            other_parameters,
            "name-taken",
        ),
    ];
    for (name, accepted, job, expected) in cases {
        let decision = decide(&request(), &facts(accepted, job), &config);
        let found = serde_json::to_value(&decision).unwrap();
        assert_eq!(found["decision"], expected, "{name}");
        let is_told = !matches!(expected, "start" | "already-started");
        assert_eq!(decision.failure().is_some(), is_told, "{name}");
    }
}

#[test]
fn a_failed_job_says_why_and_how_to_go_on_but_not_to_what_began_it() {
    let stopped = || Some(job(JobStatus::Stopped, Some("MaxRuntimeExceeded")));
    let config = crate::tests::config();
    let again = decide(&request(), &facts(true, stopped()), &config);
    let reason = again.failure().unwrap().reason;
    for part in ["MaxRuntimeExceeded", "retraining", &request().reason] {
        assert!(reason.contains(part), "`{part}` in: {reason}");
    }
    let begun = Facts {
        begun: true,
        ..facts(true, stopped())
    };
    let repeat = decide(&request(), &begun, &config);
    assert!(
        matches!(repeat, Decision::AlreadyStarted { .. }),
        "{repeat:?}"
    );
}

#[test]
fn a_model_that_could_not_be_judged_says_why_and_how_to_go_on_but_not_while_it_is_judged() {
    let failure = Failure {
        schema: 1,
        failed_job: "retail-forecast-build-1-candidate".into(),
        status: "Failed".into(),
        reason: "bad image".into(),
    };
    let decided = |failure: Option<&Failure>, begun| {
        let facts = Facts {
            failure: failure.cloned(),
            begun,
            ..facts(true, Some(job(JobStatus::Completed, None)))
        };
        decide(&request(), &facts, &crate::tests::config())
    };
    let reason = decided(Some(&failure), false).failure().unwrap().reason;
    for part in [
        "-candidate is Failed",
        "bad image",
        "RetrainRequested",
        &request().reason,
    ] {
        assert!(reason.contains(part), "`{part}` in: {reason}");
    }
    for quiet in [decided(None, false), decided(Some(&failure), true)] {
        assert!(
            matches!(quiet, Decision::AlreadyStarted { .. }),
            "{quiet:?}"
        );
    }
}

#[test]
fn who_asked_is_tagged_in_characters_that_tags_take() {
    let request = Request {
        created_by: "Ann O'Neil, ops".into(),
        ..request()
    };
    let spec = spec(&request, &crate::tests::config());
    assert_eq!(spec.tags["CreatedBy"], "Ann O Neil ops");
}

#[test]
fn channels_point_at_the_snapshot_and_never_at_the_upload() {
    let Decision::Start { spec, .. } =
        decide(&request(), &facts(true, None), &crate::tests::config())
    else {
        panic!("expected Start");
    };
    let uris: Vec<&str> = spec
        .channels
        .iter()
        .map(|channel| channel.uri.as_str())
        .collect();
    assert_eq!(
        uris,
        [
            "s3://artifacts/datasets/0a1b/train/",
            "s3://artifacts/datasets/0a1b/validation/"
        ]
    );
    assert_eq!(spec.tags["CreatedBy"], "Upload");
    assert_eq!(spec.key_arn, crate::tests::config().key_arn);
}

#[test]
fn each_request_is_its_own_build_in_its_environment_and_a_repeat_is_the_same() {
    let asked_in = |environment: &str, request: &str, build_id: Option<&str>| {
        let event = RetrainRequested {
            dataset: "0a1b".into(),
            request: request.into(),
            build_id: build_id.map(str::to_owned),
            requested_by: "ann".into(),
            reason: "drift".into(),
        };
        let config = Config {
            environment: environment.into(),
            ..crate::tests::config()
        };
        Request::asked(&event, &config).unwrap().training_job
    };
    let asked = |request, build_id| asked_in("dev", request, build_id);
    assert_eq!(asked("r1", None), asked("r1", None));
    assert_ne!(asked("r1", None), asked("r2", None));
    // Environments of one account learn from the same upload.
    assert_ne!(asked("r1", None), asked_in("staging", "r1", None));
    assert_eq!(
        asked("r1", Some("build-17-0a1b2c3")),
        "retail-forecast-build-17-0a1b2c3"
    );
}
