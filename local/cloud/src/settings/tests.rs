use std::fs;

use serde_json::{Value, json};

use super::{Settings, SettingsError, Trigger};
use crate::names::{Names, Place};

fn project(functions: &Value, policy: &Value, patterns: &Value) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("infra/policies")).unwrap();
    fs::create_dir_all(root.path().join("events/patterns")).unwrap();
    for (path, value) in [
        ("infra/functions.json", functions),
        ("infra/policies/f.json", policy),
        ("events/patterns/f.json", patterns),
    ] {
        fs::write(root.path().join(path), value.to_string()).unwrap();
    }
    root
}

fn names() -> Names {
    let place = Place {
        environment: "dev".to_owned(),
        region: "r".to_owned(),
        account: "1".to_owned(),
    };
    place.names("http://x")
}

fn functions() -> Value {
    json!({
        "defaults": {"memory_mb": 128, "timeout_s": 30, "batch_size": 10,
            "max_receive_count": 5, "concurrency": 10, "environment": {"A": "${region}", "B": "b"}},
        "functions": {"f": {"timeout_s": 60, "environment": {"B": "${environment}"},
            "invoked_by_alarms": ["API-*-${namespace}"]}},
    })
}

fn patterns() -> Value {
    json!({"rules": {
        "uploads": {"description": "d", "bus": "${event_bus}", "pattern": {"source": ["s"]}},
        "weekly": {"description": "w", "schedule": "cron(0 2 ? * MON *)"},
    }})
}

#[test]
fn a_functions_own_settings_win_and_names_are_filled() {
    let root = project(&functions(), &json!({"a": "${account}"}), &patterns());
    let settings = Settings::read(root.path()).unwrap();
    let function = settings.function("f", &names()).unwrap();
    assert_eq!(function.limits.timeout_s, 60);
    assert_eq!(function.limits.memory_mb, 128);
    assert_eq!(function.limits.batching_window_s, 0);
    assert_eq!(function.limits.ephemeral_storage_mb, 512);
    assert_eq!(function.limits.environment["A"], "r");
    assert_eq!(function.limits.environment["B"], "dev");
    assert_eq!(function.policy, json!({"a": "1"}));
    assert_eq!(function.invoked_by_alarms, ["API-*-retail-forecast-dev"]);
    let bus = "retail-forecast-dev".to_owned();
    let pattern = json!({"source": ["s"]});
    assert_eq!(
        function.rules["uploads"].1,
        Trigger::Pattern { bus, pattern }
    );
    let schedule = "cron(0 2 ? * MON *)".to_owned();
    assert_eq!(function.rules["weekly"].1, Trigger::Schedule(schedule));
}

#[test]
fn an_unknown_name_is_told_with_its_file() {
    for (file, root) in [
        (
            "policies/f.json",
            project(&functions(), &json!("${x}"), &patterns()),
        ),
        (
            "patterns/f.json",
            project(&functions(), &json!({}), &json!({"rules": {"${x}": 1}})),
        ),
    ] {
        let settings = Settings::read(root.path()).unwrap();
        let error = settings.function("f", &names()).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("${x}"), "{error}");
    }
}

#[test]
fn a_misspelt_field_is_an_error() {
    let mut misspelt = functions();
    misspelt["functions"]["f"]["timeout"] = json!(3);
    let root = project(&misspelt, &json!({}), &patterns());
    let error = Settings::read(root.path()).unwrap_err();
    assert!(matches!(error, SettingsError::Parse { .. }), "{error}");
}

#[test]
fn a_rule_has_one_trigger() {
    for (rule, reason) in [
        (json!({"description": ""}), "needs a pattern or a schedule"),
        (json!({"description": "", "pattern": {}}), "needs its bus"),
        (
            json!({"description": "", "bus": "default", "schedule": "rate(1 day)"}),
            "default bus",
        ),
        (
            json!({"description": "", "bus": "b", "pattern": {}, "schedule": "s"}),
            "both",
        ),
    ] {
        let root = project(&functions(), &json!({}), &json!({"rules": {"r": rule}}));
        let settings = Settings::read(root.path()).unwrap();
        let error = settings.function("f", &names()).unwrap_err().to_string();
        assert!(
            error.contains(reason) && error.contains("rule r"),
            "{error}"
        );
    }
}
