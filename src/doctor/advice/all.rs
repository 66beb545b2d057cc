//! All rules, one behind the other.

use super::rule::Advice;
use super::{load, machine, readers};
use crate::doctor::facts::Facts;

/// All that is to be said, what blocks first.
pub(crate) fn advise(facts: &Facts) -> Vec<Advice> {
    let rules = [machine::RULES, load::RULES, readers::RULES].concat();
    let mut all: Vec<_> = rules.iter().filter_map(|rule| rule(facts)).collect();
    all.sort_by_key(|advice| advice.weight);
    all
}
