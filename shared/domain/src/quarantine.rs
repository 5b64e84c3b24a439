//! What must not be deployed again: the part of a release that was found guilty when it was rolled back.
//!
//! An environment has one list. A part stays on it until a person lifts it, and the entry stays after that,
//! with who lifted it and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Class, Error, Result, names, ports::Registry, release::Manifest};

/// Version of the stored shape.
pub const SCHEMA: u32 = 1;

/// A part of a release that can be guilty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The model package.
    Model,
    /// The image.
    Image,
    /// What a release sets beside model and image.
    Configuration,
    /// The very combination: more than one part differed, and which was guilty can't be told.
    Release,
}

impl Part {
    /// What names this part of a release.
    pub fn of(self, manifest: &Manifest) -> Result<String> {
        match self {
            Self::Model => Ok(manifest.model.package_arn.clone()),
            Self::Image => manifest.image.reference(),
            Self::Configuration => {
                let bytes = serde_json::to_vec(&manifest.configuration).map_err(|error| {
                    Error::permanent("a configuration can't be written as JSON").because(error)
                })?;
                let digest = names::digest_bytes(&bytes);
                Ok(format!("configuration-{}", names::short(&digest)))
            }
            Self::Release => manifest.id(),
        }
    }
}

/// A part that isn't deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which part.
    pub part: Part,
    /// What names it: package ARN, image by digest, `configuration-…` or `release-…`.
    pub identity: String,
    /// The release that was rolled back.
    pub release: String,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Who let it go again.
    pub lifted: Option<Lifted>,
}

/// A person's word for a quarantined part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// The list of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Oldest first.
    pub entries: Vec<Entry>,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            entries: vec![],
        }
    }
}

