//! Whether an approved model or a scanned image becomes the environment's next release, and how.

mod admit;
mod against;

use domain::{
    Error, Result, converge, names,
    ports::{Package, Scan, StoredImage},
    quarantine::Quarantine,
    release::{Manifest, Pointer, Progress, Target},
    rollout::Deployment,
};
use events::announced::{DeploymentRequested, DeploymentWaits, ReleaseFailed, RequestRefused};
use jiff::Timestamp;
use serde::Serialize;

use crate::{Config, asked, parts};
use admit::{admit_image, admit_model};
pub(crate) use admit::{findings, rejected, vulnerabilities};
use against::against_pointer;

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// Make this release the target and roll it out; for the target itself, finish what was begun.
    Deploy(Box<Rollout>),
    /// The release is the target and was verified.
    AlreadyLive {
        /// Id of the release.
        release: String,
        /// Since when.
        reason: String,
    },
    /// Another event of this image made the release the target, and goes on with it.
    AlreadyBegun {
        /// Id of the release.
        release: String,
        /// By what.
        reason: String,
    },
    /// This very event made the release the target, and it failed: people were told then.
    AlreadyFailed {
        /// Id of the release.
        release: String,
        /// How it failed.
        reason: String,
    },
    /// Another release is on its way; one at a time.
    Busy {
        /// Which, and until when it is waited for.
        reason: String,
        /// Seconds until it is looked at again.
        again_s: u64,
        /// What people are told when it takes long, and they can do something about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        told: Option<Box<DeploymentWaits>>,
    },
    /// The image's scan hasn't ended; it is waited for.
    Scanning {
        /// How long until now, and how long at most.
        reason: String,
    },
    /// An approved model has no image to run in; the next clean image takes it along.
    Hold {
        /// ARN of the package.
        package_arn: String,
        /// What is missing.
        reason: String,
    },
    /// A canary passed, and can't be rolled out.
    Unpromotable {
        /// What is announced.
        failed: ReleaseFailed,
    },
    /// Cluster or endpoint refuse the release for good.
    Unwritable {
        /// What is announced.
        failed: ReleaseFailed,
    },
    /// What is on its way may not go on: a word came against what it brings, or it can't be written any more.
    Ended {
        /// What is announced.
        failed: ReleaseFailed,
    },
    /// Nothing is deployed, and people are told.
    Skip {
        /// Package ARN, or image by digest.
        subject: String,
        /// Why, in words and numbers.
        reason: String,
    },
    /// Nothing is deployed, and who asked for it is told.
    Refuse(RequestRefused),
    /// The event has nothing to do with this environment.
    NotForThisFunction {
        /// Why.
        reason: String,
    },
}

/// How a release reaches its users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "strategy", rename_all = "kebab-case")]
pub enum Strategy {
    /// All pods, a few at a time.
    Rolling {
        /// Why not on a share of them first.
        because: String,
    },
    /// On a share of the pods first, beside what is live.
    Canary {
        /// Pods of the canary.
        pods: u32,
        /// All pods, the canary's included.
        of: u32,
    },
}

/// A release to roll out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rollout {
    /// Id of the release.
    pub release: String,
    /// What it is.
    pub manifest: Manifest,
    /// The event that caused it, in words.
    pub reason: String,
    /// When that happened.
    pub caused_at: Timestamp,
    /// The same, when that was a model's approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Timestamp>,
    /// Names the event, by its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_by: Option<String>,
    /// The build that caused it: that of the model, or of the image; `None` where none says so.
    pub build: Option<String>,
    /// All at once, or on a share first.
    #[serde(flatten)]
    pub strategy: Strategy,
    /// Whether the image is taken over from the manager that applied the first manifests.
    pub take_over: bool,
    /// Whether the release is the target already, and only its effects are repeated.
    pub resumes: bool,
}

/// The half of a release that the event is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Half {
    /// A model package, as the registry has it now.
    Model(Package),
    /// An image, as ECR has it now, with its scan.
    Image(StoredImage, Option<Scan>),
}

/// What is known when deciding.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// When the event happened.
    pub caused_at: Timestamp,
    /// Names the event, by its own words.
    pub event: Option<String>,
    /// For an image: whether the event is its push, and not its scan's end.
    pub by_push: bool,
    /// For an image: the request that the event is, if it is none of ECR's.
    pub asked: Option<DeploymentRequested>,
    /// Now.
    pub now: Timestamp,
    /// The environment's pointer.
    pub pointer: Pointer,
    /// What must not be deployed again.
    pub quarantine: Quarantine,
    /// The release that a new one builds on.
    pub base: Option<Manifest>,
    /// For a model: the release that was on its way when what was live had to be gone away from, and isn't any more.
    pub abandoned: Option<Manifest>,
    /// For an image with a base: the base's model as the registry has it now; `None` when it was deleted.
    pub base_model: Option<Package>,
    /// For an image without a base: the model that waits, or that of a first release that failed.
    pub waiting_model: Option<Package>,
    /// For a model without a base: the image that carries the environment's tag, and its scan.
    pub tagged_image: Option<(StoredImage, Option<Scan>)>,
    /// The Deployment as it stands; `None` when there is none.
    pub deployment: Option<Deployment>,
    /// Whether there is a Deployment for canaries.
    pub has_canary: bool,
}

/// The rule.
pub fn decide(half: &Half, facts: &Facts, config: &Config) -> Result<Decision> {
    let decision = of_parts(half, facts, config)?;
    Ok(match &facts.asked {
        Some(request) => asked::answer(request, decision, facts),
        None => decision,
    })
}

