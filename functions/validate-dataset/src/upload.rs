//! Which files an upload is about.

use domain::layout::Location;
use events::incoming::ObjectCreated;

use crate::decide::Decision;

const TRAINING: &str = "training/";
const VALIDATION: &str = "validation/";

/// The half of the pair that was uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The file that models learn from.
    Training,
    /// The file that models are judged by.
    Validation,
}

/// A training file and the validation file of the same name, which may or may not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Which of the two the event is about.
    pub part: Part,
    /// The version that the event is about; of the other file the newest counts.
    pub version: Option<String>,
    /// Where the training file is.
    pub training: Location,
    /// Where the validation file would be.
    pub validation: Location,
}

impl Upload {
    /// The pair that a written object belongs to; a decision when it belongs to none.
    pub fn of(object: &ObjectCreated, data_bucket: &str) -> Result<Self, Decision> {
        let not_for_us = |reason: String| Err(Decision::NotForThisFunction { reason });
        let ObjectCreated { bucket, key, .. } = object;
        if bucket != data_bucket {
            return not_for_us(format!("{bucket} is not the data bucket {data_bucket}"));
        }
        let (part, name) = if let Some(name) = key.strip_prefix(TRAINING) {
            (Part::Training, name)
        } else if let Some(name) = key.strip_prefix(VALIDATION) {
            (Part::Validation, name)
        } else {
            return not_for_us(format!("{key} is not under {TRAINING} or {VALIDATION}"));
        };
        // Consoles write such keys to show a folder. With content it is a file of a strange name.
        if name.is_empty() || name.ends_with('/') && object.size == 0 {
            return not_for_us(format!("{key} of 0 bytes is a folder and no file"));
        }
        Ok(Self {
            part,
            version: object.version.clone(),
            training: Location::new(bucket, format!("{TRAINING}{name}")),
            validation: Location::new(bucket, format!("{VALIDATION}{name}")),
        })
    }

    /// Where a part is, or would be.
    pub fn at(&self, part: Part) -> &Location {
        match part {
            Part::Training => &self.training,
            Part::Validation => &self.validation,
        }
    }

    /// The version to read of a part; `None` is the newest.
    pub fn version_of(&self, part: Part) -> Option<&str> {
        self.version.as_deref().filter(|_| part == self.part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(bucket: &str, key: &str, size: u64) -> Result<Upload, Decision> {
        let object = ObjectCreated {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            size,
            version: Some("v1".to_owned()),
        };
        Upload::of(&object, "data")
    }

    #[test]
    fn files_of_one_name_are_a_pair() {
        let training = upload("data", "training/2026/a b.csv", 9).unwrap();
        let validation = upload("data", "validation/2026/a b.csv", 9).unwrap();
        assert_eq!(training.training, validation.training);
        assert_eq!(training.validation, validation.validation);
        assert_eq!(training.validation.key, "validation/2026/a b.csv");
        assert_eq!(training.version_of(Part::Training), Some("v1"));
        assert_eq!(training.version_of(Part::Validation), None);
        assert_eq!(validation.version_of(Part::Validation), Some("v1"));
        assert_eq!(validation.version_of(Part::Training), None);
    }

    #[test]
    fn what_is_no_upload_of_data_is_left_alone() {
        for (bucket, key, size) in [
            ("artifacts", "training/sales.csv", 9),
            ("data", "models/x.csv", 9),
            ("data", "training.csv", 9),
            ("data", "training/", 0),
            ("data", "training/", 9),
            ("data", "training/2026/", 0),
            ("data", "validation/2026/", 0),
        ] {
            let refused = upload(bucket, key, size).unwrap_err();
            assert!(
                matches!(refused, Decision::NotForThisFunction { .. }),
                "{bucket} {key}"
            );
        }
    }

    #[test]
    fn an_empty_file_is_an_upload() {
        assert!(upload("data", "training/sales.csv", 0).is_ok());
    }
}
