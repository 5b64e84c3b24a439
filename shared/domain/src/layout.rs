//! Where things are stored in the artifacts bucket. Nothing of ours writes to the data bucket.

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Bucket name.
    pub bucket: String,
    /// Object key.
    pub key: String,
}

impl Location {
    /// An object by bucket and key.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            key: key.into(),
        }
    }

    /// Reads `s3://bucket/key`.
    pub fn parse(uri: &str) -> Option<Self> {
        let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty()).then(|| Self::new(bucket, key))
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// The artifacts bucket and the keys in it.
#[derive(Debug, Clone)]
pub struct Artifacts {
    bucket: String,
}

impl Artifacts {
    /// The layout of one bucket.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
        }
    }

    fn at(&self, key: String) -> Location {
        Location::new(&self.bucket, key)
    }

    /// What the pipeline's own scan of an image found: `scans/{digest without its algorithm}.json`.
    pub fn image_scan(&self, digest: &str) -> Location {
        let hex = digest.trim_start_matches("sha256:");
        self.at(format!("scans/{hex}.json"))
    }

    /// A file of an accepted data set: `datasets/{dataset}/{file}`.
    fn dataset(&self, dataset: &str, file: &str) -> Location {
        self.at(format!("datasets/{dataset}/{file}"))
    }

    /// What was accepted: rows, dates, source.
    pub fn dataset_manifest(&self, dataset: &str) -> Location {
        self.dataset(dataset, "manifest.json")
    }

    /// The data contract's findings, for accepted and rejected uploads alike.
    pub fn validation_report(&self, dataset: &str) -> Location {
        self.dataset(dataset, "validation_report.json")
    }

    /// Rows that models learn from; a training channel points at the folder.
    pub fn train_rows(&self, dataset: &str) -> Location {
        self.dataset(dataset, "train/sales.csv")
    }

    /// Rows held out, with the truth.
    pub fn validation_rows(&self, dataset: &str) -> Location {
        self.dataset(dataset, "validation/sales.csv")
    }

    /// The held-out rows without the truth: header-less `row_id,store,item,date`.
    pub fn features(&self, dataset: &str) -> Location {
        self.dataset(dataset, "features/rows.csv")
    }

    /// Which accepted data set holds the newest rows.
    pub fn newest_dataset(&self) -> Location {
        self.at("datasets/newest.json".to_owned())
    }

    /// Folder under which SageMaker writes `{job}/output/model.tar.gz`.
    pub fn models(&self) -> Location {
        self.at("models/".to_owned())
    }

    /// A file of the evaluation of a training job's model: `evaluations/{job}/{file}`.
    fn evaluation(&self, job: &str, file: &str) -> Location {
        self.at(format!("evaluations/{job}/{file}"))
    }

    /// What is compared with what, fixed before the first prediction.
    pub fn evaluation_plan(&self, job: &str) -> Location {
        self.evaluation(job, "plan.json")
    }

    /// Why it ended without a judgement; it means nothing where there is one.
    pub fn evaluation_failure(&self, job: &str) -> Location {
        self.evaluation(job, "failure.json")
    }

    /// Folder of a transform job's output.
    pub fn predictions(&self, transform_job: &str) -> Location {
        self.at(format!("predictions/{transform_job}/"))
    }

    /// The file that a transform of [`Self::features`] writes.
    pub fn prediction_rows(&self, transform_job: &str) -> Location {
        self.at(format!("predictions/{transform_job}/rows.csv.out"))
    }

    /// The owner's file: `job_name`, `metrics`, `baseline`, `approved`, `model_uri`.
    pub fn evaluation_results(&self, job: &str) -> Location {
        self.evaluation(job, "evaluation_results.json")
    }

    /// Every gate with its value and threshold: why the verdict is what it is.
    pub fn judgement(&self, job: &str) -> Location {
        self.evaluation(job, "judgement.json")
    }

    /// Plot of actual against predicted sales.
    pub fn plot_actual(&self, job: &str) -> Location {
        self.evaluation(job, "actual-vs-predicted.svg")
    }

    /// Plot of the residuals.
    pub fn plot_residuals(&self, job: &str) -> Location {
        self.evaluation(job, "residuals.svg")
    }

    /// Rows with the predictions that a deployed release must repeat.
    pub fn golden_rows(&self, job: &str) -> Location {
        self.evaluation(job, "golden.json")
    }

    /// Metrics that a first model is measured against, when the owner put them there.
    pub fn baseline(&self) -> Location {
        self.at("baselines/metrics.json".to_owned())
    }

    /// A release manifest, stored once under its own digest.
    pub fn release(&self, release: &str) -> Location {
        self.at(format!("releases/{release}.json"))
    }

    /// Which release an environment runs; moved by compare-and-swap only.
    pub fn pointer(&self, environment: &str) -> Location {
        self.at(format!("environments/{environment}/pointer.json"))
    }

    /// What must not be deployed again; moved by compare-and-swap only.
    pub fn quarantine(&self, environment: &str) -> Location {
        self.at(format!("environments/{environment}/quarantine.json"))
    }

    /// Training jobs whose evaluation waits for a first inference image.
    pub fn held_evaluation(&self, environment: &str) -> Location {
        self.at(format!("environments/{environment}/held-evaluation.json"))
    }

    /// What a check of the live model compares, for the end of its transform job: `checks/{job}.json`.
    pub fn check_plan(&self, transform_job: &str) -> Location {
        self.at(format!("checks/{transform_job}.json"))
    }

    /// Golden rows without their predictions, header-less `row_id,store,item,date`, for the transforms of
    /// a diagnosis: `diagnoses/{digest of the rows}/rows.csv`.
    pub fn diagnosis_rows(&self, digest: &str) -> Location {
        self.at(format!("diagnoses/{digest}/rows.csv"))
    }

    /// Why a function did what it did about a subject. Each different decision has a file of its own:
    /// `decisions/{function}/{subject}-{digest of the decision}.json`.
    pub fn decision(&self, function: &str, subject: &str, digest: &str) -> Location {
        self.at(format!("decisions/{function}/{subject}-{digest}.json"))
    }

    /// The mark that people were told a fact.
    pub fn notification(&self, fact: &str) -> Location {
        self.at(format!("notifications/{fact}.json"))
    }

    /// How the last deployment of a release was counted in the pipeline's figures.
    pub fn counted_deployment(&self, release: &str) -> Location {
        self.at(format!("notifications/deployments/{release}.json"))
    }
}

/// The data set in `…/datasets/{dataset}/…`; `None` for any other place.
pub fn dataset_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("/datasets/")?;
    rest.split('/').next().filter(|dataset| !dataset.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_read_what_they_write() {
        let at = Artifacts::new("artifacts").train_rows("0a1b");
        assert_eq!(
            at.to_string(),
            "s3://artifacts/datasets/0a1b/train/sales.csv"
        );
        assert_eq!(Location::parse(&at.to_string()), Some(at.clone()));
        assert_eq!(dataset_of(&at.to_string()), Some("0a1b"));
        assert_eq!(Location::parse("https://artifacts/x"), None);
        assert_eq!(Location::parse("s3:///x"), None);
        assert_eq!(dataset_of("s3://artifacts/models/x"), None);
    }
}
