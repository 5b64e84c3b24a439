//! Which part of a release is guilty, by what was tried; or why that can't be told.

use domain::{
    Result,
    ports::{JobStatus, TransformJob},
    quarantine::{Difference, Entry, Part},
    release::Manifest,
};
use events::announced::{Guilty, ReleaseDiagnosed, RollbackStarted};
use jiff::Timestamp;
use serde::Serialize;

use crate::trials::name;

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// Every combination was tried, or can't be.
    Diagnose(Diagnosis),
    /// Combinations are being tried.
    Wait {
        /// Which, and for how long.
        reason: String,
    },
    /// Only one part differs: `roll-back` quarantined it.
    OnePart {
        /// Which.
        reason: String,
    },
    /// The event isn't a rollback's start.
    NotForThisFunction {
        /// Which event is.
        reason: String,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    /// The release that went wrong.
    pub from: String,
    /// The release that is gone back to.
    pub release: String,
    /// What spoke against it: an alarm, a failed check, a person.
    pub cause: String,
    /// When it spoke.
    pub caused_at: Timestamp,
    /// In what the two differ.
    pub differences: Vec<Difference>,
    /// Each combination and what came of it.
    pub tried: Vec<Tried>,
    /// What isn't deployed again; empty when it can't be told.
    pub guilty: Vec<Entry>,
    /// Why, in words.
    pub reason: String,
}

/// What came of a combination.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It predicts what the judged model predicted.
    Holds {
        /// Rows that were compared.
        rows: usize,
        /// Largest relative difference among them.
        deviation: f64,
    },
    /// It doesn't start, doesn't answer, or predicts something else.
    Fails {
        /// How.
        reason: String,
    },
    /// It wasn't tried to its end, which says nothing against it.
    Unanswered {
        /// Why not.
        reason: String,
    },
}

/// A combination that was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tried {
    /// In words: `bad model, good image`.
    pub combination: String,
    /// The parts that are of the bad release.
    pub bad: Vec<Part>,
    /// The transform job.
    pub job: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Tried {
    fn told(&self) -> String {
        match &self.outcome {
            Outcome::Holds { rows, deviation } => format!(
                "{}: holds, {rows} golden rows as the judged model predicted (largest relative difference {deviation:.1e})",
                self.combination
            ),
            Outcome::Fails { reason } => format!("{}: fails, {reason}", self.combination),
            Outcome::Unanswered { reason } => format!("{}: no answer, {reason}", self.combination),
        }
    }

    fn fails(&self) -> bool {
        matches!(self.outcome, Outcome::Fails { .. })
    }

    fn holds(&self) -> bool {
        matches!(self.outcome, Outcome::Holds { .. })
    }
}

/// Where a trial's transform stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Not at its end.
    Open,
    /// It wrote predictions, which are yet to be compared.
    Predicted,
    /// It ended otherwise.
    Ended(Outcome),
}

/// Beginnings of the reasons that SageMaker gives for failures of its own.
const OF_SAGEMAKER: [&str; 2] = ["CapacityError", "InternalServerError"];

/// The rule for one transform. What SageMaker or a person did to it says nothing against its parts.
pub fn standing(job: &TransformJob) -> Standing {
    let unanswered = |reason: &str| {
        Standing::Ended(Outcome::Unanswered {
            reason: reason.to_owned(),
        })
    };
    match (job.status, job.failure_reason.as_deref()) {
        (JobStatus::InProgress | JobStatus::Stopping | JobStatus::Deleting, _) => Standing::Open,
        (JobStatus::Completed, _) => Standing::Predicted,
        (JobStatus::Stopped, _) => unanswered("its transform was stopped"),
        (JobStatus::Failed, None) => {
            unanswered("its transform failed, and SageMaker doesn't say why")
        }
        (JobStatus::Failed, Some(reason))
            if OF_SAGEMAKER.iter().any(|own| reason.starts_with(own)) =>
        {
            unanswered(reason)
        }
        (JobStatus::Failed, Some(reason)) => Standing::Ended(Outcome::Fails {
            reason: format!("its transform failed: {reason}"),
        }),
    }
}

/// Who is guilty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The guilty parts; none when it can't be told.
    pub guilty: Vec<Part>,
    /// Why, in words.
    pub reason: String,
}

