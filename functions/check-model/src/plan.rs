//! What a check compares, kept for the end of its transform job.

use std::collections::BTreeMap;

use domain::{Result, evaluation::DatasetManifest, names, ports::TransformSpec, release::Manifest};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::Config;

/// Version of the stored shape.
const SCHEMA: u32 = 1;

/// `checks/{job}.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckPlan {
    /// Version of this shape.
    pub schema: u32,
    /// Transform job that predicts.
    pub job: String,
    /// The live release.
    pub release: String,
    /// The newest accepted data set, whose held-out rows are predicted.
    pub dataset: String,
    /// Rows after this day are new to the model.
    pub after: Date,
    /// Training job of the live model, whose judgement says how good it was.
    pub training_job: String,
    /// The schedule that asked first; later ones ask again about what was scored then.
    pub scheduled: Timestamp,
}

impl CheckPlan {
    /// The check of a release by a data set.
    pub fn new(
        release: &str,
        manifest: &Manifest,
        live: &DatasetManifest,
        newest: &DatasetManifest,
        scheduled: Timestamp,
    ) -> Self {
        Self {
            schema: SCHEMA,
            job: names::check_job(release, &newest.dataset),
            release: release.to_owned(),
            dataset: newest.dataset.clone(),
            after: live.to,
            training_job: manifest.model.training_job.clone(),
            scheduled,
        }
    }

    /// The transform: the release's model in the release's image, on all held-out rows of the data
    /// set. Rows that aren't new are left out when it is scored, not here, because the file is there
    /// already.
    pub fn transform(&self, config: &Config, manifest: &Manifest) -> Result<TransformSpec> {
        let artifacts = &config.artifacts;
        let image = manifest.image.reference()?;
        Ok(TransformSpec {
            name: self.job.clone(),
            model_name: names::model_name(&manifest.model.uri, &image, &BTreeMap::new()),
            image,
            model_uri: manifest.model.uri.clone(),
            environment: BTreeMap::new(),
            role_arn: config.role_arn.clone(),
            input: artifacts.features(&self.dataset).to_string(),
            output: artifacts.predictions(&self.job).to_string(),
            key_arn: config.key_arn.clone(),
            instance_type: config.instance_type.clone(),
            tags: BTreeMap::from([
                ("Project".to_owned(), "RetailForecast".to_owned()),
                ("Environment".to_owned(), config.environment.clone()),
            ]),
        })
    }
}
