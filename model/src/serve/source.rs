//! Where the service's model comes from.

use std::io::Read;
use std::path::Path;
use std::pin::Pin;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::forecast::{MODEL_FILE, Model};
use crate::serve::settings::Settings;

/// A future that can be sent between threads, boxed so that traits returning it can be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The largest model file that is unpacked from an archive, bytes.
const LARGEST: u64 = 1 << 30;

/// Fetches objects from S3.
pub trait FetchModel: Send + Sync {
    /// The bytes of the object `key` in `bucket`.
    ///
    /// # Errors
    ///
    /// Why it can't be had, in words for the log.
    fn fetch<'a>(&'a self, bucket: &'a str, key: &'a str) -> BoxFuture<'a, Result<Vec<u8>>>;
}

/// A model and the SHA-256 of the bytes it was read from, in hexadecimal.
pub struct Loaded {
    /// The model.
    pub model: Model,
    /// Of the `model.tar.gz`, or of the model file where that was already unpacked.
    pub digest: String,
}

/// Finds the model: in `folder`, where SageMaker unpacks it, or else by the settings' `MODEL_URI`,
/// whose archive must have the digest `MODEL_DIGEST`, if that is set.
///
/// # Errors
///
/// No model, one that can't be fetched or read, or one whose digest differs.
pub async fn load(folder: &Path, settings: &Settings, s3: &dyn FetchModel) -> Result<Loaded> {
    let unpacked = folder.join(MODEL_FILE);
    if unpacked.is_file() {
        if settings.model_digest.is_some() {
            warn!(model = %unpacked.display(), "MODEL_DIGEST is of an archive: it says nothing of an unpacked model");
        }
        let bytes = std::fs::read(&unpacked).with_context(|| unpacked.display().to_string())?;
        return Ok(Loaded {
            model: Model::read(&bytes)?,
            digest: sha256(&bytes),
        });
    }
    let Some(uri) = &settings.model_uri else {
        bail!(
            "no model: {} does not exist, and MODEL_URI is not set",
            unpacked.display()
        );
    };
    let archive = match uri.strip_prefix("s3://").map(|rest| rest.split_once('/')) {
        Some(Some((bucket, key))) if !bucket.is_empty() && !key.is_empty() => {
            s3.fetch(bucket, key).await
        }
        Some(_) => bail!("MODEL_URI: `{uri}` is not s3://bucket/key"),
        None => std::fs::read(uri.strip_prefix("file://").unwrap_or(uri)).map_err(Into::into),
    };
    let archive = archive.with_context(|| format!("MODEL_URI {uri}"))?;
    let digest = sha256(&archive);
    match &settings.model_digest {
        Some(wanted) if *wanted != digest => {
            bail!("MODEL_URI {uri} has the SHA-256 {digest}, but MODEL_DIGEST is {wanted}");
        }
        Some(_) => {}
        None => warn!(
            uri,
            digest, "MODEL_DIGEST is not set: the model is taken as it is"
        ),
    }
    let model = unpack(&archive).and_then(|bytes| Model::read(&bytes));
    Ok(Loaded {
        model: model.with_context(|| format!("MODEL_URI {uri}"))?,
        digest,
    })
}

/// The model file in a `model.tar.gz`.
fn unpack(archive: &[u8]) -> Result<Vec<u8>> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    for entry in archive.entries().context("not a tar.gz")? {
        let entry = entry.context("not a tar.gz")?;
        if entry
            .path()?
            .file_name()
            .is_some_and(|name| name == MODEL_FILE)
        {
            let mut bytes = Vec::new();
            entry.take(LARGEST).read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
    }
    bail!("the archive holds no {MODEL_FILE}")
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
