//! The operations of CloudWatch that are about alarms, and who may call them.
//!
//! `DescribeAlarms` is checked against `alarm:*` even when it names alarms, as AWS does.

use std::collections::BTreeMap;

use axum::http::request::Parts;
use local_wire::Caller;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Alarms,
    book::{Filter, Standing},
    definition::Definition,
    judge::State,
    metric::{Dimension, Metric, dimensions},
    notice,
    protocol::Fault,
};
/// Most alarms of one page, and the usual number of them.
const PAGE: (usize, usize) = (100, 50);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Names {
    alarm_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    alarm_names: Option<Vec<String>>,
    alarm_name_prefix: Option<String>,
    alarm_types: Option<Vec<String>>,
    state_value: Option<String>,
    action_prefix: Option<String>,
    max_records: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfMetric {
    metric_name: String,
    namespace: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetState {
    alarm_name: String,
    state_value: String,
    state_reason: String,
    state_reason_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReadHistory {
    alarm_name: Option<String>,
    history_item_type: Option<String>,
    max_records: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
struct Tagging {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
    #[serde(default, rename = "Tags")]
    tags: Vec<Tag>,
    #[serde(default, rename = "TagKeys")]
    tag_keys: Vec<String>,
}

fn read<T: DeserializeOwned>(input: &Value) -> Result<T, Fault> {
    serde_json::from_value(input.clone())
        .map_err(|error| Fault::new("ValidationError", error.to_string()))
}

fn state(name: &str) -> Result<State, Fault> {
    State::named(name)
        .ok_or_else(|| Fault::new("ValidationError", format!("{name} is not an alarm's state")))
}

impl Alarms {
    /// `None` for what the emulator answers: the tags of what isn't an alarm.
    pub(super) async fn operate(
        &self,
        parts: &Parts,
        operation: &str,
        input: &Value,
    ) -> Result<Option<Value>, Fault> {
        let output = match operation {
            "PutMetricAlarm" => self.put(parts, input).await?,
            "DescribeAlarms" => self.describe(parts, &read(input)?).await?,
            "DescribeAlarmsForMetric" => self.describe_for_metric(parts, read(input)?).await?,
            "DescribeAlarmHistory" => self.history(parts, &read(input)?).await?,
            "DeleteAlarms" => {
                let names = self.named(parts, operation, input).await?;
                self.book.delete(&names).map_err(|name| not_found(&name))?;
                json!({})
            }
            "EnableAlarmActions" | "DisableAlarmActions" => {
                let names = self.named(parts, operation, input).await?;
                let enabled = operation == "EnableAlarmActions";
                self.book.switch_actions(&names, enabled);
                json!({})
            }
            "SetAlarmState" => self.set_state(parts, &read(input)?).await?,
            "TagResource" | "UntagResource" | "ListTagsForResource" => {
                return self.tag(parts, operation, read(input)?).await;
            }
            _ => {
                let message = format!(
                    "{operation}: this stand-in of CloudWatch has metric alarms only: no composite \
                     alarms, no alarms on logs or queries"
                );
                return Err(Fault::new("ValidationError", message));
            }
        };
        Ok(Some(output))
    }

    async fn put(&self, parts: &Parts, input: &Value) -> Result<Value, Fault> {
        let name = input["AlarmName"].as_str().unwrap_or_default();
        self.check(parts, "PutMetricAlarm", name).await?;
        let definition = Definition::read(input, &self.place)?;
        let tags: Vec<Tag> = match input.get("Tags") {
            Some(tags) => read(tags)?,
            None => Vec::new(),
        };
        if !tags.is_empty() {
            self.check(parts, "TagResource", &definition.name).await?;
        }
        let tags = tags.into_iter().map(|tag| (tag.key, tag.value));
        self.book.put(definition, tags.collect());
        Ok(json!({}))
    }

    async fn describe(&self, parts: &Parts, asked: &Describe) -> Result<Value, Fault> {
        self.check(parts, "DescribeAlarms", "*").await?;
        let is_metric = |name: &String| name == "MetricAlarm";
        if asked
            .alarm_types
            .as_ref()
            .is_some_and(|types| !types.iter().any(is_metric))
        {
            return Ok(json!({"MetricAlarms": [], "CompositeAlarms": []}));
        }
        let filter = Filter {
            names: asked.alarm_names.clone(),
            prefix: asked.alarm_name_prefix.clone(),
            state: asked.state_value.as_deref().map(state).transpose()?,
            action_prefix: asked.action_prefix.clone(),
            metric: None,
        };
        let all = self
            .book
            .describe(&filter, |name| notice::arn(&self.place, name));
        let after = asked.next_token.as_deref().unwrap_or_default();
        let mut rest: Vec<_> = all
            .into_iter()
            .filter(|alarm| alarm["AlarmName"].as_str().unwrap_or_default() > after)
            .collect();
        let (most, usual) = PAGE;
        let page = asked.max_records.unwrap_or(usual).clamp(1, most);
        let is_more = rest.len() > page;
        rest.truncate(page);
        let last = rest.last().map(|alarm| alarm["AlarmName"].clone());
        let mut answer = json!({"MetricAlarms": rest, "CompositeAlarms": []});
        if let Some(last) = last.filter(|_| is_more) {
            answer["NextToken"] = last;
        }
        Ok(answer)
    }

    async fn describe_for_metric(&self, parts: &Parts, asked: OfMetric) -> Result<Value, Fault> {
        self.check_on(parts, "DescribeAlarmsForMetric", "*").await?;
        let filter = Filter {
            metric: Some(Metric {
                namespace: asked.namespace,
                name: asked.metric_name,
                dimensions: dimensions(asked.dimensions),
            }),
            ..Filter::default()
        };
        let alarms = self
            .book
            .describe(&filter, |name| notice::arn(&self.place, name));
        Ok(json!({"MetricAlarms": alarms}))
    }

    async fn history(&self, parts: &Parts, asked: &ReadHistory) -> Result<Value, Fault> {
        let name = asked.alarm_name.as_deref();
        self.check(parts, "DescribeAlarmHistory", name.unwrap_or("*"))
            .await?;
        let mut items = self.book.history(name, asked.history_item_type.as_deref());
        items.truncate(asked.max_records.unwrap_or(PAGE.0));
        Ok(json!({"AlarmHistoryItems": items}))
    }

    async fn set_state(&self, parts: &Parts, asked: &SetState) -> Result<Value, Fault> {
        let name = &asked.alarm_name;
        self.check(parts, "SetAlarmState", name).await?;
        let data = asked.state_reason_data.clone();
        let standing = Standing::now(state(&asked.state_value)?, &asked.state_reason, data);
        let change = self
            .book
            .set(name, standing)
            .map_err(|()| not_found(name))?;
        self.tell(change);
        Ok(json!({}))
    }

    async fn tag(
        &self,
        parts: &Parts,
        operation: &str,
        asked: Tagging,
    ) -> Result<Option<Value>, Fault> {
        let Some(name) = asked
            .resource_arn
            .strip_prefix(&notice::arn(&self.place, ""))
        else {
            return Ok(None);
        };
        self.check(parts, operation, name).await?;
        let tags = self.book.tags(name, |tags: &mut BTreeMap<String, String>| {
            tags.extend(asked.tags.into_iter().map(|tag| (tag.key, tag.value)));
            tags.retain(|key, _| !asked.tag_keys.contains(key));
            tags.clone()
        });
        let tags = tags.ok_or_else(|| not_found(name))?;
        if operation != "ListTagsForResource" {
            return Ok(Some(json!({})));
        }
        let tags = tags
            .iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}));
        Ok(Some(json!({"Tags": tags.collect::<Vec<_>>()})))
    }

    /// The alarms that a call names, once the caller may do it to each of them.
    async fn named(
        &self,
        parts: &Parts,
        action: &str,
        input: &Value,
    ) -> Result<Vec<String>, Fault> {
        let Names { alarm_names } = read(input)?;
        for name in &alarm_names {
            self.check(parts, action, name).await?;
        }
        Ok(alarm_names)
    }

    /// Whether the caller may do this to an alarm.
    async fn check(&self, parts: &Parts, action: &str, alarm: &str) -> Result<(), Fault> {
        let arn = notice::arn(&self.place, alarm);
        self.check_on(parts, action, &arn).await
    }

    async fn check_on(&self, parts: &Parts, action: &str, resource: &str) -> Result<(), Fault> {
        self.check_with(parts, action, resource, &[]).await
    }

    /// Whether the caller may do this to a resource, with the call's condition keys.
    pub(super) async fn check_with(
        &self,
        parts: &Parts,
        action: &str,
        resource: &str,
        conditions: &[(&str, &str)],
    ) -> Result<(), Fault> {
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let caller = header("authorization")
            .and_then(|value| Caller::from_headers(value, header("x-amz-security-token")))
            .ok_or_else(|| {
                Fault::new("MissingAuthenticationToken", "Missing Authentication Token")
            })?;
        let action = format!("cloudwatch:{action}");
        let authorize = &self.authorize;
        let checked = authorize.check_with(&caller, &action, resource, conditions);
        checked
            .await
            .map_err(|refused| Fault::new("AccessDenied", refused.0))
    }
}

fn not_found(name: &str) -> Fault {
    Fault::new("ResourceNotFound", format!("Alarm not found: {name}"))
}
