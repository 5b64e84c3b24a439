//! Images without layers: the manifest's annotations name the programs on this machine.
//!
//! | annotation | meaning |
//! |---|---|
//! | `local.train`, `local.serve` | program of `docker run IMAGE train` and `… serve` |
//! | `local.train.sha256`, `local.serve.sha256` | its digest, so that another program is another image |
//! | `local.environment.{NAME}` | the image's own environment variable |
//! | `local.findings.{SEVERITY}` | findings that the simulated scan reports (`HIGH`, `CRITICAL`, …) |

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use local_wire::{BoxFuture, CallError, ImageSpec, Images, Wire};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

const ENVIRONMENT: &str = "local.environment.";
const FINDINGS: &str = "local.findings.";
const ECR: &str = "AmazonEC2ContainerRegistry_V20150921";

/// How many findings of each severity a scan reports.
pub type Findings = BTreeMap<String, u64>;

/// Makes an image's manifest.
pub fn manifest(spec: &ImageSpec, findings: &Findings) -> io::Result<String> {
    let mut annotations = Map::new();
    for (mode, program) in [("train", &spec.train), ("serve", &spec.serve)] {
        let Some(program) = program else { continue };
        annotations.insert(format!("local.{mode}"), json!(program));
        annotations.insert(format!("local.{mode}.sha256"), json!(digest_of(program)?));
    }
    for (name, value) in &spec.environment {
        annotations.insert(format!("{ENVIRONMENT}{name}"), json!(value));
    }
    for (severity, count) in findings {
        annotations.insert(format!("{FINDINGS}{severity}"), json!(count.to_string()));
    }
    // An image's configuration, which is empty here; registries hold it by its digest.
    let configuration = "{}";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": format!("sha256:{}", hex::encode(Sha256::digest(configuration))),
            "size": configuration.len(),
        },
        "layers": [],
        "annotations": annotations,
    });
    Ok(manifest.to_string())
}

fn digest_of(program: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut fs::File::open(program)?, &mut Writer(&mut digest))?;
    Ok(hex::encode(digest.finalize()))
}

struct Writer<'a>(&'a mut Sha256);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn annotations(manifest: &str) -> BTreeMap<String, String> {
    let manifest: Value = serde_json::from_str(manifest).unwrap_or_default();
    serde_json::from_value(manifest["annotations"].clone()).unwrap_or_default()
}

/// What a manifest's programs are.
pub fn spec(manifest: &str) -> ImageSpec {
    let annotations = annotations(manifest);
    let program = |mode: &str| annotations.get(&format!("local.{mode}")).map(PathBuf::from);
    let environment = annotations.iter().filter_map(|(key, value)| {
        Some((key.strip_prefix(ENVIRONMENT)?.to_owned(), value.clone()))
    });
    ImageSpec {
        train: program("train"),
        serve: program("serve"),
        environment: environment.collect(),
    }
}

/// What a scan of the image finds.
pub fn findings(manifest: &str) -> Findings {
    annotations(manifest)
        .iter()
        .filter_map(|(key, count)| {
            Some((key.strip_prefix(FINDINGS)?.to_owned(), count.parse().ok()?))
        })
        .collect()
}

/// A reference's repository, and its digest or tag as ECR names images.
fn parse_reference(reference: &str) -> Option<(&str, Value)> {
    let (_, name) = reference.split_once('/')?;
    if let Some((repository, digest)) = name.split_once('@') {
        // A tag before the digest says nothing: the digest decides.
        let repository = repository.split(':').next().unwrap_or(repository);
        return Some((repository, json!({"imageDigest": digest})));
    }
    let (repository, tag) = name.split_once(':')?;
    Some((repository, json!({"imageTag": tag})))
}

/// The emulator's registry as the source of programs.
#[derive(Debug)]
pub struct Registered(Wire);

impl Registered {
    /// Reads with the identity of `wire`.
    pub fn new(wire: Wire) -> Self {
        Self(wire)
    }

    async fn find(&self, reference: &str) -> Result<Option<ImageSpec>, CallError> {
        let Some((repository, image)) = parse_reference(reference) else {
            return Ok(None);
        };
        Ok(manifest_of(&self.0, repository, &image)
            .await?
            .map(|manifest| spec(&manifest)))
    }
}

impl Images for Registered {
    fn resolve<'a>(
        &'a self,
        reference: &'a str,
    ) -> BoxFuture<'a, Result<Option<ImageSpec>, String>> {
        Box::pin(async move {
            self.find(reference)
                .await
                .map_err(|error| error.to_string())
        })
    }
}

/// Manifest of the image with this id (`{"imageDigest" or "imageTag": …}`); `None` when the
/// repository or the image isn't there.
pub async fn manifest_of(
    wire: &Wire,
    repository: &str,
    image: &Value,
) -> Result<Option<String>, CallError> {
    let body = json!({"repositoryName": repository, "imageIds": [image]});
    match wire
        .json("ecr", &format!("{ECR}.BatchGetImage"), body)
        .await
    {
        Ok(answer) => Ok(answer["images"][0]["imageManifest"]
            .as_str()
            .map(str::to_owned)),
        Err(error) if error.code() == Some("RepositoryNotFoundException") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Pushes an image under each tag and answers its digest. `wire` goes to the registry's front, so
/// that what a push sets off is set off.
pub async fn push(
    wire: &Wire,
    repository: &str,
    tags: &[&str],
    spec: &ImageSpec,
    findings: &Findings,
) -> anyhow::Result<String> {
    let manifest = manifest(spec, findings)?;
    for tag in tags {
        let body = json!({
            "repositoryName": repository,
            "imageTag": tag,
            "imageManifest": manifest,
            "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json",
        });
        wire.json("ecr", &format!("{ECR}.PutImage"), body).await?;
    }
    Ok(format!("sha256:{}", hex::encode(Sha256::digest(&manifest))))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use local_wire::ImageSpec;
    use serde_json::json;

    use super::{Findings, findings, manifest, parse_reference, spec};

    #[test]
    fn a_manifest_says_what_the_image_runs_and_what_a_scan_finds() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("serve");
        fs::write(&program, "one").unwrap();
        let image = ImageSpec {
            train: None,
            serve: Some(program.clone()),
            environment: BTreeMap::from([("MODEL_URI".to_owned(), "s3://b/k".to_owned())]),
        };
        let found = Findings::from([("HIGH".to_owned(), 2)]);
        let first = manifest(&image, &found).unwrap();
        assert_eq!(spec(&first), image);
        assert_eq!(findings(&first), found);
        fs::write(&program, "two").unwrap();
        assert_ne!(manifest(&image, &found).unwrap(), first);
    }

    #[test]
    fn references_name_a_repository_and_a_digest_or_tag() {
        let host = "1.dkr.ecr.r.amazonaws.com";
        for (reference, expected) in [
            (
                "/a/b@sha256:x",
                Some(("a/b", json!({"imageDigest": "sha256:x"}))),
            ),
            (
                "/a:1@sha256:x",
                Some(("a", json!({"imageDigest": "sha256:x"}))),
            ),
            (
                "/a:latest-dev",
                Some(("a", json!({"imageTag": "latest-dev"}))),
            ),
            ("/a", None),
        ] {
            assert_eq!(parse_reference(&format!("{host}{reference}")), expected);
        }
    }
}
