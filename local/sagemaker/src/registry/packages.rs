//! Model packages: create, describe, list, delete.

use std::collections::BTreeMap;

use jiff::Timestamp;
use local_wire::Caller;
use serde_json::{Map, Value, json};

use super::{
    groups,
    request::{APPROVALS, check, content},
};
use crate::{
    error::ApiError,
    events::Subject,
    input::Input,
    names::name_in,
    paging::{self, Order, Row},
    service::{Service, State},
    tags,
    time::{Format, epoch_seconds, iso},
};

/// A model package.
#[derive(Debug)]
pub(crate) struct Package {
    pub(super) arn: String,
    /// Name of an unversioned package, `{group}/{version}` of a version.
    name: String,
    /// Group and version.
    version: Option<(String, u32)>,
    /// What the request said, and updates since.
    pub(super) content: Map<String, Value>,
    created: Timestamp,
    pub(super) modified: Option<Timestamp>,
}

/// All model packages, and the tokens they were created with.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    by_name: BTreeMap<String, Package>,
    /// Token to the request's other members and the package's ARN.
    tokens: BTreeMap<String, (Map<String, Value>, String)>,
}

impl Packages {
    /// A package by its ARN, its name, or `{group}/{version}`.
    pub(crate) fn find(&self, arn_or_name: &str) -> Option<&Package> {
        let found = self.by_name.get(name_in(arn_or_name))?;
        (!arn_or_name.starts_with("arn:") || found.arn == arn_or_name).then_some(found)
    }

    pub(super) fn find_mut(&mut self, arn: &str) -> Option<&mut Package> {
        let found = self.by_name.get_mut(name_in(arn))?;
        (found.arn == arn).then_some(found)
    }

    /// The ARN, if it is one of a package that may have tags: versions share their group's.
    pub(crate) fn taggable(&self, arn: &str) -> Option<&str> {
        let package = self.find(arn)?;
        package.version.is_none().then_some(package.arn.as_str())
    }
}

impl Package {
    /// The definition of its container.
    pub(crate) fn container(&self) -> Option<&Value> {
        self.content
            .get("InferenceSpecification")?
            .get("Containers")?
            .get(0)
    }

    /// Refuses a version that isn't approved: "the value must be set to Approved to deploy the
    /// model".
    pub(crate) fn deployable(&self) -> Result<(), ApiError> {
        let status = self.content.get("ModelApprovalStatus");
        match status.and_then(Value::as_str) {
            Some(status) if status != "Approved" => Err(ApiError::validation(format!(
                "ModelPackage {} can't be deployed: its approval status is {status}.",
                self.arn
            ))),
            _ => Ok(()),
        }
    }

    /// What both the API and the events show; they differ in how they write times.
    fn fields(&self, time: Format) -> Map<String, Value> {
        let mut fields = self.content.clone();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("ModelPackageArn", json!(self.arn));
        set("CreationTime", time(self.created));
        set("ModelPackageStatus", json!("Completed"));
        set(
            "ModelPackageStatusDetails",
            json!({"ValidationStatuses": [], "ImageScanStatuses": []}),
        );
        match &self.version {
            Some((group, version)) => {
                set("ModelPackageGroupName", json!(group));
                set("ModelPackageVersion", json!(version));
            }
            None => {
                set("ModelPackageName", json!(self.name));
            }
        }
        if let Some(modified) = self.modified {
            set("LastModifiedTime", time(modified));
        }
        fields
    }

    fn row(&self) -> Row {
        let mut summary = self.fields(epoch_seconds);
        summary.retain(|member, _| {
            matches!(
                member.as_str(),
                "ModelPackageName"
                    | "ModelPackageGroupName"
                    | "ModelPackageVersion"
                    | "ModelPackageArn"
                    | "ModelPackageDescription"
                    | "CreationTime"
                    | "ModelPackageStatus"
                    | "ModelApprovalStatus"
                    | "ModelLifeCycle"
                    | "ModelPackageRegistrationType"
            )
        });
        Row {
            arn: self.arn.clone(),
            name: self.name.clone(),
            status: "Completed",
            created: self.created,
            modified: self.modified.unwrap_or(self.created),
            summary: Value::Object(summary),
        }
    }
}

