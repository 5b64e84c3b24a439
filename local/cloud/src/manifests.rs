//! The Kubernetes manifests, applied as the pipeline does with `kubectl apply --server-side -k`.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use kube::{
    Api, Client,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, TypeMeta,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

/// The field manager of what the manifests say.
const MANAGER: &str = "retail-forecast-manifests";
/// Label of all that is applied to a cluster which isn't ours, so that nothing else is removed.
const PASSING: &str = "local.retail-forecast/passing";
/// Longest wait until a removed object is gone, its pods included.
const REMOVAL: Duration = Duration::from_mins(1);

/// The part of a kustomization that is understood; anything else in it is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kustomization {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    resources: Vec<String>,
}

/// Objects for one namespace of one cluster.
pub struct Manifests {
    client: Client,
    namespace: String,
    objects: Vec<Value>,
}

impl Manifests {
    /// Reads the resources of `folder/kustomization.yaml`.
    pub fn read(client: Client, namespace: &str, folder: &Path) -> anyhow::Result<Self> {
        let kustomization: Kustomization =
            serde_saphyr::from_str(&read(&folder.join("kustomization.yaml"))?)
                .with_context(|| format!("{}: kustomization.yaml", folder.display()))?;
        let mut objects = Vec::new();
        for file in kustomization.resources {
            let path = folder.join(file);
            let of_file: Vec<Value> = serde_saphyr::from_multiple(&read(&path)?)
                .with_context(|| path.display().to_string())?;
            objects.extend(of_file);
        }
        Ok(Self {
            client,
            namespace: namespace.to_owned(),
            objects,
        })
    }

    /// The same for a cluster which isn't ours: labelled to be removed again, and with a scheduler
    /// for the pods. The scheduler is the manifests' field; a release never touches it.
    #[must_use]
    pub fn passing(mut self, scheduler: &str) -> Self {
        for object in &mut self.objects {
            object["metadata"]["labels"][PASSING] = json!("true");
            if object["kind"] == "Deployment" {
                object["spec"]["template"]["spec"]["schedulerName"] = json!(scheduler);
            }
        }
        self
    }

    /// Makes the namespace and applies the objects in it, in order.
    pub async fn apply(&self) -> anyhow::Result<()> {
        let name = &self.namespace;
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let namespaces: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &resource_of(&object)?);
        namespaces
            .patch(name, &parameters(), &Patch::Apply(&object))
            .await
            .with_context(|| format!("namespace {name}"))?;
        for object in &self.objects {
            let (api, called) = self.api(object)?;
            api.patch(name_of(object)?, &parameters(), &Patch::Apply(object))
                .await
                .with_context(|| called)?;
        }
        Ok(())
    }

    /// Removes what [`Self::passing`] manifests have made, and waits until it is gone. What has the
    /// same name without having been made so is left alone, and an error.
    pub async fn remove(&self) -> anyhow::Result<()> {
        // With the Deployment first, nothing starts pods any more.
        for object in self.objects.iter().rev() {
            let (api, called) = self.api(object)?;
            let name = name_of(object)?;
            let Some(found) = api.get_opt(name).await.with_context(|| called.clone())? else {
                continue;
            };
            if found.metadata.labels.unwrap_or_default().get(PASSING) != Some(&"true".to_owned()) {
                bail!(
                    "{called} in the namespace {} was not made by a test: use another namespace",
                    self.namespace
                );
            }
            let gone = async {
                // It goes after its ReplicaSets, and they after their pods.
                let deleted = api.delete(name, &DeleteParams::foreground()).await;
                if let Err(error) = deleted
                    && !is_missing(&error)
                {
                    return Err(error);
                }
                while api.get_opt(name).await?.is_some() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Ok(())
            };
            tokio::time::timeout(REMOVAL, gone)
                .await
                .with_context(|| format!("{called} doesn't go"))?
                .with_context(|| called)?;
        }
        Ok(())
    }

    fn api(&self, object: &Value) -> anyhow::Result<(Api<DynamicObject>, String)> {
        let resource = resource_of(object)?;
        let called = format!("{} {}", resource.kind, name_of(object)?);
        let api = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        Ok((api, called))
    }
}

fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(refused) if refused.code == 404)
}

fn name_of(object: &Value) -> anyhow::Result<&str> {
    object["metadata"]["name"]
        .as_str()
        .context("an object without a name")
}

fn resource_of(object: &Value) -> anyhow::Result<ApiResource> {
    let types: TypeMeta = serde_json::from_value(object.clone())?;
    Ok(ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?))
}

fn parameters() -> PatchParams {
    PatchParams::apply(MANAGER)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}
