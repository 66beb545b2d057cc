//! The thread that packs: one file at a time, when its time has come and the machine has room.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::answer::PackAnswer;
use super::child::PackProcess;
use super::inbox::{Inbox, News};
use super::pace::Pace;
use super::queue::{Job, Queue};
use super::room::{MemoryWatch, has_room};
use super::scan::Scan;
use crate::error::{Error, Result};
use crate::fs::{
    LEAST_PACKED_BYTES, ModelTree, Packed, Packing, PackingStats, is_gone, starts_as_model,
};
use crate::fuse::Progress;
use crate::model::names;
use crate::os::{is_open_for_writing, system_time};
use crate::printable::printable_name;

/// How often to look at what packs.
const TICK: Duration = Duration::from_millis(25);
/// The share of the time in which the source is looked through, one in so many.
const SCAN_PART: u32 = 5;
const LEAST_SCAN_PAUSE: Duration = Duration::from_millis(1);
/// When to look again whether the disk has room, or memory.
const ROOM_WAIT: Duration = Duration::from_secs(60);
/// Memory may be short for so long before a file is given up.
const MOST_SHORT: Duration = Duration::from_secs(30);
/// The same file is tried again after so long then, and where the disk became full.
const GIVEN_UP_WAIT: Duration = Duration::from_secs(600);

/// What the thread works with.
pub(super) struct Worker {
    tree: Arc<ModelTree>,
    progress: Arc<Progress>,
    level: &'static str,
    after: Duration,
    inbox: Arc<Inbox>,
    queue: Queue,
    scan: Scan,
    next_scan: Instant,
    memory: MemoryWatch,
    stats: PackingStats,
}

/// How the work on a file ended.
enum End {
    Answered(PackAnswer),
    /// Somebody writes to it.
    Touched,
    MemoryIsShort,
    /// All is to end.
    Told,
}

/// The thread is to end.
struct Ending;

impl Worker {
    pub(super) fn new(
        tree: Arc<ModelTree>,
        progress: Arc<Progress>,
        level: &'static str,
        after: Duration,
        inbox: Arc<Inbox>,
    ) -> Self {
        Self {
            tree,
            progress,
            level,
            after,
            inbox,
            queue: Queue::new(after),
            scan: Scan::of_all(),
            next_scan: Instant::now(),
            memory: MemoryWatch::of_this_process(),
            stats: PackingStats::default(),
        }
    }

    /// Packs until it is to end.
    pub(super) fn run(mut self) {
        while self.turn().is_ok() {}
        self.stats.packing = None;
        self.tell_stats();
    }

    fn turn(&mut self) -> std::result::Result<(), Ending> {
        self.tell_stats();
        let next_scan = (!self.scan.is_done()).then_some(self.next_scan);
        let limit = self.queue.next_due().into_iter().chain(next_scan).min();
        self.take_news(limit)?;
        self.scan_a_little();
        if let Some(job) = self.queue.take_due(Instant::now()) {
            self.work_on(job)?;
        }
        Ok(())
    }

    fn tell_stats(&mut self) {
        self.stats.queued_files = self.queue.files();
        self.stats.queued_bytes = self.queue.bytes();
        self.tree.set_packing(self.stats.clone());
    }

    /// Waits for news, and takes in what was written.
    fn take_news(&mut self, limit: Option<Instant>) -> std::result::Result<(), Ending> {
        match self.inbox.wait(limit) {
            News::End => Err(Ending),
            News::Written(paths) => {
                for path in paths {
                    self.look_at(&path, Some(Duration::ZERO));
                }
                Ok(())
            }
        }
    }

    fn scan_a_little(&mut self) {
        let start = Instant::now();
        if self.scan.is_done() || start < self.next_scan {
            return;
        }
        for path in self.scan.step(self.tree.source()) {
            self.look_at(&path, None);
        }
        let took = start.elapsed();
        self.next_scan = Instant::now() + (took * (SCAN_PART - 1)).max(LEAST_SCAN_PAUSE);
    }

