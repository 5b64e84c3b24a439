//! Whether a judged model is registered, and as what.

use std::collections::BTreeMap;

use domain::{
    Error,
    evaluation::{CHAMPION, NO_CHAMPION, Plan, Verdict},
    names,
    ports::{Approval, Package, PackageSpec},
    text,
};
use events::announced::{ModelJudged, ModelRegistered, NOT_REGISTERED, TrainingFailed};
use serde::Serialize;

use crate::Config;

/// Most characters of a package's description.
const MAX_DESCRIPTION: usize = 1024;

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// Register this package.
    Register {
        /// The package.
        spec: PackageSpec,
        /// The judgement, in words.
        reason: String,
    },
    /// It can't be registered; people are told.
    Refused {
        /// What is announced.
        failed: TrainingFailed,
    },
    /// The model of this training job is registered.
    AlreadyRegistered {
        /// What was announced, and is announced again in case a crash came between.
        registered: ModelRegistered,
    },
    /// The model didn't pass its gates; its judgement is kept, and nothing is registered.
    NotApproved {
        /// The judgement, in words.
        reason: String,
    },
    /// The event isn't a judgement.
    NotForThisFunction {
        /// Which event is.
        reason: String,
    },
}

/// What a refusal means for a model that passed.
pub fn refused(judged: &ModelJudged, error: &Error) -> TrainingFailed {
    TrainingFailed {
        training_job: judged.training_job.clone(),
        failed_job: judged.training_job.clone(),
        status: NOT_REGISTERED.to_owned(),
        reason: format!(
            "the verdict was {}, and the model can't be registered: {}",
            word(&judged.verdict),
            error.chain()
        ),
    }
}

/// What is known when deciding.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// What was compared with what.
    pub plan: Plan,
    /// SHA-256 of the model artifact, hex.
    pub model_digest: String,
    /// The package that an earlier delivery registered.
    pub package: Option<Package>,
}

/// Whether the judgement allows a registration, before anything is read.
pub fn admit(judged: &ModelJudged) -> Option<Decision> {
    (!judged.verdict.approves()).then(|| Decision::NotApproved {
        reason: format!(
            "the verdict on `{}` is {}: {}",
            judged.training_job,
            word(&judged.verdict),
            judged.reason
        ),
    })
}

/// The rule for a model that passed.
pub fn decide(judged: &ModelJudged, facts: &Facts, config: &Config) -> Decision {
    if let Some(package) = &facts.package {
        return Decision::AlreadyRegistered {
            registered: ModelRegistered {
                training_job: judged.training_job.clone(),
                package_arn: package.arn.clone(),
                approval: package.approval,
                reason: judged.reason.clone(),
            },
        };
    }
    // Who overrides a gate vouches for the model, not for its deployment: that stays a second look.
    let approval = match &judged.verdict {
        Verdict::OverriddenBy(_) => Approval::PendingManualApproval,
        _ => config.approval,
    };
    Decision::Register {
        spec: PackageSpec {
            group: config.group.clone(),
            description: text::description(
                &format!(
                    "{} on data set {}: {}",
                    judged.training_job, judged.dataset, judged.reason
                ),
                MAX_DESCRIPTION,
            ),
            image: facts.plan.image.clone(),
            model_uri: facts.plan.candidate.model_uri.clone(),
            approval,
            metadata: metadata(judged, facts),
            metrics_uri: judged.results.clone(),
            client_token: names::client_token(&[
                "model-package",
                &config.group,
                &judged.training_job,
            ]),
        },
        reason: format!(
            "the verdict is {}: {}",
            word(&judged.verdict),
            judged.reason
        ),
    }
}

/// What the package says of itself; the deployment reads it back. Values keep to what SageMaker takes.
fn metadata(judged: &ModelJudged, facts: &Facts) -> BTreeMap<String, String> {
    let champion = facts.plan.champion.as_ref();
    let champion = champion.and_then(|champion| champion.package_arn.clone());
    let mut metadata = BTreeMap::from([
        ("training_job".to_owned(), judged.training_job.clone()),
        ("dataset".to_owned(), judged.dataset.clone()),
        ("model_digest".to_owned(), facts.model_digest.clone()),
        (
            CHAMPION.to_owned(),
            champion.unwrap_or_else(|| NO_CHAMPION.to_owned()),
        ),
        ("verdict".to_owned(), word(&judged.verdict)),
    ]);
    if let Some(metrics) = &judged.metrics {
        let measured = [
            ("rows", Some(metrics.rows as f64)),
            ("mse", Some(metrics.mse)),
            ("rmse", Some(metrics.rmse)),
            ("mae", Some(metrics.mae)),
            ("r2_score", metrics.r2_score),
            ("accuracy", metrics.accuracy),
        ];
        for (name, value) in measured {
            if let Some(value) = value {
                metadata.insert(name.to_owned(), value.to_string());
            }
        }
    }
    metadata
        .into_iter()
        .map(|(name, value)| (name, text::value(&value)))
        .collect()
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass => "pass".to_owned(),
        Verdict::Fail => "fail".to_owned(),
        Verdict::NoData => "no-data".to_owned(),
        Verdict::FirstModel => "first-model".to_owned(),
        Verdict::OverriddenBy(who) => format!("overridden-by {who}"),
    }
}

