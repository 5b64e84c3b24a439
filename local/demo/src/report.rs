//! `report.json`: for each scene what was expected and what was seen.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use serde::Serialize;

/// The whole demonstration.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) schema: u32,
    /// Where the data came from.
    pub(crate) data: String,
    /// What differs from a deployment on AWS.
    pub(crate) settings: String,
    pub(crate) passed: bool,
    /// Seconds of all scenes, without the start of the cloud.
    pub(crate) seconds: f64,
    pub(crate) scenes: Vec<SceneReport>,
}

/// One scene.
#[derive(Debug, Serialize)]
pub(crate) struct SceneReport {
    pub(crate) scene: usize,
    pub(crate) title: String,
    pub(crate) expected: String,
    pub(crate) outcome: Outcome,
    pub(crate) seen: Vec<String>,
    pub(crate) seconds: f64,
}

/// How a scene ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// As told.
    Passed,
    /// Otherwise.
    Failed,
    /// It needs an earlier scene that failed.
    NotRun,
}

impl Report {
    /// Of scenes that are still to play.
    pub(crate) fn new(data: &str) -> Self {
        Self {
            schema: 1,
            data: data.to_owned(),
            settings: String::new(),
            passed: false,
            seconds: 0.0,
            scenes: vec![],
        }
    }

    /// The scene that failed first, and what it saw.
    pub(crate) fn failure(&self) -> Option<(usize, &str)> {
        let mut scenes = self.scenes.iter();
        let failed = scenes.find(|scene| scene.outcome == Outcome::Failed)?;
        Some((failed.scene, failed.seen.first().map_or("", String::as_str)))
    }

    /// Removes the report of an earlier run: a run that breaks off leaves none.
    pub(crate) fn clear(path: &Path) -> anyhow::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Writes the report, and the folder when it is missing.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("writing {}", path.display()))
    }
}
