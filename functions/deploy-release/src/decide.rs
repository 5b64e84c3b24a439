//! Whether an approved model or a scanned image becomes the environment's next release, and how.

use domain::{
    Error, Result, converge, names,
    ports::{Approval, Package, Scan, StoredImage},
    quarantine::Quarantine,
    release::{Image, Manifest, Model, Pointer, Progress, Target},
    rollout::Deployment,
};
use events::announced::{DeploymentWaits, ReleaseFailed, WRITE};
use jiff::Timestamp;
use serde::Serialize;

use crate::{Config, parts};

/// Seconds after which people are told that a deployment waits for what only they may be able to end.
const TOLD_AFTER_S: i64 = 60;
/// Seconds until a busy environment is looked at again.
const BUSY_S: u64 = 15;
/// The same behind a canary, which bakes for long.
const BEHIND_A_CANARY_S: u64 = 60;

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
    /// ECR's other event of this image made the release the target, and goes on with it.
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
    /// Nothing is deployed, and people are told.
    Skip {
        /// Package ARN, or image by digest.
        subject: String,
        /// Why, in words and numbers.
        reason: String,
    },
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
    /// For an image: whether the event is its push, and not its scan's end.
    pub by_push: bool,
    /// Now.
    pub now: Timestamp,
    /// The environment's pointer.
    pub pointer: Pointer,
    /// What must not be deployed again.
    pub quarantine: Quarantine,
    /// The release that a new one builds on.
    pub base: Option<Manifest>,
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
        reason: cause(half, &subject, facts.by_push),
        caused_at: facts.caused_at,
        take_over: deployment.image_managers.contains(&config.first_manager),
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
        "the Deployment's image, or a variable or an annotation of the release, belongs to the field manager {}: one owner only; deploy with it alone, or name it in FIRST_FIELD_MANAGER, by which they are taken over, and let it leave them alone from then on (ARCHITECTURE.md says how)",
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

/// A model goes live with the live image; the first one with the image that carries the tag.
fn admit_model(
    package: &Package,
    facts: &Facts,
    config: &Config,
) -> std::result::Result<(Model, Image), Decision> {
    if package.group != config.group {
        return Err(Decision::NotForThisFunction {
            reason: format!(
                "{} is in the group {}, and not in {}",
                package.arn, package.group, config.group
            ),
        });
    }
    let skip = |reason: String| Decision::Skip {
        subject: package.arn.clone(),
        reason,
    };
    match package.approval {
        Approval::Approved => {}
        Approval::Rejected => {
            let why = package
                .approval_description
                .as_deref()
                .unwrap_or("no reason given");
            return Err(skip(format!("the model package is Rejected ({why})")));
        }
        Approval::PendingManualApproval => {
            return Err(skip(
                "the model package is registered and waits for a person's approval".to_owned(),
            ));
        }
    }
    if let (Some(base), Some(target)) = (&facts.base, &facts.pointer.target)
        && let Some(live) = parts::version(&base.model.package_arn)
        && live > package.version
        && facts.caused_at <= target.caused_at
    {
        return Err(Decision::NotForThisFunction {
            reason: format!(
                "version {} came late: version {live} is live since, and was approved after it",
                package.version
            ),
        });
    }
    let model = parts::model(package).map_err(|missing| {
        skip(format!("the model package has no metadata `{missing}`: it wasn't registered by this system, so nothing says how it was judged"))
    })?;
    if let Some(base) = &facts.base {
        return Ok((model, base.image.clone()));
    }
    let hold = |reason: String| Decision::Hold {
        package_arn: package.arn.clone(),
        reason,
    };
    match &facts.tagged_image {
        None => Err(hold(format!(
            "no release is live and no image is tagged `{}` in {}",
            config.image_tag, config.infer_repository
        ))),
        Some((stored, scan)) => match findings(scan.as_ref()) {
            Some(reason) => Err(hold(format!(
                "the image tagged `{}` can't be used: {reason}",
                config.image_tag
            ))),
            None => Ok((model, stored.image.clone())),
        },
    }
}

