//! What happened, in words: an event or a line of a log for a person who reads along.

use serde_json::Value;

/// A field as text; what isn't text as JSON writes it.
pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The package's name at the end of its ARN.
pub(crate) fn tail(value: &Value) -> String {
    let text = text(value);
    text.split_once("model-package/")
        .map_or(text.clone(), |(_, name)| name.to_owned())
}

/// A figure; none is not a number.
pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// An accepted data set.
pub(crate) fn dataset(detail: &Value) -> String {
    format!(
        "{} rows, {} to {}",
        detail["rows"],
        text(&detail["from"]),
        text(&detail["to"])
    )
}

/// A judged model.
pub(crate) fn judgement(detail: &Value) -> String {
    format!("{}: {}", text(&detail["verdict"]), text(&detail["reason"]))
}

/// A verified release.
pub(crate) fn checks(detail: &Value) -> String {
    let checks = listed(&detail["checks"]).join("; ");
    format!("{} ({checks})", text(&detail["release"]))
}

/// An event that ends what was hoped for.
pub(crate) fn failure(detail_type: &str, detail: &Value) -> String {
    let said = |field: &str| text(&detail[field]);
    match detail_type {
        "DatasetRejected" => {
            let findings = listed(&detail["findings"]).join("\n      - ");
            format!("{} was rejected:\n      - {findings}", said("source"))
        }
        "TrainingFailed" => format!(
            "{} ended {}: {}",
            said("failed_job"),
            said("status"),
            said("reason")
        ),
        "ReleaseFailed" => format!(
            "{} failed at {}: {}",
            said("release"),
            said("stage"),
            said("reason")
        ),
        "DeploymentSkipped" => format!("{} was not deployed: {}", said("subject"), said("reason")),
        _ => format!("{detail_type}: {}", said("reason")),
    }
}

/// A line of a function's log when it tells of trouble.
pub(crate) fn trouble(line: &str) -> Option<String> {
    let line = line.trim();
    if line.contains("panicked") && !line.starts_with('{') {
        return Some(line.to_owned());
    }
    let told: Value = serde_json::from_str(line).ok()?;
    let message = told["message"].as_str()?;
    matches!(message, "refused" | "failed" | "failed to start")
        .then(|| format!("{message}: {}", text(&told["error"])))
}

fn listed(values: &Value) -> Vec<String> {
    values.as_array().into_iter().flatten().map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failures_are_told_without_braces() {
        let rejected = json!({"dataset": "0a", "source": "s3://d/training/x.csv",
            "findings": ["Only 0 rows are sound.", "The dates span 0 days."], "report": "s3://a/r"});
        assert_eq!(
            failure("DatasetRejected", &rejected),
            "s3://d/training/x.csv was rejected:\n      - Only 0 rows are sound.\n      - The dates span 0 days."
        );
        let failed = json!({"release": "release-a", "stage": "health", "reason": "503"});
        assert_eq!(
            failure("ReleaseFailed", &failed),
            "release-a failed at health: 503"
        );
        assert_eq!(
            failure("SomethingElse", &json!({"reason": "r"})),
            "SomethingElse: r"
        );
    }

    #[test]
    fn only_trouble_is_taken_from_logs() {
        let failed = r#"{"level":"WARN","function":"f","message":"failed","class":"Transient","error":"no answer"}"#;
        assert_eq!(trouble(failed).unwrap(), "failed: no answer");
        let decided = r#"{"message":"decided","decision":{"reason":"refused"}}"#;
        assert_eq!(trouble(decided), None);
        let panicked = "thread 'main' panicked at src/lib.rs:1:";
        assert_eq!(trouble(panicked).unwrap(), panicked);
        assert_eq!(trouble("START RequestId"), None);
    }
}
