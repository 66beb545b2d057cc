//! Reading ahead: which streams readers follow, in which order they take tensors, and the threads that
//! fetch what comes next.

pub(super) mod order;
pub(super) mod prefetch;
pub(super) mod streams;
