//! The rules that hold the workspace together: who may depend on whom, and one name for one function.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A member of the workspace: its folder (`functions/notify`), its dependencies outside tests, and those
/// of its tests and its build script.
struct Member {
    folder: String,
    dependencies: BTreeSet<String>,
    of_tests: BTreeSet<String>,
}

fn members() -> BTreeMap<String, Member> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let base = metadata["workspace_root"].as_str().unwrap();
    let member = |package: &Value| {
        let manifest = package["manifest_path"].as_str().unwrap();
        let folder = manifest
            .trim_start_matches(base)
            .trim_matches('/')
            .trim_end_matches("/Cargo.toml");
        let dependencies = |is_of_program: bool| {
            let all = package["dependencies"].as_array().unwrap().iter();
            all.filter(|dependency| dependency["kind"].is_null() == is_of_program)
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect()
        };
        Member {
            folder: folder.to_owned(),
            dependencies: dependencies(true),
            of_tests: dependencies(false),
        }
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            (
                package["name"].as_str().unwrap().to_owned(),
                member(package),
            )
        })
        .collect()
}

fn functions() -> BTreeSet<String> {
    let members = members();
    let functions = members
        .iter()
        .filter(|(_, member)| member.folder.starts_with("functions/"));
    functions.map(|(name, _)| name.clone()).collect()
}

/// Names of the files in a folder, without `.json`.
fn stems(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect()
}

