//! What isn't ours, isn't there or isn't right, on the local cloud: each message is answered with a
//! reason, none is lost, and none is tried for ever.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use events::Received;
use local_cloud::{Cloud, Options};
use serde_json::Value;

/// Longest anything is waited for: nothing takes as long, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

async fn cloud(state: &Path) -> Cloud {
    let test = std::env::current_exe().unwrap();
    let programs = test.ancestors().nth(2).unwrap();
    Cloud::start(Options::new(&root(), state, programs))
        .await
        .expect("the programs are built by `make build`")
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future);
}

/// Waits until no function has anything to do.
async fn idle(cloud: &Cloud) {
    let deadline = Instant::now() + PATIENCE;
    for function in cloud.functions() {
        loop {
            let depths = cloud.depths(function).await.unwrap();
            if depths.is_idle() {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{function} is still at work: {depths:?}\n{}",
                cloud
                    .logs(function)
                    .await
                    .unwrap()
                    .iter()
                    .rev()
                    .take(8)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("\n")
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Every well-formed sample, by `event/case`, as if it came from this cloud's account.
fn samples(account: &str) -> BTreeMap<String, Value> {
    let folder = root().join("events/samples");
    let mut samples = BTreeMap::new();
    for event in fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if !event.is_dir() || event.ends_with("malformed") {
            continue;
        }
        for case in fs::read_dir(&event)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let name = case.strip_prefix(&folder).unwrap().with_extension("");
            let text = fs::read_to_string(&case)
                .unwrap()
                .replace("123456789012", account);
            samples.insert(
                name.display().to_string(),
                serde_json::from_str(&text).unwrap(),
            );
        }
    }
    samples
}

/// What a function's log says that it decided or refused, oldest first.
async fn answers(cloud: &Cloud, function: &str) -> Vec<Value> {
    let lines = cloud.logs(function).await.unwrap();
    let lines = lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line["message"] == "decided" || line["message"] == "refused")
        .collect()
}

/// Whether each decision of an answer carries its reason, or the error its words.
fn has_reason(answer: &Value) -> bool {
    let said = |value: &Value| value.as_str().is_some_and(|text| text.len() > 10);
    // The reason is the decision's own, or that of the event or notice that it holds.
    let reasoned = |decision: &Value| {
        let fields = decision.as_object().into_iter().flatten();
        let mut held = fields.map(|(_, field)| field);
        said(&decision["reason"])
            || held.any(|field| said(&field["reason"]) || said(&field["body"]))
    };
    match &answer["decision"] {
        Value::Array(decisions) => !decisions.is_empty() && decisions.iter().all(reasoned),
        Value::Null => said(&answer["error"]),
        decision => reasoned(decision),
    }
}

/// What was decided, or the class of the error.
fn verdict(answer: &Value) -> String {
    let decision = match &answer["decision"] {
        Value::Array(decisions) => decisions.first().unwrap_or(&Value::Null),
        decision => decision,
    };
    let verdict = [&decision["decision"], &answer["class"]];
    let verdict = verdict.into_iter().find_map(Value::as_str);
    verdict
        .unwrap_or_else(|| panic!("no verdict in {answer}"))
        .to_owned()
}

/// What a function answers when it is invoked with the event itself; an error's type is its class, as that of a
/// failed invocation.
async fn directly(cloud: &Cloud, function: &str, event: &Value) -> Value {
    match cloud.send_direct(function, event).await {
        Ok(answer) => {
            assert_eq!(answer["function"], function, "{answer}");
            answer
        }
        Err(error) => {
            let text = error.to_string();
            let payload = text.split_once("failed: ").map(|(_, payload)| payload);
            let payload: Value =
                serde_json::from_str(payload.unwrap_or(&text)).unwrap_or_else(|_| panic!("{text}"));
            serde_json::json!({"class": payload["errorType"], "error": payload["errorMessage"]})
        }
    }
}

/// Each function, handed each sample past its queue, answers what it answered through its queue: what it did
/// or told meanwhile it says is done or told already.
async fn the_same_directly(
    cloud: &Cloud,
    function: &str,
    samples: &BTreeMap<String, Value>,
    answers: &[Value],
) {
    for (name, sample) in samples {
        let id = Received::from_value(sample.clone()).unwrap().id;
        let through = answers.iter().filter(|answer| answer["event_id"] == *id);
        let through: BTreeSet<String> = through.map(verdict).collect();
        let answer = directly(cloud, function, sample).await;
        assert!(has_reason(&answer), "{function}, {name}: {answer}");
        let verdict = verdict(&answer);
        assert!(
            through.contains(&verdict) || verdict.starts_with("already-"),
            "{function} answers {name} directly: {answer}; through its queue {through:?}"
        );
    }
}

#[test]
fn each_sample_is_answered_by_each_function() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let cloud = cloud(state.path()).await;
        let functions: BTreeSet<String> = cloud.functions().map(str::to_owned).collect();
        let samples = samples(&cloud.place().account);
        assert!(samples.len() > 50);
        for sample in samples.values() {
            for function in &functions {
                cloud.enqueue(function, sample).await.unwrap();
            }
        }
        idle(&cloud).await;
        for function in &functions {
            let answers = answers(&cloud, function).await;
            let without = answers.iter().find(|answer| !has_reason(answer));
            assert!(without.is_none(), "{function} gives no reason: {without:?}");
            // What a function announces on the way comes back to `notify` as well.
            assert!(
                answers.len() == samples.len()
                    || function == "notify" && answers.len() > samples.len(),
                "{function} gave {} answers to {} samples",
                answers.len(),
                samples.len()
            );
            let refused = answers
                .iter()
                .filter(|answer| answer["message"] == "refused")
                .count();
            let letters = cloud.dead_letters(function).await.unwrap();
            assert_eq!(
                letters.len(),
                refused,
                "{function}: what is refused is kept"
            );
            the_same_directly(&cloud, function, &samples, &answers).await;
        }
        cloud.stop().await;
    });
}

