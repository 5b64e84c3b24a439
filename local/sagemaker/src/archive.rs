//! `model.tar.gz`: the same files give the same bytes.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use tar::{Archive, Builder, EntryType, Header};

/// Packs what is in `folder`: entries sorted, no times, no owners. `None` when it is empty.
pub(crate) fn pack(folder: &Path) -> io::Result<Option<Bytes>> {
    let mut entries = Vec::new();
    collect(folder, Path::new(""), &mut entries)?;
    if entries.is_empty() {
        return Ok(None);
    }
    entries.sort_unstable();

    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for relative in entries {
        let path = folder.join(&relative);
        let metadata = std::fs::metadata(&path)?;
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        if metadata.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            tar.append_data(&mut header, &relative, io::empty())?;
        } else {
            let executable = metadata.permissions().mode() & 0o111 != 0;
            header.set_entry_type(EntryType::Regular);
            header.set_mode(if executable { 0o755 } else { 0o644 });
            header.set_size(metadata.len());
            let content = File::open(&path)?.take(metadata.len());
            tar.append_data(&mut header, &relative, content)?;
        }
    }
    Ok(Some(Bytes::from(tar.into_inner()?.finish()?)))
}

fn collect(folder: &Path, relative: &Path, entries: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder.join(relative))? {
        let path = relative.join(entry?.file_name());
        if std::fs::metadata(folder.join(&path))?.is_dir() {
            collect(folder, &path, entries)?;
        }
        entries.push(path);
    }
    Ok(())
}

/// Unpacks an archive into `folder`; entries that point outside of it are skipped.
pub(crate) fn unpack(archive: &[u8], folder: &Path) -> io::Result<()> {
    Archive::new(GzDecoder::new(archive)).unpack(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, content: &str) -> io::Result<()> {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, content)
    }

    #[test]
    fn the_same_files_give_the_same_bytes() -> anyhow::Result<()> {
        let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
        write(one.path(), "b.txt", "second")?;
        write(one.path(), "a/model.json", "{}")?;
        write(two.path(), "a/model.json", "{}")?;
        write(two.path(), "b.txt", "second")?;
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        File::options()
            .write(true)
            .open(two.path().join("b.txt"))?
            .set_modified(old)?;
        assert_eq!(pack(one.path())?, pack(two.path())?);
        Ok(())
    }

    #[test]
    fn what_was_packed_comes_back() -> anyhow::Result<()> {
        let (from, to) = (tempfile::tempdir()?, tempfile::tempdir()?);
        write(from.path(), "a/model.json", "{}")?;
        let packed = pack(from.path())?.expect("a file was packed");
        unpack(&packed, to.path())?;
        assert_eq!(
            std::fs::read_to_string(to.path().join("a/model.json"))?,
            "{}"
        );
        Ok(())
    }

    #[test]
    fn an_empty_folder_gives_nothing() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        assert_eq!(pack(folder.path())?, None);
        Ok(())
    }

    #[test]
    fn what_is_no_archive_is_an_error() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        assert!(unpack(b"not a gzip file", folder.path()).is_err());
        Ok(())
    }
}
