//! A file that is there whole or not at all: it grows beside its name, and takes it at the end.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;

/// A file that is being made, under its name and `.part`, readable by its owner only. Dropped, it is
/// removed; what a process left that was killed, the next one takes over.
#[derive(Debug)]
pub struct Unfinished {
    /// Locked as long as this lives.
    file: File,
    part: PathBuf,
    path: PathBuf,
    published: bool,
}

/// Why a file cannot be made.
#[derive(Debug, Error)]
pub enum UnfinishedError {
    /// There is one of that name.
    #[error("{} is there already, and nothing is written over it: name another file", .0.display())]
    Exists(PathBuf),
    /// A part of another database lies where one of this file's would be looked for.
    #[error(
        "{} is left of a database that is gone, and would be taken for a part of the new one: move \
         it away",
        .0.display()
    )]
    Beside(PathBuf),
    /// Another process is making it.
    #[error("another process is making {}: let it come to its end, or name another file", .0.display())]
    Busy(PathBuf),
    /// The file or its folder cannot be used.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl Unfinished {
    /// Begins a file of this name, of which there is none yet.
    ///
    /// # Errors
    /// [`UnfinishedError`]
    pub fn begin(path: &Path) -> Result<Self, UnfinishedError> {
        let path = path.to_owned();
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        is_free(&path)?;
        let io_error = |error| UnfinishedError::Io { path: part.clone(), error };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&part).map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(UnfinishedError::Busy(path)),
            Err(TryLockError::Error(error)) => return Err(io_error(error)),
        }
        // Who had it may have finished it since it was opened: then it has its name, and is whole.
        let opened = file.metadata().map_err(io_error)?.ino();
        if fs::metadata(&part).map(|found| found.ino()).ok() != Some(opened) {
            return Err(UnfinishedError::Busy(path));
        }
        file.set_len(0).map_err(io_error)?;
        Ok(Self { file, part, path, published: false })
    }

    /// The same for a SQLite database, which would take a journal or a WAL beside it for its own.
    ///
    /// # Errors
    /// [`UnfinishedError`]
    pub fn database(path: &Path) -> Result<Self, UnfinishedError> {
        for suffix in ["-wal", "-journal"] {
            let mut beside = path.as_os_str().to_owned();
            beside.push(suffix);
            let beside = PathBuf::from(beside);
            // An empty one says nothing: who only reads leaves it.
            if fs::metadata(&beside).is_ok_and(|found| found.len() > 0) {
                return Err(UnfinishedError::Beside(beside));
            }
        }
        Self::begin(path)
    }

    /// What is written to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is until it is published.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Gives it its name, durably.
    ///
    /// # Errors
    /// [`UnfinishedError`]; then there is no file.
    pub fn publish(mut self) -> Result<(), UnfinishedError> {
        is_free(&self.path)?;
        let io_error = |error| UnfinishedError::Io { path: self.path.clone(), error };
        self.file.sync_all().map_err(io_error)?;
        fs::rename(&self.part, &self.path).map_err(io_error)?;
        self.published = true;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        folder.and_then(|folder| folder.sync_all()).map_err(io_error)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_file(&self.part);
        }
    }
}

fn is_free(path: &Path) -> Result<(), UnfinishedError> {
    match path.try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(UnfinishedError::Exists(path.to_owned())),
        Err(error) => Err(UnfinishedError::Io { path: path.to_owned(), error }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let names = || fs::read_dir(folder.path()).unwrap().count();

        let unfinished = Unfinished::begin(&path).unwrap();
        unfinished.file().write_all(b"half").unwrap();
        assert!(!path.exists());
        assert!(matches!(Unfinished::begin(&path), Err(UnfinishedError::Busy(_))));
        drop(unfinished);
        assert_eq!(names(), 0);

        // What was left by one that was killed.
        fs::write(folder.path().join("file.part"), b"a longer half").unwrap();
        let unfinished = Unfinished::begin(&path).unwrap();
        unfinished.file().write_all(b"whole").unwrap();
        unfinished.publish().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"whole".to_vec(), 1));

        assert!(matches!(Unfinished::begin(&path), Err(UnfinishedError::Exists(_))));
        assert_eq!(names(), 1);
    }

    #[test]
    fn a_name_that_was_taken_meanwhile_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let unfinished = Unfinished::begin(&path).unwrap();
        fs::write(&path, b"another's").unwrap();
        assert!(matches!(unfinished.publish(), Err(UnfinishedError::Exists(_))));
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        fs::remove_file(&path).unwrap();
        for beside in ["file-wal", "file-journal"] {
            fs::write(folder.path().join(beside), b"another's").unwrap();
            assert!(matches!(Unfinished::database(&path), Err(UnfinishedError::Beside(_))));
            fs::remove_file(folder.path().join(beside)).unwrap();
        }
        drop(Unfinished::database(&path).unwrap());
        let nowhere = Unfinished::begin(&folder.path().join("nowhere/file"));
        assert!(nowhere.unwrap_err().to_string().contains("No such file"));
    }
}
