//! Readers of one file, told apart and followed by their reads alone, and what to fetch ahead of each.
//!
//! Several threads may go through a file at once, each in its own place, on one descriptor or on many;
//! the reads of one may come in another order than it made them, since the kernel reads ahead. A run of
//! reads that go forward is a stream. Pure bookkeeping: no clock, no I/O, no threads.

use std::ops::Range;

use super::order::{Order, Orders};
use crate::os::page_bytes;

/// Streams that are followed at once; loaders have at most a few threads a file.
const ENOUGH_STREAMS: usize = 16;
/// How far ahead of where a stream has come to a read may begin and still be part of it, and how far
/// behind. Programs copy forward in pieces of a MiB or so and, where it suits the processor, backward
/// within each.
const AHEAD_BYTES: u64 = 1 << 20;
const BEHIND_BYTES: u64 = 2 << 20;
/// How far behind its start a tensor may be entered.
const ENTRY_BYTES: u64 = 256 << 10;
/// A stream must have gone so far before anything is fetched for it: who looks at a header wants no
/// more.
const ENOUGH_RUN_BYTES: u64 = 512 << 10;
/// And read so often: one long read at random shows nothing.
const ENOUGH_READS: u64 = 2;
/// Parts that the storage is asked for what lies behind the window in.
const ASK_STEPS: u64 = 4;
/// Steps of the same length after which the next one is expected.
const STEPS_TO_TRUST: u32 = 3;

/// How far to fetch ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::file) struct Reach {
    /// Bytes ahead of a stream that has gone as far already.
    pub window_bytes: u64,
    /// Least bytes that are fetched at a time, but at the start and the end.
    pub step_bytes: u64,
    /// Bytes right behind a read that are left to the kernel, which reads them already.
    pub lead_bytes: u64,
    /// False if the kernel reads ahead well enough where a stream just goes on, so that only the
    /// tensors it jumps to are left to fetch.
    pub goes_on: bool,
    /// How many bytes beyond the window the storage is to be asked for; none if it is never asked.
    pub ask_bytes: u64,
}

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::file) struct Fetch {
    /// Bytes of the file.
    pub range: Range<u64>,
    /// True if the reader will want all of it.
    pub dense: bool,
}

/// What to ask the storage for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::file) struct Ask {
    /// Bytes of the file.
    pub range: Range<u64>,
    /// True if what lies before was asked for by the last question.
    pub goes_on: bool,
}

impl Ask {
    /// A range, wherever the last one was.
    pub fn anew(range: &Range<u64>) -> Self {
        Self {
            range: range.clone(),
            goes_on: false,
        }
    }
}

/// What a read leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::file) struct Findings {
    /// Bytes of the file that the storage is to make ready what is stored of.
    pub asks: Vec<Ask>,
    /// What to fetch.
    pub fetches: Vec<Fetch>,
    /// Bytes that were fetched and that a stream has passed since.
    pub used: u64,
    /// Bytes that were fetched for a stream that is given up.
    pub wasted: u64,
    /// True if it belongs to a stream that has gone far enough to be followed.
    pub goes_on: bool,
    /// True if that stream is as near to the end of the file as it is fetched ahead of.
    pub near_end: bool,
}

/// A run of reads that go forward.
#[derive(Debug, Clone, Default)]
struct Stream {
    /// Where it began.
    start: u64,
    /// Where its reads have come to.
    next: u64,
    /// What was fetched for it last: up to here, without a gap since `fetched_from`.
    asked: u64,
    fetched_from: u64,
    /// What the storage was asked for: up to here.
    made_ready: u64,
    /// Bytes it has read, or passed where they were fetched.
    taken: u64,
    /// Number of its last read.
    last: u64,
    /// How many reads it had.
    reads: u64,
    /// True if something was fetched for it before its first read.
    foreseen: bool,
    /// Where its last read began, its length, and how far it was from the one before.
    at: u64,
    len: u64,
    step: u64,
    same_steps: u32,
    /// The tensor it is in, if that is known.
    tensor: Option<usize>,
}

