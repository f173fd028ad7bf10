//! A disk in memory that fails when it is told to. At a power cut it forgets what nobody synced: bytes of files, and names
//! in directories. Files are inodes: an open one can be read after it was renamed or removed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::disk::{Create, Disk, DiskFile};
use super::NOW;
use super::random::Random;

/// What a power cut keeps or loses of a file as one.
const BLOCK_BYTES: usize = 64;
const ROOT: usize = 0;

/// What befalls the operations that change something, from one to another of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The write is torn, and nothing works after it.
    Crash,
    /// Whatever it is, it fails; a write is torn.
    Error,
    /// What needs space fails, a write is torn; the rest works.
    Full,
}

/// What is left after a crash of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The process died alone: everything.
    All,
    /// The machine died: by this seed, of each file and each directory nothing, something or all.
    Some(u64),
}

pub(super) struct World {
    nodes: Vec<Node>,
    /// So many changes there were.
    pub operations: usize,
    pub fault: Option<(RangeInclusive<usize>, Fault)>,
    /// What files that are written now will say.
    pub now_ms: i64,
    /// Opening or listing them fails.
    pub unreadable: BTreeSet<PathBuf>,
    /// What was read, and the most that was asked for at once.
    pub bytes_read: u64,
    pub largest_read: usize,
    /// So often the fault has struck.
    pub hits: usize,
    is_dead: bool,
}

enum Node {
    File(Contents),
    Dir(Names),
}

#[derive(Default, Clone)]
struct Contents {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    modified_ms: i64,
}

#[derive(Default, Clone)]
struct Names {
    now: BTreeMap<String, usize>,
    synced: BTreeMap<String, usize>,
    /// What makes the first of the second.
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Added(String, usize),
    Removed(String),
    Renamed(String, String, usize),
}

impl Change {
    fn make(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Added(name, node) => {
                names.insert(name.clone(), *node);
            }
            Self::Removed(name) => {
                names.remove(name);
            }
            Self::Renamed(from, to, node) => {
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
        }
    }
}

impl Names {
    fn change(&mut self, change: Change) {
        change.make(&mut self.now);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        self.synced = self.now.clone();
        self.unsynced.clear();
    }

    /// Nothing of what was not synced, its beginning, or all. File systems keep the order of a directory's changes.
    fn after_power_cut(&self, random: &mut Random) -> BTreeMap<String, usize> {
        let mut names = self.synced.clone();
        let all = self.unsynced.len();
        let some = random.below(all as u64 + 1) as usize;
        let count = random.pick(&[0, some, all]);
        self.unsynced[..count].iter().for_each(|change| change.make(&mut names));
        names
    }
}

impl Contents {
    /// The bytes that were synced, the beginning of what was not, zeros in its place, blocks of both, or all.
    fn after_power_cut(&self, random: &mut Random) -> Vec<u8> {
        let (mut bytes, synced) = (self.bytes.clone(), &self.synced);
        if bytes == *synced {
            return bytes;
        }
        let common = bytes.iter().zip(synced).take_while(|(now, then)| now == then).count();
        match random.below(5) {
            0 => bytes = synced.clone(),
            1 => bytes.truncate(common + random.below((bytes.len() - common) as u64 + 1) as usize),
            2 => bytes[common..].fill(0),
            3 => {
                bytes.resize(if random.is_one_in(2) { bytes.len() } else { synced.len() }, 0);
                for (at, block) in bytes.chunks_mut(BLOCK_BYTES).enumerate() {
                    if random.is_one_in(2) {
                        let then = synced.get(at * BLOCK_BYTES..).unwrap_or_default();
                        block.fill(0);
                        let length = block.len().min(then.len());
                        block[..length].copy_from_slice(&then[..length]);
                    }
                }
            }
            _ => {}
        }
        bytes
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            nodes: vec![Node::Dir(Names::default())],
            operations: 0,
            fault: None,
            now_ms: NOW,
            unreadable: BTreeSet::new(),
            bytes_read: 0,
            largest_read: 0,
            hits: 0,
            is_dead: false,
        }
    }
}

