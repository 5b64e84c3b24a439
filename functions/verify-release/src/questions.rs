//! What the API is asked, within the time that one invocation has.
//!
//! A probe waits for an answer for two seconds (`aws::PROBE_TIMEOUT`), and there are at most [`MOST`] questions:
//! however slowly they are answered, they end before the invocation's time does, which a test holds. The first
//! answer that can't be used ends them: a service that is silent costs one wait, and is judged at its limit.

use domain::{
    Result,
    evaluation::GoldenRows,
    ports::{Answer, Api},
};
use serde_json::{Value, json};

/// Most golden rows that are asked for.
pub const MOST_ROWS: usize = 10;
/// Most questions: health, the owner's request, golden rows.
pub const MOST: usize = 2 + MOST_ROWS;

/// What the API answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// `GET /health`.
    pub health: Answer,
    /// `POST /predict` with the owner's request; `None` when it wasn't asked.
    pub predict: Option<Answer>,
    /// `POST /predict` for each golden row that was asked for.
    pub golden: Vec<Answer>,
}

/// Asks until an answer isn't usable.
pub async fn ask(api: &impl Api, golden: Option<&GoldenRows>) -> Result<Answers> {
    let mut answers = Answers {
        health: api.health().await?,
        predict: None,
        golden: vec![],
    };
    if !is_usable(&answers.health) {
        return Ok(answers);
    }
    let predict = api.predict(&owners_request()).await?;
    let goes_on = is_usable(&predict);
    answers.predict = Some(predict);
    let rows = golden.map(|golden| golden.rows.as_slice());
    for row in rows.filter(|_| goes_on).unwrap_or_default() {
        let question = json!({"store_id": row.store_id, "item_id": row.item_id, "date": row.date});
        let answer = api.predict(&question).await?;
        let goes_on = is_usable(&answer);
        answers.golden.push(answer);
        if !goes_on {
            break;
        }
    }
    Ok(answers)
}

fn is_usable(answer: &Answer) -> bool {
    answer.status == 200
}

/// The request that the owner verifies every deployment with.
fn owners_request() -> Value {
    json!({"store_id": 1, "item_id": 123, "date": "2023-06-15"})
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use domain::evaluation::GoldenRow;

    use super::*;

    /// An API that answers so many questions and is silent from then on.
    struct Silent {
        after: usize,
        asked: Cell<usize>,
    }

    impl Silent {
        fn answer(&self) -> Answer {
            self.asked.set(self.asked.get() + 1);
            if self.asked.get() > self.after {
                return Answer {
                    status: 0,
                    body: Value::Null,
                    trouble: Some("no answer within 2 s".to_owned()),
                };
            }
            Answer {
                status: 200,
                body: json!({"release": "release-a", "prediction": 1.0}),
                trouble: None,
            }
        }
    }

    impl Api for Silent {
        async fn health(&self) -> Result<Answer> {
            Ok(self.answer())
        }

        async fn predict(&self, _: &Value) -> Result<Answer> {
            Ok(self.answer())
        }
    }

    fn golden() -> GoldenRows {
        let row = GoldenRow {
            store_id: 1,
            item_id: 1,
            date: jiff::civil::date(2020, 1, 1),
            prediction: 1.0,
        };
        GoldenRows {
            schema: 1,
            rows: vec![row; MOST_ROWS],
        }
    }

    #[tokio::test]
    async fn nothing_is_asked_after_a_silence() {
        for after in 0..=MOST {
            let api = Silent {
                after,
                asked: Cell::new(0),
            };
            let answers = ask(&api, Some(&golden())).await.unwrap();
            assert_eq!(api.asked.get(), (after + 1).min(MOST));
            let told = 1 + usize::from(answers.predict.is_some()) + answers.golden.len();
            assert_eq!(told, api.asked.get());
        }
    }

    #[test]
    fn the_questions_end_before_the_invocations_time_does() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/functions.json");
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let own = &file["functions"][crate::NAME]["timeout_s"];
        let timeout_s = own.as_u64().or(file["defaults"]["timeout_s"].as_u64());
        let longest = aws::PROBE_TIMEOUT * u32::try_from(MOST).unwrap();
        // The rest reads S3, EKS and SageMaker.
        let left = timeout_s.unwrap().checked_sub(longest.as_secs());
        assert!(
            left.is_some_and(|left| left >= 5),
            "{longest:?} of {timeout_s:?} s"
        );
    }
}
