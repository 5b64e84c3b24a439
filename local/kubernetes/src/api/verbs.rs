//! Performing the verbs.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};

use super::{Api, Call, Target, answer, table::Tables, watch};
use crate::{
    auth::Identity,
    catalog::PODS,
    error::{Status, details},
    json::{object_at, text},
    kubelet::Kubelet,
    registry::{DeleteOptions, Part, Patch, Writer},
    store::Key,
};

/// Performs an allowed verb.
pub(super) async fn perform(
    api: &Api,
    call: &Call,
    target: &Target,
    verb: &str,
    identity: &Identity,
) -> Result<Response, Status> {
    match verb {
        "get" if target.subresource.as_deref() == Some("log") => log(api, call, target).await,
        "get" => {
            let object = api.registry.get(&target.key()?)?;
            Ok(shown(call, target, StatusCode::OK, &object))
        }
        "list" => list(api, call, target),
        "watch" => watch::start(api, call, target),
        "create" if target.subresource.is_some() => bind(api, call, target),
        "create" => create(api, call, target),
        "update" => update(api, call, target),
        "patch" => patch(api, call, target, identity),
        "delete" => delete(api, call, &target.key()?),
        "deletecollection" => delete_collection(api, call, target),
        _ => Err(Status::method_not_allowed()),
    }
}

/// An object in the form asked for.
fn shown(call: &Call, target: &Target, status: StatusCode, object: &Value) -> Response {
    if let Some(tables) = Tables::asked(call) {
        let version = &object["metadata"]["resourceVersion"];
        return answer(status, &tables.of(target.resource, [object], version));
    }
    answer(status, object)
}

fn list(api: &Api, call: &Call, target: &Target) -> Result<Response, Status> {
    let selector = target.selector(call)?;
    let (objects, version) = api.registry.store.list(target.resource, target.scope());
    let objects: Vec<Arc<Value>> = objects
        .into_iter()
        .filter(|object| selector.matches(object))
        .collect();
    let version = json!(version.to_string());
    if let Some(tables) = Tables::asked(call) {
        let objects = objects.iter().map(Arc::as_ref);
        let table = tables.of(target.resource, objects, &version);
        return Ok(answer(StatusCode::OK, &table));
    }
    let items: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut item = Value::clone(object);
            // The list says it once for all.
            if let Some(item) = item.as_object_mut() {
                item.remove("kind");
                item.remove("apiVersion");
            }
            item
        })
        .collect();
    let list = json!({
        "kind": format!("{}List", target.resource.kind),
        "apiVersion": target.resource.api_version(),
        "metadata": {"resourceVersion": version},
        "items": items,
    });
    Ok(answer(StatusCode::OK, &list))
}

fn body(call: &Call) -> Result<Value, Status> {
    let media_type = call.header(header::CONTENT_TYPE);
    if !media_type.is_empty() && !media_type.starts_with("application/json") {
        return Err(Status::unsupported_media_type("application/json"));
    }
    serde_json::from_slice(&call.body).map_err(|error| {
        Status::bad_request(format!("the body of the request is no JSON: {error}"))
    })
}

fn writer(call: &Call) -> Writer<'_> {
    Writer {
        manager: call.manager(),
        dry_run: !call.query("dryRun").is_empty(),
    }
}

fn part(target: &Target) -> Result<Part, Status> {
    match target.subresource.as_deref() {
        None => Ok(Part::Whole),
        Some("status") => Ok(Part::Status),
        Some(_) => Err(Status::method_not_allowed()),
    }
}

fn create(api: &Api, call: &Call, target: &Target) -> Result<Response, Status> {
    let namespace = match target.scope() {
        Some(namespace) => namespace,
        None if target.resource.namespaced => return Err(Status::method_not_allowed()),
        None => "",
    };
    let object = api
        .registry
        .create(target.resource, namespace, body(call)?, writer(call))?;
    Ok(shown(call, target, StatusCode::CREATED, &object))
}

/// Puts a pod on the node that a `Binding` names.
fn bind(api: &Api, call: &Call, target: &Target) -> Result<Response, Status> {
    let (key, binding) = (target.key()?, body(call)?);
    let node = text(&binding, "/target/name");
    let pod = api.registry.get(&key)?;
    if !text(&pod, "/spec/nodeName").is_empty() {
        let why = "pod is already assigned to a node";
        return Err(Status::precondition(key.resource, &key.name, why));
    }
    api.registry
        .modify(&key, Part::Whole, call.manager(), |pod| {
            object_at(pod, &["spec"]).insert("nodeName".to_owned(), json!(node));
        })?;
    let bound = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    Ok(answer(StatusCode::CREATED, &bound))
}

