//! What there is: jobs, packages, endpoints as they stand, workloads, releases, records, messages. Two inventories that are equal say
//! that nothing new was made.

use std::collections::BTreeMap;

use anyhow::Context as _;
use local_cloud::Cloud;
use serde_json::{Value, json};

/// Names by kind.
pub(crate) type Inventory = BTreeMap<String, Vec<String>>;

/// Takes stock.
pub(crate) async fn take(cloud: &Cloud) -> anyhow::Result<Inventory> {
    let group = "retail-forecast-models";
    let mut inventory = Inventory::new();
    let lists = [
        (
            "ListTrainingJobs",
            json!({}),
            "TrainingJobSummaries",
            "TrainingJobName",
        ),
        (
            "ListTransformJobs",
            json!({}),
            "TransformJobSummaries",
            "TransformJobName",
        ),
        ("ListModels", json!({}), "Models", "ModelName"),
        (
            "ListModelPackages",
            json!({"ModelPackageGroupName": group}),
            "ModelPackageSummaryList",
            "ModelPackageArn",
        ),
        (
            "ListEndpointConfigs",
            json!({}),
            "EndpointConfigs",
            "EndpointConfigName",
        ),
        ("ListEndpoints", json!({}), "Endpoints", "EndpointName"),
    ];
    for (operation, body, list, name) in lists {
        inventory.insert(
            operation.to_owned(),
            sagemaker_list(cloud, operation, body, list, name).await?,
        );
    }
    inventory.insert(
        "endpoints as they stand".to_owned(),
        endpoints(cloud).await?,
    );
    inventory.insert("workloads".to_owned(), cloud.workloads().await?);
    let objects = cloud.objects(&cloud.place().artifacts_bucket(), "").await?;
    inventory.insert(
        "objects".to_owned(),
        objects
            .into_iter()
            .map(|object| format!("{} ({} bytes)", object.key, object.size))
            .collect(),
    );
    inventory.insert(
        "messages".to_owned(),
        cloud
            .inbox()
            .await?
            .into_iter()
            .map(|alert| {
                format!(
                    "{}: {}",
                    alert.subject,
                    alert.message.lines().next().unwrap_or_default()
                )
            })
            .collect(),
    );
    Ok(inventory)
}

/// Each endpoint with its configuration and when it was last changed: an update to what it has already
/// would be seen.
async fn endpoints(cloud: &Cloud) -> anyhow::Result<Vec<String>> {
    let wire = cloud.wire().at(&cloud.addresses().sagemaker);
    let list = ("Endpoints", "EndpointName");
    let names = sagemaker_list(cloud, "ListEndpoints", json!({}), list.0, list.1).await?;
    let mut endpoints = vec![];
    for name in names {
        let body = json!({"EndpointName": name});
        let target = "SageMaker.DescribeEndpoint";
        let endpoint = wire.json("sagemaker", target, body).await?;
        endpoints.push(format!(
            "{name} on {} ({}) since {}",
            endpoint["EndpointConfigName"],
            endpoint["EndpointStatus"],
            endpoint["LastModifiedTime"]
        ));
    }
    Ok(endpoints)
}

async fn sagemaker_list(
    cloud: &Cloud,
    operation: &str,
    mut body: Value,
    list: &str,
    name: &str,
) -> anyhow::Result<Vec<String>> {
    let wire = cloud.wire().at(&cloud.addresses().sagemaker);
    let mut names = vec![];
    loop {
        let answer = match wire
            .json("sagemaker", &format!("SageMaker.{operation}"), body.clone())
            .await
        {
            Ok(answer) => answer,
            // No group yet: no packages.
            Err(error) if error.status() == Some(400) && operation == "ListModelPackages" => {
                return Ok(names);
            }
            Err(error) => return Err(error.into()),
        };
        for entry in answer[list]
            .as_array()
            .with_context(|| format!("{operation} answered no {list}"))?
        {
            names.push(entry[name].as_str().unwrap_or_default().to_owned());
        }
        match answer["NextToken"].as_str() {
            Some(token) => body["NextToken"] = json!(token),
            None => break,
        }
    }
    names.sort();
    Ok(names)
}

/// What `after` has more, or less, than `before`.
pub(crate) fn differences(before: &Inventory, after: &Inventory) -> Vec<String> {
    let mut differences = vec![];
    for (kind, names) in after {
        let old = before.get(kind).cloned().unwrap_or_default();
        differences.extend(
            names
                .iter()
                .filter(|name| !old.contains(name))
                .map(|name| format!("new in {kind}: {name}")),
        );
        differences.extend(
            old.iter()
                .filter(|name| !names.contains(name))
                .map(|name| format!("gone from {kind}: {name}")),
        );
        if differences.is_empty() && names.len() != old.len() {
            differences.push(format!(
                "{kind}: {} before, {} after",
                old.len(),
                names.len()
            ));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_gone_or_repeated_is_a_difference() {
        let inventory = |names: &[&str]| {
            Inventory::from([(
                "jobs".to_owned(),
                names.iter().map(|name| (*name).to_owned()).collect(),
            )])
        };
        assert!(differences(&inventory(&["a"]), &inventory(&["a"])).is_empty());
        assert_eq!(
            differences(&inventory(&["a"]), &inventory(&["a", "b"])),
            ["new in jobs: b"]
        );
        assert_eq!(
            differences(&inventory(&["a"]), &inventory(&[])),
            ["gone from jobs: a"]
        );
        assert_eq!(
            differences(&inventory(&["a"]), &inventory(&["a", "a"])),
            ["jobs: 1 before, 2 after"]
        );
    }
}
