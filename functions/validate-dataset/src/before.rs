//! What is decided about an upload before it is read: whether its files are there, and whether they
//! fit.

use domain::{layout::Location, names, ports::Head};
use jiff::SignedDuration;

use crate::{Config, decide::Decision, upload::Part, upload::Upload};

/// What there is of an upload.
#[derive(Debug, Clone)]
pub struct Found {
    /// The training file.
    pub training: Option<Head>,
    /// The validation file.
    pub validation: Option<Head>,
    /// The uploaded one of the two as it is now: a later version, or none when it was deleted.
    pub newest: Option<Head>,
    /// Since the upload.
    pub waited: SignedDuration,
}

/// The files of an upload that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The training file.
    pub training: Head,
    /// The validation file, when there is one.
    pub validation: Option<Head>,
}

/// The files to read; otherwise what is decided without reading them.
pub fn files(upload: &Upload, found: Found, config: &Config) -> Result<Files, Decision> {
    if let Some(decision) = superseded(upload, &found, config.await_training) {
        return Err(decision);
    }
    let Found {
        training,
        validation,
        waited,
        ..
    } = found;
    let files = match (training, validation) {
        (Some(training), Some(validation))
            if upload.part == Part::Validation
                && is_last_months(&training, &validation, config)
                && waited < config.await_training =>
        {
            return Err(Decision::AwaitTraining {
                reason: format!(
                    "{} is of {}, long before its validation file: a newer one is waited for {} s",
                    upload.training,
                    training.written,
                    config.await_training.as_secs()
                ),
            });
        }
        (Some(training), validation) => Files {
            training,
            validation,
        },
        (None, validation) => return Err(without_training(upload, validation, waited, config)),
    };
    match files.too_large(upload, config.contract.max_bytes) {
        Some(decision) => Err(decision),
        None => Ok(files),
    }
}

/// Why a late or repeated event has no say any more. Of a pair the newest files count: an older one would
/// join a file that belongs to another, and a model would learn what nobody uploaded together.
///
/// A file that is overwritten at once counts by itself for as long as it is alone: both uploads are dealt with.
fn superseded(upload: &Upload, found: &Found, within: SignedDuration) -> Option<Decision> {
    let (training, validation) = (
        (&upload.training, &found.training),
        (&upload.validation, &found.validation),
    );
    let ((at, own), (other_at, other)) = match upload.part {
        Part::Training => (training, validation),
        Part::Validation => (validation, training),
    };
    let (Some(own), Some(newest)) = (own, &found.newest) else {
        return Some(gone(at, upload.version.as_deref()));
    };
    let is_late = found.waited >= within;
    if newest.version != own.version && (other.is_some() || is_late) {
        let reason = format!(
            "{} was written over on {} ({}): that upload decides",
            told(at, own),
            newest.written,
            told(at, newest)
        );
        return Some(Decision::Superseded { reason });
    }
    let other = other.as_ref()?;
    (other.written.duration_since(own.written) > within).then(|| Decision::Superseded {
        reason: format!(
            "{} is of {}, long before {} of {}: the upload of the later file decides on the pair",
            told(at, own),
            own.written,
            told(other_at, other),
            other.written
        ),
    })
}

/// Whether the training file was there so long before its validation file that the one which belongs to it
/// may be on its way.
fn is_last_months(training: &Head, validation: &Head, config: &Config) -> bool {
    validation.written.duration_since(training.written) > config.await_training
}

/// The object was deleted before it was read.
pub(crate) fn gone(at: &Location, version: Option<&str>) -> Decision {
    let version = version.map_or_else(String::new, |version| format!(" in version {version}"));
    Decision::Gone {
        reason: format!("{at}{version} was deleted before it was read"),
    }
}

/// A pair is uploaded one file after the other, so the training file may be on its way.
fn without_training(
    upload: &Upload,
    validation: Option<Head>,
    waited: SignedDuration,
    config: &Config,
) -> Decision {
    let limit = config.await_training;
    let Some(validation) = validation.filter(|_| waited >= limit) else {
        return Decision::AwaitTraining {
            reason: format!(
                "{} is not there, {} s after its validation file; it is waited for {} s",
                upload.training,
                waited.as_secs(),
                limit.as_secs()
            ),
        };
    };
    let finding = format!(
        "{}: there is no training file {} to learn from, {} s after this file was uploaded. Nothing is \
         trained. Upload the training file of the same name: its models are then judged by this file.",
        upload.validation.key,
        upload.training,
        limit.as_secs()
    );
    Decision::reject(
        unread(&upload.validation, &validation),
        upload.validation.to_string(),
        told(&upload.validation, &validation),
        vec![finding],
    )
}

impl Files {
    /// What names this upload among those of the same content: each file with its version.
    pub(crate) fn uploaded(&self, upload: &Upload) -> String {
        let training = told(&upload.training, &self.training);
        match &self.validation {
            Some(validation) => format!("{training}, {}", told(&upload.validation, validation)),
            None => training,
        }
    }

    /// Identities of the files by where they lie, for what can't be read to its end.
    pub(crate) fn unread(&self, upload: &Upload) -> (String, Option<String>) {
        let validation = self.validation.as_ref();
        (
            unread(&upload.training, &self.training),
            validation.map(|head| unread(&upload.validation, head)),
        )
    }

    /// What can't fit is refused: a repeat would fail in the same way.
    fn too_large(&self, upload: &Upload, most: u64) -> Option<Decision> {
        let both = self.validation.as_ref().map_or(0, |head| head.bytes);
        let bytes = self.training.bytes.saturating_add(both);
        if bytes <= most {
            return None;
        }
        let (training, validation) = self.unread(upload);
        Some(Decision::reject(
            dataset::dataset_id(&training, validation.as_deref()),
            upload.training.to_string(),
            self.uploaded(upload),
            vec![too_many_bytes(upload, "As uploaded", bytes, most)],
        ))
    }
}

