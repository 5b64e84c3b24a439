//! Scans of images: which there are, and what they found.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::image::Findings;

/// ECR's word for an image that its scanner can't read. Among the findings that a pushed image names it makes
/// the image such a one.
pub const UNSUPPORTED: &str = "UNSUPPORTED_IMAGE";

/// A scan of one image.
#[derive(Debug, Clone)]
pub(crate) enum Scan {
    /// Under way.
    Running,
    /// Ended.
    Done(Report),
    /// The scanner can't read the image.
    Unsupported,
}

/// What a scan found.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) completed: Timestamp,
    pub(crate) counts: Findings,
}

/// The latest scan of each image, by repository and digest.
#[derive(Debug, Default)]
pub(crate) struct Scans(Mutex<HashMap<(String, String), Scan>>);

impl Scans {
    /// Notes that an image is being scanned; `false` when it was or is being scanned already.
    pub(crate) fn begin(&self, repository: &str, digest: &str) -> bool {
        let key = (repository.to_owned(), digest.to_owned());
        match self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key)
        {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(Scan::Running);
                true
            }
        }
    }

    /// Notes how far an image's scan is.
    pub(crate) fn set(&self, repository: &str, digest: &str, scan: Scan) {
        let key = (repository.to_owned(), digest.to_owned());
        let mut scans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        scans.insert(key, scan);
    }

    /// An image's scan; `None` when there was none.
    pub(crate) fn of(&self, repository: &str, digest: &str) -> Option<Scan> {
        let key = (repository.to_owned(), digest.to_owned());
        let scans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        scans.get(&key).cloned()
    }
}

impl Scan {
    /// `imageScanStatus`.
    pub(crate) fn status(&self) -> Value {
        match self {
            Self::Running => {
                json!({"status": "IN_PROGRESS", "description": "The scan is running."})
            }
            Self::Done(_) => {
                json!({"status": "COMPLETE", "description": "The scan was completed successfully."})
            }
            Self::Unsupported => {
                json!({"status": UNSUPPORTED, "description": "The operating system of the image is not supported."})
            }
        }
    }
}

impl Report {
    /// `imageScanFindingsSummary`.
    pub(crate) fn summary(&self) -> Value {
        let time = self.completed.as_second();
        json!({
            "imageScanCompletedAt": time,
            "vulnerabilitySourceUpdatedAt": time,
            "findingSeverityCounts": self.counts,
        })
    }

    /// `imageScanFindings`: the summary and each finding.
    pub(crate) fn findings(&self) -> Value {
        let findings = self.counts.iter().flat_map(|(severity, &count)| {
            (1..=count).map(move |number| {
                json!({
                    "name": format!("LOCAL-{severity}-{number}"),
                    "description": "simulated: named by the image's manifest",
                    "severity": severity,
                })
            })
        });
        let mut all = self.summary();
        all["findings"] = Value::Array(findings.collect());
        all
    }
}
