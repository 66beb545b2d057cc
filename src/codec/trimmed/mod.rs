//! Planes in which runs of fields end in zero bits: of these fields only the rest is stored.
//!
//! Between the full values of a table of F32 there may be rows of f16 or bf16 values, where parts of
//! the model come from a training in that precision. Of the plane of low mantissa bits, which is
//! noise otherwise, these rows use the top 3 bits, or none. Subnormals of f16 use fewer still, so
//! that there are no exceptions to code.
//!
//! A coded plane is its runs, then the fields of each run:
//!
//! | bytes | |
//! |---|---|
//! | 4 | run 0: in bits 0 to 4 the number `z` of zero bits, at most `width`; in bits 5 to 31 the number `n` of fields, not zero |
//! | 4 | run 1, and so on until the runs hold all fields of the plane |
//! | `ceil(n * (width - z) / 8)` | the fields of run 0 without their `z` lowest bits, which are zero, as a plane of `n` fields of `width - z` bits |
//! | ... | the fields of run 1, and so on |
//!
//! Runs may meet at any field: rows cost the same wherever block boundaries cut the tensor. A run of
//! full fields is a copy, and a run of zeros takes no bytes.

mod choose;
mod decode;
mod encode;
mod groups;
mod run;
#[cfg(test)]
mod tests;

pub(super) use decode::decode_into;
pub(super) use encode::encode;