#[test]
fn what_is_malformed_fails_a_direct_invocation_and_what_is_unknown_is_answered() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let cloud = cloud(state.path()).await;
        let folder = root().join("events/samples/malformed");
        for function in cloud.functions() {
            for case in ["empty-object", "wrong-types", "unknown-event"] {
                let text = fs::read_to_string(folder.join(case).with_extension("json")).unwrap();
                let sample = serde_json::from_str(&text).unwrap();
                let answer = directly(&cloud, function, &sample).await;
                assert!(has_reason(&answer), "{function}, {case}: {answer}");
                if case == "unknown-event" {
                    assert!(answer["class"].is_null(), "{function}: {answer}");
                } else {
                    assert_eq!(answer["class"], "Malformed", "{function}, {case}: {answer}");
                }
            }
        }
        cloud.stop().await;
    });
}

/// 200 days of two series, as `line` writes a row.
fn rows(header: &str, end: &str, line: impl Fn(&str, u32, u32) -> String) -> Vec<u8> {
    let first = jiff::civil::date(2024, 1, 1);
    let mut text = header.to_owned() + end;
    for day in 0..200 {
        let date = first
            .saturating_add(jiff::Span::new().days(i64::from(day)))
            .to_string();
        for item in 1..=2 {
            text += &line(&date, item, 10 + day % 7);
            text += end;
        }
    }
    text.into_bytes()
}

