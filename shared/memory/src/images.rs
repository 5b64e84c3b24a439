//! Amazon ECR: images, tags that move, and scans.

use std::collections::BTreeMap;

use domain::{
    Result, names,
    ports::{ImageRegistry, Scan, StoredImage},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{ACCOUNT, REGION, World, envelope, script::Outcome, state::State};

/// A pushed image.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    repository: String,
    digest: String,
    tags: Vec<String>,
    /// What the scan finds.
    findings: BTreeMap<String, u32>,
    scan_status: &'static str,
    scan_ended: Option<Timestamp>,
    /// When it was pushed.
    since: Timestamp,
}

impl Pushed {
    fn is(&self, repository: &str, tag_or_digest: &str) -> bool {
        self.repository == repository
            && (self.digest == tag_or_digest || self.tags.iter().any(|tag| tag == tag_or_digest))
    }

    fn scan(&self) -> Scan {
        let findings = if self.scan_status == "COMPLETE" {
            self.findings.clone()
        } else {
            BTreeMap::new()
        };
        Scan {
            status: self.scan_status.to_owned(),
            completed: self.scan_ended,
            findings,
        }
    }
}

/// Ends the scans that end now.
pub(crate) fn run(state: &mut State) {
    for index in 0..state.images.len() {
        let image = &state.images[index];
        if image.scan_status != "IN_PROGRESS" {
            continue;
        }
        let subject = format!("{}@{}", image.repository, image.digest);
        let status = match state.scripts.outcome("scan", &subject) {
            Outcome::Completes => "COMPLETE",
            Outcome::Fails(reason) if reason == "UNSUPPORTED_IMAGE" => "UNSUPPORTED_IMAGE",
            Outcome::Fails(_) | Outcome::Stops => "FAILED",
            Outcome::RunsOn => continue,
        };
        state.images[index].scan_status = status;
        // As ECR has it: a scan without a result has no time either.
        state.images[index].scan_ended = (status == "COMPLETE").then_some(state.now);
        let image = &state.images[index];
        let detail = json!({
            "scan-status": status,
            "repository-name": image.repository,
            "finding-severity-counts": image.scan().findings,
            "image-digest": image.digest,
            "image-tags": image.tags,
        });
        let arn = format!(
            "arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{}",
            image.repository
        );
        let event = state.envelope("aws.ecr", "ECR Image Scan", &[arn], &detail);
        state.events.push(event);
    }
}

impl World {
    /// Pushes an image, which takes its tags from others of the repository and is scanned at once
    /// (unless [`World::script`] lets the scan run on). Answers ECR's events: one push for each tag,
    /// then the scan. The digest is computed from repository and tags: the same push, the same image.
    pub fn push_image(
        &self,
        repository: &str,
        tags: &[&str],
        findings: &[(&str, u32)],
    ) -> Vec<Value> {
        let mut state = self.state.borrow_mut();
        let mut parts = vec![repository];
        parts.extend(tags);
        let digest = format!("sha256:{}", names::digest(&parts));
        for image in &mut state.images {
            if image.repository == repository {
                image.tags.retain(|tag| !tags.contains(&tag.as_str()));
            }
        }
        state.images.retain(|image| image.digest != digest);
        let now = state.now;
        state.images.push(Pushed {
            repository: repository.to_owned(),
            digest: digest.clone(),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            findings: findings
                .iter()
                .map(|&(severity, count)| (severity.to_owned(), count))
                .collect(),
            scan_status: "IN_PROGRESS",
            scan_ended: None,
            since: now,
        });
        // Events that wait for `run_services` are not this push's.
        let waiting = std::mem::take(&mut state.events);
        for tag in tags {
            let event = pushed(&mut state, repository, &digest, tag);
            state.events.push(event);
        }
        run(&mut state);
        std::mem::replace(&mut state.events, waiting)
    }

    /// Scans an image once more, which finds this now. Answers ECR's event; `None` when the image isn't there.
    pub fn scan_again(&self, digest: &str, findings: &[(&str, u32)]) -> Option<Value> {
        let mut state = self.state.borrow_mut();
        let mut images = state.images.iter_mut();
        let image = images.find(|image| image.digest == digest)?;
        let owned = |&(severity, count): &(&str, u32)| (severity.to_owned(), count);
        image.findings = findings.iter().map(owned).collect();
        image.scan_status = "IN_PROGRESS";
        let waiting = std::mem::take(&mut state.events);
        run(&mut state);
        std::mem::replace(&mut state.events, waiting).pop()
    }

    /// Somebody deletes an image.
    pub fn delete_image(&self, digest: &str) {
        let mut state = self.state.borrow_mut();
        state.images.retain(|image| image.digest != digest);
    }

