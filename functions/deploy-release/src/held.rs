//! An approved model that has no image to run in waits for one.

use domain::{
    Error, Result,
    ports::{ImageRegistry, ObjectStore},
    records::{self, Versioned},
    release::{Held, Pointer},
};

use crate::{Config, Ports, decide, images::scanned, parts};

/// The package that waits for an image: the one held, or that of a first release that failed.
pub(crate) async fn waiting(
    config: &Config,
    store: &impl ObjectStore,
    pointer: &Pointer,
) -> Result<Option<String>> {
    if let Some(held) = &pointer.held {
        return Ok(Some(held.package_arn.clone()));
    }
    match &pointer.target {
        Some(target) => {
            let manifest = records::manifest(store, &config.artifacts(), &target.release).await?;
            Ok(Some(manifest.model.package_arn))
        }
        None => Ok(None),
    }
}

/// Marks the model as waiting. An image that came before the mark wouldn't take it along, so the
/// image is looked for once more after it.
pub(crate) async fn hold<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    package_arn: &str,
    reason: &str,
    pointer: &Versioned<Pointer>,
) -> Result<()>
where
    S: ObjectStore,
    I: ImageRegistry,
{
    let newer_is_held = pointer
        .value
        .held
        .as_ref()
        .is_some_and(|held| parts::version(&held.package_arn) >= parts::version(package_arn));
    if !newer_is_held {
        let held = Held {
            package_arn: package_arn.to_owned(),
            reason: reason.to_owned(),
        };
        let next = Pointer {
            held: Some(held),
            ..pointer.value.clone()
        };
        records::swap(
            ports.store,
            &config.artifacts().pointer(&config.environment),
            pointer,
            &next,
        )
        .await?;
    }
    match scanned(config, ports.store, ports.images, &config.image_tag).await? {
        Some((_, scan)) if decide::findings(scan.as_ref()).is_none() => Err(Error::transient(
            "a clean image arrived while the model was being held for it",
        )),
        _ => Ok(()),
    }
}
