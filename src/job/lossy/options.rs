//! What is asked for.

use globset::GlobMatcher;

use crate::error::{Error, Result};
use crate::format::{LossyMethod, MAX_OCTAVE_STEPS};
use crate::grid::{Bound, ScaleFit, octave_steps};
use crate::job::globs::{glob, globs};

/// What patterns are of.
const TENSOR: &str = "tensor";
/// Numbers of a group, if nothing else is asked for.
pub const DEFAULT_GROUP: u32 = 128;

/// What is done to a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Setting {
    /// Nothing.
    Exact,
    /// Its numbers are kept within this.
    ErrorBound(f64),
    /// The same as a share of the range of its numbers.
    RelativeBound(f64),
    /// The same as a share of the root mean square of each row.
    RowBound(f64),
    /// The same as a share of each number.
    PointwiseBound(f64),
    /// Levels of 8 or 4 bits with a scale a group.
    Quantize {
        /// Whether they are of 4 bits.
        is_int4: bool,
        /// Numbers of a group.
        group: u32,
        /// How scales are found.
        fit: ScaleFit,
    },
}

impl Setting {
    /// A setting as it is written: `exact`, `error-bound=1e-4`, `int4`, `int8:64` with groups of 64,
    /// `int4:least-squares`, `int4:64:least-squares`.
    ///
    /// # Errors
    /// `InvalidInput` if it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::InvalidInput(format!(
                "{text:?} is no lossy setting; write exact, error-bound=E, relative-bound=R, row-bound=R, \
                 pointwise-bound=R, int8 or int4, with :N behind those for groups of N and :least-squares for that \
                 scale"
            ))
        };
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => (name.trim(), Some(number.trim())),
            None => (text.trim(), None),
        };
        let setting = match (name, number) {
            ("exact", None) => Self::Exact,
            (quantize, None) => {
                let mut parts = quantize.split(':').map(str::trim);
                let is_int4 = match parts.next() {
                    Some("int8") => false,
                    Some("int4") => true,
                    _ => return Err(wrong()),
                };
                let (mut group, mut fit) = (DEFAULT_GROUP, ScaleFit::Max);
                for part in parts {
                    match part.parse() {
                        Ok(number) => group = number,
                        Err(_) if part == "least-squares" => fit = ScaleFit::LeastSquares,
                        Err(_) => return Err(wrong()),
                    }
                }
                Self::Quantize {
                    is_int4,
                    group,
                    fit,
                }
            }
            (name, Some(number)) => {
                let number: f64 = number.parse().map_err(|_| wrong())?;
                match name {
                    "error-bound" => Self::ErrorBound(number),
                    "relative-bound" => Self::RelativeBound(number),
                    "row-bound" => Self::RowBound(number),
                    "pointwise-bound" => Self::PointwiseBound(number),
                    _ => return Err(wrong()),
                }
            }
        };
        setting.check()?;
        Ok(setting)
    }

    /// # Errors
    /// `InvalidInput` if a number of it makes no sense.
    pub fn check(&self) -> Result<()> {
        let invalid = |what: String| Err(Error::InvalidInput(what));
        match *self {
            Self::Exact => Ok(()),
            Self::ErrorBound(bound) | Self::RelativeBound(bound) | Self::RowBound(bound)
                if !(bound > 0.0 && bound.is_finite()) =>
            {
                invalid(format!(
                    "a bound of {bound} is not possible; it must be above 0"
                ))
            }
            Self::PointwiseBound(bound) if !(bound > 0.0 && bound <= 0.9) => invalid(format!(
                "a bound of {bound} of each number is not possible; it must be above 0 and at most 0.9"
            )),
            Self::PointwiseBound(bound)
                if octave_steps(bound * 0.999) > f64::from(MAX_OCTAVE_STEPS) =>
            {
                invalid(format!(
                    "a bound of {bound} of each number is finer than 6e-6; pack without loss, or by \
                     another bound"
                ))
            }
            Self::Quantize { group: 0, .. } => {
                invalid("groups of 0 numbers are not possible".into())
            }
            _ => Ok(()),
        }
    }

    /// The method, as archives name it; none if nothing is done.
    pub const fn method(&self) -> Option<LossyMethod> {
        match self {
            Self::Exact => None,
            Self::ErrorBound(_) => Some(LossyMethod::ErrorBound),
            Self::RelativeBound(_) => Some(LossyMethod::RelativeBound),
            Self::RowBound(_) => Some(LossyMethod::RowBound),
            Self::PointwiseBound(_) => Some(LossyMethod::PointwiseBound),
            Self::Quantize { is_int4: false, .. } => Some(LossyMethod::Int8),
            Self::Quantize { is_int4: true, .. } => Some(LossyMethod::Int4),
        }
    }

    /// The number that was asked for with it; 0 if there is none.
    pub const fn parameter(&self) -> f64 {
        match self {
            Self::ErrorBound(number)
            | Self::RelativeBound(number)
            | Self::RowBound(number)
            | Self::PointwiseBound(number) => *number,
            Self::Exact | Self::Quantize { .. } => 0.0,
        }
    }

    /// The bound it means, where that is known without looking at the tensor.
    pub(super) const fn bound(&self) -> Option<Bound> {
        match self {
            Self::ErrorBound(bound) => Some(Bound::Absolute(*bound)),
            Self::RowBound(bound) => Some(Bound::Row(*bound)),
            Self::PointwiseBound(bound) => Some(Bound::Pointwise(*bound)),
            Self::Exact | Self::RelativeBound(_) | Self::Quantize { .. } => None,
        }
    }
}

