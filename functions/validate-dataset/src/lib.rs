//! Decides whether an upload becomes a data set.
//!
//! Woken by S3 for every object written under `training/` or `validation/` of the data bucket. One
//! upload is one training file, with the validation file of the same name if there is one; otherwise
//! the last days of the training file are held out to judge models by. Every file is held against the
//! data contract in one streaming pass, on the day of the upload, so that a repeat of the event finds
//! the same.
//!
//! A pair is uploaded one file after the other, and often over last month's. So a validation file waits
//! for a training file that isn't there or is much older, and a training file for the validation file when
//! the one that is there is older and overlaps it; each for `AWAIT_TRAINING_S` at most. Then what is there
//! counts. A training file alone is taken at once: nothing says that another file is to come.
//!
//! Events come late, and again. The event of a file that was written over does nothing beside a partner,
//! which belongs to the newer file; neither does that of the much older file of a pair, which the younger
//! one's event decides on. So last month's events make nothing of this month's files.
//!
//! An upload that can't fit, and a validation file whose training file doesn't come, are rejected
//! without being read.
//!
//! - Accepted: the rows are stored as a snapshot under their identity, `DatasetValidated` is announced,
//!   and a training starts from it. Nothing ever trains on the upload itself.
//! - Rejected: `DatasetRejected` says which rule, which line. Nothing is stored but the report.
//!
//! The identity comes from the content: the same file uploaded again is the same data set. A rejection
//! is of an upload: people are told of each. The data bucket is only read.

pub mod before;
pub mod config;
pub mod decide;
pub mod newest;
mod sentences;
mod snapshot;
pub mod upload;

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use dataset::{Contract, Report, check};
use domain::{
    Error, Result, Step,
    layout::Location,
    ports::{Bus, Clock, ObjectStore},
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

use before::{Files, Found};
use decide::Facts;
use newest::Newest;
use upload::{Part, Upload};

/// The function's name, under which its decisions are kept.
pub const NAME: &str = "validate-dataset";

/// Delay until a training file that isn't there is looked for again.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// Delay until a pair that doesn't fit yet is read again.
const READ_AGAIN: Duration = Duration::from_mins(5);

/// The files of an upload with their checks.
pub(crate) struct Checked {
    pub(crate) training: (PathBuf, Report),
    pub(crate) validation: Option<(PathBuf, Report)>,
}

/// The ports that the function needs.
#[derive(Debug)]
pub struct Ports<'a, S, B, C> {
    /// S3.
    pub store: &'a S,
    /// The bus.
    pub bus: &'a B,
    /// The time.
    pub clock: &'a C,
}

/// Gathers, decides, applies.
pub async fn handle<S: ObjectStore, B: Bus, C: Clock>(
    config: &Config,
    ports: &Ports<'_, S, B, C>,
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
    let found = find(ports, &upload, received.time).await?;
    let waited = found.waited;
    let files = match before::files(&upload, found, config) {
        Ok(files) => files,
        Err(decision @ Decision::AwaitTraining { .. }) => {
            return Ok(Step::Wait {
                after: LOOK_AGAIN,
                decision,
            });
        }
        Err(decision) => {
            apply(config, ports, &decision, None, received.time).await?;
            return Ok(Step::Done(decision));
        }
    };
    let folder = tempfile::tempdir()
        .map_err(|error| Error::transient("making a folder for the upload").because(error))?;
    let today = received.time.to_zoned(TimeZone::UTC).date();
    let gathered = gather(config, ports.store, &upload, &files, today, folder.path()).await?;
    let checked = match gathered {
        Ok(checked) => checked,
        Err(decision) => return Ok(Step::Done(decision)),
    };
    let decision = decide::decide(&Facts {
        upload: &upload,
        files: &files,
        training: &checked.training.1,
        validation: checked.validation.as_ref().map(|(_, report)| report),
        holdout_days: config.holdout_days,
        max_bytes: config.contract.max_bytes,
        waited,
        await_other: config.await_training,
    });
    if let Decision::AwaitValidation { .. } = decision {
        return Ok(Step::Wait {
            after: READ_AGAIN,
            decision,
        });
    }
    apply(config, ports, &decision, Some(&checked), received.time).await?;
    Ok(Step::Done(decision))
}