impl Service {
    /// `CreateModelPackage`.
    pub(crate) async fn create_package(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        check(input)?;
        let group = input.text("ModelPackageGroupName").map(name_in);
        let name = match (group, input.text("ModelPackageName")) {
            (Some(_), Some(_)) => {
                return Err(ApiError::validation(
                    "Both ModelPackageName and ModelPackageGroupName are provided in the input. \
                     Cannot determine which one to use.",
                ));
            }
            (None, None) => return Err(ApiError::validation("Missing ARN.")),
            (Some(group), None) => {
                let state = self.state();
                let next = state.groups.get(group).map_or(1, |g| g.last_version + 1);
                format!("{group}/{next}")
            }
            (None, Some(name)) => name.to_owned(),
        };
        let tags = tags::read(input)?;
        if group.is_some() && !tags.is_empty() {
            return Err(ApiError::validation(
                "A version of a model package uses the tags of its group and can't have its own.",
            ));
        }
        let arn = self.names.arn("model-package", &name);
        self.allow(caller, "sagemaker:CreateModelPackage", &arn)
            .await?;
        self.allow_with(caller, input, &arn, None).await?;

        let mut state = self.state();
        let mut request = input.members().clone();
        let token = request.remove("ClientToken");
        let token = token.as_ref().and_then(Value::as_str);
        if let Some((earlier, arn)) = token.and_then(|token| state.packages.tokens.get(token)) {
            return if *earlier == request {
                Ok(json!({"ModelPackageArn": arn}))
            } else {
                Err(ApiError::conflict(
                    "The client token was used before with other parameters.",
                ))
            };
        }
        let (name, version) = match group {
            Some(group) => self.next_version(&mut state, group)?,
            None => (name, None),
        };
        let arn = self.names.arn("model-package", &name);
        if state.packages.by_name.contains_key(&name) {
            return Err(ApiError::validation(format!(
                "Model Package already exists: {arn}"
            )));
        }
        let package = Package {
            arn: arn.clone(),
            name: name.clone(),
            content: content(input, version.is_some()),
            version,
            created: Timestamp::now(),
            modified: None,
        };
        state.packages.by_name.insert(name, package);
        state.tags.insert(arn.clone(), tags);
        if let Some(token) = token {
            let entry = (request, arn.clone());
            state.packages.tokens.insert(token.to_owned(), entry);
        }
        self.announce_package(&state, &arn, None);
        Ok(json!({"ModelPackageArn": arn}))
    }

    /// Takes the next version of a group: the package's name, and what it is a version of.
    fn next_version(
        &self,
        state: &mut State,
        group: &str,
    ) -> Result<(String, Option<(String, u32)>), ApiError> {
        let found = state.groups.get_mut(group).ok_or_else(|| {
            let arn = self.names.arn("model-package-group", group);
            groups::not_found(&arn)
        })?;
        found.last_version += 1;
        let version = found.last_version;
        let name = format!("{group}/{version}");
        Ok((name, Some((group.to_owned(), version))))
    }

    /// `DescribeModelPackage`.
    pub(crate) async fn describe_package(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let given = input.required("ModelPackageName")?;
        let arn = self.names.arn_of("model-package", given);
        self.allow(caller, "sagemaker:DescribeModelPackage", &arn)
            .await?;
        let state = self.state();
        let package = state.packages.find(&arn).ok_or_else(|| not_found(&arn))?;
        let mut answer = package.fields(epoch_seconds);
        // The member is required, though a version's name says no more than its group's.
        if let Some((group, _)) = &package.version {
            answer.insert("ModelPackageName".to_owned(), json!(group));
        }
        Ok(Value::Object(answer))
    }

    /// `DeleteModelPackage`.
    pub(crate) async fn delete_package(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let given = input.required("ModelPackageName")?;
        let arn = self.names.arn_of("model-package", given);
        self.allow(caller, "sagemaker:DeleteModelPackage", &arn)
            .await?;
        let mut state = self.state();
        let found = state.packages.find(&arn).ok_or_else(|| not_found(&arn))?;
        let name = found.name.clone();
        state.packages.by_name.remove(&name);
        state.tags.remove(&arn);
        Ok(Value::Null)
    }

    /// `ListModelPackages`.
    pub(crate) async fn list_packages(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        paging::check(input, &["Name", "CreationTime"])?;
        input
            .checks()
            .one_of("ModelApprovalStatus", &APPROVALS)
            .one_of("ModelPackageType", &["Versioned", "Unversioned", "Both"])
            .finish()?;
        let group = input.text("ModelPackageGroupName");
        let resource = group.map_or_else(
            || "*".to_owned(),
            |group| {
                let all = format!("{}/*", name_in(group));
                self.names.arn("model-package", &all)
            },
        );
        self.allow(caller, "sagemaker:ListModelPackages", &resource)
            .await?;
        let state = self.state();
        if let Some(group) = group
            && !state.groups.contains_key(name_in(group))
        {
            let arn = self.names.arn_of("model-package-group", group);
            return Err(groups::not_found(&arn));
        }
        let group = group.map(name_in);
        let of_type = |package: &Package| match (group, input.text("ModelPackageType")) {
            (Some(group), _) => package.version.as_ref().is_some_and(|(g, _)| g == group),
            (None, Some("Both")) => true,
            (None, Some("Versioned")) => package.version.is_some(),
            (None, _) => package.version.is_none(),
        };
        let approval = input.text("ModelApprovalStatus");
        let rows = state
            .packages
            .by_name
            .values()
            .filter(|package| of_type(package))
            .filter(|package| {
                let status = package.content.get("ModelApprovalStatus");
                approval.is_none_or(|wanted| status.is_some_and(|status| status == wanted))
            })
            .map(Package::row)
            .collect();
        paging::page(input, "ModelPackageSummaryList", Order::Ascending, rows)
    }

    /// Tells of a registration, or of an update of the `updated` members.
    pub(super) fn announce_package(&self, state: &State, arn: &str, updated: Option<&[&str]>) {
        let Some(package) = state.packages.find(arn) else {
            return;
        };
        let mut detail = package.fields(iso);
        detail.insert("CertifyForMarketplace".to_owned(), json!(false));
        if let Some(updated) = updated {
            detail.insert("UpdatedModelPackageFields".to_owned(), json!(updated));
        }
        self.outbox
            .send(Subject::ModelPackage, arn, &Value::Object(detail));
    }
}

/// AWS's answer for an unknown package.
pub(super) fn not_found(arn: &str) -> ApiError {
    ApiError::validation(format!("ModelPackage {arn} does not exist."))
}
