//! The arguments of lossy packing, and what they mean together.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::console::size;
use crate::error::{Error, Result};
use crate::grid::ScaleFit;
use crate::job::{Asked, DEFAULT_GROUP, Grid, LossyOptions, Rule, Setting};

/// How to make models lossy. One of the bounds, --quantize, --bits or --target-size asks for it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Lossy packing (docs/LOSSY.md)")]
pub(super) struct LossyArgs {
    /// Keep every number of a matrix within E of what it was
    #[arg(long, value_name = "E", group = "asked")]
    error_bound: Option<f64>,
    /// The same within R times the range of the tensor's numbers
    #[arg(long, value_name = "R", group = "asked")]
    relative_bound: Option<f64>,
    /// The same within R times the root mean square of the row
    #[arg(long, value_name = "R", group = "asked")]
    row_bound: Option<f64>,
    /// The same within R times the number itself
    #[arg(long, value_name = "R", group = "asked")]
    pointwise_bound: Option<f64>,
    /// Round the matrices of attention, MLP and dense layers to levels of 8 or 4 bits times the scale of a
    /// group; embeddings, norms, biases and the output head stay as they are
    #[arg(long, value_enum, group = "asked")]
    quantize: Option<Quantize>,
    /// Numbers of a row that share a scale
    #[arg(long, value_name = "N", default_value_t = DEFAULT_GROUP, requires = "quantize")]
    group: u32,
    /// How the scale of a group is found
    #[arg(long, value_enum, default_value_t, requires = "quantize")]
    scale: Scale,
    /// Find the bound with which a weight takes B bits
    #[arg(long, value_name = "B", group = "asked")]
    bits: Option<f64>,
    /// Find the bound with which the archive has at most SIZE; of a directory, that of each file
    #[arg(long, value_name = "SIZE", group = "asked", value_parser = size::parse)]
    target_size: Option<u64>,
    /// What --bits and --target-size find: one bound for all numbers (absolute, the default), or one share of
    /// each row's root mean square (row)
    #[arg(long, value_enum)]
    grid: Option<GridArg>,
    /// Make tensors lossy whose name matches (* stands for anything), also those that are not by default
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Leave tensors as they are whose name matches
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// A TOML file with other settings for some tensors: lines of "GLOB" = "SETTING", where SETTING is exact,
    /// error-bound=E, relative-bound=R, row-bound=R, pointwise-bound=R, int8 or int4. The first that matches
    /// counts. Without another option, all other tensors stay as they are
    #[arg(long, value_name = "FILE")]
    lossy: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Quantize {
    /// Levels from -128 to 127
    Int8,
    /// Levels from -8 to 7
    Int4,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Scale {
    /// The greatest magnitude has the farthest level
    #[default]
    Max,
    /// The least sum of squared errors; takes longer to pack
    LeastSquares,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum GridArg {
    /// One bound for all
    #[default]
    Absolute,
    /// A bound for each row
    Row,
}

impl LossyArgs {
    /// What they ask for; nothing if they ask for nothing.
    ///
    /// # Errors
    /// `InvalidInput` if that makes no sense.
    pub(super) fn options(&self) -> Result<Option<LossyOptions>> {
        if self.grid.is_some() && self.bits.is_none() && self.target_size.is_none() {
            return Err(Error::InvalidInput(
                "--grid is of use with --bits and --target-size".into(),
            ));
        }
        let grid = match self.grid.unwrap_or_default() {
            GridArg::Absolute => Grid::Absolute,
            GridArg::Row => Grid::Row,
        };
        let setting = self
            .error_bound
            .map(Setting::ErrorBound)
            .or(self.relative_bound.map(Setting::RelativeBound))
            .or(self.row_bound.map(Setting::RowBound))
            .or(self.pointwise_bound.map(Setting::PointwiseBound))
            .or(self.quantize.map(|quantize| Setting::Quantize {
                is_int4: matches!(quantize, Quantize::Int4),
                group: self.group,
                fit: match self.scale {
                    Scale::Max => ScaleFit::Max,
                    Scale::LeastSquares => ScaleFit::LeastSquares,
                },
            }));
        let asked = setting
            .map(Asked::Setting)
            .or(self.bits.map(|bits| Asked::Bits(bits, grid)))
            .or(self.target_size.map(|bytes| Asked::Size(bytes, grid)));
        let asked = match (asked, &self.lossy) {
            (Some(asked), _) => asked,
            (None, Some(_)) => Asked::Setting(Setting::Exact),
            (None, None) if self.include.is_empty() && self.exclude.is_empty() => return Ok(None),
            (None, None) => {
                return Err(Error::InvalidInput(
                    "--include and --exclude are of use with an option that makes tensors lossy, \
                     such as --error-bound"
                        .into(),
                ));
            }
        };
        let mut options = LossyOptions::new(asked, &self.include, &self.exclude)?;
        if let Some(path) = &self.lossy {
            options.rules = rules(path)?;
        }
        Ok(Some(options))
    }
}

/// The rules of a file.
fn rules(path: &Path) -> Result<Vec<Rule>> {
    let text = fs::read_to_string(path)
        .map_err(|e| Error::io(format!("cannot read {}", path.display()), e))?;
    let wrong = |what: String| Error::InvalidInput(format!("{}: {what}", path.display()));
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    let rules = table.iter().map(|(pattern, setting)| {
        let setting = setting.as_str().ok_or_else(|| {
            wrong(format!(
                "{pattern:?} is to have a setting in quotes, such as \"error-bound=1e-4\""
            ))
        })?;
        let setting = Setting::parse(setting).map_err(|error| wrong(error.to_string()))?;
        Rule::new(pattern, setting).map_err(|error| wrong(error.to_string()))
    });
    rules.collect()
}
