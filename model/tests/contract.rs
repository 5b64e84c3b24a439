//! The container contract, kept by the real commands on a small generated data set.

#![allow(clippy::unwrap_used, reason = "a test stops at what it didn't expect")]

mod root;
mod server;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use root::{ml_root, train, trained, write};
use server::{Collector, Server};

/// `model.tar.gz` of a root's model folder, as SageMaker makes it, and its SHA-256.
fn archive(root: &Path) -> (std::path::PathBuf, String) {
    let path = root.join("model.tar.gz");
    let gz = flate2::write::GzEncoder::new(
        fs::File::create(&path).unwrap(),
        flate2::Compression::fast(),
    );
    let mut tar = tar::Builder::new(gz);
    tar.append_dir_all(".", root.join("model")).unwrap();
    tar.into_inner().unwrap().finish().unwrap();
    let digest = hex::encode(Sha256::digest(fs::read(&path).unwrap()));
    (path, digest)
}

#[test]
fn training_writes_a_model_and_its_score() {
    let root = trained();
    let files: Vec<_> = fs::read_dir(root.path().join("model"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(files, ["model.json.gz"]);
    assert!(!root.path().join("output/failure").exists());

    let again = ml_root();
    let output = train(again.path());
    let scores = String::from_utf8(output.stdout).unwrap();
    let accuracy: f64 = scores
        .lines()
        .find_map(|line| line.strip_prefix("validation:accuracy="))
        .unwrap()
        .parse()
        .unwrap();
    assert!(accuracy > 0.8, "{scores}");
    let model = |root: &TempDir| fs::read(root.path().join("model/model.json.gz")).unwrap();
    assert!(
        model(&root) == model(&again),
        "the same data and seed gave other bytes"
    );
}

#[test]
fn a_failure_says_why_and_leaves_no_model() {
    let line = "date,store,item,sales\n2022-01-01,1,1,3\n2022-01-02,1,1,many\n";
    let cases: [(&str, &str, &str); 6] = [
        (
            "input/data/train/part-0.csv",
            line,
            "train/part-0.csv, line 3: sales: `many` is not a number",
        ),
        (
            "input/data/train/part-0.csv",
            "day,store,item,sales\n",
            "train/part-0.csv, line 1: column `date` is missing",
        ),
        (
            "input/data/train/part-3.csv",
            "date,store,item,sales\n2022-01-01,1,1,3\n",
            "train/part-3.csv, data row 1: a second value for store 1, item 1 on 2022-01-01",
        ),
        (
            "input/config/hyperparameters.json",
            r#"{"n_trees": "5"}"#,
            "hyperparameter `n_trees` is unknown",
        ),
        (
            "input/config/hyperparameters.json",
            r#"{"max_depth": "deep"}"#,
            "hyperparameter `max_depth`: `deep` is not",
        ),
        (
            "input/config/hyperparameters.json",
            r#"{"max_depth": 5}"#,
            "hyperparameters.json is not a JSON object of strings",
        ),
    ];
    for (file, text, wanted) in cases {
        let root = ml_root();
        write(root.path(), file, text);
        assert_fails(root.path(), wanted);
    }
    let empty = tempfile::tempdir().unwrap();
    assert_fails(empty.path(), "channel ");
}

fn assert_fails(root: &Path, wanted: &str) {
    let output = train(root);
    assert_eq!(output.status.code(), Some(1));
    let reason = fs::read_to_string(root.join("output/failure")).unwrap();
    assert!(reason.contains(wanted), "{reason}");
    assert!(!root.join("model/model.json.gz").exists());
}

#[test]
fn the_endpoints_answer() {
    let root = trained();
    let server = Server::start(&[
        ("ML_ROOT", root.path().to_str().unwrap()),
        ("DEPLOYMENT_ID", "release-7"),
    ]);
    assert_eq!(server.get("/ping").status, 200);

    let health = server.get("/health");
    assert_eq!(health.status, 200);
    let bytes = fs::read(root.path().join("model/model.json.gz")).unwrap();
    assert_eq!(health.json()["status"], "ok");
    assert_eq!(health.json()["release"], "release-7");
    assert_eq!(
        health.json()["model_digest"],
        hex::encode(Sha256::digest(bytes))
    );

    let known = server.post_json(
        "/predict",
        &json!({"store_id": 1, "item_id": 2, "date": "2023-12-24"}),
    );
    assert_eq!(known.status, 200);
    assert!(known.json()["prediction"].as_f64().unwrap() > 0.0);
    assert_eq!(known.json()["fallback"], Value::Null);
    assert_eq!(known.json()["release"], "release-7");
    let unknown = server.post_json(
        "/predict",
        &json!({"store_id": 1, "item_id": 123, "date": "2023-06-15"}),
    );
    assert_eq!(
        (unknown.status, &unknown.json()["fallback"]),
        (200, &json!("unknown_series"))
    );
    let far = server.post_json(
        "/predict",
        &json!({"store_id": 1, "item_id": 2, "date": "2030-06-15"}),
    );
    assert_eq!(
        (far.status, &far.json()["fallback"]),
        (200, &json!("last_known_year"))
    );

    // One number, whichever way it is asked for.
    let prediction = known.json()["prediction"].to_string();
    let csv = server.post(
        "/invocations",
        "text/csv",
        "1,2,2023-12-24\n3,4,2023-12-25\n",
    );
    assert_eq!(csv.status, 200);
    assert_eq!(csv.body.lines().count(), 2);
    assert_eq!(csv.body.lines().next(), Some(prediction.as_str()));
    let with_ids = server.post(
        "/invocations",
        "text/csv; charset=utf-8",
        "b,3,4,2023-12-25\r\na,1,2,2023-12-24",
    );
    let lines: Vec<_> = with_ids.body.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("b,"));
    assert_eq!(lines[1], format!("a,{prediction}"));
    let question = json!({"instances": [{"store_id": 1, "item_id": 2, "date": "2023-12-24"}]});
    let answer = server.post_json("/invocations", &question);
    assert_eq!(
        answer.json()["predictions"][0],
        json!({"prediction": known.json()["prediction"], "fallback": null})
    );
}

#[test]
fn a_wrong_request_is_told_what_is_wrong() {
    let root = trained();
    let server = Server::start(&[("ML_ROOT", root.path().to_str().unwrap())]);
    for (question, field) in [
        (json!({"item_id": 1, "date": "2023-06-15"}), "store_id"),
        (
            json!({"store_id": -1, "item_id": 1, "date": "2023-06-15"}),
            "store_id",
        ),
        (
            json!({"store_id": 1, "item_id": "x", "date": "2023-06-15"}),
            "item_id",
        ),
        (
            json!({"store_id": 1, "item_id": 1.5, "date": "2023-06-15"}),
            "item_id",
        ),
        (json!({"store_id": 1, "item_id": 1}), "date"),
        (
            json!({"store_id": 1, "item_id": 1, "date": "15.06.2023"}),
            "date",
        ),
        (
            json!({"store_id": 1, "item_id": 1, "date": "2023-02-29"}),
            "date",
        ),
        (
            json!({"store_id": 1, "item_id": 1, "date": 20_230_615}),
            "date",
        ),
    ] {
        let answer = server.post_json("/predict", &question);
        assert_eq!(answer.status, 400, "{question}");
        assert_eq!(answer.json()["field"], field, "{question}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with(field), "{error}");
    }
    for (path, content_type, body, status, wanted) in [
        ("/predict", "application/json", "{", 400, "body is not JSON"),
        (
            "/predict",
            "application/json",
            "[]",
            400,
            "a JSON object with store_id",
        ),
        (
            "/invocations",
            "text/csv",
            "1,1,2023-06-15\n1,x,2023-06-15\n",
            400,
            "line 2: item: `x`",
        ),
        (
            "/invocations",
            "text/csv",
            "1,1,2023-06-15\n\n1,1,2023-06-15\n",
            400,
            "line 2: 1 columns",
        ),
        (
            "/invocations",
            "text/csv",
            "store,item,date\n",
            400,
            "line 1: store: `store`",
        ),
        ("/invocations", "text/csv", "", 400, "body is empty"),
        (
            "/invocations",
            "application/json",
            r#"{"instances": [{"store_id": 1}]}"#,
            400,
            "instances[0]: item_id is missing",
        ),
        ("/invocations", "application/json", "{}", 400, "`instances`"),
        (
            "/invocations",
            "application/x-parquet",
            "x",
            415,
            "application/x-parquet",
        ),
    ] {
        let answer = server.post(path, content_type, body);
        assert_eq!(answer.status, status, "{body}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn what_http_or_an_id_has_no_room_for_is_told_so() {
    let root = trained();
    let server = Server::start(&[("ML_ROOT", root.path().to_str().unwrap())]);
    let question = server.post("/predict", "application/json", &"x".repeat((16 << 10) + 1));
    assert_eq!(question.status, 413, "{}", question.body);
    let error = question.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("larger than the 16384 bytes"), "{error}");
    let wrong_method = server.get("/predict");
    assert_eq!(wrong_method.status, 405);
    let error = wrong_method.json()["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("GET isn't answered here"), "{error}");
    assert_eq!(wrong_method.header("allow"), Some("post"));
    assert_eq!(server.get("/nowhere").status, 404);
    let large = json!({"store_id": 1_u64 << 40, "item_id": 1, "date": "2023-06-15"});
    for answer in [
        server.post_json("/predict", &large),
        server.post("/invocations", "text/csv", "1099511627776,1,2023-06-15\n"),
    ] {
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        let range = "`1099511627776` is not a whole number from 0 to 4294967295";
        assert!(error.contains(range), "{error}");
    }
}

#[test]
fn an_archive_is_served_only_if_its_digest_is_the_one_given() {
    let root = trained();
    let (path, digest) = archive(root.path());
    let path = path.to_str().unwrap();
    let nothing = tempfile::tempdir().unwrap();
    let none = ("ML_ROOT", nothing.path().to_str().unwrap());

    let server = Server::start(&[none, ("MODEL_URI", path), ("MODEL_DIGEST", &digest)]);
    assert_eq!(server.get("/health").json()["model_digest"], digest);

    let other = "0".repeat(64);
    for (variables, wanted) in [
        (
            vec![none, ("MODEL_URI", path), ("MODEL_DIGEST", &other)],
            format!("has the SHA-256 {digest}, but MODEL_DIGEST is {other}"),
        ),
        (
            vec![none, ("MODEL_URI", path), ("MODEL_DIGEST", "beef")],
            "MODEL_DIGEST: `beef` is not a SHA-256".to_owned(),
        ),
        (
            vec![none, ("MODEL_URI", "/no/such/model.tar.gz")],
            "/no/such/model.tar.gz".to_owned(),
        ),
        (
            vec![none, ("MODEL_URI", "s3://bucket")],
            "`s3://bucket` is not s3://bucket/key".to_owned(),
        ),
        (vec![none], "MODEL_URI is not set".to_owned()),
    ] {
        let reason = Server::refusal(&variables);
        assert!(reason.contains(&wanted), "{reason}");
    }
}

#[test]
fn a_signal_ends_service_after_saying_so_and_the_last_metrics_are_published() {
    let root = trained();
    let cloudwatch = Collector::start();
    let mut server = Server::start(&[
        ("ML_ROOT", root.path().to_str().unwrap()),
        ("NAMESPACE", "retail-forecast-dev"),
        ("DEPLOYMENT_ID", "release-7"),
        ("METRICS_PERIOD_S", "3600"),
        ("DRAIN_S", "3600"),
        ("AWS_REGION", "ap-southeast-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL_CLOUDWATCH", cloudwatch.url()),
    ]);
    let question = json!({"store_id": 1, "item_id": 2, "date": "2023-12-24"});
    assert_eq!(server.post_json("/predict", &question).status, 200);
    assert_eq!(server.get("/health").status, 200);
    server.terminate();
    let health = server.until("/health", 503);
    assert_eq!(health.json()["status"], "stopping");
    assert_eq!(server.get("/ping").status, 503);
    assert_eq!(server.post_json("/predict", &question).status, 200);
    // A second signal ends the wait for those who haven't noticed yet.
    server.terminate();
    let (success, log) = server.ended();
    assert!(success, "{log}");
    let published = cloudwatch.received();
    for text in [
        "RetailForecast/retail-forecast-dev",
        "DeploymentId",
        "release-7",
        "Service",
        "retail-forecast-api",
        "RequestCount",
        "ErrorRate",
        "Latency",
    ] {
        assert!(
            contains(&published, text.as_bytes()),
            "{text} was not published: {log}"
        );
    }
    // Two requests, as a CBOR double: health checks aren't requests.
    let two = [&[0xfb], 2.0_f64.to_be_bytes().as_slice()].concat();
    assert!(contains(&published, &two));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_small_data_set_trains_in_seconds() {
    let root = ml_root();
    // CPU time, since a busy machine stretches the other: the shell's `times` tells its children's.
    let output = Command::new("sh")
        .args([
            "-c",
            r#""$0" > "$ML_ROOT/out" && times"#,
            env!("CARGO_BIN_EXE_train"),
        ])
        .env("ML_ROOT", root.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    let times = String::from_utf8(output.stdout).unwrap();
    let user = times
        .lines()
        .last()
        .and_then(|line| line.split('s').next())
        .unwrap();
    let (minutes, seconds) = user.split_once('m').unwrap();
    let seconds = 60.0 * minutes.parse::<f64>().unwrap() + seconds.parse::<f64>().unwrap();
    assert!(seconds > 0.0 && seconds < 3.0, "{times}");
}