#[cfg(test)]
mod tests {
    use domain::evaluation::{Contender, Metrics};

    use super::*;

    fn judged(verdict: Verdict) -> ModelJudged {
        ModelJudged {
            training_job: "retail-forecast-build-1".into(),
            dataset: "0a1b".into(),
            verdict,
            reason: "accuracy 0.91 ≥ 0.85 on 4,600 rows".into(),
            metrics: Some(Metrics {
                rows: 4600,
                mse: 4.0,
                rmse: 2.0,
                mae: 1.5,
                r2_score: Some(0.9),
                accuracy: Some(0.91),
            }),
            baseline: None,
            results: "s3://a/evaluation_results.json".into(),
            record: "s3://a/judgement.json".into(),
        }
    }

    fn facts(package: Option<Package>) -> Facts {
        Facts {
            plan: Plan {
                schema: 1,
                training_job: "retail-forecast-build-1".into(),
                dataset: "0a1b".into(),
                image: "infer@sha256:1".into(),
                candidate: Contender {
                    transform_job: "t".into(),
                    model_uri: "s3://a/model.tar.gz".into(),
                    package_arn: None,
                },
                champion: None,
            },
            model_digest: "ab".into(),
            package,
        }
    }

    fn config(approval: Approval) -> Config {
        Config {
            artifacts_bucket: "a".into(),
            group: "retail-forecast-models".into(),
            approval,
        }
    }

    #[test]
    fn only_an_approving_verdict_is_admitted() {
        let cases = [
            (Verdict::Pass, true),
            (Verdict::FirstModel, true),
            (Verdict::OverriddenBy("ann".into()), true),
            (Verdict::Fail, false),
            (Verdict::NoData, false),
        ];
        for (verdict, admitted) in cases {
            assert_eq!(
                admit(&judged(verdict.clone())).is_none(),
                admitted,
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn approval_comes_from_the_settings_but_an_override_waits_for_a_person() {
        let approval =
            |verdict, setting| match decide(&judged(verdict), &facts(None), &config(setting)) {
                Decision::Register { spec, .. } => spec.approval,
                other => panic!("{other:?}"),
            };
        assert_eq!(
            approval(Verdict::Pass, Approval::Approved),
            Approval::Approved
        );
        assert_eq!(
            approval(Verdict::Pass, Approval::PendingManualApproval),
            Approval::PendingManualApproval
        );
        assert_eq!(
            approval(Verdict::OverriddenBy("ann".into()), Approval::Approved),
            Approval::PendingManualApproval
        );
    }

    #[test]
    fn metadata_leads_back_and_keeps_to_the_limits() {
        let Decision::Register { spec, .. } = decide(
            &judged(Verdict::FirstModel),
            &facts(None),
            &config(Approval::Approved),
        ) else {
            panic!("expected Register");
        };
        assert_eq!(spec.metadata["training_job"], "retail-forecast-build-1");
        assert_eq!(spec.metadata["model_digest"], "ab");
        assert_eq!(spec.metadata["accuracy"], "0.91");
        assert_eq!(spec.metadata["champion"], "none");
        assert!(
            spec.metadata
                .iter()
                .all(|(key, value)| key.len() <= 128 && value.len() <= 256)
        );
        assert!(spec.client_token.len() <= 36);
    }

    #[test]
    fn people_s_words_are_made_to_fit() {
        let judged = ModelJudged {
            reason: "Ann O'Neil: a strike\nin March".into(),
            ..judged(Verdict::OverriddenBy("Ann O'Neil, ops".into()))
        };
        let config = config(Approval::Approved);
        let Decision::Register { spec, .. } = decide(&judged, &facts(None), &config) else {
            panic!("expected Register");
        };
        assert_eq!(spec.metadata["verdict"], "overridden-by Ann O Neil ops");
        assert_eq!(
            spec.description,
            "retail-forecast-build-1 on data set 0a1b: Ann O'Neil: a strike in March"
        );
    }

    #[test]
    fn a_registered_model_is_registered_once() {
        let package = Package {
            arn: "arn:…/3".into(),
            group: "retail-forecast-models".into(),
            version: 3,
            approval: Approval::Rejected,
            approval_description: None,
            was_changed: false,
            model_uri: "s3://a/model.tar.gz".into(),
            metadata: BTreeMap::new(),
        };
        let decision = decide(
            &judged(Verdict::Pass),
            &facts(Some(package)),
            &config(Approval::Approved),
        );
        assert!(
            matches!(decision, Decision::AlreadyRegistered { registered } if registered.approval == Approval::Rejected)
        );
    }
}
