//! The rule: a data set is accepted when no file of it breaks the contract, and the rows that judge
//! a model lie after the rows that it learns from.

use dataset::Report;
use domain::ports::Head;
use jiff::{SignedDuration, civil::Date};
use serde::Serialize;

use crate::{
    before::{Files, too_many_bytes},
    sentences::sentences,
    upload::{Part, Upload},
};

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
        /// The files with their versions: the same content uploaded again is another upload.
        upload: String,
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
        /// The training file; the validation file when it came alone.
        source: String,
        /// The files with their versions: the same content uploaded again is refused again.
        upload: String,
        /// One sentence for each rule that was broken, with the first offending lines.
        findings: Vec<String>,
        /// How many rules were broken.
        reason: String,
    },
    /// A validation file without its training file, which may be on its way.
    AwaitTraining {
        /// Which file is missing, and for how long it is waited for.
        reason: String,
    },
    /// A training file beside a validation file that is older and lies before its end: the one that
    /// belongs to it may be on its way.
    AwaitValidation {
        /// Which days overlap, and for how long the other file is waited for.
        reason: String,
    },
    /// A newer upload decides: of this file, or of the other one of its pair.
    Superseded {
        /// By which file.
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

impl Decision {
    pub(crate) fn reject(
        dataset: String,
        source: String,
        upload: String,
        findings: Vec<String>,
    ) -> Self {
        let rules = if findings.len() == 1 {
            "1 rule of the data contract is broken".to_owned()
        } else {
            format!("{} rules of the data contract are broken", findings.len())
        };
        Self::Reject {
            dataset,
            source,
            upload,
            findings,
            reason: rules,
        }
    }
}

/// What the checks of an upload found.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The files.
    pub upload: &'a Upload,
    /// What was known of them before they were read.
    pub files: &'a Files,
    /// The check of the training file.
    pub training: &'a Report,
    /// The check of the validation file, when there is one.
    pub validation: Option<&'a Report>,
    /// Days held out of the training file when there is no validation file.
    pub holdout_days: u32,
    /// Most bytes of both files together, unpacked.
    pub max_bytes: u64,
    /// Since the upload.
    pub waited: SignedDuration,
    /// How long the other file of a pair is waited for.
    pub await_other: SignedDuration,
}

/// Accepts or rejects.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let dataset = identity(facts);
    let source = facts.upload.training.to_string();
    let mut findings = sentences(&facts.upload.training.key, facts.training);
    if let Some(validation) = facts.validation {
        findings.extend(sentences(&facts.upload.validation.key, validation));
        let overlap = overlap(facts.training, validation);
        if let (true, Some(overlap)) = (findings.is_empty() && facts.may_be_last_months(), &overlap)
        {
            return Decision::AwaitValidation {
                reason: format!(
                    "{overlap} It is older than the training file, {} s after which a newer one may still come: \
                     it is waited for {} s",
                    facts.waited.as_secs(),
                    facts.await_other.as_secs()
                ),
            };
        }
        findings.extend(overlap);
        let bytes = facts.training.bytes.saturating_add(validation.bytes);
        if findings.is_empty() && bytes > facts.max_bytes {
            let most = facts.max_bytes;
            findings.push(too_many_bytes(facts.upload, "Unpacked", bytes, most));
        }
    }
    let span = facts
        .training
        .from
        .zip(facts.validation.unwrap_or(facts.training).to);
    if let (true, Some((from, to))) = (findings.is_empty(), span) {
        return Decision::Accept {
            dataset,
            source,
            upload: facts.files.uploaded(facts.upload),
            rows: facts.training.accepted_rows
                + facts.validation.map_or(0, |report| report.accepted_rows),
            from,
            to,
            reason: kept(facts),
        };
    }
    Decision::reject(
        dataset,
        source,
        facts.files.uploaded(facts.upload),
        findings,
    )
}