impl Quarantine {
    /// What forbids a release.
    pub fn forbids(&self, manifest: &Manifest) -> Result<Option<&Entry>> {
        for entry in self.entries.iter().filter(|entry| entry.lifted.is_none()) {
            if entry.part.of(manifest)? == entry.identity {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The list with an entry more; `None` when its part is on it.
    #[must_use]
    pub fn with(&self, entry: Entry) -> Option<Self> {
        let held = |other: &Entry| other.lifted.is_none() && other.identity == entry.identity;
        if self.entries.iter().any(held) {
            return None;
        }
        let mut longer = self.clone();
        longer.entries.push(entry);
        Some(longer)
    }

    /// Whether an entry was made for the same part, release and cause, and was lifted since: the word of a
    /// person counts more than a repeat of what came before it.
    pub fn let_go(&self, entry: &Entry) -> bool {
        let same = |other: &&Entry| {
            other.identity == entry.identity
                && other.release == entry.release
                && other.since == entry.since
        };
        let latest = self.entries.iter().rev().find(same);
        latest.is_some_and(|latest| latest.lifted.is_some())
    }

    /// The list after a part was let go; `None` when it isn't held.
    #[must_use]
    pub fn lift(&self, identity: &str, lifted: &Lifted) -> Option<Self> {
        let mut changed = self.clone();
        let held = |entry: &&mut Entry| entry.lifted.is_none() && entry.identity == identity;
        let entry = changed.entries.iter_mut().find(held)?;
        entry.lifted = Some(lifted.clone());
        Some(changed)
    }
}

/// Lets the registry say of a guilty model package what the list says. A package that was deleted can't be
/// approved again: that is as good. Where the registry refuses it, the list holds all the same, and the
/// answer is what a person has to do by hand.
pub async fn reject(
    registry: &impl Registry,
    environment: &str,
    guilty: &Entry,
) -> Result<Option<String>> {
    if guilty.part != Part::Model {
        return Ok(None);
    }
    let arn = &guilty.identity;
    match mark(registry, environment, guilty).await {
        Err(error) if error.class() == Class::Permanent => Ok(Some(format!(
            "set the approval status of {arn} to Rejected: that was refused ({}). The quarantine keeps it from being deployed in {environment} meanwhile",
            error.chain()
        ))),
        marked => marked.map(|()| None),
    }
}

async fn mark(registry: &impl Registry, environment: &str, guilty: &Entry) -> Result<()> {
    if registry.package(&guilty.identity).await?.is_none() {
        return Ok(());
    }
    let why = format!("quarantined in {environment}: {}", guilty.reason);
    registry.reject(&guilty.identity, &why).await?;
    Ok(())
}

/// A part in which two releases differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// `data`, `model`, `image` or `configuration`.
    pub what: String,
    /// In the release that went wrong.
    pub bad: String,
    /// In the release that is gone back to.
    pub good: String,
}

/// In what a bad release differs from a good one.
pub fn differences(bad: &Manifest, good: &Manifest) -> Result<Vec<Difference>> {
    let sides = [
        (
            "data",
            bad.model.dataset.clone(),
            good.model.dataset.clone(),
        ),
        ("model", Part::Model.of(bad)?, Part::Model.of(good)?),
        ("image", Part::Image.of(bad)?, Part::Image.of(good)?),
        (
            "configuration",
            Part::Configuration.of(bad)?,
            Part::Configuration.of(good)?,
        ),
    ];
    let different = sides.into_iter().filter(|(_, bad, good)| bad != good);
    Ok(different
        .map(|(what, bad, good)| Difference {
            what: what.to_owned(),
            bad,
            good,
        })
        .collect())
}

/// Which part of the bad release is to blame: the only one that differs. Data is part of its model. When
/// more than one differs, nothing but the combination itself is.
pub fn guilty(differences: &[Difference]) -> Part {
    let has = |what: &str| differences.iter().any(|difference| difference.what == what);
    match (
        has("model") || has("data"),
        has("image"),
        has("configuration"),
    ) {
        (true, false, false) => Part::Model,
        (false, true, false) => Part::Image,
        (false, false, true) => Part::Configuration,
        _ => Part::Release,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::release::{self, Configuration, Image, Model};

    fn manifest(model: u32, image: u32, setting: &str) -> Manifest {
        Manifest {
            schema: release::SCHEMA,
            environment: "dev".to_owned(),
            model: Model {
                package_arn: format!("arn:aws:sagemaker:r:1:model-package/g/{model}"),
                training_job: format!("job-{model}"),
                dataset: format!("data-{model}"),
                uri: "s3://a/m".to_owned(),
                digest: "ab".to_owned(),
            },
            image: Image {
                repository: "repository".to_owned(),
                digest: format!("sha256:{image:064}"),
            },
            configuration: Configuration {
                endpoint_instance_type: "ml.m5.large".to_owned(),
                endpoint_instance_count: 1,
                environment: BTreeMap::from([("A".to_owned(), setting.to_owned())]),
            },
        }
    }

    #[test]
    fn the_only_part_that_differs_is_guilty() {
        let good = manifest(1, 1, "1");
        for (bad, part, count) in [
            (manifest(2, 1, "1"), Part::Model, 2),
            (manifest(1, 2, "1"), Part::Image, 1),
            (manifest(1, 1, "2"), Part::Configuration, 1),
            (manifest(2, 2, "1"), Part::Release, 3),
            (manifest(1, 2, "2"), Part::Release, 2),
        ] {
            let differences = differences(&bad, &good).unwrap();
            assert_eq!(guilty(&differences), part, "{differences:?}");
            assert_eq!(differences.len(), count, "{differences:?}");
        }
    }

    #[test]
    fn what_is_held_forbids_every_release_that_has_it_until_it_is_lifted() {
        let bad = manifest(1, 2, "1");
        let entry = Entry {
            part: Part::Image,
            identity: Part::Image.of(&bad).unwrap(),
            release: bad.id().unwrap(),
            reason: "alarm".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            lifted: None,
        };
        let list = Quarantine::default().with(entry.clone()).unwrap();
        assert_eq!(list.with(entry.clone()), None);
        assert!(list.forbids(&bad).unwrap().is_some());
        assert!(list.forbids(&manifest(7, 2, "x")).unwrap().is_some());
        assert!(list.forbids(&manifest(1, 1, "1")).unwrap().is_none());

        let lifted = Lifted {
            by: "ann".to_owned(),
            reason: "not its fault".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(list.lift("something else", &lifted), None);
        let list = list.lift(&entry.identity, &lifted).unwrap();
        assert!(list.forbids(&bad).unwrap().is_none());
        assert_eq!(list.lift(&entry.identity, &lifted), None);
        // It may be caught again; both stays on the record.
        assert_eq!(list.with(entry).unwrap().entries.len(), 2);
    }
}
