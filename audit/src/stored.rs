//! The tree on disk, in the node's own data directory. `nodes` holds 32 bytes a node, in the order
//! in which nodes become whole: each leaf, behind it every node that it completes. So the file is
//! only ever appended to, and where any node stands can be computed. `places` holds 24 bytes a
//! leaf: the event's position (big-endian) and its id. `checkpoint` says how much of both is synced
//! and true; what lies behind that is cut off and read from the log again. All of it can be thrown
//! away.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use event_schemas::{Position, StoreId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{cover::Cover, hash::Hash, proof};

const NODE: u64 = 32;
const PLACE: u64 = PLACE_BYTES as u64;
const PLACE_BYTES: usize = 24;
/// Places that are looked at in one go.
const LOOK: usize = 4_096;
/// Bytes that wait in memory before they are written.
const BUFFER: usize = 1 << 20;

/// What was true when the files were last synced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Checkpoint {
    store: StoreId,
    /// Up to here, inclusive, the log has been read.
    position: Position,
    size: u64,
    root: Hash,
}

/// A tree that can be read: everything up to some size, for good.
#[derive(Clone, Debug)]
pub struct StoredTree {
    nodes: Arc<File>,
    places: Arc<File>,
    checkpoint: Checkpoint,
}

/// A tree that grows. One process at a time has it: the data directory's lock sees to that.
#[derive(Debug)]
pub struct GrowingTree {
    dir: PathBuf,
    nodes: Arc<File>,
    places: Arc<File>,
    cover: Cover,
    store: StoreId,
    position: Position,
    /// The event of the last leaf that was there when it was opened.
    last: Option<(Position, Uuid)>,
    /// What is not written yet, and where it goes.
    new_nodes: Vec<u8>,
    new_places: Vec<u8>,
    written: (u64, u64),
}

/// How many nodes the trees over the first `leaves` leaves have.
const fn nodes_of(leaves: u64) -> u64 {
    2 * leaves - leaves.count_ones() as u64
}

/// Where the node of this level stands that is the `index`th of that level.
const fn place_of(level: u32, index: u64) -> u64 {
    let last_leaf = ((index + 1) << level) - 1;
    nodes_of(last_leaf) + level as u64
}

impl StoredTree {
    /// Opens the tree of this store, as far as it was synced, also beside the process in which it
    /// grows. `None` where there is none, or it is damaged or another store's.
    ///
    /// # Errors
    /// If the files cannot be read.
    pub fn open(dir: &Path, store: StoreId) -> io::Result<Option<Self>> {
        let Some(checkpoint) = read_checkpoint(dir)? else { return Ok(None) };
        if checkpoint.store != store {
            return Ok(None);
        }
        let open = |name| match File::open(dir.join(name)) {
            Ok(file) => Ok(Some(Arc::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let (Some(nodes), Some(places)) = (open("nodes")?, open("places")?) else {
            return Ok(None);
        };
        Self { nodes, places, checkpoint }.if_whole()
    }

    /// Nothing but what the checkpoint says is there, as far as the nodes at the top tell.
    fn if_whole(self) -> io::Result<Option<Self>> {
        let size = self.size();
        let long_enough = self.nodes.metadata()?.len() >= nodes_of(size) * NODE
            && self.places.metadata()?.len() >= size * PLACE;
        let whole = long_enough && self.root(size)? == self.checkpoint.root;
        Ok(whole.then_some(self))
    }

    /// How many leaves it has.
    pub const fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Up to here, inclusive, the log has been read.
    pub const fn position(&self) -> Position {
        self.checkpoint.position
    }

    fn node(&self, level: u32, index: u64) -> io::Result<Hash> {
        let mut hash = [0; 32];
        self.nodes.read_exact_at(&mut hash, place_of(level, index) * NODE)?;
        Ok(Hash(hash))
    }

    /// The root of the tree over the first `size` leaves, of which there are as many.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn root(&self, size: u64) -> io::Result<Hash> {
        proof::root(0, size, &mut |level, index| self.node(level, index))
    }

    /// The path of leaf `index` in the tree over the first `size` leaves.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn inclusion(&self, index: u64, size: u64) -> io::Result<Vec<Hash>> {
        proof::inclusion(index, size, &mut |level, index| self.node(level, index))
    }

    /// What shows that the tree over `new` leaves begins with that over `old`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn consistency(&self, old: u64, new: u64) -> io::Result<Vec<Hash>> {
        proof::consistency(old, new, &mut |level, index| self.node(level, index))
    }