/// The streams of a file.
#[derive(Debug, Default)]
pub(in crate::file) struct Streams {
    streams: Vec<Stream>,
    /// Reads so far.
    reads: u64,
    /// Ranges that are being answered.
    reading: Vec<Range<u64>>,
    orders: Orders,
    /// Whether the order of the tensors was known at the last read.
    knows_order: bool,
}

impl Streams {
    /// Notes a read that begins; each must be ended by `done`.
    pub fn begin(&mut self, read: &Range<u64>, file: &FileShape<'_>, reach: Reach) -> Findings {
        self.reading.push(read.clone());
        self.reads += 1;
        let mut findings = Findings::default();
        let number = self
            .expecting(read.start)
            .unwrap_or_else(|| self.start(Stream::at(read.start), &mut findings));
        let stream = &mut self.streams[number];
        stream.last = self.reads;
        let is_first = stream.reads == 0;
        stream.go_on(read, &mut findings);
        if let Some(order) = file.order {
            stream.tensor = order.tensor_at(stream.next.saturating_sub(1));
            if is_first {
                self.note_start(number, read.start, order);
            }
            if !self.knows_order {
                self.knows_order = true;
                self.note_starts(order);
            }
        }
        self.look_ahead(number, file, reach, &mut findings);
        findings
    }

    /// Something is fetched for a reader that is expected.
    pub fn expect(&mut self, range: &Range<u64>) -> Findings {
        let mut findings = Findings::default();
        self.start(Stream::foreseen(range), &mut findings);
        findings
    }

    /// True if anybody reads or is expected to.
    pub fn has_any(&self) -> bool {
        !self.streams.is_empty()
    }

    /// A read is answered.
    pub fn done(&mut self, read: &Range<u64>) {
        if let Some(i) = self.reading.iter().position(|reading| reading == read) {
            self.reading.swap_remove(i);
        }
    }

    /// The whole pages of a range that nobody is reading now.
    pub fn nobody_reads(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let page = page_bytes();
        let mut free = vec![range];
        for reading in &self.reading {
            let taken = reading.start / page * page..reading.end.next_multiple_of(page);
            free = free
                .into_iter()
                .flat_map(|part| {
                    [
                        part.start..part.end.min(taken.start),
                        part.start.max(taken.end)..part.end,
                    ]
                })
                .filter(|part| part.start < part.end)
                .collect();
        }
        free
    }

    /// True if the stream that something was fetched for has come past it.
    pub fn has_passed(&self, range: &Range<u64>) -> bool {
        self.streams.iter().any(|stream| {
            stream.fetched_from <= range.start
                && range.end <= stream.asked
                && range.end <= stream.next
        })
    }

    /// What becomes of all that was fetched when nobody reads the file any more. What was fetched up to
    /// its end counts as used: a reader that gets there reads no more.
    pub fn end(&mut self, file_bytes: u64) -> Findings {
        let mut findings = Findings::default();
        for stream in self.streams.drain(..) {
            if stream.asked == file_bytes {
                findings.used += stream.left();
            } else {
                findings.wasted += stream.left();
            }
        }
        findings
    }

    /// The order of the tensors has become known: streams that began before tell as much as those to
    /// come, of which there may be none, as a reader who comes round again goes on with them.
    fn note_starts(&mut self, order: &Order) {
        for stream in &mut self.streams {
            stream.tensor = order.tensor_at(stream.next.saturating_sub(1));
        }
        for number in 0..self.streams.len() {
            let start = self.streams[number].start;
            if let Some(tensor) = order.tensor_at(start)
                && !self.streams[number].foreseen
            {
                let others = (self.streams.iter().enumerate())
                    .filter(|&(other, _)| other != number)
                    .filter_map(|(_, stream)| stream.tensor);
                self.orders.began(order, tensor, others);
            }
        }
    }

