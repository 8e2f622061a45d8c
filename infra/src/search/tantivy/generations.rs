//! The generations of a directory: the first lies in it, each later one in a directory of its own
//! within. The file `live` names the one that is read, if that is not the first; renaming it into
//! its place is the switch.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

const LIVE: &str = "live";
const FIRST: u64 = 1;

/// Where a generation lies.
pub(super) fn path(dir: &Path, generation: u64) -> PathBuf {
    match generation {
        FIRST => dir.to_owned(),
        later => dir.join(format!("generation-{later}")),
    }
}

/// The generation that is read.
pub(super) fn live(dir: &Path) -> io::Result<u64> {
    match fs::read_to_string(dir.join(LIVE)) {
        Ok(text) => text.trim().parse().map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FIRST),
        Err(error) => Err(error),
    }
}

/// From here on that one is read, also after a power failure.
pub(super) fn switch(dir: &Path, generation: u64) -> io::Result<()> {
    let next = dir.join("live.next");
    fs::write(&next, format!("{generation}\n"))?;
    File::open(&next)?.sync_all()?;
    fs::rename(&next, dir.join(LIVE))?;
    File::open(dir)?.sync_all()
}

/// The generations that are there, whole or not.
pub(super) fn all(dir: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or_default();
        if name == "meta.json" {
            found.push(FIRST);
        }
        found.extend(name.strip_prefix("generation-").and_then(|n| n.parse::<u64>().ok()));
    }
    Ok(found)
}

/// Removes a generation; whoever still reads it goes on.
pub(super) fn remove(dir: &Path, generation: u64) -> io::Result<()> {
    if generation != FIRST {
        return fs::remove_dir_all(path(dir, generation));
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name() != LIVE {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