fn update(api: &Api, call: &Call, target: &Target) -> Result<Response, Status> {
    let (key, part) = (target.key()?, part(target)?);
    let object = api
        .registry
        .replace(&key, part, body(call)?, writer(call))?;
    Ok(shown(call, target, StatusCode::OK, &object))
}

fn patch(api: &Api, call: &Call, target: &Target, identity: &Identity) -> Result<Response, Status> {
    let (key, part) = (target.key()?, part(target)?);
    let media_type = call.header(header::CONTENT_TYPE);
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let patch = Patch::parse(media_type, call.is_set("force"), &call.body)?;
    let mut writer = writer(call);
    let is_new = api.registry.get(&key).is_err();
    if matches!(patch, Patch::Apply { .. }) {
        // An apply has to say who applies.
        writer.manager = call.query("fieldManager");
        if is_new {
            api.authorize(identity, target, "create", call)?;
        }
    }
    let object = api.registry.patch(&key, part, patch, writer)?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(shown(call, target, status, &object))
}

fn delete_options(call: &Call) -> Result<DeleteOptions, Status> {
    let mut options: DeleteOptions = if call.body.is_empty() {
        DeleteOptions::default()
    } else {
        serde_json::from_slice(&call.body)
            .map_err(|error| Status::bad_request(format!("DeleteOptions: {error}")))?
    };
    if let Ok(seconds) = call.query("gracePeriodSeconds").parse() {
        options.grace_period_seconds = Some(seconds);
    }
    if !call.query("propagationPolicy").is_empty() {
        options.propagation_policy = Some(call.query("propagationPolicy").to_owned());
    }
    if !call.query("dryRun").is_empty() {
        options.dry_run = vec![call.query("dryRun").to_owned()];
    }
    Ok(options)
}

fn delete(api: &Api, call: &Call, key: &Key) -> Result<Response, Status> {
    let object = api.registry.delete(key, &delete_options(call)?)?;
    // A pod with grace is still there.
    if *key.resource == PODS && api.registry.get(key).is_ok() {
        return Ok(answer(StatusCode::OK, &object));
    }
    let mut details = details(key.resource, &key.name);
    details["uid"] = json!(text(&object, "/metadata/uid"));
    let deleted = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    });
    Ok(answer(StatusCode::OK, &deleted))
}

fn delete_collection(api: &Api, call: &Call, target: &Target) -> Result<Response, Status> {
    let (selector, options) = (target.selector(call)?, delete_options(call)?);
    let (objects, version) = api.registry.store.list(target.resource, target.scope());
    let mut deleted = Vec::new();
    for object in objects.iter().filter(|object| selector.matches(object)) {
        let key = Key::of(target.resource, object);
        match api.registry.delete(&key, &options) {
            Ok(object) => deleted.push(Value::clone(&object)),
            // Gone by itself in the meantime.
            Err(refused) if refused.code == 404 => {}
            Err(refused) => return Err(refused),
        }
    }
    let list = json!({
        "kind": format!("{}List", target.resource.kind),
        "apiVersion": target.resource.api_version(),
        "metadata": {"resourceVersion": version.to_string()},
        "items": deleted,
    });
    Ok(answer(StatusCode::OK, &list))
}

/// The output of a pod's containers so far, all in one; `tailLines` shortens it.
async fn log(api: &Api, call: &Call, target: &Target) -> Result<Response, Status> {
    let key = target.key()?;
    api.registry.get(&key)?;
    let file = Kubelet::log_file(&api.pods, &key.namespace, &key.name);
    let mut log = match tokio::fs::read(file).await {
        Ok(log) => log,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Status::internal(format!("log: {error}"))),
    };
    if let Ok(lines) = call.query("tailLines").parse::<usize>() {
        let body = log.strip_suffix(b"\n").unwrap_or(&log);
        let ends = body
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n');
        let start = match lines {
            0 => log.len(),
            lines => ends.map(|(at, _)| at + 1).nth(lines - 1).unwrap_or(0),
        };
        log.drain(..start);
    }
    let mut response = Response::new(Body::from(log));
    let plain = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    Ok(response)
}