    /// Gives an image that is there another tag, which others of the repository lose: it isn't scanned
    /// again. Answers ECR's event; `None` when the image isn't there.
    pub fn tag_image(&self, repository: &str, digest: &str, tag: &str) -> Option<Value> {
        let mut state = self.state.borrow_mut();
        let mut images = state.images.iter();
        images.find(|image| image.is(repository, digest))?;
        for image in &mut state.images {
            if image.repository == repository {
                image.tags.retain(|other| other != tag);
                if image.digest == digest {
                    image.tags.push(tag.to_owned());
                }
            }
        }
        Some(pushed(&mut state, repository, digest, tag))
    }
}

/// ECR's event of one tag of a push.
fn pushed(state: &mut State, repository: &str, digest: &str, tag: &str) -> Value {
    let detail = json!({
        "result": "SUCCESS",
        "repository-name": repository,
        "image-digest": digest,
        "action-type": "PUSH",
        "image-tag": tag,
    });
    state.envelope("aws.ecr", "ECR Image Action", &[], &detail)
}

impl ImageRegistry for World {
    async fn image(&self, repository: &str, tag_or_digest: &str) -> Result<Option<StoredImage>> {
        let subject = format!("{repository} {tag_or_digest}");
        self.look("image", &subject, |state| {
            let mut images = state.images.iter();
            let image = images.find(|image| image.is(repository, tag_or_digest))?;
            Some(StoredImage {
                image: envelope::image(&image.repository, &image.digest),
                tags: image.tags.clone(),
                pushed: Some(image.since),
            })
        })
        .await
    }

    async fn scan(&self, repository: &str, digest: &str) -> Result<Option<Scan>> {
        self.look("scan", &format!("{repository} {digest}"), |state| {
            let mut images = state.images.iter();
            let image = images.find(|image| image.is(repository, digest))?;
            Some(image.scan())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{envelope::assert_like_sample, ready};

    const REPOSITORY: &str = "retail-forecast-infer";

    fn digest(event: &Value) -> &str {
        event["detail"]["image-digest"].as_str().unwrap()
    }

    #[test]
    fn a_tag_moves_to_the_newest_image_and_the_old_one_keeps_its_digest() {
        let world = World::new();
        let first = world.push_image(REPOSITORY, &["build-1", "latest-dev"], &[]);
        assert_eq!(first.len(), 3);
        assert_like_sample(&first[0], "ecr-image-action/push");
        assert_like_sample(&first[2], "ecr-image-scan/complete-high");
        let second = world.push_image(REPOSITORY, &["build-2", "latest-dev"], &[]);
        let latest = ready(world.image(REPOSITORY, "latest-dev"))
            .unwrap()
            .unwrap();
        assert_eq!(latest.image.digest, digest(&second[0]));
        let older = ready(world.image(REPOSITORY, digest(&first[0]))).unwrap();
        assert_eq!(older.unwrap().tags, ["build-1"]);
        assert!(latest.image.reference().is_ok());
    }

    #[test]
    fn a_scan_that_runs_on_has_no_findings_and_no_event_yet() {
        let world = World::new();
        world.script(|what| what.starts_with("scan "), Outcome::RunsOn);
        let pushed = world.push_image(REPOSITORY, &["build-1"], &[("CRITICAL", 2)]);
        assert_eq!(pushed.len(), 1);
        let scan = || ready(world.scan(REPOSITORY, digest(&pushed[0]))).unwrap();
        assert_eq!(scan().unwrap().status, "IN_PROGRESS");
        assert!(scan().unwrap().findings.is_empty());

        world.script(|what| what.starts_with("scan "), Outcome::Completes);
        let scanned = world.run_services();
        assert_eq!(
            scanned[0]["detail"]["finding-severity-counts"],
            json!({ "CRITICAL": 2 })
        );
        assert_eq!(scan().unwrap().findings["CRITICAL"], 2);
        assert_eq!(ready(world.scan(REPOSITORY, "sha256:0")).unwrap(), None);
    }

    #[test]
    fn a_tag_given_later_is_a_push_and_no_scan() {
        let world = World::new();
        let pushed = world.push_image(REPOSITORY, &["build-1"], &[]);
        let event = world.tag_image(REPOSITORY, digest(&pushed[0]), "latest-prod");
        assert_like_sample(&event.unwrap(), "ecr-image-action/push");
        let latest = ready(world.image(REPOSITORY, "latest-prod")).unwrap();
        assert_eq!(latest.unwrap().image.digest, digest(&pushed[0]));
        assert!(world.run_services().is_empty());
        assert_eq!(world.tag_image(REPOSITORY, "sha256:0", "latest-prod"), None);
    }
}
