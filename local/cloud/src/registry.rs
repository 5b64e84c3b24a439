//! The front of ECR: what the emulator's registry lacks.
//!
//! - A pushed image is announced (`ECR Image Action`) and scanned (`ECR Image Scan`). The scan is
//!   simulated: it reports what the manifest's annotations say, see [`crate::image`].
//! - `StartImageScan`, `DescribeImageScanFindings`, and the scan's part of `DescribeImages`.
//! - Tags are immutable but for `latest-*`.
//!
//! Left out: scans that fail or never end (`FAILED`; the world in memory has them, see `tests/images.rs`), scan on push switched off, the event of a deleted image, the
//! limit of one scan of an image a day, and the pages of a long list of findings.

use std::{sync::Arc, time::Duration};

use axum::{body::Bytes, http::request::Parts, response::Response};
use jiff::Timestamp;
use local_wire::{
    Authorize, Caller, Deliver, Wire,
    front::{Front, Upstream, json_answer, json_error, read_json},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    image::{findings, manifest_of},
    names::Place,
    scan::{Report, Scan, Scans, UNSUPPORTED},
};

/// How long a scan takes; on AWS about half a minute.
const SCAN_TIME: Duration = Duration::from_millis(200);
const ECR: &str = "AmazonEC2ContainerRegistry_V20150921";

/// The front. Clones share their state.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

struct Shared {
    upstream: Upstream,
    wire: Wire,
    place: Place,
    authorize: Arc<dyn Authorize>,
    deliver: Arc<dyn Deliver>,
    scans: Scans,
    /// Held while a tag is looked up and written.
    pushing: tokio::sync::Mutex<()>,
}

/// An error's code and message.
struct Refusal(String, String);

fn refusal(code: &str, message: &str) -> Refusal {
    Refusal(code.to_owned(), message.to_owned())
}

impl From<Refusal> for Response {
    fn from(Refusal(code, message): Refusal) -> Self {
        json_error(&code, &message)
    }
}

impl Registry {
    /// What it doesn't answer itself goes to `upstream`; `wire` calls the emulator as its root user.
    pub fn new(
        upstream: Upstream,
        wire: Wire,
        place: Place,
        authorize: Arc<dyn Authorize>,
        deliver: Arc<dyn Deliver>,
    ) -> Self {
        Self(Arc::new(Shared {
            upstream,
            wire,
            place,
            authorize,
            deliver,
            scans: Scans::default(),
            pushing: tokio::sync::Mutex::default(),
        }))
    }

    async fn put_image(&self, parts: &Parts, body: Bytes, request: &Value) -> Response {
        let pushed = {
            let _pushing = self.0.pushing.lock().await;
            if let Err(refusal) = self.refuse_moved_tag(request).await {
                return refusal.into();
            }
            match read_json(self.0.upstream.forward(parts, body).await).await {
                Ok(pushed) => pushed,
                Err(refusal) => return refusal,
            }
        };
        let repository = text(request, "repositoryName").to_owned();
        let digest = text(&pushed["image"]["imageId"], "imageDigest").to_owned();
        let mut detail = json!({
            "action-type": "PUSH",
            "image-digest": digest,
            "repository-name": repository,
            "result": "SUCCESS",
            "manifest-media-type": pushed["image"]["imageManifestMediaType"],
        });
        if let Some(tag) = request["imageTag"].as_str() {
            detail["image-tag"] = json!(tag);
        }
        let registry = self.clone();
        let scan = self.0.scans.begin(&repository, &digest);
        tokio::spawn(async move {
            registry
                .announce("ECR Image Action", json!([]), detail)
                .await;
            if scan {
                registry.scan(repository, digest).await;
            }
        });
        json_answer(&pushed)
    }

    /// A tag that isn't `latest-*` stays on the image it was given to.
    async fn refuse_moved_tag(&self, request: &Value) -> Result<(), Refusal> {
        let (repository, tag) = (text(request, "repositoryName"), text(request, "imageTag"));
        if tag.is_empty() || tag.starts_with("latest-") {
            return Ok(());
        }
        let image = json!({"imageTag": tag});
        let known = manifest_of(&self.0.wire, repository, &image)
            .await
            .map_err(|error| refusal("ServerException", &error.to_string()))?;
        match known {
            None => Ok(()),
            Some(manifest) if manifest == text(request, "imageManifest") => Err(refusal(
                "ImageAlreadyExistsException",
                &format!("Image with tag '{tag}' already exists in the '{repository}' repository"),
            )),
            Some(_) => Err(refusal(
                "ImageTagAlreadyExistsException",
                &format!(
                    "The image tag '{tag}' already exists in the '{repository}' repository and \
                     cannot be overwritten because the tag is immutable."
                ),
            )),
        }
    }

