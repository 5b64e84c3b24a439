//! Model package groups.

use jiff::Timestamp;
use local_wire::Caller;
use serde_json::{Map, Value, json};

use crate::{
    error::ApiError,
    input::Input,
    names::name_in,
    paging::{self, Order, Row},
    service::Service,
    tags,
    time::epoch_seconds,
};

/// A model package group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) arn: String,
    request: Input,
    created: Timestamp,
    /// The highest version number given out; deleted versions don't free theirs.
    pub(super) last_version: u32,
}

impl Group {
    fn fields(&self) -> Map<String, Value> {
        let mut fields = self
            .request
            .keep(&["ModelPackageGroupName", "ModelPackageGroupDescription"]);
        fields.insert("ModelPackageGroupArn".to_owned(), json!(self.arn));
        fields.insert("CreationTime".to_owned(), epoch_seconds(self.created));
        fields.insert("ModelPackageGroupStatus".to_owned(), json!("Completed"));
        fields
    }
}

impl Service {
    /// `CreateModelPackageGroup`.
    pub(crate) async fn create_group(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        input
            .checks()
            .required("ModelPackageGroupName")
            .name("ModelPackageGroupName")
            .length("ModelPackageGroupDescription", 1_024)
            .length("Tags", 50)
            .finish()?;
        let name = input.required("ModelPackageGroupName")?;
        let arn = self.names.arn("model-package-group", name);
        let tags = tags::read(input)?;
        self.allow(caller, "sagemaker:CreateModelPackageGroup", &arn)
            .await?;
        self.allow_with(caller, input, &arn, None).await?;
        let mut state = self.state();
        if state.groups.contains_key(name) {
            return Err(ApiError::validation(format!(
                "Model Package Group already exists: {arn}"
            )));
        }
        state.tags.insert(arn.clone(), tags);
        let group = Group {
            arn: arn.clone(),
            request: input.clone(),
            created: Timestamp::now(),
            last_version: 0,
        };
        state.groups.insert(name.to_owned(), group);
        Ok(json!({"ModelPackageGroupArn": arn}))
    }

    /// `DescribeModelPackageGroup`.
    pub(crate) async fn describe_group(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let given = input.required("ModelPackageGroupName")?;
        let arn = self.names.arn_of("model-package-group", given);
        self.allow(caller, "sagemaker:DescribeModelPackageGroup", &arn)
            .await?;
        let state = self.state();
        let group = state.groups.get(name_in(given)).filter(|g| g.arn == arn);
        let mut answer = group.ok_or_else(|| not_found(&arn))?.fields();
        answer.insert("CreatedBy".to_owned(), json!({}));
        Ok(Value::Object(answer))
    }

    /// `ListModelPackageGroups`.
    pub(crate) async fn list_groups(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        paging::check(input, &["Name", "CreationTime"])?;
        self.allow(caller, "sagemaker:ListModelPackageGroups", "*")
            .await?;
        let state = self.state();
        let rows = state.groups.iter().map(|(name, group)| Row {
            arn: group.arn.clone(),
            name: name.clone(),
            status: "Completed",
            created: group.created,
            modified: group.created,
            summary: Value::Object(group.fields()),
        });
        paging::page(
            input,
            "ModelPackageGroupSummaryList",
            Order::Ascending,
            rows.collect(),
        )
    }
}

/// AWS's answer for an unknown group.
pub(super) fn not_found(arn: &str) -> ApiError {
    ApiError::validation(format!("ModelPackageGroup {arn} does not exist."))
}