    /// A stream had its first read; where it is tells in which order tensors are read.
    fn note_start(&mut self, number: usize, at: u64, order: &Order) {
        let stream = &self.streams[number];
        if stream.foreseen {
            self.orders.foresaw(true);
        }
        let tensor = stream.tensor.filter(|&tensor| {
            let start = order.start_of(tensor);
            (start.saturating_sub(page_bytes())..start + ENTRY_BYTES).contains(&at)
        });
        if let Some(tensor) = tensor {
            let others = (self.streams.iter().enumerate())
                .filter(|&(other, _)| other != number)
                .filter_map(|(_, stream)| stream.tensor);
            self.orders.began(order, tensor, others);
        }
    }

    /// The stream that expects a read at an offset.
    fn expecting(&self, offset: u64) -> Option<usize> {
        (0..self.streams.len())
            .filter(|&i| self.streams[i].expects(offset))
            .min_by_key(|&i| {
                let stream = &self.streams[i];
                (!stream.has_fetched(offset), stream.next.abs_diff(offset))
            })
    }

    /// Follows one more stream, in the place of the one that was quiet for longest.
    fn start(&mut self, mut stream: Stream, findings: &mut Findings) -> usize {
        stream.last = self.reads;
        if self.streams.len() < ENOUGH_STREAMS {
            self.streams.push(stream);
            return self.streams.len() - 1;
        }
        // One that has come far reads seldom where it is fetched ahead of, and must outlive those who
        // read here and there.
        let oldest = (0..self.streams.len())
            .min_by_key(|&i| (self.streams[i].has_come_far(), self.streams[i].last))
            .unwrap_or(0);
        let given_up = std::mem::replace(&mut self.streams[oldest], stream);
        findings.wasted += given_up.left();
        if given_up.foreseen && given_up.reads == 0 {
            self.orders.foresaw(false);
        }
        oldest
    }

    /// Finds what to fetch ahead of a stream.
    fn look_ahead(
        &mut self,
        number: usize,
        file: &FileShape<'_>,
        reach: Reach,
        findings: &mut Findings,
    ) {
        let stream = &mut self.streams[number];
        let run = stream
            .next
            .saturating_sub(stream.start.max(file.data_start));
        if run < ENOUGH_RUN_BYTES || (stream.reads < ENOUGH_READS && !stream.foreseen) {
            return;
        }
        findings.goes_on = true;
        if stream.taken < run / 2 {
            let fetch = stream.strided(file.bytes);
            if let Some(fetch) = fetch.as_ref().filter(|_| reach.ask_bytes > 0) {
                findings.asks.push(Ask::anew(&fetch.range));
            }
            findings.fetches.extend(fetch);
            return;
        }
        let window = run.min(reach.window_bytes);
        let wanted = stream.next + reach.lead_bytes + window;
        let jump = file
            .order
            .zip(stream.tensor)
            .and_then(|(order, tensor)| self.orders.jump(order, tensor, wanted));
        let end = jump.map_or(file.bytes, |(end, _)| end).min(file.bytes);
        findings.near_end = wanted >= file.bytes;
        findings
            .asks
            .extend(stream.ask(wanted, run.min(reach.ask_bytes), end));
        let from = stream.asked.max(stream.next + reach.lead_bytes);
        let to = wanted.min(end);
        let step = reach.step_bytes.min(window);
        if reach.goes_on && from < to && (to - from >= step || to == end) {
            if stream.asked <= stream.next {
                stream.fetched_from = from;
            }
            stream.asked = to;
            findings.fetches.push(Fetch {
                range: from..to,
                dense: true,
            });
        }
        if let Some((_, next)) = jump
            && !self.streams.iter().any(|stream| stream.has_fetched(next))
        {
            let range = next..(next + window.max(reach.step_bytes)).min(file.bytes);
            self.start(Stream::foreseen(&range), findings);
            if reach.ask_bytes > 0 {
                findings.asks.push(Ask::anew(&range));
            }
            findings.fetches.push(Fetch { range, dense: true });
        }
    }
}

/// What is known of a file.
#[derive(Debug, Clone, Copy)]
pub(in crate::file) struct FileShape<'a> {
    pub bytes: u64,
    /// Where the header ends.
    pub data_start: u64,
    /// The tensors in which order, once that is known.
    pub order: Option<&'a Order>,
}