/// Looks for the files of an upload. What the uploaded one is now comes last: where the other one was just
/// written over, too, this shows it.
async fn find<S: ObjectStore, B, C: Clock>(
    ports: &Ports<'_, S, B, C>,
    upload: &Upload,
    uploaded: Timestamp,
) -> Result<Found> {
    let store = ports.store;
    let head = async |part| store.head(upload.at(part), upload.version_of(part)).await;
    Ok(Found {
        training: head(Part::Training).await?,
        validation: head(Part::Validation).await?,
        newest: store.head(upload.at(upload.part), None).await?,
        waited: ports.clock.now().duration_since(uploaded),
    })
}

/// Downloads and checks the files that were found; a decision when one is gone meanwhile.
async fn gather(
    config: &Config,
    store: &impl ObjectStore,
    upload: &Upload,
    files: &Files,
    today: Date,
    folder: &Path,
) -> Result<std::result::Result<Checked, Decision>> {
    let (at, version) = (&upload.training, files.training.version.as_deref());
    let file = folder.join("training");
    // The newest day of a pair is in its validation file.
    let is_alone = |_: &u32| files.validation.is_none();
    let contract = Contract {
        max_age_days: config.contract.max_age_days.filter(is_alone),
        ..config.contract.clone()
    };
    let Some(report) = read(store, at, version, &file, &contract, today).await? else {
        return Ok(Err(before::gone(at, version)));
    };
    let training = (file, report);
    let Some(head) = &files.validation else {
        return Ok(Ok(Checked {
            training,
            validation: None,
        }));
    };
    let (at, version) = (&upload.validation, head.version.as_deref());
    let file = folder.join("validation");
    let contract = config.contract.for_validation();
    let Some(report) = read(store, at, version, &file, &contract, today).await? else {
        return Ok(Err(before::gone(at, version)));
    };
    Ok(Ok(Checked {
        training,
        validation: Some((file, report)),
    }))
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

/// Why first, then what was decided, then the news of it. `checked` is `None` when nothing was read.
async fn apply<S: ObjectStore, B: Bus, C>(
    config: &Config,
    ports: &Ports<'_, S, B, C>,
    decision: &Decision,
    checked: Option<&Checked>,
    uploaded: Timestamp,
) -> Result<()> {
    let (store, artifacts) = (ports.store, &config.artifacts);
    let (Decision::Accept { dataset, .. } | Decision::Reject { dataset, .. }) = decision else {
        return Ok(());
    };
    records::keep_decision(store, artifacts, NAME, dataset, decision).await?;
    let report = write_report(config, store, dataset, decision, checked).await?;
    let announced = match (decision, checked) {
        (
            Decision::Accept {
                dataset,
                source,
                upload,
                rows,
                from,
                to,
                ..
            },
            Some(checked),
        ) => {
            let days = config.holdout_days;
            let manifest =
                snapshot::ensure(store, artifacts, dataset, source, checked, days).await?;
            newest::advance(store, artifacts, &Newest::of(&manifest, uploaded)).await?;
            Announced::DatasetValidated(DatasetValidated {
                dataset: dataset.clone(),
                source: source.clone(),
                upload: upload.clone(),
                rows: *rows,
                from: *from,
                to: *to,
                report,
            })
        }
        (
            Decision::Reject {
                dataset,
                source,
                upload,
                findings,
                ..
            },
            _,
        ) => Announced::DatasetRejected(DatasetRejected {
            dataset: dataset.clone(),
            source: source.clone(),
            upload: upload.clone(),
            findings: findings.clone(),
            report,
        }),
        _ => return Ok(()),
    };
    ports.bus.announce(&announced.announcement()?).await
}

/// `validation_report.json`: the decision, and behind it everything that was found in each file.
#[derive(Serialize)]
struct StoredReport<'a> {
    schema: u32,
    #[serde(flatten)]
    decision: &'a Decision,
    #[serde(skip_serializing_if = "Option::is_none")]
    training: Option<&'a Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<&'a Report>,
}

async fn write_report(
    config: &Config,
    store: &impl ObjectStore,
    dataset: &str,
    decision: &Decision,
    checked: Option<&Checked>,
) -> Result<String> {
    let at = config.artifacts.validation_report(dataset);
    let report = StoredReport {
        schema: 1,
        decision,
        training: checked.map(|checked| &checked.training.1),
        validation: checked
            .and_then(|checked| checked.validation.as_ref())
            .map(|(_, report)| report),
    };
    records::write(store, &at, &report).await?;
    Ok(at.to_string())
}

#[cfg(test)]
mod tests;