fn of_parts(half: &Half, facts: &Facts, config: &Config) -> Result<Decision> {
    let (model, image) = match half {
        Half::Model(package) => match admit_model(package, facts, config) {
            Ok(parts) => parts,
            Err(refusal) => return Ok(refusal),
        },
        Half::Image(stored, scan) => match admit_image(stored, scan.as_ref(), facts, config) {
            Ok(parts) => parts,
            Err(refusal) => return Ok(refusal),
        },
    };
    let subject = subject(half)?;
    if let Some(reason) = &config.frozen {
        return Ok(Decision::Skip {
            subject,
            reason: frozen(reason),
        });
    }
    let manifest = parts::manifest(config, model, image);
    let release = manifest.id()?;
    if let Some(entry) = facts.quarantine.forbids(&manifest)? {
        return Ok(Decision::Skip {
            subject,
            reason: format!(
                "{} is quarantined since {}: {}; a person can lift it",
                entry.identity, entry.since, entry.reason
            ),
        });
    }
    if let Some(decision) = against_pointer(&release, half, &subject, facts, config) {
        return Ok(decision);
    }
    let Some(deployment) = &facts.deployment else {
        return Ok(Decision::Skip {
            subject,
            reason: "the Deployment doesn't exist: apply the Kubernetes manifests once, then send the event again".to_owned(),
        });
    };
    if let Some(reason) = not_ours(deployment, config) {
        return Ok(Decision::Skip { subject, reason });
    }
    let strategy = strategy(deployment, facts, config);
    if matches!(strategy, Strategy::Canary { .. }) && !facts.has_canary {
        return Ok(Decision::Skip {
            subject,
            reason: "STRATEGY is canary, and there is no Deployment for canaries: apply the Kubernetes manifests, then send the event again".to_owned(),
        });
    }
    Ok(Decision::Deploy(Box::new(Rollout {
        strategy,
        reason: cause(half, &subject, facts),
        caused_at: facts.caused_at,
        approved_at: matches!(half, Half::Model(_)).then_some(facts.caused_at),
        begun_by: facts.event.clone(),
        take_over: converge::is_taken_over(deployment, &config.first_manager),
        resumes: facts
            .pointer
            .target
            .as_ref()
            .is_some_and(|target| target.release == release && target.progress.is_open()),
        build: build(half),
        manifest,
        release,
    })))
}

/// Why nothing is deployed now.
pub(crate) fn frozen(reason: &str) -> String {
    format!(
        "deployments are frozen (FROZEN): {reason}; send the event again when they aren't any more"
    )
}

/// Why the Deployment's image isn't ours to write; `None` when it is.
pub(crate) fn not_ours(deployment: &Deployment, config: &Config) -> Option<String> {
    let strangers = converge::strangers(deployment, &config.first_manager);
    (!strangers.is_empty()).then(|| format!(
        "the Deployment's image, or a variable or an annotation of the release, belongs to the field manager {}: one owner only; deploy with it alone, or add it to FIRST_FIELD_MANAGER (commas between names), by which they are taken over, and let it leave them alone from then on (ARCHITECTURE.md says how)",
        strangers.join(", ")
    ))
}

/// A canary needs something live to be compared with, and what was begun is gone on with.
fn strategy(deployment: &Deployment, facts: &Facts, config: &Config) -> Strategy {
    let Some(share) = config.canary_share_percent else {
        return Strategy::Rolling {
            because: "STRATEGY is rolling".to_owned(),
        };
    };
    match facts.pointer.target.as_ref().map(|target| &target.progress) {
        Some(Progress::Verified) => {
            let live = u32::try_from(deployment.wanted).unwrap_or(0);
            let pods = converge::canary_pods(live, share);
            Strategy::Canary {
                pods,
                of: live + pods,
            }
        }
        Some(Progress::Canary { pods, of, .. }) => Strategy::Canary {
            pods: *pods,
            of: *of,
        },
        _ => Strategy::Rolling {
            because: "no verified release is live that a canary could be compared with".to_owned(),
        },
    }
}

/// The build of the half that the event is about.
fn build(half: &Half) -> Option<String> {
    match half {
        Half::Model(package) => {
            let job = package.metadata.get("training_job")?;
            names::build_of(job).map(str::to_owned)
        }
        Half::Image(stored, _) => {
            let mut tags = stored.tags.iter();
            tags.find(|tag| !tag.starts_with("latest-")).cloned()
        }
    }
}

/// What the event is about, as people name it.
pub(crate) fn subject(half: &Half) -> Result<String> {
    match half {
        Half::Model(package) => Ok(package.arn.clone()),
        Half::Image(stored, _) => stored
            .image
            .reference()
            .map_err(|error| Error::malformed(error.to_string())),
    }
}

/// Whether this very event made the target what it is.
fn is_cause_of(half: &Half, subject: &str, facts: &Facts, target: &Target) -> bool {
    target.caused_at == facts.caused_at && target.cause == cause(half, subject, facts)
}

fn cause(half: &Half, subject: &str, facts: &Facts) -> String {
    match (half, &facts.asked) {
        (Half::Model(_), _) => format!("model package {subject} is Approved"),
        (Half::Image(..), Some(request)) => format!(
            "image {subject} was asked for by {} (request {}): {}",
            request.by, request.request, request.reason
        ),
        (Half::Image(..), None) if facts.by_push => {
            format!("image {subject} was tagged, and its scan is clean")
        }
        (Half::Image(..), None) => format!("image {subject} was scanned clean"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
