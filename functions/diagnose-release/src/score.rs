//! Golden rows as a transform reads them, and its predictions held against them.

use std::fmt::Write as _;

use domain::evaluation::GoldenRow;

use crate::decide::Outcome;

/// Header-less `row_id,store,item,date`.
pub(crate) fn features(golden: &[GoldenRow]) -> String {
    let mut text = String::new();
    for (id, row) in golden.iter().enumerate() {
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "{id},{},{},{}", row.store_id, row.item_id, row.date);
    }
    text
}

/// Whether the lines `row_id,prediction` say what the judged model said, each row once and in order.
pub(crate) fn compare(golden: &[GoldenRow], predicted: &[u8], tolerance: f64) -> Outcome {
    let fails = |reason: String| Outcome::Fails { reason };
    let mut largest = 0.0_f64;
    let mut answered = 0;
    for prediction in dataset::predictions(predicted) {
        let prediction = match prediction {
            Ok(prediction) => prediction,
            Err(error) => return fails(format!("its predictions can't be read: {error}")),
        };
        let Some(row) = golden
            .get(answered)
            .filter(|_| usize::try_from(prediction.row_id) == Ok(answered))
        else {
            return fails(format!(
                "it predicts row {} where row {answered} of {} is due",
                prediction.row_id,
                golden.len()
            ));
        };
        let deviation = row.deviation(prediction.prediction);
        if deviation.is_nan() || deviation > tolerance {
            return fails(format!(
                "store {}, item {}, {}: it predicts {}, the judged model {} (relative difference {deviation:.2e}, tolerance {tolerance:.0e})",
                row.store_id, row.item_id, row.date, prediction.prediction, row.prediction
            ));
        }
        largest = largest.max(deviation);
        answered += 1;
    }
    if answered < golden.len() {
        return fails(format!("it predicts {answered} of {} rows", golden.len()));
    }
    Outcome::Holds {
        rows: answered,
        deviation: largest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> Vec<GoldenRow> {
        let row = |item_id, prediction| GoldenRow {
            store_id: 1,
            item_id,
            date: jiff::civil::date(2024, 3, 4),
            prediction,
        };
        vec![row(7, 40.0), row(8, 0.5)]
    }

    #[test]
    fn rows_are_written_as_the_transforms_of_an_evaluation_get_them() {
        assert_eq!(features(&golden()), "0,1,7,2024-03-04\n1,1,8,2024-03-04\n");
    }

    #[test]
    fn what_isn_t_every_row_once_in_order_and_near_enough_fails() {
        let cases = [
            ("0,40\n1,0.5\n", "holds"),
            ("0,40.00003\n1,0.5000009\n", "holds"),
            ("0,40.0001\n1,0.5\n", "relative difference 2.50e-6"),
            ("0,40\n1,0.51\n", "store 1, item 8"),
            ("0,40\n", "1 of 2 rows"),
            ("", "0 of 2 rows"),
            ("1,0.5\n0,40\n", "row 1 where row 0"),
            ("0,40\n0,40\n", "row 0 where row 1"),
            ("0,40\n1,0.5\n2,1\n", "row 2 where row 2 of 2"),
            ("0,NaN\n1,0.5\n", "can't be read"),
            ("<html>", "can't be read"),
        ];
        for (text, expected) in cases {
            let outcome = compare(&golden(), text.as_bytes(), 1e-6);
            let shown = serde_json::to_string(&outcome).unwrap();
            assert!(shown.contains(expected), "{text}: {shown}");
        }
    }
}