#[test]
fn a_function_is_called_the_same_everywhere() {
    let functions = functions();
    assert!(functions.len() >= 9, "{functions:?}");
    for (name, member) in members() {
        if let Some(folder) = member.folder.strip_prefix("functions/") {
            assert_eq!(folder, name, "folder and crate");
            let library = root().join(&member.folder).join("src/lib.rs");
            let says = format!("pub const NAME: &str = \"{name}\";");
            let library = std::fs::read_to_string(library).unwrap();
            assert!(library.contains(&says), "{name}: `{says}` isn't there");
        }
    }
    assert_eq!(stems("events/patterns"), functions, "events/patterns");
    assert_eq!(stems("infra/policies"), functions, "infra/policies");
    let settings: Value =
        serde_json::from_slice(&std::fs::read(root().join("infra/functions.json")).unwrap())
            .unwrap();
    let settings: BTreeSet<String> = settings["functions"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(settings, functions, "infra/functions.json");
}

#[test]
fn functions_meet_through_events_only() {
    let functions = functions();
    let members = members();
    for (name, member) in &members {
        // Not even in tests: stories are told in `tests`, which sees all of them.
        let all = member.dependencies.union(&member.of_tests);
        let imported: Vec<_> = all.filter(|name| functions.contains(*name)).collect();
        assert!(
            imported.is_empty() || name == "stories",
            "{name} imports {imported:?}"
        );
    }
    for name in &functions {
        let ours = members[name].dependencies.iter();
        let mut ours = ours.filter_map(|dependency| members.get_key_value(dependency));
        let other = ours.find(|(_, member)| !member.folder.starts_with("shared/"));
        assert!(other.is_none(), "{name} imports {:?}", other.map(|it| it.0));
        assert!(
            !members[name].dependencies.contains("memory"),
            "{name} imports the world in memory, which is for tests"
        );
    }
}

#[test]
fn each_layer_sees_only_what_is_below_it() {
    let members = members();
    let ours: BTreeSet<String> = members.keys().cloned().collect();
    let below = |name: &str| -> BTreeSet<String> {
        members[name]
            .dependencies
            .intersection(&ours)
            .cloned()
            .collect()
    };
    let set = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(below("domain"), set(&[]), "domain imports none of ours");
    assert_eq!(below("dataset"), set(&[]), "dataset stands alone");
    assert_eq!(below("scoring"), set(&["dataset", "domain"]));
    assert_eq!(below("convergence"), set(&["domain"]));
    assert_eq!(below("events"), set(&["domain"]));
    assert_eq!(below("aws"), set(&["domain"]));
    assert_eq!(below("runtime"), set(&["domain", "events"]));
    assert!(below("memory").is_subset(&set(&["domain", "events"])));
    assert_eq!(below("local-wire"), set(&[]));
    for stand_in in ["local-alarms", "local-kubernetes", "local-sagemaker"] {
        assert_eq!(below(stand_in), set(&["local-wire"]), "{stand_in}");
        assert!(below("local-cloud").contains(stand_in), "{stand_in}");
    }
    for (name, member) in &members {
        if member.folder.starts_with("local/") {
            for forbidden in ["aws", "runtime", "memory"] {
                assert!(
                    !member.dependencies.contains(forbidden),
                    "{name} is the other side of the wire: no {forbidden}"
                );
            }
        }
    }
}

/// Who uses a part of a client though it isn't `aws`, and why that is right.
const OTHER_CLIENTS: &[(&str, &str, &str)] = &[
    (
        "local-cloud",
        "kube",
        "it plays the pipeline, which applies the manifests once",
    ),
    ("local-cloud", "k8s-openapi", "the objects of that"),
    (
        "local-cloud",
        "aws-smithy-cbor",
        "in tests: what CloudWatch's clients send",
    ),
    (
        "local-wire",
        "aws-credential-types",
        "a stand-in checks signatures as AWS does",
    ),
    ("local-wire", "aws-sigv4", "the same"),
    ("local-wire", "aws-smithy-runtime-api", "the same"),
    (
        "local-alarms",
        "aws-smithy-cbor",
        "CloudWatch's protocol, from the other side",
    ),
    ("local-alarms", "aws-smithy-types", "the same"),
    (
        "local-kubernetes",
        "kube",
        "in tests: the stand-in is asked by the real client",
    ),
    ("local-kubernetes", "k8s-openapi", "the objects of that"),
    (
        "stories",
        "kube",
        "stories on a cluster look at what is there",
    ),
    ("stories", "k8s-openapi", "the objects of that"),
];

#[test]
fn only_one_crate_sees_aws_and_only_one_the_lambda_runtime() {
    let mut used = BTreeSet::new();
    for (name, member) in members() {
        let is_client = |dependency: &&String| {
            let clients = ["aws-", "kube", "k8s-openapi"];
            clients.iter().any(|client| dependency.starts_with(client))
        };
        let all = member.dependencies.union(&member.of_tests);
        for client in all.filter(is_client).filter(|_| name != "aws") {
            let allowed = OTHER_CLIENTS
                .iter()
                .find(|(user, client_of, _)| *user == name && client_of == client);
            assert!(allowed.is_some(), "{name} uses {client}");
            used.insert(allowed);
        }
        for (dependency, owner) in [
            ("lambda_runtime", "runtime"),
            ("aws_lambda_events", "runtime"),
        ] {
            assert!(
                name == owner || !member.dependencies.contains(dependency),
                "{name} uses {dependency}"
            );
        }
    }
    assert_eq!(
        used.len(),
        OTHER_CLIENTS.len(),
        "an exception that nobody needs"
    );
}

/// A setting of a function, its own or the defaults'.
fn setting(settings: &Value, function: &str, name: &str) -> Value {
    let own = &settings["functions"][function];
    let places = [own, &own["environment"], &settings["defaults"]];
    let found = places.into_iter().find_map(|place| place.get(name));
    let found = found.or_else(|| settings["defaults"]["environment"].get(name));
    found
        .unwrap_or_else(|| panic!("{function} has no {name}"))
        .clone()
}

/// The same as a number.
fn number(settings: &Value, function: &str, name: &str) -> u64 {
    match setting(settings, function, name) {
        Value::String(text) => text.parse().unwrap(),
        number => number.as_u64().unwrap(),
    }
}

/// What the seasonal naive forecast keeps of a series: 455 days of 4 bytes, and its place in a table.
const SEASONAL_BYTES: u64 = 2 << 10;

/// What a served model takes for a series: 467 MiB were measured with 10,000, over more than three years.
const SERVED_BYTES: u64 = 48 << 10;

#[test]
fn settings_that_depend_on_each_other_agree() {
    let file = std::fs::read(root().join("infra/functions.json")).unwrap();
    let settings: Value = serde_json::from_slice(&file).unwrap();
    let number = |function: &str, name: &str| number(&settings, function, name);
    let validate = |name: &str| number("validate-dataset", name);
    // The upload, its rows as they are stored, and the rows without the truth lie there at once.
    let disk = validate("ephemeral_storage_mb") << 20;
    assert!(4 * validate("MAX_BYTES") <= disk, "MAX_BYTES");
    assert!(
        2 * validate("MAX_MEMORY_MIB") <= validate("memory_mb"),
        "MAX_MEMORY_MIB"
    );
    // What is accepted has to be judged and served: the last year of each series, and a model of all.
    // (`check-model` reads row by row.)
    let series = validate("MAX_SERIES");
    let judge = number("judge-model", "memory_mb") << 20;
    assert!(2 * SEASONAL_BYTES * series <= judge, "MAX_SERIES");
    let pods = std::fs::read_to_string(root().join("infra/k8s/base/deployment.yaml")).unwrap();
    let limit = pods.split("limits:").nth(1).unwrap();
    let limit = limit.split("memory: ").nth(1).unwrap();
    let mib: u64 = limit.split("Mi").next().unwrap().parse().unwrap();
    assert!(
        SERVED_BYTES * series + (16 << 20) <= mib << 20,
        "MAX_SERIES: {mib} MiB"
    );
    for function in functions() {
        let retry_for = number(&function, "RETRY_FOR_S");
        // The backoff reaches its longest, 300 s, after about ten receives.
        let receives = number(&function, "max_receive_count");
        assert!(receives >= 10 + retry_for / 300, "{function}: {receives}");
    }
    // A wait is shorter than the time in which a failure is tried again, and has its receives.
    for (function, waits, every_s) in [
        ("validate-dataset", &["AWAIT_TRAINING_S"][..], 60),
        ("judge-model", &["MAX_WAIT_S"], 15),
        ("deploy-release", &["ABANDONED_AFTER_S"], 15),
        ("deploy-release", &["SCAN_LIMIT_S"], 5),
        ("deploy-release", &["CANARY_ABANDONED_AFTER_S"], 60),
        (
            "verify-release",
            &["ROLLOUT_LIMIT_S", "HEALTH_LIMIT_S"],
            number("verify-release", "LOOK_AGAIN_S"),
        ),
    ] {
        let wait: u64 = waits.iter().map(|wait| number(function, wait)).sum();
        assert!(wait < number(function, "RETRY_FOR_S"), "{function}");
        let receives = wait / every_s;
        assert!(
            receives < number(function, "max_receive_count"),
            "{function} waits for {wait} s, looking every {every_s} s"
        );
    }
    // An alarm's message waits for the endpoint through every try, each as long as it is proved at most.
    let tries = number("roll-back", "MAX_ATTEMPTS");
    let wait = tries * number("verify-release", "ENDPOINT_LIMIT_S");
    assert!(wait < number("roll-back", "RETRY_FOR_S"), "{wait}");
    let receives = wait / roll_back::ENDPOINT_AGAIN_S;
    assert!(
        receives < number("roll-back", "max_receive_count"),
        "roll-back waits for {wait} s, and has {receives} receives"
    );
}

#[test]
fn policies_name_each_action() {
    for function in functions() {
        let path = root().join(format!("infra/policies/{function}.json"));
        let policy: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for statement in policy["Statement"].as_array().unwrap() {
            assert!(
                statement["Sid"].is_string(),
                "{function}: a statement without a Sid"
            );
            for action in statement["Action"].as_array().unwrap() {
                assert!(
                    !action.as_str().unwrap().contains('*'),
                    "{function}: {action}"
                );
            }
        }
    }
}

#[test]
fn a_canary_s_pods_are_as_the_others() {
    let read = |name: &str| {
        let path = root().join("infra/k8s/base").join(name);
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines();
        let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
        lines.collect::<Vec<_>>().join("\n")
    };
    let expected = read("deployment.yaml")
        .replacen(
            "name: retail-forecast-api\n",
            "name: retail-forecast-api-canary\n",
            1,
        )
        .replacen("replicas: 2", "replicas: 0", 1)
        .replace("track: stable", "track: canary");
    assert_eq!(read("canary.yaml"), expected);
}
