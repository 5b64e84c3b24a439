//! The SageMaker model registry.

use domain::{
    Error, Result,
    ports::{Approval, Ensured, Package, PackageSpec, Registry},
};
use serde_json::{Value, json};

use crate::{
    World,
    envelope::{digest_in, sagemaker_arn},
    state::State,
};

/// Metadata key of the training job that made the model.
const TRAINING_JOB: &str = "training_job";

/// A registered model package.
#[derive(Debug, Clone)]
pub(crate) struct Registered {
    pub(crate) spec: PackageSpec,
    pub(crate) arn: String,
    version: u32,
    pub(crate) approval: Approval,
    pub(crate) approval_description: Option<String>,
    was_changed: bool,
    /// Whether SageMaker still knows the client token; it forgets after a while.
    token_known: bool,
}

impl Registered {
    fn package(&self) -> Package {
        Package {
            arn: self.arn.clone(),
            group: self.spec.group.clone(),
            version: self.version,
            approval: self.approval,
            approval_description: self.approval_description.clone(),
            was_changed: self.was_changed,
            model_uri: self.spec.model_uri.clone(),
            metadata: self.spec.metadata.clone(),
        }
    }

    /// The event's detail: no customer metadata, as in AWS's sample.
    fn detail(&self, now: jiff::Timestamp) -> Value {
        json!({
            "ModelPackageGroupName": self.spec.group,
            "ModelPackageVersion": self.version,
            "ModelPackageArn": self.arn,
            "CreationTime": now.to_string(),
            "LastModifiedTime": now.to_string(),
            "InferenceSpecification": {
                "Containers": [{
                    "Image": self.spec.image,
                    "ImageDigest": digest_in(&self.spec.image),
                    "ModelDataUrl": self.spec.model_uri,
                }],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": { "ValidationStatuses": [], "ImageScanStatuses": [] },
            "CertifyForMarketplace": false,
            "ModelApprovalStatus": self.approval,
        })
    }
}

fn event(state: &mut State, package: &Registered) -> Value {
    let detail = package.detail(state.now);
    state.state_change("Model Package", package.arn.clone(), &detail)
}

impl State {
    pub(crate) fn package(&self, arn: &str) -> Option<&Registered> {
        self.packages.iter().find(|package| package.arn == arn)
    }
}

impl World {
    /// A person approves a package; answers SageMaker's event.
    pub fn approve(&self, arn: &str) -> Result<Value> {
        self.set_approval(arn, Approval::Approved, None)
    }

    /// A person decides about a package, and may say why; answers SageMaker's event.
    pub fn set_approval(&self, arn: &str, approval: Approval, why: Option<&str>) -> Result<Value> {
        let mut state = self.state.borrow_mut();
        let package = state.packages.iter_mut().find(|package| package.arn == arn);
        let package =
            package.ok_or_else(|| Error::permanent(format!("there is no package {arn}")))?;
        package.approval = approval;
        package.approval_description = why.map(str::to_owned);
        package.was_changed = true;
        let package = package.clone();
        Ok(event(&mut state, &package))
    }

    /// Lets SageMaker forget the client tokens, as it does after a while: from now on a repeated
    /// registration makes another version.
    pub fn forget_client_tokens(&self) {
        for package in &mut self.state.borrow_mut().packages {
            package.token_known = false;
        }
    }

    /// A person deletes a package.
    pub fn delete_package(&self, arn: &str) {
        let mut state = self.state.borrow_mut();
        state.packages.retain(|package| package.arn != arn);
    }

    /// Every package, oldest first.
    pub fn packages(&self) -> Vec<Package> {
        let state = self.state.borrow();
        state.packages.iter().map(Registered::package).collect()
    }
}

impl Registry for World {
    async fn ensure_group(&self, group: &str) -> Result<Ensured> {
        self.effect("ensure_group", group, |state| {
            let ensured = if state.groups.insert(group.to_owned()) {
                Ensured::Made
            } else {
                Ensured::AlreadySo
            };
            Ok((ensured, ensured))
        })
        .await
    }

    async fn package_of(&self, group: &str, training_job: &str) -> Result<Option<Package>> {
        self.look("package_of", &format!("{group} {training_job}"), |state| {
            let mut newest_first = state.packages.iter().rev();
            let package = newest_first.find(|package| {
                package.spec.group == group
                    && package.spec.metadata.get(TRAINING_JOB).map(String::as_str)
                        == Some(training_job)
            })?;
            Some(package.package())
        })
        .await
    }