    async fn scan(&self, repository: String, digest: String) {
        tokio::time::sleep(SCAN_TIME).await;
        let id = json!({"imageDigest": digest});
        let manifest = match manifest_of(&self.0.wire, &repository, &id).await {
            Ok(manifest) => manifest.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, repository, digest, "an image couldn't be scanned");
                return;
            }
        };
        let mut counts = findings(&manifest);
        let (scan, status) = if counts.contains_key(UNSUPPORTED) {
            counts.clear();
            (Scan::Unsupported, UNSUPPORTED)
        } else {
            let report = Report {
                completed: Timestamp::now(),
                counts: counts.clone(),
            };
            (Scan::Done(report), "COMPLETE")
        };
        self.0.scans.set(&repository, &digest, scan);
        let tags = self.tags(&repository, &digest).await;
        let arn = self.repository_arn(&repository);
        let detail = json!({
            "scan-status": status,
            "repository-name": repository,
            "finding-severity-counts": counts,
            "image-digest": digest,
            "image-tags": tags,
        });
        self.announce("ECR Image Scan", json!([arn]), detail).await;
    }

    async fn tags(&self, repository: &str, digest: &str) -> Value {
        let body = json!({"repositoryName": repository, "imageIds": [{"imageDigest": digest}]});
        match self
            .0
            .wire
            .json("ecr", &format!("{ECR}.DescribeImages"), body)
            .await
        {
            Ok(images) => images["imageDetails"][0]["imageTags"].clone(),
            Err(error) => {
                tracing::warn!(%error, repository, digest, "an image's tags can't be read");
                json!([])
            }
        }
    }

    async fn announce(&self, detail_type: &str, resources: Value, detail: Value) {
        let event = json!({
            "version": "0",
            "id": Uuid::new_v4().to_string(),
            "detail-type": detail_type,
            "source": "aws.ecr",
            "account": self.0.place.account,
            "time": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": self.0.place.region,
            "resources": resources,
            "detail": detail,
        });
        // ECR's events are best effort on AWS too.
        if let Err(error) = self.0.deliver.deliver(event).await {
            tracing::warn!(error, detail_type, "an event couldn't be delivered");
        }
    }

    fn repository_arn(&self, repository: &str) -> String {
        self.0.place.arn("ecr", &format!("repository/{repository}"))
    }

    async fn start_scan(&self, parts: &Parts, request: &Value) -> Result<Response, Refusal> {
        let (repository, digest) = self.scannable(parts, "ecr:StartImageScan", request).await?;
        self.0.scans.set(&repository, &digest, Scan::Running);
        let registry = self.clone();
        let answer = self.scan_answer(request, &repository, &digest, &Scan::Running);
        tokio::spawn(async move { registry.scan(repository, digest).await });
        Ok(json_answer(&answer))
    }

    async fn describe_findings(&self, parts: &Parts, request: &Value) -> Result<Response, Refusal> {
        let action = "ecr:DescribeImageScanFindings";
        let (repository, digest) = self.scannable(parts, action, request).await?;
        let Some(scan) = self.0.scans.of(&repository, &digest) else {
            let message = format!(
                "Image scan does not exist for the image with '{{imageDigest:'{digest}'}}' in the \
                 repository with name '{repository}' in the registry with id '{}'",
                self.0.place.account
            );
            return Err(refusal("ScanNotFoundException", &message));
        };
        let mut answer = self.scan_answer(request, &repository, &digest, &scan);
        if let Scan::Done(report) = scan {
            answer["imageScanFindings"] = report.findings();
        }
        Ok(json_answer(&answer))
    }

    fn scan_answer(&self, request: &Value, repository: &str, digest: &str, scan: &Scan) -> Value {
        let mut image = json!({"imageDigest": digest});
        if let Some(tag) = request["imageId"]["imageTag"].as_str() {
            image["imageTag"] = json!(tag);
        }
        json!({
            "registryId": self.0.place.account,
            "repositoryName": repository,
            "imageId": image,
            "imageScanStatus": scan.status(),
        })
    }

    /// Whether the caller may do this to a repository.
    async fn check(&self, parts: &Parts, action: &str, repository: &str) -> Result<(), Refusal> {
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let caller = header("authorization")
            .and_then(|value| Caller::from_headers(value, header("x-amz-security-token")))
            .ok_or_else(|| {
                refusal(
                    "MissingAuthenticationTokenException",
                    "Missing Authentication Token",
                )
            })?;
        self.0
            .authorize
            .check(&caller, action, &self.repository_arn(repository))
            .await
            .map_err(|refused| refusal("AccessDeniedException", &refused.0))
    }

    /// The named repositories. The emulator would want the right to describe all of them, where AWS
    /// looks at those that are named.
    async fn describe_repositories(
        &self,
        parts: &Parts,
        request: &Value,
    ) -> Result<Response, Refusal> {
        for name in request["repositoryNames"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            self.check(parts, "ecr:DescribeRepositories", name).await?;
        }
        let target = format!("{ECR}.DescribeRepositories");
        match self.0.wire.json("ecr", &target, request.clone()).await {
            Ok(answer) => Ok(json_answer(&answer)),
            Err(error) => Err(refusal(
                error.code().unwrap_or("ServerException"),
                &error.to_string(),
            )),
        }
    }

    /// The repository and digest that a scan's call is about, once the caller may make it.
    async fn scannable(
        &self,
        parts: &Parts,
        action: &str,
        request: &Value,
    ) -> Result<(String, String), Refusal> {
        let repository = text(request, "repositoryName");
        self.check(parts, action, repository).await?;
        let body = json!({"repositoryName": repository, "imageIds": [request["imageId"]]});
        let images = self
            .0
            .wire
            .json("ecr", &format!("{ECR}.DescribeImages"), body)
            .await;
        let images = images.map_err(|error| {
            refusal(
                error.code().unwrap_or("ServerException"),
                &error.to_string(),
            )
        })?;
        match images["imageDetails"][0]["imageDigest"].as_str() {
            Some(digest) => Ok((repository.to_owned(), digest.to_owned())),
            None => Err(self.image_not_found(repository, &request["imageId"])),
        }
    }

    fn image_not_found(&self, repository: &str, image: &Value) -> Refusal {
        let account = &self.0.place.account;
        let message = format!(
            "The image with imageId {image} does not exist within the repository with name \
             '{repository}' in the registry with id '{account}'"
        );
        refusal("ImageNotFoundException", &message)
    }

    /// Adds to each image what its scan found; an image that was asked for and isn't there is an
    /// error.
    async fn describe_images(&self, parts: &Parts, body: Bytes, request: &Value) -> Response {
        let mut answer = match read_json(self.0.upstream.forward(parts, body).await).await {
            Ok(answer) => answer,
            Err(refusal) => return refusal,
        };
        let count = |list: &Value| list.as_array().map_or(0, Vec::len);
        if count(&answer["imageDetails"]) < count(&request["imageIds"]) {
            return self
                .image_not_found(text(request, "repositoryName"), &request["imageIds"])
                .into();
        }
        for image in answer["imageDetails"].as_array_mut().into_iter().flatten() {
            let (repository, digest) = (text(image, "repositoryName"), text(image, "imageDigest"));
            let Some(scan) = self.0.scans.of(repository, digest) else {
                continue;
            };
            image["imageScanStatus"] = scan.status();
            if let Scan::Done(report) = scan {
                image["imageScanFindingsSummary"] = report.summary();
            }
        }
        json_answer(&answer)
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

impl Front for Registry {
    async fn answer(&self, parts: Parts, body: Bytes) -> Response {
        let target = parts
            .headers
            .get("x-amz-target")
            .and_then(|value| value.to_str().ok());
        let action = target
            .and_then(|target| target.rsplit('.').next())
            .unwrap_or_default();
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let answer = match action {
            "PutImage" => Ok(self.put_image(&parts, body, &request).await),
            "StartImageScan" => self.start_scan(&parts, &request).await,
            "DescribeImageScanFindings" => self.describe_findings(&parts, &request).await,
            "DescribeRepositories" if request["repositoryNames"].is_array() => {
                self.describe_repositories(&parts, &request).await
            }
            "DescribeImages" => Ok(self.describe_images(&parts, body, &request).await),
            _ => Ok(self.0.upstream.forward(&parts, body).await),
        };
        answer.unwrap_or_else(Into::into)
    }
}
