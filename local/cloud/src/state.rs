//! Where a cloud keeps its state when nobody says where: a folder that goes with the process. What a
//! killed process left is removed by the next one.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

/// What the folders' names start with.
const PREFIX: &str = "retail-mlops-cloud-";
/// A file that the cloud whose state is in a folder holds a lock on.
const CLOUD: &str = "cloud.lock";
/// A file that its folder's owner holds a lock on. The kernel lets go of it however the owner ends.
const LOCK: &str = "in-use";
/// A folder without that file may be somebody's who is just about to make it, unless it is older.
const NEW: Duration = Duration::from_mins(1);

/// A folder for the state of one cloud. It is removed when this value is dropped.
#[derive(Debug)]
pub struct StateFolder {
    folder: TempDir,
    _lock: File,
}

impl StateFolder {
    /// Removes the folders of clouds that were killed, and makes a new one, among the system's
    /// temporary files.
    pub fn new() -> io::Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    fn within(parent: &Path) -> io::Result<Self> {
        sweep(parent)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Claims a folder for one cloud, until the file is dropped or the process ends: two would take each
/// other's pods and objects away.
pub(crate) fn alone(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join(CLOUD);
    let lock = File::create(&path).with_context(|| path.display().to_string())?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!(
            "another cloud runs on {}: stop it, or give this one a folder of its own",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let folder = entry.path();
        // What can't be looked at or removed is somebody else's.
        if let Err(error) = remove_abandoned(&folder) {
            tracing::debug!(folder = %folder.display(), %error, "left as it is");
        }
    }
    Ok(())
}

/// Removes a folder that nobody owns any more.
fn remove_abandoned(folder: &Path) -> io::Result<()> {
    let lock = match File::open(folder.join(LOCK)) {
        Ok(lock) => Some(lock),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let is_abandoned = match &lock {
        // Held until the folder is gone: of two that sweep one removes it.
        Some(lock) => lock.try_lock().is_ok(),
        None => fs::metadata(folder)?
            .modified()?
            .elapsed()
            .is_ok_and(|age| age > NEW),
    };
    if is_abandoned {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_folder_is_one_cloud_s_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let first = alone(folder.path()).unwrap();
        let second = alone(folder.path()).unwrap_err().to_string();
        assert!(second.contains("another cloud runs on"), "{second}");
        drop(first);
        alone(folder.path()).unwrap();
    }

    #[test]
    fn folders_without_an_owner_are_swept_and_all_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        let within = |name: &str| parent.path().join(name);
        let owned = StateFolder::within(parent.path()).unwrap();
        for name in ["killed", "just-made", "old"] {
            fs::create_dir_all(within(&format!("{PREFIX}{name}/s3"))).unwrap();
        }
        File::create(within(&format!("{PREFIX}killed/{LOCK}"))).unwrap();
        let hour_ago = SystemTime::now() - Duration::from_hours(1);
        let old = File::open(within(&format!("{PREFIX}old"))).unwrap();
        old.set_modified(hour_ago).unwrap();
        fs::create_dir(within("of-others")).unwrap();

        let next = StateFolder::within(parent.path()).unwrap();
        assert!(owned.path().exists() && next.path().exists());
        assert!(within(&format!("{PREFIX}just-made")).exists());
        assert!(within("of-others").exists());
        assert!(!within(&format!("{PREFIX}killed")).exists());
        assert!(!within(&format!("{PREFIX}old")).exists());

        let path = owned.path().to_owned();
        drop(owned);
        assert!(!path.exists());
    }
}
