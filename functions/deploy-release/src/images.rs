//! Images as ECR has them, with what their scans say.
//!
//! ECR tells of an image twice: a tag was pushed, and a scan ended. Either may be lost, and an image that
//! was scanned before has no second scan when it gets its tag (a promotion). So both wake this function, and
//! whichever comes makes the same decision with the same cause. A request ([`asked`]) is a cause of its own.

use std::collections::BTreeMap;

use domain::{
    Result,
    layout::Artifacts,
    ports::{ImageRegistry, ObjectStore, Scan, StoredImage},
    records,
};
use events::{Event, Received};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{Config, asked, decide::Half};

/// ECR's word for an image that its scanner can't read, like one that only adds a static program to a base.
const UNSUPPORTED: &str = "UNSUPPORTED_IMAGE";

/// The pipeline's own scan, by `ci/scan.py`.
#[derive(Debug, Deserialize)]
struct PipelineScan {
    digest: String,
    status: String,
    findings: BTreeMap<String, u32>,
}

/// An image by tag or digest, and its scan: the pipeline's, where ECR's scanner can't read it.
pub(crate) async fn scanned(
    config: &Config,
    store: &impl ObjectStore,
    images: &impl ImageRegistry,
    name: &str,
) -> Result<Option<(StoredImage, Option<Scan>)>> {
    let Some(stored) = images.image(&config.infer_repository, name).await? else {
        return Ok(None);
    };
    let digest = &stored.image.digest;
    let mut scan = images.scan(&config.infer_repository, digest).await?;
    if scan.as_ref().is_some_and(|scan| scan.status == UNSUPPORTED) {
        let at = Artifacts::new(&config.artifacts_bucket).image_scan(digest);
        let kept: Option<PipelineScan> = records::read(store, &at).await?;
        // A record about another image says nothing about this one.
        if let Some(kept) = kept.filter(|kept| kept.digest == *digest) {
            scan = Some(Scan {
                status: kept.status,
                completed: None,
                findings: kept.findings,
            });
        }
    }
    Ok(Some((stored, scan)))
}

/// When what is decided on happened. An image is what it is since its scan ended, or since it was tagged
/// after that; without a result of a scan, since it was pushed. So the push and the scan's end are one cause.
pub(crate) fn caused_at(half: &Half, received: &Received) -> Timestamp {
    let (Half::Image(stored, scan), None) = (half, asked::request(&received.event)) else {
        return received.time;
    };
    match (
        scan.as_ref().and_then(|scan| scan.completed),
        &received.event,
    ) {
        (Some(ended), Event::ImageScan(_)) => ended,
        (Some(ended), _) => ended.max(received.time),
        (None, _) => stored.pushed.unwrap_or(received.time),
    }
}