/// An image goes live with the live model; the first one with the model that waits.
fn admit_image(
    stored: &StoredImage,
    scan: Option<&Scan>,
    facts: &Facts,
    config: &Config,
) -> std::result::Result<(Model, Image), Decision> {
    if !stored.tags.contains(&config.image_tag) {
        return Err(Decision::NotForThisFunction {
            reason: format!(
                "{} doesn't carry the tag `{}`: it is for another environment, or a newer image took the tag",
                stored.image.digest, config.image_tag
            ),
        });
    }
    let skip = |reason: String| Decision::Skip {
        subject: format!("{}@{}", stored.image.repository, stored.image.digest),
        reason,
    };
    let waited = facts.now.duration_since(facts.caused_at).as_secs();
    if let Some(reason) = findings(scan) {
        let limit = config.scan_limit_s;
        return Err(if is_finished(scan) {
            skip(reason)
        } else if waited < i64::from(limit) {
            let reason = format!("{reason}: waited for {waited} s, and {limit} s at most");
            Decision::Scanning { reason }
        } else {
            skip(format!(
                "{reason}, {limit} s after its push (SCAN_LIMIT_S): scan it, then push the tag again"
            ))
        });
    }
    if let Some(base) = &facts.base {
        return match &facts.base_model {
            Some(package) if package.approval == Approval::Approved => {
                Ok((base.model.clone(), stored.image.clone()))
            }
            other => Err(skip(format!(
                "the live model {} is {}: no release is made with it; approve it, or another model first",
                base.model.package_arn,
                other
                    .as_ref()
                    .map_or("not in the registry".to_owned(), |package| format!(
                        "{:?}",
                        package.approval
                    ))
            ))),
        };
    }
    match &facts.waiting_model {
        None => Err(skip("no model is live or waits for an image: the first approved model goes live in this image".to_owned())),
        Some(package) if package.approval != Approval::Approved => {
            Err(skip(format!("the model that waited, {}, is {:?} now", package.arn, package.approval)))
        }
        Some(package) => match parts::model(package) {
            Ok(model) => Ok((model, stored.image.clone())),
            Err(missing) => Err(skip(format!("the model that waits, {}, has no metadata `{missing}`", package.arn))),
        },
    }
}

/// Whether there is a scan that won't go on by itself.
fn is_finished(scan: Option<&Scan>) -> bool {
    scan.is_some_and(|scan| !matches!(scan.status.as_str(), "PENDING" | "IN_PROGRESS"))
}

/// Why an image must not run; `None` when its scan finished without HIGH or CRITICAL findings.
pub(crate) fn findings(scan: Option<&Scan>) -> Option<String> {
    let Some(scan) = scan else {
        return Some("the image has not been scanned".to_owned());
    };
    if scan.status == "UNSUPPORTED_IMAGE" {
        return Some("ECR's scanner can't read the image (UNSUPPORTED_IMAGE), and `scans/` in the artifacts bucket has no result of the pipeline's scan of this digest".to_owned());
    }
    if !matches!(scan.status.as_str(), "COMPLETE" | "ACTIVE") {
        return Some(format!(
            "the image's scan is {}, and only a finished scan says that it is clean",
            scan.status
        ));
    }
    let count = |severity: &str| scan.findings.get(severity).copied().unwrap_or(0);
    let (critical, high) = (count("CRITICAL"), count("HIGH"));
    (critical + high > 0).then(|| {
        format!("the image's scan found {critical} CRITICAL and {high} HIGH vulnerabilities")
    })
}

/// What the pointer says about the release; `None` when it may be rolled out.
fn against_pointer(
    release: &str,
    half: &Half,
    subject: &str,
    facts: &Facts,
    config: &Config,
) -> Option<Decision> {
    let target = facts.pointer.target.as_ref()?;
    if target.release == release {
        return match &target.progress {
            // Each resumes what it began: two events that go on with one rollout would verify it twice.
            Progress::Deploying | Progress::Canary { .. }
                if matches!(half, Half::Image(..))
                    && target.cause == cause(half, subject, !facts.by_push) =>
            {
                Some(Decision::AlreadyBegun {
                    release: release.to_owned(),
                    reason: format!("begun at {}, caused by {}", target.since, target.cause),
                })
            }
            Progress::Deploying | Progress::Canary { .. } => None,
            Progress::Restoring { .. } => busy(target, subject, facts, config),
            Progress::Verified => Some(Decision::AlreadyLive {
                release: release.to_owned(),
                reason: format!("live since {}, caused by {}", target.since, target.cause),
            }),
            Progress::Failed { reason } => against_failed(target, reason, subject, facts),
        };
    }
    if target.gone_from.as_deref() == Some(release) && is_repeat(release, target, facts) {
        return Some(Decision::AlreadyFailed {
            release: release.to_owned(),
            reason: format!(
                "it was gone away from at {}: {}",
                target.since, target.cause
            ),
        });
    }
    busy(target, subject, facts, config)
}

