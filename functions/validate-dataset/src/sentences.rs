//! What people are told about a broken rule.

use std::fmt::Write as _;

use dataset::{Finding, Report, Rule};

use crate::before::RAISE;

/// How to have more series taken: who holds them in memory.
const RAISE_SERIES: &str = "It is MAX_SERIES of validate-dataset (infra/functions.json); with it raise the memory \
                            of the API's pods (infra/k8s/base) by 48 KiB a series, and memory_mb of judge-model by 2.";

/// One sentence for each broken rule of a file.
pub(crate) fn sentences(key: &str, report: &Report) -> Vec<String> {
    report
        .findings
        .iter()
        .map(|finding| sentence(key, finding))
        .collect()
}

fn sentence(key: &str, finding: &Finding) -> String {
    let mut text = format!("{key}: {}", finding.message);
    let mut between = format!(" ({} in all: ", finding.count);
    for example in &finding.examples {
        // Writing to a string can't fail.
        let _ = write!(text, "{between}line {}", example.line);
        if let Some(column) = &example.column {
            let _ = write!(text, ", {column}");
        }
        let _ = write!(text, " `{}`", example.text);
        "; ".clone_into(&mut between);
    }
    if !finding.examples.is_empty() {
        text.push(')');
    }
    let raise = match finding.rule {
        Rule::TooLarge => RAISE,
        Rule::TooManySeries => RAISE_SERIES,
        _ => return text,
    };
    text.push(' ');
    text.push_str(raise);
    text
}

#[cfg(test)]
mod tests {
    use dataset::{Contract, check};
    use jiff::civil::Date;

    use super::*;

    #[test]
    fn what_is_too_much_says_what_to_raise() {
        let text = "date,store,item,sales\n2024-01-01,1,1,5\n2024-01-01,1,2,6\n";
        let sound = Contract {
            min_rows: 1,
            min_history_days: 1,
            ..Contract::default()
        };
        for (contract, expected) in [
            (
                Contract {
                    max_series: Some(1),
                    ..sound.clone()
                },
                "There are 2 series; at most 1 are taken.",
            ),
            (
                Contract {
                    max_bytes: 30,
                    ..sound
                },
                "larger than 30 bytes",
            ),
        ] {
            let report = check(text.as_bytes(), &contract, Date::constant(2024, 3, 4)).unwrap();
            let told = sentences("training/sales.csv", &report);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(
                told[0].contains(expected) && told[0].contains("of validate-dataset"),
                "{told:?}"
            );
        }
    }
}