    /// Has a file wait for its time, if it is one that may be packed. Without a time that it was touched at, its own
    /// counts.
    fn look_at(&mut self, path: &Path, touched_ago: Option<Duration>) {
        let found = self.tree.source().open_to_ask(path);
        match found.and_then(|found| found.metadata()) {
            // It came with all that is in it.
            Ok(meta) if meta.is_dir() => self.scan.add(path.to_path_buf()),
            Ok(meta) if meta.is_file() && meta.len() > LEAST_PACKED_BYTES => {
                let ago = touched_ago.unwrap_or_else(|| changed_ago(&meta));
                self.queue.touched(path, meta.len(), ago, Instant::now());
            }
            Ok(_) => {}
            Err(error) if is_no_file(&error) => {}
            // It is looked at again when it is due.
            Err(_) => self.queue.touched(path, 0, Duration::ZERO, Instant::now()),
        }
    }

    /// Packs a file that is due, if it still is and there is room for it.
    fn work_on(&mut self, mut job: Job) -> std::result::Result<(), Ending> {
        let now = Instant::now();
        let opened = self.tree.source().open_file(&job.path);
        let (file, meta) = match opened.and_then(|file| Ok((file.metadata()?, file))) {
            Ok((meta, file)) => (file, meta),
            Err(error) => {
                if !is_no_file(&error) {
                    self.failed(job, &error.to_string());
                }
                return Ok(());
            }
        };
        if !meta.is_file() || meta.len() <= LEAST_PACKED_BYTES {
            return Ok(());
        }
        job.bytes = meta.len();
        // It may be written to past the mount.
        let too_young = self.after.saturating_sub(changed_ago(&meta));
        if !too_young.is_zero() {
            self.queue.later(job, too_young, now);
            return Ok(());
        }
        if !may_be_model(&job.path, &file, job.bytes) {
            return Ok(());
        }
        if let Some(lacks) = self.lacks_room(&file, job.bytes) {
            self.stats.waits_for = Some(lacks.into());
            self.queue.later(job, ROOM_WAIT, now);
            return Ok(());
        }
        self.stats.waits_for = None;
        self.begin(job, now)
    }

