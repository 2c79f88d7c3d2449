//! The watcher of routes.yaml: says that the file has changed, and nothing of what it says.
//!
//! It watches directories, not the inode: editors rename over the file, config management swaps
//! symlinks. A poll finds what events do not show (network file systems, a replaced directory).

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// How often the file is looked at without an event.
const POLL: Duration = Duration::from_secs(1);

/// A file is reported after this long without a change: writers truncate first and write then.
const QUIET: Duration = Duration::from_millis(50);

/// A file that never comes to rest is reported after this long all the same.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(2);

/// Symlinks followed from the file to its target, as many as Linux follows.
const LINKS_MAX: usize = 40;

/// A running watch; dropping it stops the watch and waits for its thread.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    nudge: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

/// Watches a file and sends for each time it is written or replaced, 50 ms after the last write.
///
/// Call it before the file is first read, so that no change falls in between. A file that vanishes
/// or cannot be read is a change too. When the channel is full, a message for the newest content
/// is in it already, and none is added. When events cannot be had, the poll (1 s) does alone.
///
/// # Errors
/// The operating system's, when it gives no thread.
pub fn watch(path: PathBuf, on_change: mpsc::Sender<()>) -> io::Result<Watch> {
    // One nudge that waits is enough: whoever takes it looks at everything.
    let (nudge, nudges) = sync_channel(1);
    let stop = Arc::new(AtomicBool::new(false));
    let mut eye = Eye {
        directories: Directories::new(nudge.clone()),
        nudges,
        stop: Arc::clone(&stop),
        on_change,
        stamp: Stamp::of(&path),
        first: Some(content(&path)),
        path,
    };
    eye.directories.follow(&eye.path);
    let thread = thread::Builder::new()
        .name("watch".into())
        .spawn(move || eye.run())?;
    Ok(Watch {
        stop,
        nudge,
        thread: Some(thread),
    })
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // A full channel wakes the thread as well.
        let _ = self.nudge.try_send(());
        if let Some(thread) = self.thread.take() {
            // A thread that ended by a panic has stopped, which is what was asked.
            let _ = thread.join();
        }
    }
}

/// What the thread of a watch knows.
struct Eye {
    path: PathBuf,
    nudges: Receiver<()>,
    stop: Arc<AtomicBool>,
    on_change: mpsc::Sender<()>,
    directories: Directories,
    stamp: Option<Stamp>,
    /// The content when the watch began, until the first look: that one goes by content too, for a
    /// write in the clock tick of a stamp leaves the stamp as it is.
    first: Option<Option<u64>>,
}

impl Eye {
    fn run(&mut self) {
        while self.wait(POLL) {
            self.directories.follow(&self.path);
            let stamp = Stamp::of(&self.path);
            if self.first.is_none() && stamp == self.stamp {
                continue;
            }
            let before = self.stamp;
            if !self.wait_until_quiet(stamp) {
                return;
            }
            // Another stamp is enough, whatever the content: whoever is told reads the file at
            // other times too, and what was changed there and back may be new to him.
            if let Some(first) = self.first.take()
                && self.stamp == before
                && first == content(&self.path)
            {
                continue;
            }
            if let Err(mpsc::error::TrySendError::Closed(())) = self.on_change.try_send(()) {
                return;
            }
        }
    }

    /// Waits for a nudge or a time; false when the watch is to stop.
    fn wait(&self, time: Duration) -> bool {
        let nudged = self.nudges.recv_timeout(time);
        !self.stop.load(Ordering::Acquire) && nudged != Err(RecvTimeoutError::Disconnected)
    }

    /// Waits until the file rests, and keeps its stamp; false when the watch is to stop.
    fn wait_until_quiet(&mut self, mut stamp: Option<Stamp>) -> bool {
        let began = Instant::now();
        let mut changed = began;
        while changed.elapsed() < QUIET && began.elapsed() < QUIET_WAIT_MAX {
            if !self.wait(QUIET.saturating_sub(changed.elapsed())) {
                return false;
            }
            let again = Stamp::of(&self.path);
            if again != stamp {
                stamp = again;
                changed = Instant::now();
            }
        }
        self.stamp = stamp;
        true
    }
}

/// What changes when a file is written, replaced or pointed elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Takes the stamp of the file behind all symlinks; `None` when there is none.
    fn of(path: &Path) -> Option<Self> {
        let metadata: Metadata = path.metadata().ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Hashes the content; `None` when it cannot be read, or is no regular file and could block.
fn content(path: &Path) -> Option<u64> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let mut hasher = DefaultHasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(hasher.finish()),
            length => hasher.write(&buffer[..length]),
        }
    }
}

/// The directories on the way from the file to its target, each with a watch.
struct Directories {
    watcher: Option<RecommendedWatcher>,
    /// By path, with device and inode: a replaced directory needs a new watch.
    watched: BTreeMap<PathBuf, (u64, u64)>,
}

impl Directories {
    fn new(nudge: SyncSender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.as_ref().map_or(true, |event| may_change(event.kind)) {
                // Full means that a nudge is waiting already; gone means that nobody looks.
                let _ = nudge.try_send(());
            }
        });
        Self {
            watcher: watcher.ok(),
            watched: BTreeMap::new(),
        }
    }

    /// Watches just the directories that the path leads through at present.
    fn follow(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let wanted = on_the_way(path);
        if wanted == self.watched {
            return;
        }
        for (directory, identity) in &self.watched {
            if wanted.get(directory) != Some(identity) {
                // The watch of a directory that is gone went with it.
                let _ = watcher.unwatch(directory);
            }
        }
        let mut watched = BTreeMap::new();
        for (directory, identity) in wanted {
            let kept = self.watched.get(&directory) == Some(&identity);
            // What cannot be watched is left to the poll, and tried again with it.
            if kept
                || watcher
                    .watch(&directory, RecursiveMode::NonRecursive)
                    .is_ok()
            {
                watched.insert(directory, identity);
            }
        }
        self.watched = watched;
    }
}

/// Tells whether an event can mean another content; reading does not, or a look would be followed
/// by the next without end.
fn may_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

/// Lists the directories that hold the file, each symlink on the way, and the target.
fn on_the_way(path: &Path) -> BTreeMap<PathBuf, (u64, u64)> {
    let mut found = BTreeMap::new();
    let mut add = |path: &Path| {
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        if let Ok(metadata) = parent.metadata() {
            found.insert(parent.to_owned(), (metadata.dev(), metadata.ino()));
        }
        parent.to_owned()
    };
    let mut step = path.to_owned();
    for _ in 0..LINKS_MAX {
        let parent = add(&step);
        match step.read_link() {
            Ok(target) => step = parent.join(target),
            Err(_) => break,
        }
    }
    if let Ok(target) = path.canonicalize() {
        add(&target);
    }
    found
}
