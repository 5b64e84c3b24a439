//! From accepted files to the snapshot that training and evaluation read.
//!
//! `datasets/{dataset}/` holds `train/sales.csv`, `validation/sales.csv`, `features/rows.csv`, and, last,
//! `manifest.json`: where the manifest is, the snapshot is whole. It never changes afterwards: what was
//! trained on it stays comparable, even when the holdout is configured differently later.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use dataset::{Holdout, Outputs, Report, Split, split};
use domain::{
    Error, Result, evaluation::DatasetManifest, layout::Artifacts, ports::ObjectStore, records,
};

use crate::{Checked, file_error};

const CSV: &str = "text/csv";
/// Version of the manifest's shape.
const SCHEMA: u32 = 1;

/// Makes the snapshot unless it is there, and answers its manifest.
pub(crate) async fn ensure(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    dataset: &str,
    source: &str,
    checked: &Checked,
    holdout_days: u32,
) -> Result<DatasetManifest> {
    let at = artifacts.dataset_manifest(dataset);
    if let Some(manifest) = records::read(store, &at).await? {
        return Ok(manifest);
    }
    let folder = tempfile::tempdir()
        .map_err(|error| Error::transient("making a folder for the snapshot").because(error))?;
    let written = write(folder.path(), checked, holdout_days)?;
    for (file, at) in [
        (TRAIN, artifacts.train_rows(dataset)),
        (VALIDATION, artifacts.validation_rows(dataset)),
        (FEATURES, artifacts.features(dataset)),
    ] {
        store.upload(&folder.path().join(file), &at, CSV).await?;
    }
    let manifest = manifest(dataset, source, checked, &written)?;
    // Lost means that a repeat of this event was quicker; it wrote the same.
    let _same = records::write_once(store, &at, &manifest).await?;
    Ok(manifest)
}

const TRAIN: &str = "train.csv";
const VALIDATION: &str = "validation.csv";
const FEATURES: &str = "features.csv";

/// Writes the three files into a folder.
fn write(folder: &Path, checked: &Checked, holdout_days: u32) -> Result<Split> {
    let mut train = create(&folder.join(TRAIN))?;
    let mut validation = create(&folder.join(VALIDATION))?;
    let mut features = create(&folder.join(FEATURES))?;
    let mut nothing = io::sink();
    let (file, report) = &checked.training;
    let Some((judging_file, judging_report)) = &checked.validation else {
        let outputs = Outputs {
            train: &mut train,
            validation: &mut validation,
            features: &mut features,
        };
        return part(file, report, Holdout::LastDays(holdout_days), outputs);
    };
    let outputs = Outputs {
        train: &mut train,
        validation: &mut nothing,
        features: &mut io::sink(),
    };
    let learned = part(file, report, Holdout::None, outputs)?;
    let outputs = Outputs {
        train: &mut nothing,
        validation: &mut validation,
        features: &mut features,
    };
    let judging = part(judging_file, judging_report, Holdout::All, outputs)?;
    Ok(Split {
        train_rows: learned.train_rows,
        validation_rows: judging.validation_rows,
        cut: None,
    })
}

fn part(file: &Path, report: &Report, holdout: Holdout, outputs: Outputs<'_>) -> Result<Split> {
    let read = File::open(file).map_err(|error| file_error(file, error))?;
    split(read, report, holdout, outputs).map_err(|error| file_error(file, error))
}

fn create(path: &Path) -> Result<impl Write + use<>> {
    File::create(path).map_err(|error| file_error(path, error))
}

fn manifest(
    dataset: &str,
    source: &str,
    checked: &Checked,
    split: &Split,
) -> Result<DatasetManifest> {
    let (_, training) = &checked.training;
    let last = checked
        .validation
        .as_ref()
        .map_or(training, |(_, report)| report);
    // With a holdout, the last day to learn from is the one before it.
    let before_cut = split.cut.and_then(|cut| cut.yesterday().ok());
    let days = training.from.zip(before_cut.or(training.to)).zip(last.to);
    let Some(((from, trained_to), to)) = days else {
        return Err(Error::permanent(format!(
            "the accepted data set {dataset} has no days"
        )));
    };
    Ok(DatasetManifest {
        schema: SCHEMA,
        dataset: dataset.to_owned(),
        source: source.to_owned(),
        train_rows: split.train_rows,
        validation_rows: split.validation_rows,
        from,
        trained_to,
        to,
    })
}