/// The rule, in its order:
///
/// | good release | a bad part alone in it | all bad parts | guilty |
/// |---|---|---|---|
/// | fails, no answer | any | any | can't be told: what is good can't be tried |
/// | holds | one or more fail | fail, no answer | the parts that fail alone |
/// | holds | one or more fail | hold | can't be told: the bad release itself holds |
/// | holds | none fails, one without an answer | any | can't be told: not everything was tried |
/// | holds | all hold | fail | can't be told: only the combination fails |
/// | holds | all hold | hold, no answer | can't be told: golden rows don't show it |
pub fn verdict(tried: &[Tried]) -> Verdict {
    let unknown = |reason: String| Verdict {
        guilty: vec![],
        reason: format!("which part is guilty can't be told: {reason}"),
    };
    let Some(control) = tried.iter().find(|tried| tried.bad.is_empty()) else {
        return unknown("nothing that differs can be tried in a batch transform".to_owned());
    };
    if !control.holds() {
        return unknown(format!(
            "the good release itself gives no measure ({})",
            control.told()
        ));
    }
    let alone: Vec<&Tried> = tried.iter().filter(|tried| tried.bad.len() == 1).collect();
    let together = tried.iter().find(|tried| tried.bad.len() > 1);
    let failing: Vec<&&Tried> = alone.iter().filter(|tried| tried.fails()).collect();
    if !failing.is_empty() {
        if let Some(together) = together.filter(|together| together.holds()) {
            return unknown(format!(
                "a part fails alone, and all of them don't ({})",
                together.told()
            ));
        }
        let guilty: Vec<Part> = failing.iter().flat_map(|tried| tried.bad.clone()).collect();
        let names: Vec<&str> = guilty.iter().copied().map(name).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        return Verdict {
            reason: format!(
                "the {} {verb} guilty: the good release holds, and fails with the bad {} alone",
                names.join(" and the "),
                names.join(", or with the bad ")
            ),
            guilty,
        };
    }
    if let Some(open) = alone.iter().find(|tried| !tried.holds()) {
        return unknown(format!("not everything was tried ({})", open.told()));
    }
    if let Some(together) = together.filter(|together| together.fails()) {
        return unknown(format!(
            "each bad part holds alone, only together they fail ({})",
            together.told()
        ));
    }
    unknown(
        "every combination that was tried predicts what was judged: golden rows don't show what went wrong"
            .to_owned(),
    )
}

/// What follows from all that was tried.
pub fn diagnose(
    started: &RollbackStarted,
    bad: &Manifest,
    differences: Vec<Difference>,
    tried: Vec<Tried>,
) -> Result<Diagnosis> {
    let Verdict { guilty, mut reason } = verdict(&tried);
    let configuration = differences
        .iter()
        .any(|difference| difference.what == "configuration");
    if configuration
        && !tried
            .iter()
            .any(|tried| tried.bad.contains(&Part::Configuration))
    {
        reason.push_str("; the endpoint's instances differ too, which no transform can try");
    }
    let entry = |part: Part| {
        Ok(Entry {
            part,
            identity: part.of(bad)?,
            release: started.from.clone(),
            reason: format!("{}; {reason}", started.cause),
            since: started.caused_at,
            lifted: None,
        })
    };
    Ok(Diagnosis {
        guilty: guilty.into_iter().map(entry).collect::<Result<_>>()?,
        from: started.from.clone(),
        release: started.release.clone(),
        cause: started.cause.clone(),
        caused_at: started.caused_at,
        differences,
        tried,
        reason,
    })
}

impl Diagnosis {
    /// What is announced.
    pub fn announced(&self, by_hand: Option<String>) -> ReleaseDiagnosed {
        let guilty = self.guilty.iter().map(|entry| Guilty {
            part: entry.part,
            identity: entry.identity.clone(),
        });
        ReleaseDiagnosed {
            from: self.from.clone(),
            release: self.release.clone(),
            caused_at: self.caused_at,
            guilty: guilty.collect(),
            reason: self.reason.clone(),
            trials: self.tried.iter().map(Tried::told).collect(),
            by_hand,
        }
    }
}

#[cfg(test)]
mod tests;