/// The finding about files that are too large together; `form` is the form in which they are.
pub(crate) fn too_many_bytes(upload: &Upload, form: &str, bytes: u64, most: u64) -> String {
    format!(
        "{}: {form}, this file and its validation file, if there is one, have {bytes} bytes; at most {most} are \
         taken. {RAISE}",
        upload.training.key
    )
}

/// How to have larger files taken.
pub(crate) const RAISE: &str = "Upload less history; or raise MAX_BYTES of validate-dataset, and with it \
                                ephemeral_storage_mb to four times as much (infra/functions.json).";

/// A file and its version, or when it was written.
fn told(at: &Location, head: &Head) -> String {
    match &head.version {
        Some(version) => format!("{} version {version}", at.key),
        None => format!("{} of {}", at.key, head.written),
    }
}

/// The identity of a file whose content isn't known.
fn unread(at: &Location, head: &Head) -> String {
    names::digest(&["unread", &told(at, head), &head.bytes.to_string()])
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::tests::config;

    fn upload(part: Part) -> Upload {
        Upload {
            part,
            version: Some("v1".to_owned()),
            training: Location::new("data", "training/sales.csv"),
            validation: Location::new("data", "validation/sales.csv"),
        }
    }

    fn file(bytes: u64) -> Head {
        Head {
            bytes,
            version: Some("v1".to_owned()),
            written: Timestamp::UNIX_EPOCH,
        }
    }

    fn decided(
        part: Part,
        training: Option<Head>,
        validation: Option<Head>,
        waited_s: i64,
    ) -> String {
        let newest = match part {
            Part::Training => training.clone(),
            Part::Validation => validation.clone(),
        };
        let found = Found {
            training,
            validation,
            newest,
            waited: SignedDuration::from_secs(waited_s),
        };
        match files(&upload(part), found, &config()) {
            Ok(files) if files.validation.is_some() => "read both".to_owned(),
            Ok(_) => "read one".to_owned(),
            Err(Decision::Gone { reason } | Decision::Superseded { reason }) => reason,
            Err(Decision::AwaitTraining { reason }) => format!("await: {reason}"),
            Err(Decision::Reject { findings, .. }) => findings.join("\n"),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn cases() {
        use Part::{Training, Validation};
        let most = config().contract.max_bytes;
        for (part, training, validation, waited_s, expected) in [
            (Training, Some(file(9)), None, 0, "read one"),
            (Training, Some(file(9)), Some(file(9)), 0, "read both"),
            (
                Training,
                None,
                Some(file(9)),
                5000,
                "training/sales.csv in version v1 was deleted",
            ),
            (
                Validation,
                Some(file(9)),
                None,
                0,
                "validation/sales.csv in version v1 was deleted",
            ),
            (
                Validation,
                None,
                None,
                5000,
                "validation/sales.csv in version v1 was deleted",
            ),
            (
                Validation,
                None,
                Some(file(9)),
                899,
                "await: s3://data/training/sales.csv is not there, 899 s",
            ),
            (
                Validation,
                None,
                Some(file(9)),
                900,
                "there is no training file s3://data/training/sales.csv",
            ),
            (Validation, Some(file(9)), Some(file(9)), 900, "read both"),
            (Training, Some(file(most)), None, 0, "read one"),
            (
                Training,
                Some(file(most + 1)),
                None,
                0,
                "bytes; at most 536870912 are taken",
            ),
            (
                Training,
                Some(file(most)),
                Some(file(1)),
                0,
                "have 536870913 bytes",
            ),
            (
                Validation,
                Some(file(1)),
                Some(file(u64::MAX)),
                0,
                "MAX_BYTES of validate-dataset",
            ),
        ] {
            let decided = decided(part, training, validation, waited_s);
            assert!(decided.contains(expected), "`{expected}` in: {decided}");
        }
    }

    #[test]
    fn a_validation_file_waits_for_a_training_file_that_is_as_new() {
        let of = |second| Head {
            written: Timestamp::from_second(second).unwrap(),
            ..file(9)
        };
        for (training, waited_s, expected) in [
            (of(100), 0, "read both"),
            (
                of(1000 - 901),
                899,
                "await: s3://data/training/sales.csv is of 1970",
            ),
            (of(1000 - 901), 900, "read both"),
            (of(1900), 0, "read both"),
            (of(1901), 0, "long before training/sales.csv version v1"),
        ] {
            let decided = decided(Part::Validation, Some(training), Some(of(1000)), waited_s);
            assert!(decided.contains(expected), "`{expected}` in: {decided}");
        }
    }

    #[test]
    fn the_same_bytes_uploaded_again_are_another_upload_even_without_versions() {
        let at = Location::new("data", "training/sales.csv");
        let written = |version: Option<&str>, second| Head {
            bytes: 9,
            version: version.map(str::to_owned),
            written: Timestamp::from_second(second).unwrap(),
        };
        let again = [
            written(Some("v1"), 5),
            written(Some("v2"), 5),
            written(None, 5),
            written(None, 6),
        ]
        .map(|head| told(&at, &head));
        assert_eq!(again[0], "training/sales.csv version v1");
        assert_eq!(again[3], "training/sales.csv of 1970-01-01T00:00:06Z");
        let different: std::collections::BTreeSet<_> = again.iter().collect();
        assert_eq!(different.len(), again.len());
    }
}