/// What grids of several tensors have in common, where a size is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grid {
    /// One bound for all numbers: the least sum of squared errors for the size.
    #[default]
    Absolute,
    /// One share of the root mean square of each row.
    Row,
}

impl Grid {
    /// The setting with a bound.
    pub(in crate::job) const fn setting(self, bound: f64) -> Setting {
        match self {
            Self::Absolute => Setting::ErrorBound(bound),
            Self::Row => Setting::RowBound(bound),
        }
    }
}

/// Tensors by name, and what is done to them.
#[derive(Debug, Clone)]
pub struct Rule {
    glob: GlobMatcher,
    /// What is done to those whose name matches.
    pub setting: Setting,
}

impl Rule {
    /// # Errors
    /// `InvalidInput` if the pattern is none.
    pub fn new(pattern: &str, setting: Setting) -> Result<Self> {
        let glob = glob(pattern, TENSOR)?;
        Ok(Self { glob, setting })
    }

    pub(super) fn is_for(&self, name: &str) -> bool {
        self.glob.is_match(name)
    }
}

/// What makes a model lossy.
#[derive(Debug, Clone)]
pub enum Asked {
    /// This for each tensor.
    Setting(Setting),
    /// The bound with which a weight takes so many bits, on average of those that become lossy.
    Bits(f64, Grid),
    /// The bound with which the archive has at most so many bytes.
    Size(u64, Grid),
}

/// How to make a model lossy.
#[derive(Debug, Clone)]
pub struct LossyOptions {
    /// What is done to the tensors that nothing else is said of.
    pub asked: Asked,
    /// Tensors that something else is done to: the first rule that matches a name counts.
    pub rules: Vec<Rule>,
    include: Vec<GlobMatcher>,
    exclude: Vec<GlobMatcher>,
}

/// A pattern of tensor names, and where it is from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pattern<'o> {
    pub glob: &'o GlobMatcher,
    pub given_by: &'static str,
    pub is_rule: bool,
}

impl LossyOptions {
    /// The same for all tensors that are lossy by default, with those that match `include` and without those
    /// that match `exclude`.
    ///
    /// # Errors
    /// `InvalidInput` if a pattern is none, or what is asked for makes no sense.
    pub fn new(asked: Asked, include: &[String], exclude: &[String]) -> Result<Self> {
        match asked {
            Asked::Setting(setting) => setting.check()?,
            Asked::Bits(bits, _) if !(bits > 0.0 && bits <= 64.0) => {
                return Err(Error::InvalidInput(format!(
                    "{bits} bits a weight are not possible"
                )));
            }
            Asked::Bits(..) | Asked::Size(..) => {}
        }
        Ok(Self {
            asked,
            rules: Vec::new(),
            include: globs(include, TENSOR)?,
            exclude: globs(exclude, TENSOR)?,
        })
    }

    /// All that options say by name.
    pub(super) fn patterns(&self) -> Vec<Pattern<'_>> {
        let pattern = |given_by, is_rule| {
            move |glob| Pattern {
                glob,
                given_by,
                is_rule,
            }
        };
        let included = self.include.iter().map(pattern("--include", false));
        let excluded = self.exclude.iter().map(pattern("--exclude", false));
        let rules = self.rules.iter().map(|rule| &rule.glob);
        let ruled = rules.map(pattern("a rule's", true));
        included.chain(excluded).chain(ruled).collect()
    }

    pub(super) fn includes(&self, name: &str) -> bool {
        self.include.iter().any(|glob| glob.is_match(name))
    }

    pub(super) fn excludes(&self, name: &str) -> bool {
        self.exclude.iter().any(|glob| glob.is_match(name))
    }
}
