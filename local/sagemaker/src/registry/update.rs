//! Updates of model packages: approval and metadata.

use jiff::Timestamp;
use local_wire::Caller;
use serde_json::{Value, json};

use super::{
    packages::not_found,
    request::{APPROVALS, METADATA_LIMIT, check_metadata},
};
use crate::{error::ApiError, input::Input, service::Service};

/// Members that replace what the package has.
const REPLACED: [&str; 4] = [
    "ModelApprovalStatus",
    "ApprovalDescription",
    "SourceUri",
    "ModelLifeCycle",
];

impl Service {
    /// `UpdateModelPackage`: what isn't named stays. Every update is told, as the documentation of
    /// the event has it: an update of an approved package's metadata says `Approved` once more, and
    /// `UpdatedModelPackageFields` tells the two apart.
    pub(crate) async fn update_package(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        input
            .checks()
            .required("ModelPackageArn")
            .one_of("ModelApprovalStatus", &APPROVALS)
            .length("ApprovalDescription", 1_024)
            .one_line("ApprovalDescription")
            .length("CustomerMetadataProperties", METADATA_LIMIT)
            .finish()?;
        input.without(&[
            "InferenceSpecification",
            "AdditionalInferenceSpecificationsToAdd",
            "ModelCard",
            "ModelPackageRegistrationType",
        ])?;
        check_metadata(input)?;
        let arn = input.required("ModelPackageArn")?;
        self.allow(caller, "sagemaker:UpdateModelPackage", arn)
            .await?;

        let mut state = self.state();
        let package = state.packages.find_mut(arn).ok_or_else(|| not_found(arn))?;
        let mut updated = Vec::new();
        let mut content = package.content.clone();
        for member in REPLACED {
            if let Some(value) = input.at(member) {
                content.insert(member.to_owned(), value.clone());
                updated.push(member);
            }
        }
        let removed = input.list("CustomerMetadataPropertiesToRemove");
        let added = input.texts("CustomerMetadataProperties");
        if !removed.is_empty() || !added.is_empty() {
            let old = content.remove("CustomerMetadataProperties");
            let mut all = old
                .as_ref()
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            for key in removed.iter().filter_map(Value::as_str) {
                all.remove(key);
            }
            all.extend(added.into_iter().map(|(key, value)| (key, json!(value))));
            if all.len() > METADATA_LIMIT {
                return Err(ApiError::validation(format!(
                    "A model package can't have more than {METADATA_LIMIT} customer metadata \
                     properties."
                )));
            }
            if !all.is_empty() {
                content.insert("CustomerMetadataProperties".to_owned(), Value::Object(all));
            }
            updated.push("CustomerMetadataProperties");
        }
        package.content = content;
        package.modified = Some(Timestamp::now());
        self.announce_package(&state, arn, Some(&updated));
        Ok(json!({"ModelPackageArn": arn}))
    }
}
