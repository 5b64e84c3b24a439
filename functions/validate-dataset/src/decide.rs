//! The rule: a data set is accepted when no file of it breaks the contract, and the rows that judge
//! a model lie after the rows that it learns from.

use std::fmt::Write as _;

use dataset::{Finding, Report};
use jiff::civil::Date;
use serde::Serialize;

use domain::names;

use crate::upload::Upload;

/// What becomes of an uploaded object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// The data set is stored as a snapshot and announced.
    Accept {
        /// Identity of the data set.
        dataset: String,
        /// The training file.
        source: String,
        /// Rows of all its files.
        rows: u64,
        /// First day.
        from: Date,
        /// Last day.
        to: Date,
        /// Where the rows come from that judge a model, with figures.
        reason: String,
    },
    /// Nothing of it is used.
    Reject {
        /// Identity of what was uploaded.
        dataset: String,
        /// The training file.
        source: String,
        /// One sentence for each rule that was broken, with the first offending lines.
        findings: Vec<String>,
        /// How many rules were broken.
        reason: String,
    },
    /// A validation file without its training file: the upload of that one is the event to act on.
    AwaitTraining {
        /// Which file is missing.
        reason: String,
    },
    /// The uploaded object was deleted before it was read.
    Gone {
        /// Which object, which version.
        reason: String,
    },
    /// No upload of data.
    NotForThisFunction {
        /// Why not.
        reason: String,
    },
}

/// What the checks of an upload found.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The files.
    pub upload: &'a Upload,
    /// The check of the training file.
    pub training: &'a Report,
    /// The check of the validation file, when there is one.
    pub validation: Option<&'a Report>,
    /// Days held out of the training file when there is no validation file.
    pub holdout_days: u32,
}

/// Accepts or rejects.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let dataset = identity(facts);
    let source = facts.upload.training.to_string();
    let mut findings = sentences(&facts.upload.training.key, facts.training);
    if let Some(validation) = facts.validation {
        findings.extend(sentences(&facts.upload.validation.key, validation));
        findings.extend(overlap(facts.training, validation));
    }
    let span = facts
        .training
        .from
        .zip(facts.validation.unwrap_or(facts.training).to);
    if let (true, Some((from, to))) = (findings.is_empty(), span) {
        return Decision::Accept {
            dataset,
            source,
            rows: facts.training.accepted_rows
                + facts.validation.map_or(0, |report| report.accepted_rows),
            from,
            to,
            reason: kept(facts),
        };
    }
    Decision::Reject {
        dataset,
        source,
        reason: format!("{} rules of the data contract are broken", findings.len()),
        findings,
    }
}

/// The identity by content. What can't be read to its end has no digest, and goes by where it lies.
fn identity(facts: &Facts<'_>) -> String {
    let upload = facts.upload;
    let digest_of = |report: &Report, place: String| {
        let version = upload.version.as_deref().unwrap_or_default();
        let size = report.bytes.to_string();
        let unreadable = || names::digest(&["unreadable", &place, version, &size]);
        report.digest.clone().unwrap_or_else(unreadable)
    };
    let training = digest_of(facts.training, upload.training.to_string());
    let validation = facts
        .validation
        .map(|report| digest_of(report, upload.validation.to_string()));
    dataset::dataset_id(&training, validation.as_deref())
}

/// Where the rows come from that judge a model.
fn kept(facts: &Facts<'_>) -> String {
    let training = facts.training.accepted_rows;
    match facts.validation {
        Some(validation) => format!(
            "{training} rows to learn from, and {} rows of {} to judge by",
            validation.accepted_rows, facts.upload.validation.key
        ),
        None => format!(
            "{training} rows over {} days, of which the last {} judge",
            facts.training.history_days, facts.holdout_days
        ),
    }
}

/// Rows to judge by that aren't later than the rows to learn from measure memory, not forecasts.
fn overlap(training: &Report, validation: &Report) -> Option<String> {
    let (learned_to, judged_from) = training.to.zip(validation.from)?;
    (judged_from <= learned_to).then(|| {
        format!(
            "The validation file begins on {judged_from}, the training file ends on {learned_to}: the days that \
             judge a model must lie after the days it learns from. Upload the validation file that belongs to this \
             training file, or delete it to have the last days held out."
        )
    })
}