    /// The hash of a leaf.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn leaf(&self, index: u64) -> io::Result<Hash> {
        self.node(0, index)
    }

    /// Where the event of a leaf stands in the log, and its id.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn place(&self, index: u64) -> io::Result<(Position, Uuid)> {
        let mut place = [0; PLACE_BYTES];
        self.places.read_exact_at(&mut place, index * PLACE)?;
        Ok(read_place(&place))
    }

    /// The leaf and position of the first event with this id from a leaf on, by a look at all of
    /// them: 24 bytes each.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn find(&self, id: Uuid, from: u64) -> io::Result<Option<(u64, Position)>> {
        let mut chunk = vec![0; LOOK * PLACE_BYTES];
        let mut index = from;
        while index < self.size() {
            let count = usize::try_from(self.size() - index).map_or(LOOK, |left| left.min(LOOK));
            let chunk = &mut chunk[..count * PLACE_BYTES];
            self.places.read_exact_at(chunk, index * PLACE)?;
            let places = chunk.chunks_exact(PLACE_BYTES);
            let found = places.zip(index..).find(|(place, _)| place[8..] == *id.as_bytes());
            if let Some((place, index)) = found {
                return Ok(Some((index, read_place(place).0)));
            }
            index += count as u64;
        }
        Ok(None)
    }

    /// The leaves' hashes from the first on, in their order.
    pub fn leaves(&self) -> Leaves {
        let reader = ReadAt { file: Arc::clone(&self.nodes), at: 0 };
        Leaves { nodes: BufReader::with_capacity(1 << 18, reader), index: 0, size: self.size() }
    }
}

fn read_place(bytes: &[u8]) -> (Position, Uuid) {
    let (position, rest) = bytes.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let id = rest.first_chunk::<16>().copied().unwrap_or_default();
    (Position(u64::from_be_bytes(*position)), Uuid::from_bytes(id))
}

struct ReadAt {
    file: Arc<File>,
    at: u64,
}

impl Read for ReadAt {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The hashes of the leaves.
pub struct Leaves {
    nodes: BufReader<ReadAt>,
    index: u64,
    size: u64,
}

impl Iterator for Leaves {
    type Item = io::Result<Hash>;