impl World {
    /// All files by their paths.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        self.collect(ROOT, Path::new("/"), &mut files);
        files
    }

    fn collect(&self, node: usize, path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        match &self.nodes[node] {
            Node::File(contents) => {
                files.insert(path.to_owned(), contents.bytes.clone());
            }
            Node::Dir(names) => {
                names.now.iter().for_each(|(name, node)| self.collect(*node, &path.join(name), files));
            }
        }
    }

    /// A file as somebody else puts it there.
    pub fn put(&mut self, path: &Path, bytes: Vec<u8>) {
        let contents = Contents { synced: bytes.clone(), bytes, modified_ms: self.now_ms };
        self.set(path, Node::File(contents));
    }

    /// A directory as somebody else makes it, in the place of whatever is there.
    pub fn put_dir(&mut self, path: &Path) {
        self.set(path, Node::Dir(Names::default()));
    }

    /// Somebody else removes it, with all that is in it.
    pub fn take(&mut self, path: &Path) {
        let (parent, name) = self.place(path).unwrap();
        self.dir(parent).change(Change::Removed(name));
        self.dir(parent).sync();
    }

    fn set(&mut self, path: &Path, node: Node) {
        let (parent, name) = self.place(path).unwrap();
        let node = self.add(node);
        self.dir(parent).change(Change::Added(name, node));
        self.dir(parent).sync();
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let mut node = ROOT;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let Node::Dir(names) = &self.nodes[node] else { return Err(io::ErrorKind::NotADirectory.into()) };
            let found = names.now.get(name.to_str().unwrap()).copied();
            node = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        }
        Ok(node)
    }

    /// The directory that it is in or will be in, and its name there.
    fn place(&self, path: &Path) -> io::Result<(usize, String)> {
        let parent = self.find(path.parent().unwrap())?;
        match &self.nodes[parent] {
            Node::Dir(_) => Ok((parent, path.file_name().unwrap().to_str().unwrap().to_owned())),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn dir(&mut self, node: usize) -> &mut Names {
        match &mut self.nodes[node] {
            Node::Dir(names) => names,
            Node::File(_) => panic!("no directory"),
        }
    }

    fn file(&mut self, node: usize) -> &mut Contents {
        match &mut self.nodes[node] {
            Node::File(contents) => contents,
            Node::Dir(_) => panic!("no file"),
        }
    }

    fn refuse_unreadable(&self, path: &Path) -> io::Result<()> {
        let is_refused = path.ancestors().any(|path| self.unreadable.contains(path));
        if is_refused { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }

    /// Counts a change. An error says what becomes of it, and whether a half of it still happens.
    fn operation(&mut self, needs_space: bool) -> Result<(), (bool, io::Error)> {
        if self.is_dead {
            return Err((false, io::Error::other("dead")));
        }
        self.operations += 1;
        match &self.fault {
            Some((range, fault)) if range.contains(&self.operations) => {
                let fault = *fault;
                if fault == Fault::Full && !needs_space {
                    return Ok(());
                }
                self.hits += 1;
                self.is_dead |= fault == Fault::Crash;
                let error = match fault {
                    Fault::Crash => io::Error::other("crash"),
                    Fault::Error => io::Error::other("failed"),
                    Fault::Full => io::ErrorKind::StorageFull.into(),
                };
                Err((true, error))
            }
            _ => Ok(()),
        }
    }

    fn change(&mut self, needs_space: bool) -> io::Result<()> {
        self.operation(needs_space).map_err(|(_, error)| error)
    }

    /// Whether a crash has come.
    pub fn is_dead(&self) -> bool {
        self.is_dead
    }

    fn copy(&self, node: usize, random: &mut Option<Random>, next: &mut World) -> usize {
        match &self.nodes[node] {
            Node::File(contents) => {
                let bytes = match random {
                    Some(random) => contents.after_power_cut(random),
                    None => contents.bytes.clone(),
                };
                let modified_ms = contents.modified_ms;
                next.add(Node::File(Contents { synced: bytes.clone(), bytes, modified_ms }))
            }
            Node::Dir(names) => {
                let left = match random {
                    Some(random) => names.after_power_cut(random),
                    None => names.now.clone(),
                };
                let at = if node == ROOT { ROOT } else { next.add(Node::Dir(Names::default())) };
                for (name, node) in left {
                    let copied = self.copy(node, random, next);
                    next.dir(at).change(Change::Added(name, copied));
                }
                next.dir(at).sync();
                at
            }
        }
    }
}

#[derive(Default, Clone)]
pub(super) struct SimulatedDisk(Arc<Mutex<World>>);

impl SimulatedDisk {
    /// What the disk holds and does, to look at and to change.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The disk as the next process finds it.
    pub fn after_crash(&self, left: Left) -> Self {
        let world = self.world();
        let mut next =
            World { now_ms: world.now_ms, unreadable: world.unreadable.clone(), ..World::default() };
        let mut random = match left {
            Left::All => None,
            Left::Some(seed) => Some(Random::new(seed)),
        };
        world.copy(ROOT, &mut random, &mut next);
        Self(Arc::new(Mutex::new(next)))
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, create: Create) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.refuse_unreadable(path)?;
        let node = match world.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && create == Create::IfMissing => {
                let (parent, name) = world.place(path)?;
                world.change(true)?;
                let modified_ms = world.now_ms;
                let node = world.add(Node::File(Contents { modified_ms, ..Contents::default() }));
                world.dir(parent).change(Change::Added(name, node));
                node
            }
            found => found?,
        };
        match world.nodes[node] {
            Node::File(_) => Ok(Arc::new(SimulatedFile { disk: self.clone(), node })),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        world.refuse_unreadable(dir)?;
        match &world.nodes[world.find(dir)?] {
            Node::Dir(names) => Ok(names.now.keys().cloned().collect()),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        if world.find(dir).is_ok() {
            return Ok(());
        }
        let (parent, name) = world.place(dir)?;
        world.change(true)?;
        let node = world.add(Node::Dir(Names::default()));
        world.dir(parent).change(Change::Added(name, node));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        assert_eq!(from.parent(), to.parent(), "renames within a directory are all or nothing");
        let mut world = self.world();
        let node = world.find(from)?;
        let ((parent, from), (_, to)) = (world.place(from)?, world.place(to)?);
        world.change(false)?;
        world.dir(parent).change(Change::Renamed(from, to, node));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        let node = world.find(path)?;
        if matches!(world.nodes[node], Node::Dir(_)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (parent, name) = world.place(path)?;
        world.change(false)?;
        world.dir(parent).change(Change::Removed(name));
        Ok(())
    }

    /// File by file: a crash leaves the others.
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        for name in self.list(dir)? {
            let path = dir.join(name);
            match self.remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => self.remove_dir(&path)?,
                removed => removed?,
            }
        }
        let mut world = self.world();
        let (parent, name) = world.place(dir)?;
        world.change(false)?;
        world.dir(parent).change(Change::Removed(name));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        let node = world.find(dir)?;
        world.change(false)?;
        world.dir(node).sync();
        Ok(())
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    node: usize,
}

impl DiskFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.world().file(self.node).bytes.len() as u64)
    }

    fn modified_ms(&self) -> io::Result<i64> {
        Ok(self.disk.world().file(self.node).modified_ms)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut world = self.disk.world();
        world.largest_read = world.largest_read.max(buffer.len());
        let bytes = &world.file(self.node).bytes;
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        world.bytes_read += count as u64;
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        let outcome = world.operation(true);
        let written = match &outcome {
            Ok(()) => bytes,
            Err((true, _)) => &bytes[..bytes.len() / 2],
            Err((false, _)) => &[],
        };
        if !written.is_empty() {
            let now_ms = world.now_ms;
            let contents = world.file(self.node);
            let from = position as usize;
            contents.bytes.resize(contents.bytes.len().max(from + written.len()), 0);
            contents.bytes[from..from + written.len()].copy_from_slice(written);
            contents.modified_ms = now_ms;
        }
        outcome.map_err(|(_, error)| error)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        let (old, now_ms) = (world.file(self.node).bytes.len() as u64, world.now_ms);
        world.change(size > old)?;
        let contents = world.file(self.node);
        contents.bytes.resize(size as usize, 0);
        if size != old {
            contents.modified_ms = now_ms;
        }
        Ok(())
    }

    fn set_modified_ms(&self, at_ms: i64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.change(false)?;
        world.file(self.node).modified_ms = at_ms;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.change(false)?;
        let contents = world.file(self.node);
        contents.synced = contents.bytes.clone();
        Ok(())
    }
}
