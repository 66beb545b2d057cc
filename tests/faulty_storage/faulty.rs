//! A storage that fails on purpose: where and as often as it is told, or at random.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use fastrand::Rng;
use weightfs::storage::{Hints, Storage};

/// How a read goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// EIO, as of a device.
    Refused,
    /// The file has become shorter.
    Gone,
    /// Fewer bytes than were asked for, and no word of it.
    Short,
    /// Other bytes.
    Changed,
    /// Zeros first, as of a map, and then what there is.
    ZerosFirst,
    /// Zeros, and then the news that they were wrong.
    ZerosThenRefused,
    /// It takes a while.
    Slow,
}

pub const KINDS: [Kind; 7] = [
    Kind::Refused,
    Kind::Gone,
    Kind::Short,
    Kind::Changed,
    Kind::ZerosFirst,
    Kind::ZerosThenRefused,
    Kind::Slow,
];

impl Kind {
    /// True if what was asked for is had all the same.
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::ZerosFirst | Self::Slow)
    }
}

/// Something that goes wrong where a read touches a range, so many times.
#[derive(Debug, Clone)]
pub struct Fault {
    pub range: Range<u64>,
    pub kind: Kind,
    pub times: u32,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    /// One read in so many goes wrong, wherever it is.
    one_in: Option<(u32, Rng)>,
    /// What was asked for, and when.
    asked: Vec<(Range<u64>, Instant)>,
    /// Reads that had to wait from start to end, since nobody had asked for the bytes before.
    unasked: usize,
}

/// Bytes and what is to go wrong with them; copies are the same storage.
#[derive(Debug, Clone)]
pub struct Faulty {
    bytes: Arc<Vec<u8>>,
    state: Arc<Mutex<State>>,
    hints: Hints,
    /// How long it takes from asking to having, or from reading what nobody has asked for.
    latency: Duration,
}

impl Faulty {
    pub fn new(bytes: Vec<u8>, in_place: bool) -> Self {
        Self {
            bytes: Arc::new(bytes),
            state: Arc::default(),
            hints: Hints {
                in_place,
                ask_ahead_bytes: 0,
            },
            latency: Duration::ZERO,
        }
    }

    /// One that is sound and far away.
    pub fn far(bytes: Vec<u8>, latency: Duration, ask_ahead_bytes: u64) -> Self {
        let mut far = Self::new(bytes, false);
        far.latency = latency;
        far.hints.ask_ahead_bytes = ask_ahead_bytes;
        far
    }

    /// From now on it is sound, but for this.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        state.faults = vec![fault];
        state.one_in = None;
    }

    /// From now on one read in `one_in` goes wrong.
    pub fn fail_at_random(&self, seed: u64, one_in: u32) {
        self.state.lock().unwrap().one_in = Some((one_in, Rng::with_seed(seed)));
    }

    /// From now on it is sound.
    pub fn mend(&self) {
        let mut state = self.state.lock().unwrap();
        state.faults.clear();
        state.one_in = None;
    }

    /// Reads that had to wait from start to end.
    pub fn unasked(&self) -> usize {
        self.state.lock().unwrap().unasked
    }

    /// Bytes that were asked for.
    pub fn asked_bytes(&self) -> u64 {
        let state = self.state.lock().unwrap();
        let lens = state.asked.iter().map(|(range, _)| range.end - range.start);
        lens.sum()
    }

    /// What goes wrong with a read, and from where on.
    fn next_fault(&self, read: &Range<u64>) -> Option<(Kind, u64)> {
        let mut state = self.state.lock().unwrap();
        if let Some((one_in, random)) = &mut state.one_in {
            if random.u32(..*one_in) > 0 || read.is_empty() {
                return None;
            }
            let place = random.u64(read.clone());
            return random.choice(KINDS).map(|kind| (kind, place));
        }
        let hit = state.faults.iter_mut().find(|fault| {
            fault.times > 0 && fault.range.start < read.end && read.start < fault.range.end
        })?;
        hit.times -= 1;
        Some((hit.kind, hit.range.start.max(read.start)))
    }

    fn wait(&self, read: &Range<u64>) {
        let since = {
            let mut state = self.state.lock().unwrap();
            let mut asked = state.asked.iter();
            let since = asked
                .find(|(range, _)| range.start <= read.start && read.end <= range.end)
                .map(|(_, when)| *when);
            state.unasked += usize::from(since.is_none());
            since
        };
        let waited = since.map_or(Duration::ZERO, |since| since.elapsed());
        sleep(self.latency.saturating_sub(waited));
    }
}

impl Storage for Faulty {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, range: Range<u64>, read: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let place = range.start as usize..range.end as usize;
        let bytes = self.bytes.get(place).ok_or(io::ErrorKind::UnexpectedEof)?;
        if !self.latency.is_zero() {
            self.wait(&range);
        }
        let Some((kind, place)) = self.next_fault(&range) else {
            read(bytes);
            return Ok(());
        };
        let at = (place - range.start) as usize;
        let refused = || Err(io::Error::from_raw_os_error(libc::EIO));
        match kind {
            Kind::Refused => return refused(),
            Kind::Gone => return Err(io::ErrorKind::UnexpectedEof.into()),
            Kind::Short => read(&bytes[..at]),
            Kind::Changed => {
                let mut bytes = bytes.to_vec();
                bytes[at] ^= 0x10;
                read(&bytes);
            }
            Kind::ZerosFirst | Kind::ZerosThenRefused => {
                let mut zeros = bytes.to_vec();
                zeros[at..].fill(0);
                read(&zeros);
                if kind == Kind::ZerosThenRefused {
                    return refused();
                }
                read(bytes);
            }
            Kind::Slow => {
                sleep(Duration::from_micros(500));
                read(bytes);
            }
        }
        Ok(())
    }

    fn will_need(&self, ranges: &[Range<u64>]) {
        let now = Instant::now();
        let asked = ranges.iter().map(|range| (range.clone(), now));
        self.state.lock().unwrap().asked.extend(asked);
    }

    fn hints(&self) -> Hints {
        self.hints
    }
}
