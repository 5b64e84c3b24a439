//! Models: an image and the data it serves.

use std::collections::BTreeMap;

use jiff::Timestamp;
use local_wire::Caller;
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    input::{Input, texts},
    paging::{self, Order, Row},
    service::{Service, State},
    store::S3Uri,
    tags,
    time::epoch_seconds,
};

/// A model as it was created.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) arn: String,
    request: Input,
    created: Timestamp,
}

/// What runs for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    /// Image reference.
    pub(crate) image: String,
    /// `model.tar.gz`, if the model has one.
    pub(crate) data: Option<S3Uri>,
    /// The model's environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// ARN of the role that it runs with; of a model, not of a package.
    pub(crate) role: String,
}

impl Container {
    fn read(definition: &Value) -> Option<Self> {
        let data = match definition["ModelDataUrl"].as_str() {
            Some(uri) => Some(S3Uri::parse(uri)?),
            None => None,
        };
        Some(Self {
            image: definition["Image"].as_str()?.to_owned(),
            data,
            environment: texts(definition.get("Environment")).into_iter().collect(),
            role: String::new(),
        })
    }
}

impl Model {
    /// The role that its containers run with.
    pub(crate) fn role(&self) -> Option<&str> {
        self.request.text("ExecutionRoleArn")
    }
}

impl State {
    /// The container of a model, through its model package where it names one.
    pub(crate) fn container(&self, model: &str) -> Result<Container, String> {
        let Some(found) = self.models.get(model) else {
            return Err(format!("the model {model} doesn't exist"));
        };
        let own = found.request.at("PrimaryContainer").unwrap_or(&Value::Null);
        let role = found.role().unwrap_or_default().to_owned();
        let Some(package) = own["ModelPackageName"].as_str() else {
            let container = Container::read(own);
            return container
                .map(|container| Container { role, ..container })
                .ok_or_else(|| format!("the model {model} has no image"));
        };
        let mut container = self
            .packages
            .find(package)
            .and_then(|package| Container::read(package.container()?))
            .ok_or_else(|| format!("the model package {package} has no container"))?;
        container.environment.extend(texts(own.get("Environment")));
        container.role = role;
        Ok(container)
    }
}

impl Service {
    /// `CreateModel`.
    pub(crate) async fn create_model(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        input
            .checks()
            .required("ModelName")
            .name("ModelName")
            .role("ExecutionRoleArn")
            .s3_uri("PrimaryContainer.ModelDataUrl")
            .length("PrimaryContainer.Image", 255)
            .length("PrimaryContainer.Environment", 100)
            .length("Tags", 50)
            .finish()?;
        input.without(&[
            "Containers",
            "InferenceExecutionConfig",
            "PrimaryContainer.ModelDataSource",
            "PrimaryContainer.AdditionalModelDataSources",
            "PrimaryContainer.MultiModelConfig",
            "PrimaryContainer.InferenceSpecificationName",
        ])?;
        input.only("PrimaryContainer.Mode", "SingleModel")?;
        let name = input.required("ModelName")?;
        let arn = self.names.arn("model", name);
        let tags = tags::read(input)?;
        self.allow(caller, "sagemaker:CreateModel", &arn).await?;
        self.allow_with(caller, input, &arn, input.text("ExecutionRoleArn"))
            .await?;
        self.check_container(input).await?;

        let mut state = self.state();
        if state.models.contains_key(name) {
            return Err(ApiError::validation(format!(
                "Cannot create already existing model \"{arn}\"."
            )));
        }
        state.tags.insert(arn.clone(), tags);
        let model = Model {
            arn: arn.clone(),
            request: input.clone(),
            created: Timestamp::now(),
        };
        state.models.insert(name.to_owned(), model);
        Ok(json!({"ModelArn": arn}))
    }

    /// The image and the data of a new model must exist; a package version must be approved.
    async fn check_container(&self, input: &Input) -> Result<(), ApiError> {
        if let Some(name) = input.text("PrimaryContainer.ModelPackageName") {
            if input.at("PrimaryContainer.Image").is_some() {
                return Err(ApiError::validation(
                    "Both Image and ModelPackageName are provided for the container. Only one is allowed.",
                ));
            }
            let state = self.state();
            let package = state.packages.find(name).ok_or_else(|| {
                let arn = self.names.arn_of("model-package", name);
                ApiError::validation(format!("ModelPackage {arn} does not exist."))
            })?;
            return package.deployable();
        }
        let image = input.required("PrimaryContainer.Image")?;
        let known = self.images.resolve(image).await;
        if known.map_err(ApiError::internal)?.is_none() {
            return Err(ApiError::validation(format!(
                "Requested image {image} not found."
            )));
        }
        let Some(data) = input
            .text("PrimaryContainer.ModelDataUrl")
            .and_then(S3Uri::parse)
        else {
            return Ok(());
        };
        let role = input.text("ExecutionRoleArn").unwrap_or_default();
        let listed = async {
            let store = self.stores.as_role(role).await?;
            store.list(&data.bucket, &data.key).await
        };
        if listed.await.is_ok_and(|keys| keys.contains(&data.key)) {
            Ok(())
        } else {
            Err(ApiError::validation(format!(
                "Could not find model data at {data}."
            )))
        }
    }

    /// `DescribeModel`.
    pub(crate) async fn describe_model(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let name = input.required("ModelName")?;
        let arn = self.names.arn("model", name);
        self.allow(caller, "sagemaker:DescribeModel", &arn).await?;
        let state = self.state();
        let model = state.models.get(name).ok_or_else(|| not_found(&arn))?;
        let mut answer = model.request.keep(&[
            "ModelName",
            "PrimaryContainer",
            "ExecutionRoleArn",
            "VpcConfig",
        ]);
        let isolated = model.request.flag("EnableNetworkIsolation");
        answer.insert("EnableNetworkIsolation".into(), json!(isolated));
        answer.insert("ModelArn".into(), json!(arn));
        answer.insert("CreationTime".into(), epoch_seconds(model.created));
        Ok(Value::Object(answer))
    }

    /// `DeleteModel`: endpoints that run it go on.
    pub(crate) async fn delete_model(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let name = input.required("ModelName")?;
        let arn = self.names.arn("model", name);
        self.allow(caller, "sagemaker:DeleteModel", &arn).await?;
        let mut state = self.state();
        state.models.remove(name).ok_or_else(|| not_found(&arn))?;
        state.tags.remove(&arn);
        Ok(Value::Null)
    }

    /// `ListModels`.
    pub(crate) async fn list_models(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        paging::check(input, &["Name", "CreationTime"])?;
        self.allow(caller, "sagemaker:ListModels", "*").await?;
        let state = self.state();
        let rows = state.models.iter().map(|(name, model)| Row {
            arn: model.arn.clone(),
            name: name.clone(),
            status: "",
            created: model.created,
            modified: model.created,
            summary: json!({
                "ModelName": name,
                "ModelArn": model.arn,
                "CreationTime": epoch_seconds(model.created),
            }),
        });
        paging::page(input, "Models", Order::Descending, rows.collect())
    }
}

/// AWS's answer for an unknown model.
pub(crate) fn not_found(arn: &str) -> ApiError {
    ApiError::validation(format!("Could not find model \"{arn}\"."))
}
