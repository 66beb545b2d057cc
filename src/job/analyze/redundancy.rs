//! Whether tensors of the same role in neighbouring layers resemble each other.

use std::collections::BTreeMap;

use serde::Serialize;

use super::values::numbers;
use crate::error::Result;
use crate::job::source_file::SourceFile;
use crate::model::{ReadAt, Tensor};

/// Elements that are compared of each pair, in pieces spread over the tensor.
const COMPARED_ELEMENTS: u64 = 1 << 16;
const PIECES: u64 = 4;
/// Smaller tensors say nothing.
const ENOUGH_BYTES: u64 = 1024;
/// Most pairs that are compared.
const ENOUGH_PAIRS: usize = 4096;

/// How alike tensors of neighbouring layers are.
#[derive(Debug, Clone, Serialize)]
pub struct Redundancy {
    /// Pairs of tensors that were compared.
    pub pairs: usize,
    /// Median of Pearson's correlation of the pairs: 0 for tensors that have nothing in common.
    pub median: f64,
    /// 5 % of the pairs have a smaller one.
    pub percentile_5: f64,
    /// 5 % of the pairs have a greater one.
    pub percentile_95: f64,
}

/// The number of a tensor's layer, and its name with a star in place of that: the role.
pub(super) fn layer(name: &str) -> Option<(u32, String)> {
    let parts: Vec<&str> = name.split('.').collect();
    let at = parts.iter().position(|part| part.parse::<u32>().is_ok())?;
    let number = parts[at].parse().ok()?;
    let role: Vec<&str> = parts
        .iter()
        .enumerate()
        .map(|(i, part)| if i == at { "*" } else { part })
        .collect();
    Some((number, role.join(".")))
}

/// Compares each tensor with that of the next layer. `None` if there are no such pairs.
///
/// # Errors
/// `Io` if the file cannot be read.
pub(super) fn redundancy(source: &SourceFile, tensors: &[&Tensor]) -> Result<Vec<f64>> {
    let mut by_role = BTreeMap::new();
    for tensor in tensors {
        let element = tensor.element;
        if element.exponent_bits().is_some()
            && tensor.shape.len() > 1
            && tensor.range.end - tensor.range.start >= ENOUGH_BYTES
            && let Some((number, role)) = layer(&tensor.name)
        {
            by_role.insert((role, number), tensor);
        }
    }
    let mut found = Vec::new();
    for ((role, number), tensor) in &by_role {
        let next = by_role.get(&(role.clone(), number.wrapping_add(1)));
        if let Some(next) = next
            && (&next.shape, &next.dtype) == (&tensor.shape, &tensor.dtype)
            && found.len() < ENOUGH_PAIRS
        {
            let (a, b) = (sample(source, tensor)?, sample(source, next)?);
            found.extend(pearson(&a, &b));
        }
    }
    Ok(found)
}

pub(super) fn summary(mut correlations: Vec<f64>) -> Option<Redundancy> {
    correlations.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        correlations
            .get(correlations.len() * percent / 100)
            .copied()
    };
    Some(Redundancy {
        pairs: correlations.len(),
        median: at(50)?,
        percentile_5: at(5)?,
        percentile_95: at(95)?,
    })
}

fn sample(source: &SourceFile, tensor: &Tensor) -> Result<Vec<f64>> {
    let element = tensor.element;
    let width = u64::from(element.bytes());
    let elements = (tensor.range.end - tensor.range.start) / width;
    let piece = (elements / PIECES).clamp(1, COMPARED_ELEMENTS / PIECES);
    let mut values = Vec::new();
    let mut bytes = vec![0; usize::try_from(piece * width).unwrap_or(0)];
    for i in 0..PIECES {
        let first = u128::from(elements - piece) * u128::from(i) / u128::from(PIECES - 1);
        let at = tensor.range.start + u64::try_from(first).unwrap_or(0) * width;
        source.read_at(&mut bytes, at)?;
        values.extend(numbers(element, &bytes));
    }
    Ok(values)
}

/// `None` where one of both does not vary, or holds values that are no numbers.
fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let len = a.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / len;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        both += a * b;
        of_a += a * a;
        of_b += b * b;
    }
    let correlation = both / (of_a * of_b).sqrt();
    correlation.is_finite().then_some(correlation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_found_in_names() {
        let found = layer("model.layers.12.mlp.up_proj.weight");
        assert_eq!(
            found,
            Some((12, "model.layers.*.mlp.up_proj.weight".into()))
        );
        assert_eq!(layer("lm_head.weight"), None);
        // Experts have a number of their own, behind that of the layer.
        let expert = layer("layers.3.experts.7.w1").unwrap();
        assert_eq!(expert, (3, "layers.*.experts.7.w1".into()));
    }

    #[test]
    fn correlations_of_what_is_alike_and_what_is_not() {
        let a: Vec<f64> = (0..1000).map(|i| f64::from(i * 7919 % 1009)).collect();
        let b: Vec<f64> = a.iter().map(|x| 3.0 - 2.0 * x).collect();
        let c: Vec<f64> = (0..1000).map(|i| f64::from(i * 104_729 % 997)).collect();
        assert!((pearson(&a, &a).unwrap() - 1.0).abs() < 1e-9);
        assert!((pearson(&a, &b).unwrap() + 1.0).abs() < 1e-9);
        assert!(pearson(&a, &c).unwrap().abs() < 0.2);
        assert_eq!(pearson(&a, &vec![1.0; 1000]), None);
        let found = summary(vec![0.3, -0.1, 0.1]).unwrap();
        assert_eq!((found.pairs, found.median), (3, 0.1));
        assert!(summary(Vec::new()).is_none());
    }
}
