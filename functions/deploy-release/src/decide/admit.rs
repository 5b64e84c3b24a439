//! Whether the half that an event is about may be part of a release, and with which other half.

use domain::{
    evaluation::{CHAMPION, NO_CHAMPION},
    ports::{Approval, Package, Scan, StoredImage},
    release::{Image, Model, Target},
};

use super::{Decision, Facts, Half, is_cause_of};
use crate::{Config, parts};

/// A model goes live with the live image; the first one with the image that carries the tag.
pub(super) fn admit_model(
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
        Approval::Rejected => return Err(skip(rejected(package))),
        Approval::PendingManualApproval => {
            return Err(skip(
                "the model package is registered and waits for a person's approval".to_owned(),
            ));
        }
    }
    if let Some(reason) = late(package, facts) {
        return Err(Decision::NotForThisFunction { reason });
    }
    if let Some(reason) = judged_against_another(package, facts) {
        return Err(skip(reason));
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

/// That a package is Rejected, and why.
pub(crate) fn rejected(package: &Package) -> String {
    let why = package.approval_description.as_deref();
    let why = why.unwrap_or("no reason given");
    format!("the model package is Rejected ({why})")
}

/// Why an approval is an old one: it, or a later one, was acted on. Its event came again, or late, and undoes
/// nothing that came since. A person who approves the package once more makes a new one.
fn late(package: &Package, facts: &Facts) -> Option<String> {
    let target = facts.pointer.target.as_ref()?;
    if is_cause_of(&Half::Model(package.clone()), &package.arn, facts, target) {
        // It is what was acted on, and goes on.
        return None;
    }
    let (version, caused_at) = (package.version, facts.caused_at);
    let is_late = if let Some(at) = facts.pointer.approved_at {
        // Events tell whole seconds: within one the higher version is the later.
        let considered = (at, facts.pointer.approved_version.unwrap_or(u32::MAX));
        let this = (caused_at, version);
        let is_open = was_let_go(target, facts) || was_abandoned(package, facts);
        this < considered || (this == considered && !is_open)
    } else {
        let base = facts.base.as_ref()?;
        let live = parts::version(&base.model.package_arn)?;
        caused_at <= target.caused_at && version < live
    };
    is_late.then(|| {
        format!(
            "the approval of version {version} at {caused_at} is an old one: it or a later one was acted on; to deploy the package all the same, approve it once more"
        )
    })
}

/// Whether the package's release was on its way, and never judged, when what was live had to be gone away from:
/// nothing has come since, and its message, where that isn't done yet, makes a release of it.
fn was_abandoned(package: &Package, facts: &Facts) -> bool {
    let abandoned = facts.abandoned.as_ref();
    abandoned.is_some_and(|abandoned| abandoned.model.package_arn == package.arn)
}

/// Whether what was quarantined with the release that the target was brought back in the place of was let go
/// since: the approval that was acted on then may be sent again.
fn was_let_go(target: &Target, facts: &Facts) -> bool {
    let Some(gone) = &target.gone_from else {
        return false;
    };
    let mut entries = facts.quarantine.entries.iter();
    entries.any(|entry| entry.release == *gone && entry.lifted.is_some())
}

/// Why nobody has compared a model with what is live. An approval that came with the registration rests on the
/// judgement alone; a later one is a person's word.
fn judged_against_another(package: &Package, facts: &Facts) -> Option<String> {
    let live = &facts.base.as_ref()?.model.package_arn;
    let champion = package.metadata.get(CHAMPION)?;
    if package.was_changed || live == champion || *live == package.arn {
        return None;
    }
    Some(format!(
        "the model was judged against {}, and {live} is live: nobody compared the two. Ask for a retraining, or approve the package once more to deploy it all the same",
        if champion == NO_CHAMPION {
            "no live model"
        } else {
            champion
        }
    ))
}

/// An image goes live with the live model; the first one with the model that waits.
pub(super) fn admit_image(
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
            let since = if facts.asked.is_some() {
                "it was asked for"
            } else {
                "its push"
            };
            skip(format!(
                "{reason}, {limit} s after {since} (SCAN_LIMIT_S): scan it, then push the tag again"
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
    vulnerabilities(scan)
}

/// What a scan has found that keeps an image from running.
pub(crate) fn vulnerabilities(scan: &Scan) -> Option<String> {
    let count = |severity: &str| scan.findings.get(severity).copied().unwrap_or(0);
    let (critical, high) = (count("CRITICAL"), count("HIGH"));
    (critical + high > 0).then(|| {
        format!("the image's scan found {critical} CRITICAL and {high} HIGH vulnerabilities")
    })
}
