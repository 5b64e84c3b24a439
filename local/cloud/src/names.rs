//! The closed list of `${name}`s that settings, policies and patterns may use, and their values.
//!
//! Terraform fills the same names when it deploys to AWS.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What the cloud is called: everything else follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// AWS region (`ap-southeast-1`).
    pub region: String,
    /// Account id, 12 digits.
    pub account: String,
}

/// The names that mean the same for each function. The others are a function's own: `function` is
/// what the project calls it (`notify`; deployed it is `retail-forecast-{environment}-notify`), and
/// `queue_url`, `queue_arn`, `dlq_url`, `dlq_arn` are its queue's and its dead-letter queue's.
pub const SHARED: [&str; 21] = [
    "environment",
    "region",
    "account",
    "data_bucket",
    "artifacts_bucket",
    "event_bus",
    "event_bus_arn",
    "alerts_topic_arn",
    "rollback_function_arn",
    "model_package_group",
    "train_repository",
    "infer_repository",
    "train_image",
    "sagemaker_execution_role_arn",
    "cluster_name",
    "namespace",
    "endpoint_name",
    "service_url",
    "data_key_arn",
    "messages_key_arn",
    "frozen",
];

impl Place {
    /// Bucket of uploaded data sets.
    pub fn data_bucket(&self) -> String {
        format!("retail-mlops-data-{}-{}", self.account, self.region)
    }

    /// Bucket of models, reports and records.
    pub fn artifacts_bucket(&self) -> String {
        format!("retail-mlops-artifacts-{}-{}", self.account, self.region)
    }

    /// Bus of our own events.
    pub fn event_bus(&self) -> String {
        format!("retail-forecast-{}", self.environment)
    }

    /// Topic that people subscribe to.
    pub fn alerts_topic_arn(&self) -> String {
        self.arn("sns", "retail-forecast-alerts")
    }

    /// Queue that is subscribed to the topic in people's stead.
    pub fn alerts_inbox(&self) -> &'static str {
        "retail-forecast-alerts-inbox"
    }

    /// ECR repositories: the training image's and the API's.
    pub fn repositories(&self) -> [&'static str; 2] {
        ["retail-forecast-train", "retail-forecast-infer"]
    }

    /// Host that image references start with.
    pub fn registry(&self) -> String {
        format!("{}.dkr.ecr.{}.amazonaws.com", self.account, self.region)
    }

    /// EKS cluster.
    pub fn cluster_name(&self) -> String {
        format!("retail-mlops-{}", self.environment)
    }

    /// Kubernetes namespace.
    pub fn namespace(&self) -> String {
        format!("retail-forecast-{}", self.environment)
    }

    /// Service of the forecasting API, in the namespace.
    pub fn service(&self) -> &'static str {
        "retail-forecast-service"
    }

    /// Kubernetes service account of the forecasting API, in the namespace.
    pub fn api_service_account(&self) -> &'static str {
        "retail-forecast-api"
    }

    /// Role of that service account.
    pub fn api_role(&self) -> String {
        format!("retail-forecast-{}-api", self.environment)
    }

    /// Role that pipelines call with.
    pub fn pipeline_role(&self) -> String {
        format!("retail-forecast-{}-pipeline", self.environment)
    }

    /// Role that SageMaker's jobs and endpoints run with.
    pub fn execution_role(&self) -> &'static str {
        "sagemaker-exec-role"
    }

    /// Name of a function once deployed, and of its role: an account may hold several environments.
    pub fn function_name(&self, function: &str) -> String {
        format!("retail-forecast-{}-{function}", self.environment)
    }

    /// ARN of a function.
    pub fn function_arn(&self, function: &str) -> String {
        self.arn(
            "lambda",
            &format!("function:{}", self.function_name(function)),
        )
    }

    /// ARN of a resource of a regional service.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:aws:{service}:{}:{}:{resource}",
            self.region, self.account
        )
    }

    /// ARN of a role.
    pub fn role_arn(&self, role: &str) -> String {
        format!("arn:aws:iam::{}:role/{role}", self.account)
    }

    /// Key of the buckets. Nothing is encrypted by a key here; policies name one all the same.
    pub fn data_key_arn(&self) -> String {
        self.arn("kms", "key/data")
    }

    /// Key of queues and topic.
    pub fn messages_key_arn(&self) -> String {
        self.arn("kms", "key/messages")
    }

    /// Values of the [`SHARED`] names. `service_url` is where the forecasting API answers.
    pub fn names(&self, service_url: &str) -> Names {
        let [train, infer] = self.repositories();
        let values = [
            self.environment.clone(),
            self.region.clone(),
            self.account.clone(),
            self.data_bucket(),
            self.artifacts_bucket(),
            self.event_bus(),
            self.arn("events", &format!("event-bus/{}", self.event_bus())),
            self.alerts_topic_arn(),
            self.function_arn("roll-back"),
            "retail-forecast-models".to_owned(),
            train.to_owned(),
            infer.to_owned(),
            format!("{}/{train}:latest-{}", self.registry(), self.environment),
            self.role_arn(self.execution_role()),
            self.cluster_name(),
            self.namespace(),
            format!("retail-forecast-{}", self.environment),
            service_url.to_owned(),
            self.data_key_arn(),
            self.messages_key_arn(),
            // Why nothing may be deployed now: nothing stands against it here.
            String::new(),
        ];
        Names(SHARED.into_iter().zip(values).collect())
    }
}

