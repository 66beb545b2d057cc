//! Models by their names alone.

use std::ffi::OsStr;
use std::path::Path;

use super::format::ModelFormat;

/// Whether a file is named as a model, such as `model.safetensors`.
pub fn is_model_name(path: &Path) -> bool {
    ModelFormat::ALL
        .iter()
        .any(|format| path.extension() == Some(OsStr::new(format.suffix())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_by_their_suffix() {
        for (name, is_model) in [
            ("model.safetensors", true),
            ("model.gguf", true),
            ("dir.safetensors/config.json", false),
            ("safetensors", false),
            (".safetensors", false),
            ("model.safetensors.index.json", false),
        ] {
            assert_eq!(is_model_name(Path::new(name)), is_model, "{name}");
        }
    }
}
