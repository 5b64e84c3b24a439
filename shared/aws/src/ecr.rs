//! Images in Amazon ECR, and what their scans found.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use aws_sdk_ecr::{
    Client, error::ProvideErrorMetadata as _, primitives::DateTime, types::ImageIdentifier,
};
use domain::{
    Error, Result,
    ports::{ImageRegistry, Scan, StoredImage},
    release::Image,
};
use jiff::Timestamp;

use crate::{Context, failure::failed};

/// Amazon ECR.
#[derive(Debug)]
pub struct Ecr {
    client: Client,
    /// URIs by repository name: they never change.
    uris: Mutex<BTreeMap<String, String>>,
}

impl Ecr {
    /// A client; nothing is sent yet.
    pub fn new(context: &Context) -> Self {
        Self {
            client: Client::new(&context.of("ECR")),
            uris: Mutex::default(),
        }
    }

    async fn uri(&self, repository: &str) -> Result<String> {
        let known = self
            .uris
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(repository)
            .cloned();
        if let Some(uri) = known {
            return Ok(uri);
        }
        let doing = || format!("looking up the ECR repository {repository}");
        let answer = self
            .client
            .describe_repositories()
            .repository_names(repository)
            .send()
            .await
            .map_err(|error| failed(doing(), "ecr:DescribeRepositories", error))?;
        let uri = answer
            .repositories()
            .iter()
            .find_map(|found| found.repository_uri())
            .ok_or_else(|| Error::permanent(format!("{}: the answer has no URI", doing())))?;
        self.uris
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(repository.to_owned(), uri.to_owned());
        Ok(uri.to_owned())
    }
}

/// A time as the domain has it, to the second.
fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.secs()).ok()
}

fn identifier(tag_or_digest: &str) -> ImageIdentifier {
    let identifier = ImageIdentifier::builder();
    if tag_or_digest.starts_with("sha256:") {
        identifier.image_digest(tag_or_digest).build()
    } else {
        identifier.image_tag(tag_or_digest).build()
    }
}

impl ImageRegistry for Ecr {
    async fn image(&self, repository: &str, tag_or_digest: &str) -> Result<Option<StoredImage>> {
        let doing = || format!("looking up the image {repository} {tag_or_digest} in ECR");
        let answer = self
            .client
            .describe_images()
            .repository_name(repository)
            .image_ids(identifier(tag_or_digest))
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("ImageNotFoundException") => return Ok(None),
            Err(error) => return Err(failed(doing(), "ecr:DescribeImages", error)),
        };
        let Some(detail) = answer.image_details().first() else {
            return Ok(None);
        };
        let digest = detail
            .image_digest()
            .ok_or_else(|| Error::permanent(format!("{}: the answer has no digest", doing())))?;
        Ok(Some(StoredImage {
            image: Image {
                repository: self.uri(repository).await?,
                digest: digest.to_owned(),
            },
            tags: detail.image_tags().to_vec(),
            pushed: detail.image_pushed_at().and_then(timestamp),
        }))
    }

    async fn scan(&self, repository: &str, digest: &str) -> Result<Option<Scan>> {
        let answer = self
            .client
            .describe_image_scan_findings()
            .repository_name(repository)
            .image_id(identifier(digest))
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error)
                if matches!(
                    error.code(),
                    Some("ScanNotFoundException" | "ImageNotFoundException")
                ) =>
            {
                return Ok(None);
            }
            Err(error) => {
                return Err(failed(
                    format!("reading the scan of {repository}@{digest}"),
                    "ecr:DescribeImageScanFindings",
                    error,
                ));
            }
        };
        let Some(status) = answer
            .image_scan_status()
            .and_then(|status| status.status())
        else {
            return Ok(None);
        };
        // The counts cover all pages of findings, and basic and enhanced scans alike.
        let found = answer.image_scan_findings();
        let completed = found
            .and_then(|findings| findings.image_scan_completed_at())
            .and_then(timestamp);
        let findings = found
            .and_then(|findings| findings.finding_severity_counts())
            .into_iter()
            .flatten()
            .filter_map(|(severity, count)| {
                let count = u32::try_from(*count).ok().filter(|count| *count > 0)?;
                Some((severity.as_str().to_owned(), count))
            })
            .collect();
        Ok(Some(Scan {
            status: status.as_str().to_owned(),
            completed,
            findings,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stub::Stub;
    use serde_json::json;

    fn refusal(code: &str) -> (u16, serde_json::Value) {
        (400, json!({"__type": code, "message": "said so"}))
    }

    #[tokio::test]
    async fn an_image_has_its_repository_s_uri_which_is_asked_for_once() {
        let image = json!({"imageDetails": [{"imageDigest": "sha256:ab", "imageTags": ["latest-dev"], "imagePushedAt": 1.5}]});
        let stub = Stub::new([
            (200, image.clone()),
            (
                200,
                json!({"repositories": [{"repositoryUri": "1.dkr.ecr.r.amazonaws.com/infer"}]}),
            ),
            (200, image),
            refusal("ImageNotFoundException"),
            refusal("RepositoryNotFoundException"),
        ]);
        let ecr = Ecr::new(&stub.context());
        let stored = ecr.image("infer", "latest-dev").await.unwrap().unwrap();
        assert_eq!(stored.image.repository, "1.dkr.ecr.r.amazonaws.com/infer");
        assert_eq!(stored.tags, ["latest-dev"]);
        assert_eq!(stored.pushed, Timestamp::from_second(1).ok());
        ecr.image("infer", "sha256:ab").await.unwrap().unwrap();
        assert_eq!(ecr.image("infer", "sha256:cd").await.unwrap(), None);
        // A repository that isn't there is a mistake in the configuration, not a missing image.
        assert!(ecr.image("nosuch", "sha256:cd").await.is_err());
        let requests = stub.requests();
        assert_eq!(requests[0].json()["imageIds"][0]["imageTag"], "latest-dev");
        assert_eq!(
            requests[2].json()["imageIds"][0]["imageDigest"],
            "sha256:ab"
        );
    }

    #[tokio::test]
    async fn a_scan_has_the_counts_that_were_found() {
        let stub = Stub::new([
            (
                200,
                json!({
                    "imageScanStatus": {"status": "COMPLETE"},
                    "imageScanFindings": {"imageScanCompletedAt": 7.25, "findingSeverityCounts": {"CRITICAL": 1, "HIGH": 2, "LOW": 0}}
                }),
            ),
            refusal("ScanNotFoundException"),
        ]);
        let ecr = Ecr::new(&stub.context());
        let scan = ecr.scan("infer", "sha256:ab").await.unwrap().unwrap();
        assert_eq!(scan.status, "COMPLETE");
        assert_eq!(scan.completed, Timestamp::from_second(7).ok());
        let findings: Vec<_> = scan.findings.into_iter().collect();
        assert_eq!(
            findings,
            [("CRITICAL".to_owned(), 1), ("HIGH".to_owned(), 2)]
        );
        assert_eq!(ecr.scan("infer", "sha256:ab").await.unwrap(), None);
    }
}