impl Facts<'_> {
    /// Whether the validation file may be that of an earlier training file, with the new one on its way.
    fn may_be_last_months(&self) -> bool {
        let older = |validation: &Head| validation.written < self.files.training.written;
        self.upload.part == Part::Training
            && self.files.validation.as_ref().is_some_and(older)
            && self.waited < self.await_other
    }
}

/// The identity by content. What can't be read to its end has no digest, and goes by where it lies.
fn identity(facts: &Facts<'_>) -> String {
    let (training, validation) = facts.files.unread(facts.upload);
    let digest_of = |report: &Report, unread| report.digest.clone().unwrap_or(unread);
    let training = digest_of(facts.training, training);
    let validation = facts
        .validation
        .zip(validation)
        .map(|(report, unread)| digest_of(report, unread));
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

#[cfg(test)]
mod tests {
    use dataset::{Contract, check};
    use domain::layout::Location;
    use jiff::Timestamp;

    use super::*;

    fn upload() -> Upload {
        Upload {
            part: Part::Training,
            version: Some("v1".to_owned()),
            training: Location::new("data", "training/sales.csv"),
            validation: Location::new("data", "validation/sales.csv"),
        }
    }

    fn head(version: &str) -> Head {
        Head {
            bytes: 9,
            version: Some(version.to_owned()),
            written: Timestamp::UNIX_EPOCH,
        }
    }

    fn pair(version: &str) -> Files {
        Files {
            training: head(version),
            validation: Some(head("v1")),
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
            files: &pair("v1"),
            training: &training,
            validation: validation.as_ref(),
            holdout_days: 92,
            max_bytes: 100,
            waited: SignedDuration::ZERO,
            await_other: SignedDuration::from_secs(900),
        })
    }

    #[test]
    fn last_months_validation_file_is_not_held_against_a_training_file_at_once() {
        let new = report("date,store,item,sales\n2024-02-01,1,1,5\n2024-02-02,1,1,6\n");
        let old = report(TRAINING);
        let of = |second| Head {
            written: Timestamp::from_second(second).unwrap(),
            ..head("v1")
        };
        for (part, judging, waited_s, expected) in [
            (Part::Training, 5, 899, "await-validation"),
            (Part::Training, 5, 900, "reject"),
            (Part::Training, 20, 0, "reject"),
            (Part::Validation, 5, 0, "reject"),
        ] {
            let decision = decide(&Facts {
                upload: &Upload { part, ..upload() },
                files: &Files {
                    training: of(10),
                    validation: Some(of(judging)),
                },
                training: &new,
                validation: Some(&old),
                holdout_days: 92,
                max_bytes: 100,
                waited: SignedDuration::from_secs(waited_s),
                await_other: SignedDuration::from_secs(900),
            });
            let found = serde_json::to_value(&decision).unwrap();
            assert_eq!(found["decision"], expected, "{part:?} {judging} {waited_s}");
        }
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
        let identity = |version| {
            identity(&Facts {
                upload: &upload(),
                files: &pair(version),
                training: &damaged,
                validation: None,
                holdout_days: 92,
                max_bytes: 100,
                waited: SignedDuration::ZERO,
                await_other: SignedDuration::from_secs(900),
            })
        };
        assert_eq!(identity("v1"), identity("v1"));
        assert_ne!(identity("v1"), identity("v2"));
    }

    #[test]
    fn files_that_are_too_large_together_are_refused() {
        let validation = "date,store,item,sales\n2024-01-03,1,1,5\n";
        let longer = format!("{validation}2024-01-04,1,1,7\n");
        assert_eq!(TRAINING.len() + validation.len(), 95);
        assert!(matches!(
            decided(TRAINING, Some(validation)),
            Decision::Accept { .. }
        ));
        let Decision::Reject {
            findings, upload, ..
        } = decided(TRAINING, Some(&longer))
        else {
            panic!("accepted")
        };
        assert!(
            findings[0].contains("Unpacked") && findings[0].contains("112 bytes; at most 100"),
            "{findings:?}"
        );
        assert_eq!(
            upload,
            "training/sales.csv version v1, validation/sales.csv version v1"
        );
    }
}
