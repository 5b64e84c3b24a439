//! The Kubernetes manifests, applied as the pipeline does with `kubectl apply --server-side -k`.

use std::{fs, path::Path};

use anyhow::Context as _;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, TypeMeta},
    core::gvk::ParseGroupVersionError,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// The field manager of what the manifests say.
const MANAGER: &str = "retail-forecast-manifests";

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

/// Makes the namespace and applies the resources of `folder/kustomization.yaml` in it, in order.
pub async fn apply(client: &Client, folder: &Path, namespace: &str) -> anyhow::Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource_of("v1", "Namespace")?);
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    api.patch(namespace, &parameters(), &Patch::Apply(&object))
        .await
        .with_context(|| format!("namespace {namespace}"))?;
    let kustomization: Kustomization =
        serde_saphyr::from_str(&read(&folder.join("kustomization.yaml"))?)
            .with_context(|| format!("{}: kustomization.yaml", folder.display()))?;
    for file in kustomization.resources {
        let path = folder.join(file);
        let context = || path.display().to_string();
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(&read(&path)?).with_context(context)?;
        for object in objects {
            apply_one(client, namespace, &object)
                .await
                .with_context(context)?;
        }
    }
    Ok(())
}

async fn apply_one(client: &Client, namespace: &str, object: &Value) -> anyhow::Result<()> {
    let types: TypeMeta = serde_json::from_value(object.clone())?;
    let name = object["metadata"]["name"]
        .as_str()
        .context("an object without a name")?;
    let resource = resource_of(&types.api_version, &types.kind)?;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    api.patch(name, &parameters(), &Patch::Apply(object))
        .await
        .with_context(|| format!("{} {name}", types.kind))?;
    Ok(())
}

fn resource_of(api_version: &str, kind: &str) -> Result<ApiResource, ParseGroupVersionError> {
    let types = TypeMeta {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    };
    Ok(ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?))
}

fn parameters() -> PatchParams {
    PatchParams::apply(MANAGER)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}