    async fn register(&self, spec: &PackageSpec) -> Result<String> {
        self.effect("register", &spec.group, |state| {
            if !spec.metadata.contains_key(TRAINING_JOB) {
                return Err(Error::permanent(format!(
                    "the package's metadata names no {TRAINING_JOB}"
                )));
            }
            let mut packages = state.packages.iter();
            let first = packages.find(|package| {
                package.token_known && package.spec.client_token == spec.client_token
            });
            if let Some(first) = first {
                return if first.spec == *spec {
                    Ok((first.arn.clone(), Ensured::AlreadySo))
                } else {
                    Err(Error::permanent(format!(
                        "the client token {} was used for another package",
                        spec.client_token
                    )))
                };
            }
            state.groups.insert(spec.group.clone());
            let in_group = |package: &&Registered| package.spec.group == spec.group;
            let before = state.packages.iter().rfind(in_group);
            let version = before.map_or(1, |package| package.version + 1);
            let package = Registered {
                spec: spec.clone(),
                arn: sagemaker_arn("model-package", &format!("{}/{version}", spec.group)),
                version,
                approval: spec.approval,
                approval_description: None,
                was_changed: false,
                token_known: true,
            };
            let registered = event(state, &package);
            state.events.push(registered);
            let arn = package.arn.clone();
            state.packages.push(package);
            Ok((arn, Ensured::Made))
        })
        .await
    }

    async fn package(&self, arn: &str) -> Result<Option<Package>> {
        self.look("package", arn, |state| {
            state.package(arn).map(Registered::package)
        })
        .await
    }

    async fn reject(&self, arn: &str, reason: &str) -> Result<Ensured> {
        self.effect("reject", arn, |state| {
            let package = state.packages.iter_mut().find(|package| package.arn == arn);
            let package =
                package.ok_or_else(|| Error::permanent(format!("there is no package {arn}")))?;
            if package.approval == Approval::Rejected {
                return Ok((Ensured::AlreadySo, Ensured::AlreadySo));
            }
            package.approval = Approval::Rejected;
            package.approval_description = Some(reason.to_owned());
            package.was_changed = true;
            let package = package.clone();
            let rejected = event(state, &package);
            state.events.push(rejected);
            Ok((Ensured::Made, Ensured::Made))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{envelope::assert_like_sample, ready};

    fn spec(token: &str) -> PackageSpec {
        PackageSpec {
            group: "retail-forecast-models".to_owned(),
            description: "d".to_owned(),
            image: "r@sha256:00".to_owned(),
            model_uri: "s3://a/models/x".to_owned(),
            approval: Approval::PendingManualApproval,
            metadata: BTreeMap::from([(TRAINING_JOB.to_owned(), format!("job-{token}"))]),
            metrics_uri: "s3://a/m".to_owned(),
            client_token: token.to_owned(),
        }
    }

    #[test]
    fn a_client_token_makes_one_version_until_it_is_forgotten() {
        let world = World::new();
        let first = ready(world.register(&spec("t1"))).unwrap();
        assert_eq!(ready(world.register(&spec("t1"))).unwrap(), first);
        assert_eq!(world.packages().len(), 1);

        let mut other = spec("t1");
        other.model_uri = "s3://a/models/y".to_owned();
        assert!(ready(world.register(&other)).is_err());

        assert!(first.ends_with("model-package/retail-forecast-models/1"));
        assert!(ready(world.register(&spec("t2"))).unwrap().ends_with("/2"));
        world.forget_client_tokens();
        assert!(ready(world.register(&spec("t1"))).unwrap().ends_with("/3"));
    }

    #[test]
    fn registration_and_approval_both_send_the_same_kind_of_event() {
        let world = World::new();
        let arn = ready(world.register(&spec("t1"))).unwrap();
        let registered = world.run_services();
        assert_eq!(
            registered[0]["detail"]["ModelApprovalStatus"],
            "PendingManualApproval"
        );
        let kind = "model-package-state-change";
        assert_like_sample(
            &registered[0],
            &format!("{kind}/registered-pending-approval"),
        );
        let approved = world.approve(&arn).unwrap();
        assert_like_sample(&approved, &format!("{kind}/approved"));
        assert_eq!(approved["detail-type"], registered[0]["detail-type"]);
        assert_eq!(approved["detail"]["ModelApprovalStatus"], "Approved");
        assert_eq!(world.run_services(), Vec::<Value>::new());

        let package = ready(world.package_of("retail-forecast-models", "job-t1"));
        assert_eq!(package.unwrap().unwrap().approval, Approval::Approved);
        let foreign = ready(world.package_of("retail-forecast-models", "job-t2"));
        assert_eq!(foreign.unwrap(), None);
        assert!(world.approve("arn:none").is_err());
    }
}
