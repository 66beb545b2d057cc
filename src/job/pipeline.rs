//! Work on a sequence of items on several threads: taken in order, worked on at once, handed over
//! in order.
//!
//! Each worker carries one item at a time in buffers of its own, so memory is bounded by the number
//! of workers and nothing is allocated per item. Taking and handing over happen under a lock each,
//! which makes them the places for sequential work: reading, hashing, writing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::os::in_scope;
use crate::sync::lock;

/// Runs all items through `take`, `work` and `hand_over` on one thread a worker, or as many as the system
/// starts.
///
/// `take` fills a worker with the next item and returns false when there is none left. `hand_over`
/// sees the items in the order in which they were taken.
///
/// # Errors
/// The first error of any of the three; the rest of the items are dropped then. `Interrupted` once
/// `cancel` is set.
pub fn run<W: Send>(
    workers: Vec<W>,
    cancel: &AtomicBool,
    take: impl FnMut(&mut W) -> Result<bool> + Send,
    work: impl Fn(&mut W) -> Result<()> + Sync,
    hand_over: impl FnMut(&mut W) -> Result<()> + Send,
) -> Result<()> {
    let line = Line {
        source: Mutex::new((0, take)),
        sink: Mutex::new((0, hand_over)),
        turn: Condvar::new(),
        stopped: AtomicBool::new(false),
        error: Mutex::new(None),
        cancel,
    };
    std::thread::scope(|scope| {
        let mut workers = workers.into_iter();
        let own = workers.next();
        for mut worker in workers {
            let (line, work) = (&line, &work);
            // Those that could be started do it as well; memory bounds their number anyway.
            if in_scope(scope, move || line.worker(&mut worker, work)).is_err() {
                break;
            }
        }
        if let Some(mut worker) = own {
            line.worker(&mut worker, &work);
        }
    });
    let error = line
        .error
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    error.map_or(Ok(()), Err)
}

struct Line<'a, T, H> {
    source: Mutex<(u64, T)>,
    sink: Mutex<(u64, H)>,
    turn: Condvar,
    stopped: AtomicBool,
    error: Mutex<Option<Error>>,
    cancel: &'a AtomicBool,
}

impl<T, H> Line<'_, T, H> {
    fn worker<W>(&self, worker: &mut W, work: &(impl Fn(&mut W) -> Result<()> + Sync))
    where
        T: FnMut(&mut W) -> Result<bool>,
        H: FnMut(&mut W) -> Result<()>,
    {
        // If this thread panics, the others must not wait for its turn for ever.
        let stop_on_panic = StopOnDrop(self);
        if let Err(error) = self.items(worker, work) {
            lock(&self.error).get_or_insert(error);
            return;
        }
        std::mem::forget(stop_on_panic);
    }

    fn items<W>(&self, worker: &mut W, work: &(impl Fn(&mut W) -> Result<()> + Sync)) -> Result<()>
    where
        T: FnMut(&mut W) -> Result<bool>,
        H: FnMut(&mut W) -> Result<()>,
    {
        loop {
            let number = {
                let mut source = lock(&self.source);
                if self.cancel.load(Ordering::Relaxed) {
                    return Err(Error::Interrupted);
                }
                if self.stopped.load(Ordering::Relaxed) || !(source.1)(worker)? {
                    return Ok(());
                }
                source.0 += 1;
                source.0 - 1
            };
            work(worker)?;
            let mut sink = lock(&self.sink);
            while sink.0 != number {
                if self.stopped.load(Ordering::Relaxed) {
                    return Ok(());
                }
                sink = self.turn.wait(sink).unwrap_or_else(PoisonError::into_inner);
            }
            (sink.1)(worker)?;
            sink.0 += 1;
            drop(sink);
            self.turn.notify_all();
        }
    }
}

struct StopOnDrop<'a, 'b, T, H>(&'a Line<'b, T, H>);

impl<T, H> Drop for StopOnDrop<'_, '_, T, H> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
        // Under the lock, so that no waiter misses it between its look and its wait.
        let _sink = lock(&self.0.sink);
        self.0.turn.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(threads: usize, count: u64, fail_at: Option<u64>) -> (Result<()>, Vec<u64>) {
        let mut next = 0;
        let mut out = Vec::new();
        let result = run(
            vec![0u64; threads],
            &AtomicBool::new(false),
            |item| {
                *item = next;
                next += 1;
                Ok(*item < count)
            },
            |item| {
                if Some(*item) == fail_at {
                    return Err(Error::InvalidInput("asked to".into()));
                }
                *item *= *item;
                Ok(())
            },
            |item| {
                out.push(*item);
                Ok(())
            },
        );
        (result, out)
    }

    #[test]
    fn items_are_handed_over_in_order() {
        for threads in [1, 2, 7] {
            let (result, out) = squares(threads, 500, None);
            result.unwrap();
            assert_eq!(out, (0..500).map(|i| i * i).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_error_stops_every_worker() {
        for threads in [1, 4] {
            let (result, out) = squares(threads, 1_000_000, Some(100));
            assert!(matches!(result, Err(Error::InvalidInput(_))));
            assert!(out.len() <= 100);
        }
    }

    #[test]
    fn cancelling_ends_in_interrupted() {
        let cancel = AtomicBool::new(true);
        let result = run(
            vec![(); 3],
            &cancel,
            |()| Ok(true),
            |()| Ok(()),
            |()| Ok(()),
        );
        assert!(matches!(result, Err(Error::Interrupted)));
    }

    #[test]
    fn a_panic_of_one_worker_does_not_hang_the_others() {
        let caught = std::panic::catch_unwind(|| {
            let mut next = 0;
            run(
                vec![0; 4],
                &AtomicBool::new(false),
                |item| {
                    *item = next;
                    next += 1;
                    Ok(next < 1000)
                },
                |item| {
                    assert!(*item != 50, "on purpose");
                    Ok(())
                },
                |_| Ok(()),
            )
        });
        assert!(caught.is_err());
    }
}
