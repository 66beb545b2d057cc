//! Sharing between threads.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::error::Result;

/// How many threads the system runs at once; 1 if it does not say.
pub fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Locks a mutex of which nobody panics while what it guards is half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks what nobody changes meanwhile, together with others.
pub fn together<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks what nobody else looks at meanwhile.
pub fn alone<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Things that are costly to make, of which each user needs one for itself for a moment.
#[derive(Debug)]
pub struct Pool<T> {
    idle: Mutex<Vec<T>>,
    most_idle: NonZeroUsize,
}

impl<T> Pool<T> {
    /// A pool that keeps at most `most_idle` things that nobody uses.
    pub const fn new(most_idle: NonZeroUsize) -> Self {
        Self {
            idle: Mutex::new(Vec::new()),
            most_idle,
        }
    }

    /// Lends a thing from the pool to `use_it`, or a new one if all are in use.
    ///
    /// # Errors
    /// That of `make` or of `use_it`.
    pub fn with<R>(
        &self,
        make: impl FnOnce() -> Result<T>,
        use_it: impl FnOnce(&mut T) -> Result<R>,
    ) -> Result<R> {
        let idle = lock(&self.idle).pop();
        let mut thing = idle.map_or_else(make, Ok)?;
        let result = use_it(&mut thing);
        let mut idle = lock(&self.idle);
        if idle.len() < self.most_idle.get() {
            idle.push(thing);
        }
        result
    }
}
