//! When two worlds are the same: they hold the same things, whenever those were made.

use serde_json::{Map, Value};

/// The world without times, and with decisions named by their subject only: a decision's file is
/// named by its content, which holds the time of its cause.
pub fn normal(world: &Value) -> Value {
    match world {
        Value::Object(fields) => {
            let left_out = [
                "since",
                "at",
                "caused_at",
                "judged_at",
                "promoted_at",
                "approved_at",
                "baking_since",
                "begun_by",
                "uploaded",
                "seconds",
                "api_seconds",
                "api_serves_since",
                "given_up_at",
                "scheduled",
                "id",
                "fact",
            ];
            let kept = fields
                .iter()
                .filter(|(name, _)| !left_out.contains(&name.as_str()));
            let mut kept: Vec<(String, Value)> = kept
                .map(|(name, value)| (subject(name), normal(value)))
                .collect();
            kept.sort_by_cached_key(|(name, value)| (name.clone(), value.to_string()));
            let mut normal_fields = Map::new();
            // A decision taken again after a crash differs in its times only: it is the same.
            kept.dedup_by(|one, other| one == other && one.0.contains("/decisions/"));
            for (mut name, value) in kept {
                while normal_fields.contains_key(&name) {
                    name.push('+');
                }
                normal_fields.insert(name, value);
            }
            Value::Object(normal_fields)
        }
        Value::Array(values) => {
            // The world sorts what has no order by what is left out here.
            let mut values: Vec<Value> = values.iter().map(normal).collect();
            if values.iter().all(Value::is_object) {
                values.sort_by_cached_key(Value::to_string);
            }
            Value::Array(values)
        }
        Value::String(text) => Value::String(of_either_event(&without_fact(&without_version(
            &without_seconds(text),
        )))),
        other => other.clone(),
    }
}

/// ECR tells of an image twice, and either event may be called the cause.
fn of_either_event(text: &str) -> String {
    text.replace(" was tagged, and its scan is clean", " was scanned clean")
}

/// How long a rollback took is told in words too.
fn without_seconds(text: &str) -> String {
    match text.split_once(" s after the cause") {
        Some((before, after)) => {
            let words = before.trim_end_matches(|c: char| c.is_ascii_digit());
            format!("{words}some s after the cause{}", without_seconds(after))
        }
        None => text.to_owned(),
    }
}

/// The versions of objects are counted over all that is written, repeats included.
fn without_version(text: &str) -> String {
    let Some((before, after)) = text.split_once("version version-") else {
        return text.to_owned();
    };
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}some version{}", without_version(rest))
}

/// The ids of facts are computed from their times, among others.
fn without_fact(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("Fact: "));
    lines.collect::<Vec<_>>().join("\n")
}

fn subject(name: &str) -> String {
    if let Some((folder, _)) = name.split_once("/notifications/") {
        return format!("{folder}/notifications/");
    }
    match name
        .strip_suffix(".json")
        .and_then(|stem| stem.rsplit_once('-'))
    {
        Some((subject, digest)) if name.contains("/decisions/") && digest.len() == 12 => {
            subject.to_owned()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_decisions_about_one_subject_stay_two() {
        let one = json!({"s3://a/decisions/f/x-0123456789ab.json": {"since": 1, "a": 2}});
        let two = json!({"s3://a/decisions/f/x-0123456789ab.json": {"a": 2}, "s3://a/decisions/f/x-ba9876543210.json": {"a": 3}});
        assert_eq!(normal(&one), json!({"s3://a/decisions/f/x": {"a": 2}}));
        assert_eq!(normal(&two).as_object().unwrap().len(), 2);
    }
}
