//! Tags of resources.

use std::collections::BTreeMap;

use local_wire::Caller;
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    input::Input,
    names::{PLAIN, is_plain, name_in},
    service::{Service, State},
};

/// Tags a resource may have.
const MOST: usize = 50;

/// Values by key.
pub(crate) type TagSet = BTreeMap<String, String>;

/// Reads `Tags` of a request.
pub(crate) fn read(input: &Input) -> Result<TagSet, ApiError> {
    let mut tags = TagSet::new();
    for tag in input.list("Tags") {
        let (Some(key), Some(value)) = (tag["Key"].as_str(), tag["Value"].as_str()) else {
            return Err(ApiError::validation(
                "1 validation error detected: each of 'tags' must have a key and a value",
            ));
        };
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(ApiError::validation(format!(
                "1 validation error detected: the tag '{key}' is longer than 128 characters in its \
                 key or 256 in its value"
            )));
        }
        if let Some(text) = [key, value].into_iter().find(|text| !is_plain(text)) {
            return Err(ApiError::validation(format!(
                "1 validation error detected: Value '{text}' at 'tags' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: {PLAIN}"
            )));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    if tags.len() > MOST {
        return Err(ApiError::validation(format!(
            "A resource can't have more than {MOST} tags."
        )));
    }
    Ok(tags)
}

impl Service {
    /// `AddTags`: answers all tags of the resource, as AWS does.
    pub(crate) async fn add_tags(&self, caller: &Caller, input: &Input) -> Result<Value, ApiError> {
        let arn = input.required("ResourceArn")?;
        let tags = read(input)?;
        self.allow(caller, "sagemaker:AddTags", arn).await?;
        let mut state = self.state();
        exists(&state, arn)?;
        let mut all = state.tags.get(arn).cloned().unwrap_or_default();
        all.extend(tags);
        if all.len() > MOST {
            return Err(ApiError::validation(format!(
                "A resource can't have more than {MOST} tags."
            )));
        }
        let answer = json!({"Tags": listed(&all)});
        state.tags.insert(arn.to_owned(), all);
        Ok(answer)
    }

    /// `ListTags`: always one page, since a resource has 50 tags at most.
    pub(crate) async fn list_tags(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let arn = input.required("ResourceArn")?;
        self.allow(caller, "sagemaker:ListTags", arn).await?;
        let state = self.state();
        exists(&state, arn)?;
        let tags = state.tags.get(arn).map(listed).unwrap_or_default();
        Ok(json!({"Tags": tags}))
    }

    /// `DeleteTags`.
    pub(crate) async fn delete_tags(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let arn = input.required("ResourceArn")?;
        input.checks().required("TagKeys").finish()?;
        self.allow(caller, "sagemaker:DeleteTags", arn).await?;
        let mut state = self.state();
        exists(&state, arn)?;
        if let Some(tags) = state.tags.get_mut(arn) {
            for key in input.list("TagKeys").iter().filter_map(Value::as_str) {
                tags.remove(key);
            }
        }
        Ok(json!({}))
    }
}

fn listed(tags: &TagSet) -> Vec<Value> {
    tags.iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

fn exists(state: &State, arn: &str) -> Result<(), ApiError> {
    let name = name_in(arn);
    let kind = arn
        .rsplit_once(':')
        .and_then(|(_, resource)| resource.split_once('/'))
        .map_or("", |(kind, _)| kind);
    let known = match kind {
        "training-job" => state.training_jobs.get(name).map(|job| job.arn.as_str()),
        "transform-job" => state.transform_jobs.get(name).map(|job| job.arn.as_str()),
        "model" => state.models.get(name).map(|model| model.arn.as_str()),
        "model-package-group" => state.groups.get(name).map(|group| group.arn.as_str()),
        "model-package" => state.packages.taggable(arn),
        "endpoint-config" => state.endpoint_configs.get(name).map(|c| c.arn.as_str()),
        "endpoint" => state.endpoints.get(name).map(|e| e.arn.as_str()),
        _ => None,
    };
    if known == Some(arn) {
        Ok(())
    } else {
        Err(ApiError::validation("Resource does not exist."))
    }
}