    fn begin(&mut self, job: Job, now: Instant) -> std::result::Result<(), Ending> {
        let packing = match self.tree.begin_packing(&job.path) {
            Ok(Some(packing)) => packing,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.failed(job, &error.to_string());
                return Ok(());
            }
        };
        match self.tree.open_packing(&packing) {
            // Who has mapped it before may write on, and its times need not tell. Who opens it from here on is seen: by them,
            // or at the end.
            Ok(Some(file)) if is_open_for_writing(&file) => self.queue.busy(job, now),
            Ok(Some(file)) => return self.pack(job, file, packing),
            // Something was done to it just now.
            Ok(None) => self.queue.busy(job, now),
            Err(error) => self.failed(job, &error.to_string()),
        }
        Ok(())
    }

    /// In the directory that the archive is made in, opened as the tree opens all: no link on the way to it is followed.
    fn start(&self, packing: &Packing, file: File) -> Result<PackProcess> {
        let cannot = |e| Error::io(format!("{}", packing.to.display()), e);
        let directory = packing.to.parent().unwrap_or(Path::new(""));
        let directory = self.tree.source().open_to_ask(directory).map_err(cannot)?;
        let to = Path::new(packing.to.file_name().unwrap_or_default());
        PackProcess::start(&directory, file, &packing.from, to, self.level)
    }

    /// The archive is made on the file system of the file.
    fn lacks_room(&mut self, file: &File, bytes: u64) -> Option<&'static str> {
        let disk = rustix::fs::fstatvfs(file);
        if !disk.is_ok_and(|disk| has_room(bytes, &disk)) {
            return Some("room on the disk");
        }
        let is_short = self.memory.short_for(Instant::now()).is_some();
        is_short.then_some("memory")
    }

    fn pack(&mut self, job: Job, file: File, packing: Packing) -> std::result::Result<(), Ending> {
        let process = self.start(&packing, file);
        let mut process = match process {
            Ok(process) => process,
            Err(error) => {
                self.tree.abandon_packing(packing);
                self.failed(job, &error.to_string());
                return Ok(());
            }
        };
        self.stats.packing = Some(printable_name(&job.path));
        self.tell_stats();
        let end = self.watch(&mut process, &job);
        // Its half-done work goes only once it has ended.
        drop(process);
        self.stats.packing = None;
        self.stats.waits_for = None;
        let now = Instant::now();
        match end {
            End::Answered(PackAnswer::Packed {
                original_bytes,
                stored_bytes,
            }) => {
                let packed = self.tree.finish_packing(packing);
                self.finished(job, (original_bytes, stored_bytes), packed);
                return Ok(());
            }
            End::Answered(answer) => self.not_packed(job, answer),
            End::Touched => self.queue.busy(job, now),
            End::MemoryIsShort => self.queue.later(job, GIVEN_UP_WAIT, now),
            End::Told => {
                self.tree.abandon_packing(packing);
                return Err(Ending);
            }
        }
        self.tree.abandon_packing(packing);
        Ok(())
    }

    /// Stands by until it has packed, or is to end.
    fn watch(&mut self, process: &mut PackProcess, job: &Job) -> End {
        let mut pace = Pace::new();
        let mut reads = self.reads();
        loop {
            if let Some(answer) = process.answer() {
                return End::Answered(answer);
            }
            let tick = Instant::now() + TICK;
            match self.inbox.wait(Some(tick)) {
                News::End => return End::Told,
                News::Written(paths) => {
                    let is_touched = paths.contains(&job.path);
                    for path in paths {
                        self.look_at(&path, Some(Duration::ZERO));
                    }
                    if is_touched {
                        return End::Touched;
                    }
                }
            }
            self.scan_a_little();
            let now = Instant::now();
            let before = std::mem::replace(&mut reads, self.reads());
            let somebody_waits = self.progress.in_work() > 0 || reads != before;
            let may_go = pace.may_go(somebody_waits, now);
            let short_for = self.memory.short_for(now);
            if short_for.is_some_and(|time| time >= MOST_SHORT) {
                return End::MemoryIsShort;
            }
            let waits_for = match (short_for, may_go) {
                (Some(_), _) => Some("memory"),
                (None, false) => Some("readers"),
                (None, true) => None,
            };
            process.pause(waits_for.is_some());
            self.stats.waits_for = waits_for.map(Into::into);
            self.tell_stats();
        }
    }

    /// How many reads were answered so far.
    fn reads(&self) -> u64 {
        self.tree.read_stats().by_size.iter().sum()
    }

    fn finished(&mut self, job: Job, bytes: (u64, u64), packed: Result<Packed>) {
        let (original_bytes, stored_bytes) = bytes;
        match packed {
            Ok(Packed::Swapped { saved_bytes }) => {
                self.stats.packed_files += 1;
                self.stats.original_bytes += original_bytes;
                self.stats.saved_bytes += saved_bytes;
                tracing::info!(
                    "packed {}: {original_bytes} bytes take {stored_bytes} now",
                    printable_name(&job.path)
                );
            }
            // Whoever gives it another name tells that as well.
            Ok(Packed::Changed | Packed::Busy) => self.queue.busy(job, Instant::now()),
            Err(error) => self.failed(job, &error.to_string()),
        }
    }

    fn not_packed(&mut self, job: Job, answer: PackAnswer) {
        let path = printable_name(&job.path);
        match answer {
            PackAnswer::Packed { .. } | PackAnswer::NoModel => {}
            PackAnswer::NotSmaller => {
                tracing::info!("{path} is left as it is: packing makes it no smaller");
            }
            // As long as nobody writes to it, it stays as it is.
            PackAnswer::Fault(why) => {
                self.failure(&path, &why);
                tracing::warn!("{path} is not packed: {why}");
            }
            PackAnswer::Failed(why) => self.failed(job, &why),
        }
    }

    fn failed(&mut self, job: Job, why: &str) {
        let path = printable_name(&job.path);
        if self.queue.failed(job, Instant::now()) {
            self.failure(&path, why);
            tracing::warn!("{path} is not packed yet: {why}");
        } else {
            tracing::debug!("{path} is still not packed: {why}");
        }
    }

    fn failure(&mut self, path: &str, why: &str) {
        self.stats.failed_files += 1;
        self.stats.last_failure = Some(format!("{path}: {why}"));
    }
}

/// For how long nobody has touched a file in any way. A time to come is of another clock, and long ago.
fn changed_ago(meta: &std::fs::Metadata) -> Duration {
    let changed = system_time(
        meta.ctime(),
        u32::try_from(meta.ctime_nsec()).unwrap_or_default(),
    );
    SystemTime::now()
        .duration_since(changed)
        .unwrap_or(Duration::MAX)
}

/// True if what was to be opened is gone, or a link by now.
fn is_no_file(error: &std::io::Error) -> bool {
    is_gone(error) || error.raw_os_error() == Some(libc::ELOOP)
}

/// By its name, or by how it starts. Only its whole header can tell that it is.
fn may_be_model(path: &Path, file: &File, bytes: u64) -> bool {
    names::is_model_name(path) || starts_as_model(file, bytes)
}
