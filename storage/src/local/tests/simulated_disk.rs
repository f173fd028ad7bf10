//! A disk in memory that fails when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::disk::{Create, Disk, DiskFile};
use super::NOW;

/// What befalls one of the operations that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The write is torn, and nothing works after it.
    Crash,
    /// The write is torn, with an error, and the next one works.
    Full,
}

/// What is left after a crash of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The process died alone: everything.
    All,
    /// The machine died: nothing, half of it, or zeros in its place; by this seed.
    Some(u64),
}

#[derive(Default)]
pub(super) struct World {
    pub files: BTreeMap<PathBuf, Contents>,
    pub dirs: BTreeSet<PathBuf>,
    pub operations: usize,
    pub fault: Option<(usize, Fault)>,
    is_dead: bool,
}

#[derive(Default, Clone)]
pub(super) struct Contents {
    pub bytes: Vec<u8>,
    pub synced: Vec<u8>,
}

#[derive(Default, Clone)]
pub(super) struct SimulatedDisk(Arc<Mutex<World>>);

impl SimulatedDisk {
    /// What the disk holds and does, to look at and to change.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Counts an operation; the part of it that still happens, or the error that it ends in.
    fn operation(world: &mut World) -> Result<(), (bool, io::Error)> {
        if world.is_dead {
            return Err((false, io::Error::other("dead")));
        }
        world.operations += 1;
        match world.fault {
            Some((at, Fault::Crash)) if at == world.operations => {
                world.is_dead = true;
                Err((true, io::Error::other("crash")))
            }
            Some((at, Fault::Full)) if at == world.operations => {
                Err((true, io::ErrorKind::StorageFull.into()))
            }
            _ => Ok(()),
        }
    }

    fn change(&self, work: impl FnOnce(&mut World)) -> io::Result<()> {
        let mut world = self.world();
        Self::operation(&mut world).map_err(|(_, error)| error)?;
        work(&mut world);
        Ok(())
    }

    /// The disk as the next process finds it.
    pub fn after_crash(&self, left: Left) -> Self {
        let world = self.world();
        let mut next = World { dirs: world.dirs.clone(), ..World::default() };
        for (at, (path, contents)) in world.files.iter().enumerate() {
            let mut bytes = contents.bytes.clone();
            if let Left::Some(seed) = left
                && bytes != contents.synced
            {
                let common = bytes.iter().zip(&contents.synced).take_while(|(now, then)| now == then).count();
                let unsynced = bytes.len() - common;
                match (seed + at as u64) % 3 {
                    0 => bytes = contents.synced.clone(),
                    1 => bytes.truncate(common + unsynced / 2),
                    _ => bytes[common..].fill(0),
                }
            }
            next.files.insert(path.clone(), Contents { synced: bytes.clone(), bytes });
        }
        Self(Arc::new(Mutex::new(next)))
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, create: Create) -> io::Result<Arc<dyn DiskFile>> {
        let exists = self.world().files.contains_key(path);
        match create {
            _ if exists => {}
            Create::Never => return Err(io::ErrorKind::NotFound.into()),
            Create::IfMissing => self.change(|world| {
                world.files.insert(path.to_owned(), Contents::default());
            })?,
        }
        Ok(Arc::new(SimulatedFile { disk: self.clone(), path: path.to_owned() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        if !world.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = world.files.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|world| {
            world.dirs.insert(dir.to_owned());
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|world| {
            let contents = world.files.remove(from).unwrap();
            world.files.insert(to.to_owned(), contents);
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let exists = self.world().files.contains_key(path);
        if !exists {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(|world| {
            world.files.remove(path);
        })
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|world| {
            world.dirs.remove(dir);
            world.files.retain(|path, _| !path.starts_with(dir));
        })
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.change(|_| ())
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    path: PathBuf,
}

impl SimulatedFile {
    fn read<T>(&self, work: impl FnOnce(&Contents) -> T) -> io::Result<T> {
        let world = self.disk.world();
        world.files.get(&self.path).map(work).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl DiskFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        self.read(|contents| contents.bytes.len() as u64)
    }

    fn modified_ms(&self) -> io::Result<i64> {
        Ok(NOW)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.read(|contents| {
            let from = (position as usize).min(contents.bytes.len());
            let count = buffer.len().min(contents.bytes.len() - from);
            buffer[..count].copy_from_slice(&contents.bytes[from..from + count]);
            count
        })
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        let outcome = SimulatedDisk::operation(&mut world);
        let written = match &outcome {
            Ok(()) => bytes,
            Err((true, _)) => &bytes[..bytes.len() / 2],
            Err((false, _)) => &[],
        };
        if let Some(contents) = world.files.get_mut(&self.path) {
            let end = position as usize + written.len();
            contents.bytes.resize(contents.bytes.len().max(end), 0);
            contents.bytes[position as usize..end].copy_from_slice(written);
        }
        outcome.map_err(|(_, error)| error)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.disk.change(|world| {
            if let Some(contents) = world.files.get_mut(&self.path) {
                contents.bytes.resize(size as usize, 0);
            }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change(|world| {
            if let Some(contents) = world.files.get_mut(&self.path) {
                contents.synced = contents.bytes.clone();
            }
        })
    }
}
