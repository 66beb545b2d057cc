//! The settings of a sweep, and what they are called.

use crate::cli::args::SweepArgs;
use crate::cli::lossy_args::Quantize;
use crate::error::{Error, Result};
use crate::grid::ScaleFit;
use crate::job::{DEFAULT_GROUP, Setting};

/// What was asked for, each setting once.
///
/// # Errors
/// `InvalidInput` if that is nothing, or makes no sense.
pub(super) fn settings(args: &SweepArgs) -> Result<Vec<Setting>> {
    let mut all = Vec::new();
    for (numbers, setting) in [
        (
            &args.error_bounds,
            Setting::ErrorBound as fn(f64) -> Setting,
        ),
        (&args.relative_bounds, Setting::RelativeBound),
        (&args.row_bounds, Setting::RowBound),
        (&args.pointwise_bounds, Setting::PointwiseBound),
    ] {
        all.extend(numbers.iter().copied().map(setting));
    }
    all.extend(args.quantize.iter().map(|quantize| Setting::Quantize {
        is_int4: matches!(quantize, Quantize::Int4),
        group: args.group,
        fit: ScaleFit::Max,
    }));
    let mut settings: Vec<Setting> = Vec::new();
    for setting in all {
        setting.check()?;
        if !settings.contains(&setting) {
            settings.push(setting);
        }
    }
    if settings.is_empty() {
        return Err(Error::InvalidInput(
            "there is no setting to sweep over; name some, such as --error-bounds 1e-4,1e-3 or \
             --quantize int8,int4"
                .into(),
        ));
    }
    Ok(settings)
}

/// A setting as `Setting::parse` takes it.
pub(super) fn name(setting: &Setting) -> String {
    let method = setting.method().map_or("exact", |method| method.name());
    match *setting {
        Setting::Exact => method.into(),
        Setting::Quantize { group, .. } if group == DEFAULT_GROUP => method.into(),
        Setting::Quantize { group, .. } => format!("{method}:{group}"),
        _ => format!("{method}={:e}", setting.parameter()),
    }
}

/// The method of a name.
pub(super) fn method(name: &str) -> &str {
    let end = name.find(['=', ':']).unwrap_or(name.len());
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_they_are_parsed() {
        for (text, of) in [
            ("error-bound=1e-6", "error-bound"),
            ("relative-bound=2.5e-3", "relative-bound"),
            ("row-bound=1e0", "row-bound"),
            ("pointwise-bound=5e-2", "pointwise-bound"),
            ("int8", "int8"),
            ("int4:64", "int4"),
            ("exact", "exact"),
        ] {
            assert_eq!(name(&Setting::parse(text).unwrap()), text);
            assert_eq!(method(text), of);
        }
    }
}
