//! The rules: when an evaluation can be judged, by which gates, and what a person can override.

mod gates;

use std::time::Duration;

use domain::{
    evaluation::{Failure, Gate, Plan, Verdict},
    ports::{JobStatus, TransformJob},
};
use serde::Serialize;

pub use gates::{Baseline, Judged, Measured, Naive, Policy, Source, judge};

/// What becomes of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// The model was measured; the verdict is kept and announced.
    Judge {
        /// Training job that made the model.
        training_job: String,
        /// The end of the judgement.
        verdict: Verdict,
        /// The verdict's reason in numbers.
        reason: String,
        /// Every gate.
        gates: Vec<Gate>,
    },
    /// Judged before: the verdict is announced again, nothing is computed.
    AlreadyJudged {
        /// Training job that made the model.
        training_job: String,
        /// The verdict that was kept.
        verdict: Verdict,
        /// Its reason.
        reason: String,
    },
    /// A side couldn't be scored, or by predictions of no use, so nothing can be compared.
    FailEvaluation {
        /// Training job that made the model.
        training_job: String,
        /// The transform job that has no predictions, or none of use.
        failed_job: String,
        /// How it stands.
        status: String,
        /// Why, by SageMaker; or what is wrong in which line.
        reason: String,
    },
    /// A person's word replaces a verdict that kept the model back.
    Override {
        /// Training job that made the model.
        training_job: String,
        /// [`Verdict::OverriddenBy`].
        verdict: Verdict,
        /// Whose word, why, and against which verdict.
        reason: String,
    },
    /// There is no verdict to override, or it approves already.
    NothingToOverride {
        /// Training job that was named.
        training_job: String,
        /// Why not.
        reason: String,
    },
    /// A side is still being scored.
    Wait {
        /// Training job that made the model.
        training_job: String,
        /// Which job, how it stands, and until when it is waited for.
        reason: String,
    },
    /// No end of an evaluation.
    NotForThisFunction {
        /// Why not.
        reason: String,
    },
}

/// Whether both sides are scored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Readiness {
    /// Both are.
    Ready,
    /// One isn't yet.
    Waiting {
        /// Which, and how it stands.
        reason: String,
    },
    /// One won't be.
    Failed {
        /// The transform job.
        job: String,
        /// How it stands.
        status: String,
        /// Why.
        reason: String,
    },
}

/// The transform jobs as SageMaker describes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jobs {
    /// The candidate's.
    pub candidate: Option<TransformJob>,
    /// The champion's, when the plan has one.
    pub champion: Option<TransformJob>,
}

/// Whether the sides of a plan are scored. A champion that couldn't be scored is a failure like a
/// candidate that couldn't: without it a worse model could pass. A failure is final, whatever the
/// other job does; a job that is still running `longest` after the event, too.
pub fn readiness(plan: &Plan, jobs: &Jobs, waited: Duration, longest: Duration) -> Readiness {
    let champion = plan.champion.iter().map(|side| (side, &jobs.champion));
    let sides: Vec<_> = std::iter::once((&plan.candidate, &jobs.candidate))
        .chain(champion)
        .map(|(side, job)| (side.transform_job.as_str(), job.as_ref()))
        .collect();
    for &(name, job) in &sides {
        if let Some(job) = job
            && matches!(job.status, JobStatus::Failed | JobStatus::Stopped)
        {
            return Readiness::Failed {
                job: name.to_owned(),
                status: format!("{:?}", job.status),
                reason: why(job),
            };
        }
    }
    let unfinished = sides
        .iter()
        .find(|(_, job)| job.is_none_or(|job| job.status != JobStatus::Completed));
    let Some(&(name, job)) = unfinished else {
        return Readiness::Ready;
    };
    let status = job.map_or_else(|| "Missing".to_owned(), |job| format!("{:?}", job.status));
    let (waited, longest) = (waited.as_secs(), longest.as_secs());
    if waited < longest {
        return Readiness::Waiting {
            reason: format!("{name} is {status} {waited} s after the event; it has {longest} s"),
        };
    }
    Readiness::Failed {
        job: name.to_owned(),
        reason: format!(
            "it is {status} {waited} s after the other side's end; {longest} s are allowed"
        ),
        status,
    }
}

fn why(job: &TransformJob) -> String {
    job.failure_reason
        .clone()
        .unwrap_or_else(|| "SageMaker gives no reason".to_owned())
}

/// What a person's word does to a verdict that was kept.
pub fn override_verdict(kept: &Verdict, training_job: &str, by: &str, why: &str) -> Decision {
    let training_job = training_job.to_owned();
    let approves = match kept {
        Verdict::Fail | Verdict::NoData => {
            let against = if *kept == Verdict::Fail {
                "fail"
            } else {
                "no-data"
            };
            return Decision::Override {
                training_job,
                verdict: Verdict::OverriddenBy(by.to_owned()),
                reason: format!("{by} overrides the verdict {against}: {why}"),
            };
        }
        Verdict::Pass => "the model passed".to_owned(),
        Verdict::FirstModel => "it was let through as the first model".to_owned(),
        Verdict::OverriddenBy(other) => format!("{other} has overridden the verdict"),
    };
    Decision::NothingToOverride {
        training_job,
        reason: format!("{approves}: nothing keeps it back"),
    }
}

/// Whether the verdict is this person's already: the word came twice.
pub fn is_overridden_by(kept: &Verdict, by: &str) -> bool {
    matches!(kept, Verdict::OverriddenBy(before) if before == by)
}

