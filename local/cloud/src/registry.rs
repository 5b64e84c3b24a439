//! The front of ECR: what the emulator's registry lacks.
//!
//! - A pushed image is announced (`ECR Image Action`) and scanned (`ECR Image Scan`). The scan is
//!   simulated: it reports what the manifest's annotations say, see [`crate::image`].
//! - `StartImageScan`, `DescribeImageScanFindings`, and the scan's part of `DescribeImages`.
//! - Tags are immutable but for `latest-*`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{body::Bytes, http::request::Parts, response::Response};
use jiff::Timestamp;
use local_wire::{Authorize, Caller, Deliver, Wire};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    front::{Front, Upstream, json_answer, json_error, read_json},
    image::{Findings, findings, manifest_of},
    names::Place,
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
    /// By repository and digest.
    scans: Mutex<HashMap<(String, String), Scan>>,
    /// Held while a tag is looked up and written.
    pushing: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
enum Scan {
    Running,
    Done(Report),
}

#[derive(Clone)]
struct Report {
    completed: Timestamp,
    counts: Findings,
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
    /// `wire` calls the emulator as its root user.
    pub fn new(
        wire: Wire,
        place: Place,
        authorize: Arc<dyn Authorize>,
        deliver: Arc<dyn Deliver>,
    ) -> Self {
        Self(Arc::new(Shared {
            upstream: Upstream::new(wire.endpoint()),
            wire,
            place,
            authorize,
            deliver,
            scans: Mutex::default(),
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
        let scan = self.begin_scan(&repository, &digest);
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

    /// Notes that an image is being scanned; `false` when it was or is being scanned already.
    fn begin_scan(&self, repository: &str, digest: &str) -> bool {
        let key = (repository.to_owned(), digest.to_owned());
        let mut scans = self.0.scans.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !scans.contains_key(&key);
        scans.entry(key).or_insert(Scan::Running);
        is_new
    }

    fn note_scan(&self, key: (String, String), scan: Scan) {
        let mut scans = self.0.scans.lock().unwrap_or_else(PoisonError::into_inner);
        scans.insert(key, scan);
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
        let counts = findings(&manifest);
        let report = Report {
            completed: Timestamp::now(),
            counts: counts.clone(),
        };
        let key = (repository.clone(), digest.clone());
        self.note_scan(key, Scan::Done(report));
        let tags = self.tags(&repository, &digest).await;
        let arn = self.repository_arn(&repository);
        let detail = json!({
            "scan-status": "COMPLETE",
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
        let key = (repository.clone(), digest.clone());
        self.note_scan(key, Scan::Running);
        let registry = self.clone();
        let answer = self.scan_answer(request, &repository, &digest, Scan::Running.status());
        tokio::spawn(async move { registry.scan(repository, digest).await });
        Ok(json_answer(&answer))
    }

    async fn describe_findings(&self, parts: &Parts, request: &Value) -> Result<Response, Refusal> {
        let action = "ecr:DescribeImageScanFindings";
        let (repository, digest) = self.scannable(parts, action, request).await?;
        let Some(scan) = self.scan_of(&repository, &digest) else {
            let message = format!(
                "Image scan does not exist for the image with '{{imageDigest:'{digest}'}}' in the \
                 repository with name '{repository}' in the registry with id '{}'",
                self.0.place.account
            );
            return Err(refusal("ScanNotFoundException", &message));
        };
        let mut answer = self.scan_answer(request, &repository, &digest, scan.status());
        if let Scan::Done(report) = scan {
            answer["imageScanFindings"] = report.summary();
            answer["imageScanFindings"]["findings"] = report.findings();
        }
        Ok(json_answer(&answer))
    }

    fn scan_of(&self, repository: &str, digest: &str) -> Option<Scan> {
        let key = (repository.to_owned(), digest.to_owned());
        let scans = self.0.scans.lock().unwrap_or_else(PoisonError::into_inner);
        scans.get(&key).cloned()
    }

    fn scan_answer(&self, request: &Value, repository: &str, digest: &str, status: &str) -> Value {
        let mut image = json!({"imageDigest": digest});
        if let Some(tag) = request["imageId"]["imageTag"].as_str() {
            image["imageTag"] = json!(tag);
        }
        json!({
            "registryId": self.0.place.account,
            "repositoryName": repository,
            "imageId": image,
            "imageScanStatus": scan_status(status),
        })
    }

    /// The repository and digest that a scan's call is about, once the caller may make it.
    async fn scannable(
        &self,
        parts: &Parts,
        action: &str,
        request: &Value,
    ) -> Result<(String, String), Refusal> {
        let repository = text(request, "repositoryName");
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
            .map_err(|refused| refusal("AccessDeniedException", &refused.0))?;
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
            None => Err(refusal(
                "ImageNotFoundException",
                &format!(
                    "The image {} does not exist in {repository}",
                    request["imageId"]
                ),
            )),
        }
    }

    /// Adds to each image what its scan found.
    async fn describe_images(&self, parts: &Parts, body: Bytes) -> Response {
        let mut answer = match read_json(self.0.upstream.forward(parts, body).await).await {
            Ok(answer) => answer,
            Err(refusal) => return refusal,
        };
        for image in answer["imageDetails"].as_array_mut().into_iter().flatten() {
            let (repository, digest) = (text(image, "repositoryName"), text(image, "imageDigest"));
            let Some(scan) = self.scan_of(repository, digest) else {
                continue;
            };
            image["imageScanStatus"] = scan_status(scan.status());
            if let Scan::Done(report) = scan {
                image["imageScanFindingsSummary"] = report.summary();
            }
        }
        json_answer(&answer)
    }
}

impl Scan {
    fn status(&self) -> &'static str {
        match self {
            Self::Running => "IN_PROGRESS",
            Self::Done(_) => "COMPLETE",
        }
    }
}

impl Report {
    fn summary(&self) -> Value {
        let time = self.completed.as_second();
        json!({
            "imageScanCompletedAt": time,
            "vulnerabilitySourceUpdatedAt": time,
            "findingSeverityCounts": self.counts,
        })
    }

    fn findings(&self) -> Value {
        let findings = self.counts.iter().flat_map(|(severity, &count)| {
            (1..=count).map(move |number| {
                json!({
                    "name": format!("LOCAL-{severity}-{number}"),
                    "description": "simulated: named by the image's manifest",
                    "severity": severity,
                })
            })
        });
        Value::Array(findings.collect())
    }
}

fn scan_status(status: &str) -> Value {
    let description = match status {
        "COMPLETE" => "The scan was completed successfully.",
        _ => "The scan is running.",
    };
    json!({"status": status, "description": description})
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
            "DescribeImages" => Ok(self.describe_images(&parts, body).await),
            _ => Ok(self.0.upstream.forward(&parts, body).await),
        };
        answer.unwrap_or_else(Into::into)
    }
}