/// A first release has nothing to go back to: a newer cause tries it once more, since what it failed by may
/// be mended.
fn against_failed(target: &Target, reason: &str, subject: &str, facts: &Facts) -> Option<Decision> {
    let release = target.release.clone();
    if target.caused_at == facts.caused_at {
        return Some(match reason.split_once(": ") {
            // A crash came between the pointer and the announcement.
            Some((WRITE, reason)) => Decision::Unwritable {
                failed: ReleaseFailed {
                    release,
                    stage: WRITE.to_owned(),
                    reason: reason.to_owned(),
                    build: target.build.clone(),
                    caused_at: target.caused_at,
                },
            },
            _ => Decision::AlreadyFailed {
                release,
                reason: reason.to_owned(),
            },
        });
    }
    if facts.pointer.known_good.is_none() && facts.caused_at > target.caused_at {
        return None;
    }
    Some(Decision::Skip {
        subject: subject.to_owned(),
        reason: format!("{release} is these very parts, and failed: {reason}"),
    })
}

/// Whether the event is from before the release was gone away from, and nobody has lifted anything of it
/// since: where circumstances led back, nothing is quarantined that would forbid it.
fn is_repeat(release: &str, target: &Target, facts: &Facts) -> bool {
    let mut entries = facts.quarantine.entries.iter();
    let was_quarantined = entries.any(|entry| entry.release == release);
    !was_quarantined && facts.caused_at <= target.caused_at
}

/// One release at a time, unless the one on its way is past every limit that could still end it. One that
/// failed is gone away from first, unless that was given up: then the next release is the way out. `roll-back`
/// takes seconds for it; where it says nothing for longer, people are told.
fn busy(target: &Target, subject: &str, facts: &Facts, config: &Config) -> Option<Decision> {
    let good = facts.pointer.known_good.as_ref();
    let is_gone_from =
        good.is_some_and(|good| good.release != target.release) && target.given_up_at.is_none();
    let (since, limit, again_s) = match target.progress {
        Progress::Canary { .. } => (
            target.rolling_since(),
            config.canary_abandoned_after_s,
            BEHIND_A_CANARY_S,
        ),
        Progress::Deploying | Progress::Restoring { .. } => {
            (target.rolling_since(), config.abandoned_after_s, BUSY_S)
        }
        Progress::Failed { .. } if is_gone_from => {
            (target.judged_at?, config.abandoned_after_s, BUSY_S)
        }
        Progress::Failed { .. } | Progress::Verified => return None,
    };
    let seconds = facts.now.as_second() - since.as_second();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let what = if target.progress.is_open() {
        "is on its way"
    } else {
        "has failed, and is to be gone away from,"
    };
    let failed = match &target.progress {
        Progress::Failed { reason } if seconds >= TOLD_AFTER_S => Some(reason),
        _ => None,
    };
    let told = failed.map(|reason| DeploymentWaits {
        subject: subject.to_owned(),
        release: target.release.clone(),
        reason: format!("it failed ({reason}), and isn't gone away from"),
        advice: format!(
            "ask for a rollback of {}: the deployment goes on as soon as it is gone away from, or given up; else {limit} s after it failed",
            target.release
        ),
        caused_at: facts.caused_at,
    });
    (seconds < limit).then(|| Decision::Busy {
        told: told.map(Box::new),
        reason: format!(
            "{} {what} since {seconds} s; after {limit} s without a verdict it counts as abandoned",
            target.release
        ),
        again_s,
    })
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
fn subject(half: &Half) -> Result<String> {
    match half {
        Half::Model(package) => Ok(package.arn.clone()),
        Half::Image(stored, _) => stored
            .image
            .reference()
            .map_err(|error| Error::malformed(error.to_string())),
    }
}

fn cause(half: &Half, subject: &str, by_push: bool) -> String {
    match half {
        Half::Model(_) => format!("model package {subject} is Approved"),
        Half::Image(..) if by_push => format!("image {subject} was tagged, and its scan is clean"),
        Half::Image(..) => format!("image {subject} was scanned clean"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