/// Values of the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(BTreeMap<&'static str, String>);

/// What is wrong with a `${…}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not on the list.
    #[error("unknown name ${{{0}}}")]
    Unknown(String),
    /// No closing brace; holds the text from the `${` on.
    #[error("unclosed name {0:?}")]
    Unclosed(String),
}

impl Names {
    /// Adds a function's own names.
    #[must_use]
    pub fn with(mut self, own: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.0.extend(own);
        self
    }

    /// Replaces each `${name}` of `text`.
    pub fn fill_text(&self, text: &str) -> Result<String, NameError> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else {
                return Err(NameError::Unclosed(format!("${{{after}")));
            };
            let value = self
                .0
                .get(name)
                .ok_or_else(|| NameError::Unknown(name.to_owned()))?;
            filled.push_str(before);
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// Replaces the names in each string and key of a JSON value.
    pub fn fill(&self, value: &Value) -> Result<Value, NameError> {
        Ok(match value {
            Value::String(text) => Value::String(self.fill_text(text)?),
            Value::Array(items) => {
                let items: Result<_, _> = items.iter().map(|item| self.fill(item)).collect();
                Value::Array(items?)
            }
            Value::Object(fields) => {
                let mut filled = Map::new();
                for (key, field) in fields {
                    filled.insert(self.fill_text(key)?, self.fill(field)?);
                }
                Value::Object(filled)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{NameError, Names, Place, SHARED};

    fn names() -> Names {
        let place = Place {
            environment: "dev".to_owned(),
            region: "ap-southeast-1".to_owned(),
            account: "000000000000".to_owned(),
        };
        place.names("http://127.0.0.1:8080")
    }

    #[test]
    fn names_are_filled_in_keys_and_values_however_deep() {
        let value = json!({"${environment}": [{"a": "x-${namespace}-${region}"}], "n": 1});
        let filled = json!({"dev": [{"a": "x-retail-forecast-dev-ap-southeast-1"}], "n": 1});
        assert_eq!(names().fill(&value), Ok(filled));
    }

    #[test]
    fn unknown_and_unclosed_names_are_errors() {
        let unknown = names().fill_text("${bucket}");
        assert_eq!(unknown, Err(NameError::Unknown("bucket".to_owned())));
        let own = names().fill_text("${queue_url}");
        assert_eq!(own, Err(NameError::Unknown("queue_url".to_owned())));
        let unclosed = names().fill_text("a ${region");
        assert_eq!(unclosed, Err(NameError::Unclosed("${region".to_owned())));
    }

    #[test]
    fn each_shared_name_has_a_value_and_a_dollar_alone_means_itself() {
        // `frozen` is a reason, and there is none.
        for name in SHARED.into_iter().filter(|name| *name != "frozen") {
            assert_ne!(
                names().fill_text(&format!("${{{name}}}")),
                Ok(String::new())
            );
        }
        assert_eq!(names().fill_text("$5 {x}"), Ok("$5 {x}".to_owned()));
    }
}
