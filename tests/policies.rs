//! A share of the proof that the policies hold nothing that no story needs: the first scene is played without one
//! statement, and has to be stopped by it. `make prove` removes all of them.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    path::Path,
    process::{Command, Output},
};

fn without(statement: &str) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let test = std::env::current_exe().unwrap();
    let demo = test.ancestors().nth(2).unwrap().join("demo");
    assert!(
        demo.exists(),
        "the programs aren't built: run `make test`, or `make build` first"
    );
    Command::new(demo)
        .args(["--without", statement, "--project-root"])
        .arg(root)
        .output()
        .unwrap()
}

#[test]
fn a_scene_is_stopped_without_a_statement_that_it_needs() {
    for (statement, stopped) in [
        // What people are told, as this function does of what is refused for good.
        (
            "start-training/Train",
            "an event tells that sagemaker:DescribeTrainingJob is denied",
        ),
        // A message that is buried.
        (
            "deploy-release/FindCluster",
            "deploy-release buries its message, denied eks:DescribeCluster",
        ),
    ] {
        let played = without(statement);
        let printed = String::from_utf8_lossy(&played.stdout);
        assert!(played.status.success(), "{printed}");
        let told = format!("without {statement}: scene 1 is stopped: {stopped}");
        assert!(printed.contains(&told), "{printed}");
        stories::report(&told);
    }
    let refused = without("judge-model/ReadNothing");
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(
        error.contains("judge-model has no statement ReadNothing"),
        "{error}"
    );
    assert!(!refused.status.success());
}
