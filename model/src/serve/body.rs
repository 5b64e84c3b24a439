//! Request bodies and the answers to them, as text.

use std::fmt::Write;

use axum::extract::rejection::BytesRejection;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::calendar::Day;
use crate::forecast::{Model, NotFinite};
use crate::sales::{Key, parse_day, parse_id};

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The request is wrong: what, and where.
    #[error("{place}{reason}")]
    Malformed {
        /// "line 3: " or "instances[2]: ", or nothing where there is only one question.
        place: String,
        reason: String,
        field: Option<&'static str>,
    },
    #[error("content type `{0}` is not answered (text/csv and application/json are)")]
    ContentType(String),
    #[error("{0} isn't answered here; the header Allow says what is")]
    Method(Method),
    #[error("the body is larger than the {0} bytes that are taken")]
    TooLarge(usize),
    #[error("{0}")]
    Failed(String),
}

impl Refusal {
    /// The field that is wrong, if it is one.
    pub(crate) fn field(&self) -> Option<&'static str> {
        match self {
            Self::Malformed { field, .. } => *field,
            _ => None,
        }
    }

    /// A body that wasn't received; `most` is how large it may be.
    pub(crate) fn unreceived(rejection: &BytesRejection, most: usize) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::TooLarge(most)
        } else {
            Self::whole(rejection.body_text())
        }
    }

    fn whole(reason: impl Into<String>) -> Self {
        Self::Malformed {
            place: String::new(),
            reason: reason.into(),
            field: None,
        }
    }
}

impl From<NotFinite> for Refusal {
    fn from(error: NotFinite) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A series and a day somebody asks about.
pub(crate) struct Question {
    pub(crate) key: Key,
    pub(crate) day: Day,
}

/// Parses a body as JSON.
pub(crate) fn json(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::whole(format!("body is not JSON: {error}")))
}

/// Reads `{"store_id": 1, "item_id": 2, "date": "2018-01-31"}`; `at` is its place in an array.
pub(crate) fn json_question(value: &Value, at: Option<usize>) -> Result<Question, Refusal> {
    let refuse = |field: Option<&'static str>, reason: String| Refusal::Malformed {
        place: at.map(|n| format!("instances[{n}]: ")).unwrap_or_default(),
        reason,
        field,
    };
    let Value::Object(fields) = value else {
        return Err(refuse(
            None,
            "a JSON object with store_id, item_id and date is needed".into(),
        ));
    };
    let get = |field: &'static str| match fields.get(field) {
        None => Err(refuse(Some(field), format!("{field} is missing"))),
        Some(value) => Ok(value),
    };
    let id = |field: &'static str| {
        let value = get(field)?;
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| {
            refuse(
                Some(field),
                format!(
                    "{field}: `{value}` is not a whole number from 0 to {}",
                    u32::MAX
                ),
            )
        })
    };
    let day = || {
        let value = get("date")?;
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        parse_day(&text).map_err(|error| refuse(Some("date"), error.to_string()))
    };
    Ok(Question {
        key: Key {
            store: id("store_id")?,
            item: id("item_id")?,
        },
        day: day()?,
    })
}

/// Answers `{"instances": [question, …]}` with `{"predictions": [answer, …]}` in the same order.
pub(crate) fn answer_json(model: &Model, body: &[u8]) -> Result<String, Refusal> {
    let body = json(body)?;
    let Some(instances) = body.get("instances").and_then(Value::as_array) else {
        return Err(Refusal::Malformed {
            place: String::new(),
            reason: "`instances`, an array of questions, is missing".into(),
            field: Some("instances"),
        });
    };
    let answers = instances.iter().enumerate().map(|(at, instance)| {
        let question = json_question(instance, Some(at))?;
        let forecast = model.forecast(question.key, question.day)?;
        Ok(json!(forecast))
    });
    let answers = answers.collect::<Result<Vec<_>, Refusal>>()?;
    Ok(json!({ "predictions": answers }).to_string())
}

/// Answers header-less CSV lines, one line for each in the same order: `store,item,date` with
/// `prediction`, and `row_id,store,item,date` with `row_id,prediction`. Values are plain, without
/// quotes; the row id is handed back as it came.
pub(crate) fn answer_csv(model: &Model, body: &[u8]) -> Result<String, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::whole("body is not UTF-8 text"))?;
    let mut answer = String::with_capacity(text.len());
    for (line, number) in text.lines().zip(1..) {
        let (row_id, question) = csv_question(line, number)?;
        let prediction = model.forecast(question.key, question.day)?.prediction;
        let written = match row_id {
            Some(row_id) => writeln!(answer, "{row_id},{prediction}"),
            None => writeln!(answer, "{prediction}"),
        };
        written.map_err(|error| Refusal::Failed(error.to_string()))?;
    }
    if answer.is_empty() {
        return Err(Refusal::whole("body is empty"));
    }
    Ok(answer)
}

fn csv_question(line: &str, number: usize) -> Result<(Option<&str>, Question), Refusal> {
    let refuse = |field: Option<&'static str>, reason: String| Refusal::Malformed {
        place: format!("line {number}: "),
        reason,
        field,
    };
    let mut columns = [""; 4];
    let mut count = 0;
    for value in line.split(',') {
        if let Some(column) = columns.get_mut(count) {
            *column = value;
        }
        count += 1;
    }
    let (row_id, [store, item, date]) = match (count, columns) {
        (3, [store, item, date, _]) => (None, [store, item, date]),
        (4, [row_id, store, item, date]) => (Some(row_id), [store, item, date]),
        _ => {
            let reason =
                format!("{count} columns; store,item,date or row_id,store,item,date are needed");
            return Err(refuse(None, reason));
        }
    };
    let id = |field, text: &str| {
        parse_id(field, text.trim()).map_err(|error| refuse(Some(field), error.to_string()))
    };
    let key = Key {
        store: id("store", store)?,
        item: id("item", item)?,
    };
    let day = parse_day(date.trim()).map_err(|error| refuse(Some("date"), error.to_string()))?;
    Ok((row_id, Question { key, day }))
}