    fn next(&mut self) -> Option<io::Result<Hash>> {
        if self.index == self.size {
            return None;
        }
        let mut leaf = [0; 32];
        if let Err(error) = self.nodes.read_exact(&mut leaf) {
            return Some(Err(error));
        }
        for _ in 0..self.index.trailing_ones() {
            if let Err(error) = self.nodes.read_exact(&mut [0; 32]) {
                return Some(Err(error));
            }
        }
        self.index += 1;
        Some(Ok(Hash(leaf)))
    }
}

impl GrowingTree {
    /// Opens the tree of this store and cuts off what was not synced. What is damaged is made anew
    /// from nothing; what belongs to another store is put aside under that store's name.
    ///
    /// # Errors
    /// If the files cannot be used.
    pub fn open(dir: &Path, store: StoreId) -> io::Result<Self> {
        if let Ok(Some(found)) = read_checkpoint(dir)
            && found.store != store
        {
            let aside = dir.with_extension(found.store.to_string());
            tracing::warn!(aside = %aside.display(), "the audit tree of another store is put aside");
            fs::rename(dir, aside)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let (nodes, places) = (open_file(dir, "nodes")?, open_file(dir, "places")?);
        let known = match read_checkpoint(dir) {
            Ok(Some(checkpoint)) => {
                let (nodes, places) = (Arc::clone(&nodes), Arc::clone(&places));
                StoredTree { nodes, places, checkpoint }.if_whole()?
            }
            Ok(None) => None,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Err(error) => return Err(error),
        };
        let mut cover = Cover::from(0);
        let (size, position) = match &known {
            Some(tree) => {
                let (mut at, mut hashes) = (0, Vec::new());
                for level in crate::cover::levels(0, tree.size()) {
                    hashes.push(tree.node(level, at >> level)?);
                    at += 1 << level;
                }
                // As many as `levels` said.
                let _ = cover.extend(tree.size(), &hashes);
                (tree.size(), tree.position())
            }
            None => (0, Position::START),
        };
        let last = match &known {
            Some(tree) if size > 0 => Some(tree.place(size - 1)?),
            _ => None,
        };
        let written = (nodes_of(size) * NODE, size * PLACE);
        nodes.set_len(written.0)?;
        places.set_len(written.1)?;
        Ok(Self {
            dir: dir.to_owned(),
            nodes,
            places,
            cover,
            store,
            position,
            last,
            new_nodes: Vec::new(),
            new_places: Vec::new(),
            written,
        })
    }

    /// How many leaves it has.
    pub const fn size(&self) -> u64 {
        self.cover.end()
    }

    /// Its root.
    pub fn root(&self) -> Hash {
        self.cover.root()
    }

    /// Up to here, inclusive, the log has been read.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Where the event of the last leaf stood that was there when it was opened, and its id.
    pub const fn last(&self) -> Option<(Position, Uuid)> {
        self.last
    }

    /// Adds the leaf of the event at this position.
    ///
    /// # Errors
    /// If what waits cannot be written; the tree is to be opened anew then.
    pub fn push(&mut self, leaf: Hash, position: Position, id: Uuid) -> io::Result<()> {
        let nodes = &mut self.new_nodes;
        self.cover.push(leaf, |hash| nodes.extend_from_slice(&hash.0));
        self.new_places.extend_from_slice(&position.0.to_be_bytes());
        self.new_places.extend_from_slice(id.as_bytes());
        self.position = position;
        if self.new_nodes.len() >= BUFFER { self.write() } else { Ok(()) }
    }

    /// Notes that up to here there is nothing else.
    pub fn pass(&mut self, position: Position) {
        self.position = self.position.max(position);
    }

    fn write(&mut self) -> io::Result<()> {
        let (nodes_at, places_at) = self.written;
        self.nodes.write_all_at(&self.new_nodes, nodes_at)?;
        self.places.write_all_at(&self.new_places, places_at)?;
        self.written =
            (nodes_at + self.new_nodes.len() as u64, places_at + self.new_places.len() as u64);
        self.new_nodes.clear();
        self.new_places.clear();
        Ok(())
    }

    /// Writes everything. What is answered is to be run where waiting for the disk harms nobody: it
    /// syncs, and answers the tree as it is now, for reading.
    ///
    /// # Errors
    /// If that failed; the tree is to be opened anew then.
    pub fn sync(&mut self) -> io::Result<impl FnOnce() -> io::Result<StoredTree> + Send + use<>> {
        self.write()?;
        let (size, root) = (self.size(), self.root());
        let checkpoint = Checkpoint { store: self.store, position: self.position, size, root };
        let (nodes, places) = (Arc::clone(&self.nodes), Arc::clone(&self.places));
        let dir = self.dir.clone();
        Ok(move || {
            nodes.sync_data()?;
            places.sync_data()?;
            write_checkpoint(&dir, &checkpoint)?;
            Ok(StoredTree { nodes, places, checkpoint })
        })
    }
}

fn open_file(dir: &Path, name: &str) -> io::Result<Arc<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(dir.join(name)).map(Arc::new)
}

fn read_checkpoint(dir: &Path) -> io::Result<Option<Checkpoint>> {
    match fs::read(dir.join("checkpoint")) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            // A new one takes the old one's place whole: it was not Daybook that left this.
            Err(_) => Ok(None),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An older one that is met after a power failure is as true as it was.
fn write_checkpoint(dir: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    let new = dir.join("checkpoint.new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(serde_json::to_string(checkpoint)?.as_bytes())?;
    file.sync_data()?;
    fs::rename(new, dir.join("checkpoint"))
}