/// What becomes of a person's word while there is no verdict: it waits for one that is on its way.
pub fn unjudged(
    training_job: &str,
    is_begun: bool,
    failure: Option<&Failure>,
    waited: Duration,
    longest: Duration,
) -> Decision {
    let training_job = training_job.to_owned();
    let (waited, longest) = (waited.as_secs(), longest.as_secs());
    let reason = match failure {
        Some(failure) => format!(
            "the evaluation ended without a verdict: {} is {} ({})",
            failure.failed_job, failure.status, failure.reason
        ),
        None if !is_begun => {
            format!("`{training_job}` isn't evaluated in this environment: there is no verdict")
        }
        None if waited >= longest => {
            format!("there is no verdict {waited} s after it was asked: ask again when there is")
        }
        None => {
            return Decision::Wait {
                training_job,
                reason: format!(
                    "the verdict is on its way; the override waits for it {waited} s, and has {longest} s"
                ),
            };
        }
    };
    Decision::NothingToOverride {
        training_job,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use domain::evaluation::Contender;

    use super::*;

    fn plan(champion: bool) -> Plan {
        let contender = |name: &str| Contender {
            transform_job: format!("retail-forecast-build-1-{name}"),
            model_uri: format!("s3://a/models/{name}/output/model.tar.gz"),
            package_arn: None,
        };
        Plan {
            schema: 1,
            training_job: "retail-forecast-build-1".to_owned(),
            dataset: "0a".to_owned(),
            image: "infer@sha256:0".to_owned(),
            candidate: contender("candidate"),
            champion: champion.then(|| contender("champion")),
        }
    }

    fn job(status: Option<JobStatus>) -> Option<TransformJob> {
        status.map(|status| TransformJob {
            name: String::new(),
            status,
            failure_reason: (status == JobStatus::Failed).then(|| "out of memory".to_owned()),
        })
    }

    #[test]
    fn both_sides_must_be_scored() {
        use JobStatus::{Completed, Failed, InProgress, Stopped, Stopping};
        let cases = [
            (Some(Completed), None, false, "ready"),
            (Some(Completed), Some(Completed), true, "ready"),
            (
                Some(Completed),
                Some(InProgress),
                true,
                "champion is InProgress",
            ),
            (Some(Completed), None, true, "champion is Missing"),
            (
                Some(InProgress),
                Some(Completed),
                true,
                "candidate is InProgress",
            ),
            (Some(Stopping), None, false, "candidate is Stopping"),
            (
                Some(Failed),
                Some(InProgress),
                true,
                "candidate Failed: out of memory",
            ),
            (
                Some(InProgress),
                Some(Failed),
                true,
                "champion Failed: out of memory",
            ),
            (
                Some(Completed),
                Some(Stopped),
                true,
                "champion Stopped: SageMaker gives no reason",
            ),
            (Some(Stopped), None, false, "candidate Stopped"),
        ];
        let limit = Duration::from_mins(1);
        for (candidate, champion, has_champion, expected) in cases {
            let jobs = Jobs {
                candidate: job(candidate),
                champion: job(champion),
            };
            let shown = match readiness(&plan(has_champion), &jobs, Duration::from_secs(59), limit)
            {
                Readiness::Ready => "ready".to_owned(),
                Readiness::Waiting { reason } => reason,
                Readiness::Failed {
                    job,
                    status,
                    reason,
                } => format!("{job} {status}: {reason}"),
            };
            assert!(
                shown.contains(expected),
                "{candidate:?} {champion:?}: {shown}"
            );
        }
    }

    #[test]
    fn waiting_ends() {
        let jobs = Jobs {
            candidate: job(Some(JobStatus::Completed)),
            champion: job(Some(JobStatus::InProgress)),
        };
        let limit = Duration::from_mins(1);
        let ended = readiness(&plan(true), &jobs, limit, limit);
        assert!(
            matches!(&ended, Readiness::Failed { status, reason, .. } if status == "InProgress" && reason.contains("60 s")),
            "{ended:?}"
        );
    }

    #[test]
    fn only_a_verdict_that_keeps_a_model_back_is_overridden() {
        let decide = |kept: &Verdict| override_verdict(kept, "job", "ann", "a strike in March");
        for kept in [Verdict::Fail, Verdict::NoData] {
            let Decision::Override {
                verdict, reason, ..
            } = decide(&kept)
            else {
                panic!("refused")
            };
            assert_eq!(verdict, Verdict::OverriddenBy("ann".to_owned()));
            assert!(reason.contains("a strike in March"));
            assert!(!is_overridden_by(&kept, "ann") && is_overridden_by(&verdict, "ann"));
        }
        for kept in [
            Verdict::Pass,
            Verdict::FirstModel,
            Verdict::OverriddenBy("bob".to_owned()),
        ] {
            assert!(matches!(decide(&kept), Decision::NothingToOverride { .. }));
            assert!(!is_overridden_by(&kept, "ann"));
        }
    }

    #[test]
    fn a_word_waits_for_a_verdict_that_is_on_its_way_and_for_no_other() {
        let failure = Failure {
            schema: 1,
            failed_job: "job-candidate".to_owned(),
            status: "Failed".to_owned(),
            reason: "out of memory".to_owned(),
        };
        let cases = [
            (true, None, 59, "on its way"),
            (true, None, 60, "60 s after it was asked"),
            (false, None, 0, "isn't evaluated"),
            (
                true,
                Some(&failure),
                0,
                "job-candidate is Failed (out of memory)",
            ),
            (false, Some(&failure), 0, "out of memory"),
        ];
        for (is_begun, failure, waited, expected) in cases {
            let waited = Duration::from_secs(waited);
            let decision = unjudged("job", is_begun, failure, waited, Duration::from_mins(1));
            let waits = matches!(decision, Decision::Wait { .. });
            assert_eq!(waits, expected == "on its way", "{decision:?}");
            let (Decision::Wait { reason, .. } | Decision::NothingToOverride { reason, .. }) =
                decision
            else {
                panic!("another decision");
            };
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
