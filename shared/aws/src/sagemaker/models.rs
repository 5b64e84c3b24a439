//! SageMaker models: what transforms and endpoints run.

use std::collections::BTreeMap;

use aws_sdk_sagemaker::{
    error::ProvideErrorMetadata as _, operation::describe_model::DescribeModelOutput,
    types::ContainerDefinition,
};
use domain::{Result, ports::Ensured};

use super::{SageMaker, found, may_exist, same, tags};
use crate::failure::failed;

/// What a model is made of.
pub(super) enum Parts<'a> {
    /// An artifact in an image.
    Artifact {
        /// Image of the model.
        image: &'a str,
        /// `s3://…/model.tar.gz`.
        model_uri: &'a str,
        /// Variables of the container.
        environment: &'a BTreeMap<String, String>,
    },
    /// A version in the model registry.
    Package(&'a str),
}

impl Parts<'_> {
    fn container(&self) -> ContainerDefinition {
        let container = ContainerDefinition::builder();
        match self {
            Self::Artifact {
                image,
                model_uri,
                environment,
            } => {
                let variables = environment.iter();
                let variables = variables.map(|(name, value)| (name.clone(), value.clone()));
                container
                    .image(*image)
                    .model_data_url(*model_uri)
                    .set_environment((!environment.is_empty()).then(|| variables.collect()))
                    .build()
            }
            Self::Package(arn) => container.model_package_name(*arn).build(),
        }
    }

    /// Compares with a model that is there. SageMaker shows a lone container as the primary one or as
    /// a list of one.
    fn same(&self, name: &str, model: &DescribeModelOutput) -> Result<Ensured> {
        let container = model
            .primary_container()
            .or_else(|| model.containers().first());
        let property = |name, found: Option<&str>, asked: &str| {
            (name, found.unwrap_or_default().to_owned(), asked.to_owned())
        };
        let properties = match self {
            Self::Artifact {
                image,
                model_uri,
                environment,
            } => vec![
                property("image", container.and_then(|c| c.image()), image),
                property(
                    "artifact",
                    container.and_then(|c| c.model_data_url()),
                    model_uri,
                ),
                (
                    "environment",
                    shown(
                        container
                            .and_then(|c| c.environment())
                            .into_iter()
                            .flatten(),
                    ),
                    shown(*environment),
                ),
            ],
            Self::Package(arn) => vec![property(
                "model package",
                container.and_then(|c| c.model_package_name()),
                arn,
            )],
        };
        same(&format!("model {name}"), &properties)
    }
}

/// Variables in their order, to be compared and told.
fn shown<'a>(variables: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let sorted: BTreeMap<_, _> = variables.into_iter().collect();
    let pairs = sorted.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(", ")
}

impl SageMaker {
    /// Makes a model, or finds it with the same parts.
    pub(super) async fn ensure_model(
        &self,
        name: &str,
        parts: &Parts<'_>,
        role_arn: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Ensured> {
        if let Some(model) = self.describe_model(name).await? {
            return parts.same(name, &model);
        }
        let answer = self
            .client
            .create_model()
            .model_name(name)
            .primary_container(parts.container())
            .execution_role_arn(role_arn)
            .set_tags(Some(tags(labels)))
            .send()
            .await;
        let Err(refused) = answer else {
            return Ok(Ensured::Made);
        };
        if may_exist(refused.code())
            && let Some(model) = self.describe_model(name).await?
        {
            return parts.same(name, &model);
        }
        Err(failed(
            format!("making the model {name}"),
            "sagemaker:CreateModel, and iam:PassRole on the execution role",
            refused,
        ))
    }

    async fn describe_model(&self, name: &str) -> Result<Option<DescribeModelOutput>> {
        let answer = self.client.describe_model().model_name(name).send().await;
        found(
            answer,
            format!("reading the model {name}"),
            "sagemaker:DescribeModel",
        )
    }
}
