//! Decides whether an upload becomes a data set.
//!
//! Woken by S3 for every object written under `training/` or `validation/` of the data bucket. One
//! upload is one training file, with the validation file of the same name if there is one; otherwise
//! the last days of the training file are held out to judge models by. Every file is held against the
//! data contract in one streaming pass, on the day of the upload, so that a repeat of the event finds
//! the same.
//!
//! - Accepted: the rows are stored as a snapshot under their identity, `DatasetValidated` is announced,
//!   and a training starts from it. Nothing ever trains on the upload itself.
//! - Rejected: `DatasetRejected` says which rule, which line. Nothing is stored but the report.
//!
//! The identity comes from the content: the same file uploaded again is the same data set. The data
//! bucket is only read.

pub mod config;
pub mod decide;
pub mod newest;
mod snapshot;
pub mod upload;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use dataset::{Contract, Report, check};
use domain::{
    Error, Result, Step,
    layout::Location,
    ports::{Bus, ObjectStore},
    records,
};
use events::{
    Received,
    announced::{Announced, DatasetRejected, DatasetValidated},
    incoming::Event,
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

pub use config::Config;
pub use decide::Decision;

use decide::Facts;
use newest::Newest;
use upload::{Part, Upload};

/// The function's name, under which its decisions are kept.
pub const NAME: &str = "validate-dataset";

/// The files of an upload with their checks.
pub(crate) struct Checked {
    pub(crate) training: (PathBuf, Report),
    pub(crate) validation: Option<(PathBuf, Report)>,
}

/// The ports that the function needs.
#[derive(Debug)]
pub struct Ports<'a, S, B> {
    /// S3.
    pub store: &'a S,
    /// The bus.
    pub bus: &'a B,
}

/// Gathers, decides, applies.
pub async fn handle<S: ObjectStore, B: Bus>(
    config: &Config,
    ports: &Ports<'_, S, B>,
    received: Received,
) -> Result<Step<Decision>> {
    let Event::ObjectCreated(object) = &received.event else {
        let reason = "only written objects are uploads".to_owned();
        return Ok(Step::Done(Decision::NotForThisFunction { reason }));
    };
    let upload = match Upload::of(object, &config.data_bucket) {
        Ok(upload) => upload,
        Err(decision) => return Ok(Step::Done(decision)),
    };
    let folder = tempfile::tempdir()
        .map_err(|error| Error::transient("making a folder for the upload").because(error))?;
    let checked = match gather(config, ports.store, &upload, received.time, folder.path()).await? {
        Ok(checked) => checked,
        Err(decision) => return Ok(Step::Done(decision)),
    };
    let decision = decide::decide(&Facts {
        upload: &upload,
        training: &checked.training.1,
        validation: checked.validation.as_ref().map(|(_, report)| report),
        holdout_days: config.holdout_days,
    });
    apply(config, ports, &decision, &checked, received.time).await?;
    Ok(Step::Done(decision))
}

/// Downloads and checks the files of an upload; a decision when there is nothing to judge.
async fn gather(
    config: &Config,
    store: &impl ObjectStore,
    upload: &Upload,
    time: Timestamp,
    folder: &Path,
) -> Result<std::result::Result<Checked, Decision>> {
    let today = time.to_zoned(TimeZone::UTC).date();
    let file = folder.join("training");
    let version = upload.version_of(Part::Training);
    let Some(training) = read(
        store,
        &upload.training,
        version,
        &file,
        &config.contract,
        today,
    )
    .await?
    else {
        return Ok(Err(match upload.part {
            Part::Training => gone(&upload.training, version),
            Part::Validation => Decision::AwaitTraining {
                reason: format!("{} is not there yet", upload.training),
            },
        }));
    };
    let training = (file, training);
    let file = folder.join("validation");
    let version = upload.version_of(Part::Validation);
    let contract = config.contract.for_validation();
    let validation = read(store, &upload.validation, version, &file, &contract, today).await?;
    if validation.is_none() && upload.part == Part::Validation {
        return Ok(Err(gone(&upload.validation, version)));
    }
    Ok(Ok(Checked {
        training,
        validation: validation.map(|report| (file, report)),
    }))
}

fn gone(at: &Location, version: Option<&str>) -> Decision {
    let version = version.map_or_else(String::new, |version| format!(" in version {version}"));
    Decision::Gone {
        reason: format!("{at}{version} was deleted before it was read"),
    }
}

async fn read(
    store: &impl ObjectStore,
    at: &Location,
    version: Option<&str>,
    to: &Path,
    contract: &Contract,
    today: Date,
) -> Result<Option<Report>> {
    if store.download(at, version, to).await?.is_none() {
        return Ok(None);
    }
    let file = File::open(to).map_err(|error| file_error(to, error))?;
    let report = check(file, contract, today).map_err(|error| file_error(to, error))?;
    Ok(Some(report))
}

/// What a temporary file can't do, a new attempt with a new file may.
pub(crate) fn file_error(
    file: &Path,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::transient(format!("the temporary file {}", file.display())).because(error)
}

/// Why first, then what was decided, then the news of it.
async fn apply<S: ObjectStore, B: Bus>(
    config: &Config,
    ports: &Ports<'_, S, B>,
    decision: &Decision,
    checked: &Checked,
    uploaded: Timestamp,
) -> Result<()> {
    let (store, artifacts) = (ports.store, &config.artifacts);
    let announced = match decision {
        Decision::Accept {
            dataset,
            source,
            rows,
            from,
            to,
            ..
        } => {
            records::keep_decision(store, artifacts, NAME, dataset, decision).await?;
            let report = write_report(config, store, dataset, decision, checked).await?;
            let manifest = snapshot::ensure(
                store,
                artifacts,
                dataset,
                source,
                checked,
                config.holdout_days,
            )
            .await?;
            newest::advance(store, artifacts, &Newest::of(&manifest, uploaded)).await?;
            Announced::DatasetValidated(DatasetValidated {
                dataset: dataset.clone(),
                source: source.clone(),
                rows: *rows,
                from: *from,
                to: *to,
                report,
            })
        }
        Decision::Reject {
            dataset,
            source,
            findings,
            ..
        } => {
            records::keep_decision(store, artifacts, NAME, dataset, decision).await?;
            Announced::DatasetRejected(DatasetRejected {
                dataset: dataset.clone(),
                source: source.clone(),
                findings: findings.clone(),
                report: write_report(config, store, dataset, decision, checked).await?,
            })
        }
        Decision::AwaitTraining { .. }
        | Decision::Gone { .. }
        | Decision::NotForThisFunction { .. } => return Ok(()),
    };
    ports.bus.announce(&announced.announcement()?).await
}

/// `validation_report.json`: the decision, and behind it everything that was found in each file.
#[derive(Serialize)]
struct StoredReport<'a> {
    schema: u32,
    #[serde(flatten)]
    decision: &'a Decision,
    training: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<&'a Report>,
}

async fn write_report(
    config: &Config,
    store: &impl ObjectStore,
    dataset: &str,
    decision: &Decision,
    checked: &Checked,
) -> Result<String> {
    let at = config.artifacts.validation_report(dataset);
    let report = StoredReport {
        schema: 1,
        decision,
        training: &checked.training.1,
        validation: checked.validation.as_ref().map(|(_, report)| report),
    };
    records::write(store, &at, &report).await?;
    Ok(at.to_string())
}

#[cfg(test)]
mod tests;
