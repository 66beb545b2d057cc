//! What an encoder is told beside the plane.

use super::plane::Groups;
use super::scaled::Segment;

/// What an encoder may make use of beside the plane. Decoders find out the same by themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// Which matrices of the model the fields belong to.
    pub segments: &'a [Segment],
    /// The groups the fields are in.
    pub groups: Option<Groups<'a>>,
    /// The numbers that the levels were made of, in steps from level 0 on; empty if steps are not equal.
    pub in_steps: &'a [f32],
}