/// A file's name and bytes.
type File = (&'static str, Vec<u8>);
/// A file's name and bytes, and a word of the finding.
type BrokenFile = (&'static str, Vec<u8>, &'static str);

/// Files that mean the same as the first, and files that break the contract.
fn files() -> (Vec<File>, Vec<BrokenFile>) {
    let plain = |date: &str, item: u32, sales: u32| format!("{date},1,{item},{sales}");
    let header = "date,store,item,sales";
    let sound = rows(header, "\n", plain);
    let taken = vec![
        ("plain", sound.clone()),
        (
            "byte-order-mark",
            [b"\xef\xbb\xbf", sound.as_slice()].concat(),
        ),
        ("line-ends-of-windows", rows(header, "\r\n", plain)),
        (
            "quotes",
            rows(
                "\"date\",\"store\",\"item\",\"sales\"",
                "\n",
                |date, item, sales| format!("\"{date}\",\"1\",\"{item}\",\"{sales}\""),
            ),
        ),
        (
            "other-order-and-one-column-more",
            rows(
                "sales,note,item_id,store_id,date",
                "\n",
                |date, item, sales| format!("{sales},x,{item},1,{date}"),
            ),
        ),
    ];
    let mut latin1 = sound.clone();
    latin1.extend(b"2024-12-01,1,caf\xe9,1\n");
    let refused = vec![
        ("empty", vec![], "nothing in the file"),
        ("binary", (0..=255).cycle().take(4096).collect(), "UTF-8"),
        ("latin-1", latin1, "0xe9"),
        (
            "without-header",
            sound[header.len() + 1..].to_vec(),
            "header",
        ),
        ("header-alone", format!("{header}\n").into_bytes(), "row"),
        (
            "semicolons",
            rows("date;store;item;sales", "\n", |date, item, sales| {
                format!("{date};1;{item};{sales}")
            }),
            ";",
        ),
        (
            "half-a-gzip",
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x49".to_vec(),
            "gzip",
        ),
    ];
    (taken, refused)
}

#[test]
fn files_of_another_form_are_taken_and_broken_ones_refused_with_what_was_wrong() {
    let (taken, refused) = files();
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let cloud = cloud(state.path()).await;
        for (name, bytes) in &taken {
            cloud
                .upload(&format!("training/{name}.csv"), bytes.clone())
                .await
                .unwrap();
        }
        for (name, bytes, _) in &refused {
            cloud
                .upload(&format!("training/{name}.csv"), bytes.clone())
                .await
                .unwrap();
        }
        cloud
            .upload("elsewhere/sales.csv", taken[0].1.clone())
            .await
            .unwrap();
        cloud.upload("training/", vec![]).await.unwrap();
        let wanted = taken.len() + refused.len();
        let deadline = Instant::now() + PATIENCE;
        let decided = loop {
            let decided: Vec<Value> = answers(&cloud, "validate-dataset").await;
            let of_files = decided
                .iter()
                .filter(|one| one["decision"]["source"].is_string());
            if of_files.count() >= wanted {
                break decided;
            }
            assert!(Instant::now() < deadline, "{decided:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let of = |name: &str| {
            let key = format!("/training/{name}.csv");
            let mine = |one: &&Value| {
                let source = one["decision"]["source"].as_str();
                source.is_some_and(|source| source.ends_with(&key))
            };
            decided
                .iter()
                .find(mine)
                .unwrap_or_else(|| panic!("no decision on {name}"))
        };
        for (name, _) in &taken {
            let decision = &of(name)["decision"];
            assert_eq!(decision["decision"], "accept", "{name}: {decision}");
            assert_eq!(decision["rows"], 400, "{name}");
        }
        for (name, _, word) in &refused {
            let decision = &of(name)["decision"];
            assert_eq!(decision["decision"], "reject", "{name}: {decision}");
            let findings = decision["findings"].to_string();
            assert!(
                findings.contains(word),
                "{name}: `{word}` isn't in {findings}"
            );
        }
        assert!(
            !decided
                .iter()
                .any(|one| one.to_string().contains("elsewhere/"))
        );
        idle(&cloud).await;
        // No training image was ever pushed: each job fails by that, and says so.
        let ended = answers(&cloud, "start-evaluation").await;
        assert_eq!(ended.len(), taken.len(), "{ended:?}");
        for one in ended {
            let reason = one["decision"][0]["failure"]["reason"].to_string();
            assert!(reason.contains("image does not exist"), "{reason}");
        }
        for function in cloud.functions() {
            assert_eq!(cloud.depths(function).await.unwrap().dead, 0, "{function}");
        }
        cloud.stop().await;
    });
}
