//! What a deployment is decided on: the half that an event is about, and what is so beside it.

use domain::{
    Result,
    ports::{Canaries, Clock, Cluster, ImageRegistry, ObjectStore, Registry},
    records,
    release::Pointer,
};
use events::{Announced, Event, Received};

use crate::{
    Config, Ports, asked, begun,
    decide::{Facts, Half},
    held,
    images::{self, scanned},
};

/// The half that the event is about, as it is now; otherwise why the event isn't for this function.
pub(crate) async fn half<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    event: &Event,
) -> Result<std::result::Result<Half, String>>
where
    S: ObjectStore,
    R: Registry,
    I: ImageRegistry,
{
    let (repository, name) = match event {
        Event::ModelPackage(event) if event.group != config.group => {
            return Ok(Err(format!(
                "{} isn't in the group {}",
                event.arn, config.group
            )));
        }
        Event::ModelPackage(event) => {
            let package = ports.sagemaker.package(&event.arn).await?;
            return Ok(package
                .map(Half::Model)
                .ok_or_else(|| format!("the registry has no {}: it was deleted", event.arn)));
        }
        Event::ImageScan(event) => (&event.repository, &event.digest),
        Event::ImagePush(event) => (&event.repository, &event.digest),
        Event::Announced(Announced::DeploymentRequested(request)) => (
            &config.infer_repository,
            request.image.as_ref().unwrap_or(&config.image_tag),
        ),
        _ => {
            return Ok(Err(
                "only a model package's approval, an image's push or scan and a request lead to a deployment"
                    .to_owned(),
            ));
        }
    };
    if *repository != config.infer_repository {
        return Ok(Err(format!(
            "`{repository}` isn't the repository {}",
            config.infer_repository
        )));
    }
    match scanned(config, ports.store, ports.images, name).await? {
        Some((stored, scan)) => Ok(Ok(Half::Image(stored, scan))),
        None => Ok(Err(format!("ECR has no {name} in {repository}"))),
    }
}

/// Reads what the half is decided on.
pub(crate) async fn gather<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    half: &Half,
    pointer: &Pointer,
    received: &Received,
) -> Result<Facts>
where
    S: ObjectStore,
    R: Registry,
    I: ImageRegistry,
    K: Cluster + Canaries,
    C: Clock,
{
    let artifacts = config.artifacts();
    let base = match pointer.base() {
        Some(release) => Some(records::manifest(ports.store, &artifacts, release).await?),
        None => None,
    };
    let (mut waiting_model, mut tagged_image, mut base_model) = (None, None, None);
    if let (Some(base), Half::Image(..)) = (&base, half) {
        base_model = ports.sagemaker.package(&base.model.package_arn).await?;
    }
    if base.is_none() {
        match half {
            Half::Model(_) => {
                tagged_image =
                    scanned(config, ports.store, ports.images, &config.image_tag).await?;
            }
            Half::Image(..) => {
                if let Some(arn) = held::waiting(config, ports.store, pointer).await? {
                    waiting_model = ports.sagemaker.package(&arn).await?;
                }
            }
        }
    }
    let abandoned = pointer.target.as_ref();
    let abandoned = abandoned.and_then(|target| target.abandoned.as_ref());
    let abandoned = match (half, abandoned) {
        (Half::Model(_), Some(release)) => {
            records::read(ports.store, &artifacts.release(release)).await?
        }
        _ => None,
    };
    let deployment = ports.cluster.deployment().await?;
    let has_canary =
        config.canary_share_percent.is_some() && ports.cluster.canary().await?.is_some();
    Ok(Facts {
        has_canary,
        event: begun::name(received),
        caused_at: images::caused_at(half, received),
        by_push: matches!(received.event, Event::ImagePush(_)),
        asked: asked::request(&received.event).cloned(),
        now: ports.clock.now(),
        pointer: pointer.clone(),
        quarantine: records::read_versioned(
            ports.store,
            &artifacts.quarantine(&config.environment),
        )
        .await?
        .value,
        base,
        abandoned,
        base_model,
        waiting_model,
        tagged_image,
        deployment,
    })
}