impl Stream {
    fn at(start: u64) -> Self {
        Self {
            start,
            next: start,
            at: start,
            ..Self::default()
        }
    }

    /// A stream that something was fetched for before its first read: trusted as one that has gone as
    /// far already.
    fn foreseen(range: &Range<u64>) -> Self {
        Self {
            foreseen: true,
            start: range.start.saturating_sub(range.end - range.start),
            taken: range.end - range.start,
            fetched_from: range.start,
            asked: range.end,
            made_ready: range.end,
            ..Self::at(range.start)
        }
    }

    fn expects(&self, offset: u64) -> bool {
        let from = self.next.saturating_sub(BEHIND_BYTES);
        (from..=self.next.max(self.asked) + AHEAD_BYTES).contains(&offset)
    }

    fn has_come_far(&self) -> bool {
        self.reads >= ENOUGH_READS && self.next - self.start >= ENOUGH_RUN_BYTES
    }

    /// True if a byte was fetched for it.
    fn has_fetched(&self, offset: u64) -> bool {
        (self.fetched_from..self.asked).contains(&offset)
    }

    fn go_on(&mut self, read: &Range<u64>, findings: &mut Findings) {
        self.reads += 1;
        let step = read.start.saturating_sub(self.at);
        self.same_steps = if step > 0 && step == self.step {
            self.same_steps + 1
        } else {
            0
        };
        self.step = step;
        self.at = read.start;
        self.len = read.end - read.start;
        let next = self.next.max(read.end);
        let passed = next
            .min(self.asked)
            .saturating_sub(self.next.max(self.fetched_from));
        findings.used += passed;
        // What lies between two reads was taken from what was fetched.
        self.taken += passed.max(self.len);
        self.next = next;
    }

    /// What the storage is to make ready: all that is `wanted` and `more` behind it, up to an end. In steps
    /// of a part of that, so that few questions are asked.
    fn ask(&mut self, wanted: u64, more: u64, end: u64) -> Option<Ask> {
        let range = self.made_ready.max(self.next)..wanted.saturating_add(more).min(end);
        let enough = range.start < range.end
            && (range.end == end || range.end - range.start >= more / ASK_STEPS);
        if more == 0 || !enough {
            return None;
        }
        let goes_on = range.start == self.made_ready;
        self.made_ready = range.end;
        Some(Ask { range, goes_on })
    }

    /// Bytes that were fetched and not passed yet.
    fn left(&self) -> u64 {
        self.asked.saturating_sub(self.next.max(self.fetched_from))
    }