/// One sentence for each broken rule of a file.
fn sentences(key: &str, report: &Report) -> Vec<String> {
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
    text
}

#[cfg(test)]
mod tests {
    use dataset::{Contract, check};
    use domain::layout::Location;

    use super::*;
    use crate::upload::Part;

    fn upload() -> Upload {
        Upload {
            part: Part::Training,
            version: Some("v1".to_owned()),
            training: Location::new("data", "training/sales.csv"),
            validation: Location::new("data", "validation/sales.csv"),
        }
    }

    fn report(text: &str) -> Report {
        let contract = Contract {
            min_rows: 1,
            min_history_days: 1,
            ..Contract::default()
        };
        check(text.as_bytes(), &contract, Date::constant(2024, 3, 4)).unwrap()
    }

    fn decided(training: &str, validation: Option<&str>) -> Decision {
        let (training, validation) = (report(training), validation.map(report));
        decide(&Facts {
            upload: &upload(),
            training: &training,
            validation: validation.as_ref(),
            holdout_days: 92,
        })
    }

    const TRAINING: &str = "date,store,item,sales\n2024-01-01,1,1,5\n2024-01-02,1,1,6\n";

    #[test]
    fn a_sound_file_is_accepted_with_its_figures() {
        let Decision::Accept {
            rows,
            from,
            to,
            reason,
            source,
            ..
        } = decided(TRAINING, None)
        else {
            panic!("rejected")
        };
        assert_eq!((rows, from.to_string().as_str()), (2, "2024-01-01"));
        assert_eq!(to.to_string(), "2024-01-02");
        assert_eq!(source, "s3://data/training/sales.csv");
        assert_eq!(reason, "2 rows over 2 days, of which the last 92 judge");
    }

    #[test]
    fn a_pair_is_another_data_set_than_its_training_file_alone() {
        let validation = "date,store,item,sales\n2024-01-03,1,1,5\n";
        let Decision::Accept {
            dataset, rows, to, ..
        } = decided(TRAINING, Some(validation))
        else {
            panic!("rejected")
        };
        assert_eq!((rows, to.to_string().as_str()), (3, "2024-01-03"));
        let Decision::Accept { dataset: alone, .. } = decided(TRAINING, None) else {
            panic!("rejected")
        };
        assert_ne!(dataset, alone);
    }

    #[test]
    fn rejections_say_which_rule_which_line_which_file() {
        let negative = "date,store,item,sales\n2024-01-01,1,1,-5\n2024-01-02,1,1,6\n";
        let older = "date,store,item,sales\n2023-01-01,1,1,5\n";
        let cases = [
            (
                negative,
                None,
                vec![
                    "training/sales.csv: The sales are below zero",
                    "(1 in all: line 2, sales `-5`)",
                ],
            ),
            (
                TRAINING,
                Some(negative),
                vec![
                    "validation/sales.csv: The sales are below zero",
                    "must lie after",
                ],
            ),
            (
                TRAINING,
                Some(older),
                vec!["begins on 2023-01-01, the training file ends on 2024-01-02"],
            ),
            (
                "",
                None,
                vec!["training/sales.csv: There is nothing in the file."],
            ),
            ("a,b\n1,2\n", None, vec!["names none of the columns"]),
        ];
        for (training, validation, expected) in cases {
            let Decision::Reject { findings, .. } = decided(training, validation) else {
                panic!("accepted: {training}")
            };
            let all = findings.join("\n");
            for part in expected {
                assert!(all.contains(part), "`{part}` in: {all}");
            }
        }
    }

    #[test]
    fn what_has_no_digest_is_told_apart_by_where_it_lies() {
        let damaged = Report {
            digest: None,
            ..report(TRAINING)
        };
        let one = upload();
        let mut other = upload();
        other.version = Some("v2".to_owned());
        let facts = |upload| Facts {
            upload,
            training: &damaged,
            validation: None,
            holdout_days: 92,
        };
        let first = identity(&facts(&one));
        assert_eq!(first, identity(&facts(&one)));
        assert_ne!(first, identity(&facts(&other)));
    }
}
