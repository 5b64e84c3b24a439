//! Lists: filters, order and pages, the same for every kind of resource.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{error::ApiError, input::Input};

/// Results of a page when the request doesn't say.
const PAGE: usize = 10;

/// An entry of a list before filters and pages.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Unique; a page token names the last row it showed by it.
    pub(crate) arn: String,
    /// What `NameContains` and sorting by name look at.
    pub(crate) name: String,
    /// What `StatusEquals` looks at; empty where the kind has none.
    pub(crate) status: &'static str,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// When it last changed.
    pub(crate) modified: Timestamp,
    /// The entry as it is answered.
    pub(crate) summary: Value,
}

/// The order of a list when the request doesn't say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// Checks the members that all list requests share.
pub(crate) fn check(input: &Input, sort_keys: &[&str]) -> Result<(), ApiError> {
    input
        .checks()
        .between("MaxResults", 1, 100)
        .one_of("SortBy", sort_keys)
        .one_of("SortOrder", &["Ascending", "Descending"])
        .length("NameContains", 63)
        .finish()
}

/// Answers `{list: [...], "NextToken": ...}` from all the rows of a kind.
pub(crate) fn page(
    input: &Input,
    list: &str,
    default_order: Order,
    rows: Vec<Row>,
) -> Result<Value, ApiError> {
    let mut rows: Vec<Row> = rows.into_iter().filter(|row| wanted(input, row)).collect();
    match input.text("SortBy") {
        Some("Name") => rows.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.arn.cmp(&b.arn))),
        Some("Status") => {
            rows.sort_by(|a, b| a.status.cmp(b.status).then_with(|| a.arn.cmp(&b.arn)));
        }
        _ => rows.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.arn.cmp(&b.arn))),
    }
    let order = match input.text("SortOrder") {
        Some("Ascending") => Order::Ascending,
        Some("Descending") => Order::Descending,
        _ => default_order,
    };
    if order == Order::Descending {
        rows.reverse();
    }

    let start = match input.text("NextToken") {
        None => 0,
        Some(token) => {
            let shown = rows.iter().position(|row| hex::encode(&row.arn) == token);
            shown.ok_or_else(|| ApiError::validation("Invalid pagination token."))? + 1
        }
    };
    let size = input
        .integer("MaxResults")
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(PAGE);
    let more = rows.len() > start + size;
    let shown = &rows[start..rows.len().min(start + size)];
    let summaries: Vec<&Value> = shown.iter().map(|row| &row.summary).collect();
    let mut answer = json!({ list: summaries });
    if more && let Some(last) = shown.last() {
        answer["NextToken"] = json!(hex::encode(&last.arn));
    }
    Ok(answer)
}

fn wanted(input: &Input, row: &Row) -> bool {
    let after = |path: &str, time: Timestamp| {
        seconds(input, path).is_none_or(|bound| time.as_millisecond() as f64 / 1000.0 > bound)
    };
    let before = |path: &str, time: Timestamp| {
        seconds(input, path).is_none_or(|bound| (time.as_millisecond() as f64 / 1000.0) < bound)
    };
    input
        .text("NameContains")
        .is_none_or(|part| row.name.contains(part))
        && input
            .text("StatusEquals")
            .is_none_or(|status| row.status == status)
        && after("CreationTimeAfter", row.created)
        && before("CreationTimeBefore", row.created)
        && after("LastModifiedTimeAfter", row.modified)
        && before("LastModifiedTimeBefore", row.modified)
}

fn seconds(input: &Input, path: &str) -> Option<f64> {
    input.at(path)?.as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        (0..25)
            .map(|n| {
                let created = Timestamp::from_second(1_000 + n).expect("time");
                let name = format!("job-{n:02}");
                Row {
                    arn: format!("arn/{name}"),
                    status: if n % 2 == 0 { "Completed" } else { "Failed" },
                    created,
                    modified: created,
                    summary: json!(name),
                    name,
                }
            })
            .collect()
    }

    fn ask(request: &Value) -> Result<Value, ApiError> {
        let input = Input::parse(request.to_string().as_bytes())?;
        page(&input, "Jobs", Order::Ascending, rows())
    }

    fn names(answer: &Value) -> Vec<&str> {
        answer["Jobs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() -> Result<(), ApiError> {
        let mut seen = Vec::new();
        let mut request = json!({"MaxResults": 10});
        loop {
            let answer = ask(&request)?;
            seen.extend(names(&answer).into_iter().map(str::to_owned));
            match answer.get("NextToken") {
                Some(token) => request["NextToken"] = token.clone(),
                None => break,
            }
        }
        let all: Vec<String> = (0..25).map(|n| format!("job-{n:02}")).collect();
        assert_eq!(seen, all);
        Ok(())
    }

    #[test]
    fn filters_and_order() -> Result<(), ApiError> {
        let answer = ask(&json!({
            "StatusEquals": "Failed", "NameContains": "-1", "SortOrder": "Descending", "SortBy": "Name"
        }))?;
        assert_eq!(
            names(&answer),
            ["job-19", "job-17", "job-15", "job-13", "job-11"]
        );
        let answer = ask(&json!({"CreationTimeAfter": 1_022.0, "CreationTimeBefore": 1_024.0}))?;
        assert_eq!(names(&answer), ["job-23"]);
        Ok(())
    }

    #[test]
    fn a_full_last_page_has_no_token_and_a_foreign_token_is_refused() -> Result<(), ApiError> {
        assert_eq!(ask(&json!({"MaxResults": 25}))?.get("NextToken"), None);
        assert!(ask(&json!({"NextToken": "zz"})).is_err());
        Ok(())
    }
}