    /// The next piece of a reader that takes a piece and leaves some, always as much.
    fn strided(&mut self, file_bytes: u64) -> Option<Fetch> {
        if self.same_steps < STEPS_TO_TRUST {
            return None;
        }
        let at = self.at + self.step;
        let range = at..(at + self.len).min(file_bytes);
        if range.is_empty() || range.end <= self.asked {
            return None;
        }
        if self.asked <= self.next {
            self.fetched_from = range.start;
        }
        self.asked = range.end;
        Some(Fetch {
            range,
            dense: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::one_mib_each;
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const REACH: Reach = Reach {
        window_bytes: 4 * MIB,
        step_bytes: MIB,
        lead_bytes: 0,
        goes_on: true,
        ask_bytes: 0,
    };
    const FILE: FileShape<'_> = FileShape {
        bytes: 64 * MIB,
        data_start: 0,
        order: None,
    };

    fn read(streams: &mut Streams, range: Range<u64>, file: &FileShape<'_>) -> Findings {
        let findings = streams.begin(&range, file, REACH);
        streams.done(&range);
        findings
    }

    /// Reads a range in pieces; returns what was to be fetched, in one where it meets.
    fn read_through(
        streams: &mut Streams,
        range: Range<u64>,
        file: &FileShape<'_>,
    ) -> Vec<Range<u64>> {
        let mut fetched: Vec<Range<u64>> = Vec::new();
        for at in range.clone().step_by(128 << 10) {
            let piece = at..(at + 128 * KIB).min(range.end);
            for fetch in read(streams, piece, file).fetches {
                match fetched.last_mut() {
                    Some(last) if last.end == fetch.range.start => last.end = fetch.range.end,
                    _ => fetched.push(fetch.range),
                }
            }
        }
        fetched
    }

    #[test]
    fn a_stream_is_fetched_ahead_of_as_far_as_it_has_come() {
        let mut streams = Streams::default();
        assert!(read_through(&mut streams, 0..384 * KIB, &FILE).is_empty());
        let fetched = read_through(&mut streams, 384 * KIB..8 * MIB, &FILE);
        assert_eq!(fetched.len(), 1, "{fetched:?}");
        assert!(fetched[0].end >= 11 * MIB && fetched[0].end <= 12 * MIB);
        // Where it was fetched there are no reads but here and there.
        let findings = read(&mut streams, 10 * MIB..10 * MIB + 4096, &FILE);
        assert_eq!(findings.used, 2 * MIB + 4096);
        assert!(findings.fetches[0].range.end > 13 * MIB);
        let end = streams.end(FILE.bytes);
        assert_eq!(end.wasted, findings.fetches[0].range.end - 10 * MIB - 4096);
        // To the end and no further.
        let fetched = read_through(&mut streams, 56 * MIB..64 * MIB, &FILE);
        assert_eq!(fetched.last().unwrap().end, FILE.bytes);
    }

    #[test]
    fn looking_at_a_header_fetches_nothing() {
        let file = FileShape {
            data_start: 20 * MIB,
            ..FILE
        };
        let mut streams = Streams::default();
        assert!(read_through(&mut streams, 0..20 * MIB, &file).is_empty());
        assert!(!read_through(&mut streams, 20 * MIB..21 * MIB, &file).is_empty());
    }

    #[test]
    fn random_reads_fetch_nothing() {
        let mut streams = Streams::default();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let at = random.u64(..FILE.bytes / 4096) * 4096;
            let findings = read(&mut streams, at..at + 4096, &FILE);
            assert!(findings.fetches.is_empty(), "{findings:?}");
        }
        assert!(streams.streams.len() <= ENOUGH_STREAMS && streams.reading.is_empty());
    }

    #[test]
    fn readers_in_several_places_are_several_streams_whatever_the_order_of_their_reads() {
        let mut streams = Streams::default();
        let mut fetched = [0u64; 4];
        for i in 0..32 {
            for (reader, fetched) in (0..).zip(&mut fetched) {
                // Two by two in the wrong order.
                let at = reader * 16 * MIB + (i ^ 1) * 128 * KIB;
                for fetch in read(&mut streams, at..at + 128 * KIB, &FILE).fetches {
                    assert_eq!(fetch.range.start / (16 * MIB), reader);
                    *fetched += fetch.range.end - fetch.range.start;
                }
            }
        }
        assert!(fetched.iter().all(|&bytes| bytes > 3 * MIB), "{fetched:?}");
    }

    #[test]
    fn slices_at_equal_distances_are_expected() {
        let mut streams = Streams::default();
        let mut fetched = Vec::new();
        for row in 0..40 {
            let at = row * 200 * KIB;
            for fetch in read(&mut streams, at..at + 20 * KIB, &FILE).fetches {
                assert!(!fetch.dense);
                fetched.push(fetch.range);
            }
        }
        assert!(fetched.len() > 30);
        assert!(fetched.contains(&(20 * 200 * KIB..20 * 201 * KIB)));
    }

    #[test]
    fn what_is_being_read_is_left_out() {
        let mut streams = Streams::default();
        for read in [4000..5000, 12 * KIB..20 * KIB] {
            streams.begin(&read, &FILE, REACH);
        }
        assert_eq!(
            streams.nobody_reads(0..32 * KIB),
            [8 * KIB..12 * KIB, 20 * KIB..32 * KIB]
        );
        streams.done(&(4000..5000));
        streams.done(&(12 * KIB..20 * KIB));
        assert_eq!(streams.nobody_reads(0..KIB)[0], 0..KIB);
    }

    #[test]
    fn the_storage_is_asked_once_for_each_byte_and_before_it_is_fetched() {
        for goes_on in [true, false] {
            let reach = Reach {
                ask_bytes: 8 * MIB,
                goes_on,
                ..REACH
            };
            let mut streams = Streams::default();
            let (mut asked, mut questions, mut fetched) = (0, 0, 0);
            for at in (0..FILE.bytes).step_by(128 << 10) {
                let read = at..at + 128 * KIB;
                let findings = streams.begin(&read, &FILE, reach);
                streams.done(&read);
                for ask in findings.asks {
                    // What nobody asks for is what was read before anybody is followed.
                    assert_eq!(ask.goes_on, questions > 0);
                    assert!(ask.range.start == asked || questions == 0, "{ask:?}");
                    assert!(ask.range.start < ask.range.end);
                    (asked, questions) = (ask.range.end, questions + 1);
                }
                for fetch in findings.fetches {
                    assert!(fetch.range.end <= asked, "{fetch:?} at {at}");
                    fetched = fetch.range.end;
                }
                if at > 16 * MIB {
                    assert!(asked >= (read.end + 10 * MIB).min(FILE.bytes), "at {at}");
                }
            }
            assert_eq!(asked, FILE.bytes, "and no further");
            assert_eq!(fetched, if goes_on { FILE.bytes } else { 0 });
            assert!(questions < 64, "{questions} questions");
        }
    }

    #[test]
    fn the_next_tensor_is_fetched_in_the_order_of_the_reader() {
        let order = one_mib_each(&["l.0", "l.1", "l.10", "l.11", "l.2", "l.3", "l.30", "l.4"]);
        let file = FileShape {
            bytes: 8 * MIB,
            order: Some(&order),
            ..FILE
        };
        // A kernel that reads ahead itself: only jumps are fetched.
        let jumps = Reach {
            goes_on: false,
            ..REACH
        };
        let mut streams = Streams::default();
        let mut read = |range: Range<u64>| {
            let mut fetched = Vec::new();
            for at in range.step_by(512 << 10) {
                let read = at..at + 512 * KIB;
                let findings = streams.begin(&read, &file, jumps);
                streams.done(&read);
                fetched.extend(findings.fetches.into_iter().map(|fetch| fetch.range));
            }
            fetched
        };
        // As far as the kernel reads, which is further than the reader.
        assert!(read(0..5 * MIB / 2).is_empty());
        // The first jump shows the order; the one from l.3 to l.4 is foreseen, once.
        assert_eq!(read(4 * MIB..13 * MIB / 2), vec![7 * MIB..8 * MIB; 1]);
        // And from there to l.10.
        assert_eq!(read(7 * MIB..8 * MIB)[0].start, 2 * MIB);
    }

    #[test]
    fn an_order_that_becomes_known_late_is_of_use_all_the_same() {
        let order = one_mib_each(&["l.0", "l.1", "l.10", "l.11", "l.2", "l.3", "l.30", "l.4"]);
        let jumps = Reach {
            goes_on: false,
            ..REACH
        };
        for known_after in 0..20 {
            let mut streams = Streams::default();
            // Round and round, as a reader who looks at a model again.
            let places = [0, 1, 4, 5].map(|tensor| tensor * MIB);
            let halves = places.map(|at| [at, at + MIB / 2]);
            let found = (0..)
                .zip(halves.as_flattened().iter().cycle().take(64))
                .any(|(reads, &at)| {
                    let file = FileShape {
                        bytes: 8 * MIB,
                        order: (reads >= known_after).then_some(&order),
                        ..FILE
                    };
                    let read = at..at + MIB / 2;
                    let findings = streams.begin(&read, &file, jumps);
                    streams.done(&read);
                    let fetches = findings.fetches.iter();
                    fetches
                        .map(|fetch| fetch.range.start)
                        .any(|start| start == 7 * MIB)
                });
            assert!(found, "known after {known_after} reads");
        }
    }
}
