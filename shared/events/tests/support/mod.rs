//! The samples of `events/samples`, for every test that wants real events.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What a test helper fails with: it names the file.
pub(crate) type Failure = Box<dyn Error>;

/// Every well-formed sample as `<event>/<case>`, sorted by that name.
pub(crate) fn samples() -> Result<Vec<(String, Value)>, Failure> {
    let root = folder();
    let mut samples = Vec::new();
    for event in entries(&root)? {
        if !event.is_dir() || event.ends_with("malformed") {
            continue;
        }
        for case in entries(&event)? {
            let name = case
                .strip_prefix(&root)?
                .with_extension("")
                .display()
                .to_string();
            let text = fs::read_to_string(&case)?;
            let sample = serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
            samples.push((name, sample));
        }
    }
    Ok(samples)
}

/// The text of every malformed sample by its file name, sorted.
pub(crate) fn malformed() -> Result<Vec<(String, String)>, Failure> {
    let folder = folder().join("malformed");
    let mut texts = Vec::new();
    for path in entries(&folder)? {
        let name = path.strip_prefix(&folder)?.display().to_string();
        texts.push((name, fs::read_to_string(&path)?));
    }
    Ok(texts)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/samples")
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = read
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, Failure>>()?;
    paths.sort();
    Ok(paths)
}
