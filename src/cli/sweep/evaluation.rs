//! What `benches/evaluate_models.py` found of a model and its variants, as far as it is of use here.

use std::path::Path;

use crate::console::csv_file::Table;
use crate::error::{Error, Result};
use crate::printable::printable_name;

/// Names of the column of variants.
const NAMES: [&str; 2] = ["name", "variant"];
/// Names of columns of mean KL divergence to the original, and of cosine to its embeddings.
const DIVERGENCES: [&str; 2] = ["kl_mean", "kl"];
const COSINES: [&str; 2] = ["cosine_mean", "cosine"];
/// Quality falls where the distance is above this: in nats a token what the better of 5-bit formats have, and one
/// percent of cosine.
const MOST_DISTANCE: f64 = 0.01;

/// A variant of the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) bits: f64,
    /// From the original.
    pub(super) distance: f64,
}

/// All variants, by bits.
#[derive(Debug)]
pub(super) struct Evaluation {
    /// What the distance is.
    pub(super) measure: &'static str,
    pub(super) variants: Vec<Variant>,
}

impl Evaluation {
    /// Reads a table.
    ///
    /// # Errors
    /// `Io` if it cannot be read, `InvalidInput` if it has not what is needed.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let table = Table::read(path, false)?;
        let column = |names: &[&str]| {
            let is_one = |name: &str| names.contains(&name.trim());
            table.names.iter().position(is_one)
        };
        let needed = |names: &[&str]| {
            column(names).ok_or_else(|| {
                Error::InvalidInput(format!(
                    "{}: there is no column {}; give a table that benches/evaluate_models.py made",
                    printable_name(path),
                    names.join(" or ")
                ))
            })
        };
        let (name, bits) = (needed(&NAMES)?, needed(&["bits"])?);
        let (measure, distance, is_cosine) = match (column(&DIVERGENCES), column(&COSINES)) {
            (None, Some(cosine)) => ("1 - cosine of embeddings", cosine, true),
            _ => (
                "mean KL divergence, nats a token",
                needed(&DIVERGENCES)?,
                false,
            ),
        };
        let mut variants = Vec::new();
        for row in &table.rows {
            // What was not measured is empty.
            let number = |column: usize| row[column].trim().parse::<f64>().ok();
            if let (Some(bits), Some(found)) = (number(bits), number(distance)) {
                variants.push(Variant {
                    name: row[name].to_owned(),
                    bits,
                    distance: if is_cosine { 1.0 - found } else { found },
                });
            }
        }
        if variants.is_empty() {
            return Err(Error::InvalidInput(format!(
                "{}: no variant has both bits and a distance",
                printable_name(path)
            )));
        }
        variants.sort_by(|a, b| a.bits.total_cmp(&b.bits));
        Ok(Self { measure, variants })
    }

    /// The fewest bits of a variant that is still near; below, quality falls.
    pub(super) fn enough_bits(&self) -> Option<f64> {
        let mut near = self
            .variants
            .iter()
            .filter(|one| one.distance <= MOST_DISTANCE);
        near.next().map(|one| one.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Evaluation> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Evaluation::read(file.path())
    }

    #[test]
    fn columns_are_told_by_name_and_what_is_missing_is_said() {
        let found =
            read("bits,other,kl_mean,name\n8,x,0.001,a\n4,y,0.1,b\n6,,0.009,c\n5,,,d\n").unwrap();
        let names: Vec<_> = found.variants.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["b", "c", "a"]);
        assert_eq!(found.enough_bits(), Some(6.0));
        let found = read("variant,bits,cosine_mean\na,4,0.9\n").unwrap();
        assert_eq!(found.enough_bits(), None);
        for (text, what) in [
            ("name,kl\na,1\n", "there is no column bits"),
            ("name,bits\na,1\n", "there is no column kl_mean or kl"),
            ("name,bits,kl\na,x,1\n", "no variant has both"),
            ("", "there is no column name"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(what), "{text:?}: {error}");
        }
    }
}
