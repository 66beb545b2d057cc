//! sweep.csv: a row for each tensor and setting, added to as settings are done.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::report::{Sums, TensorRow};
use crate::console::csv_file::{Table, as_csv, write_whole};
use crate::error::{Error, Result};
use crate::job::ModelFiles;
use crate::printable::printable_name;

/// What a row says besides what it says of its tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct About {
    /// As `Setting::parse` takes it.
    pub(super) setting: String,
    pub(super) level: String,
    /// Tells the model, as it was then.
    pub(super) source: String,
    /// Bytes of the tensor's file, and of its archive.
    pub(super) shard_bytes_before: u64,
    pub(super) shard_bytes_after: u64,
}

/// A row: what it says, and of which tensor.
pub(super) type Row = (About, TensorRow);

/// The file, and the rows in it.
#[derive(Debug)]
pub(super) struct Sheet {
    path: PathBuf,
    /// Of settings that are done, in order.
    pub(super) rows: Vec<Row>,
}

impl Sheet {
    /// Opens the sheet of a model, and drops what was begun and not finished.
    ///
    /// # Errors
    /// `InvalidInput` if it is of another model or is no such sheet, `Io` if the system refuses.
    pub(super) fn open(path: PathBuf, model: &ModelFiles) -> Result<Self> {
        let mut sheet = Self {
            path,
            rows: Vec::new(),
        };
        if !sheet.path.exists() {
            return Ok(sheet);
        }
        let table = Table::read(&sheet.path, true)?;
        sheet.rows = table.pairs().map_err(|what| sheet.wrong(&what))?;
        let is_other = |(about, _): &Row| about.source != model.key;
        if sheet.rows.iter().any(is_other) {
            return Err(Error::InvalidInput(format!(
                "{} is of another model, or of this one before it changed; name another directory \
                 with -o, or remove that file",
                printable_name(&sheet.path)
            )));
        }
        let done: HashSet<_> = sheet
            .settings()
            .into_iter()
            .filter(|(_, rows)| rows.len() == model.tensors)
            .map(|((setting, level), _)| (setting.to_owned(), level.to_owned()))
            .collect();
        let is_done =
            |(about, _): &Row| done.contains(&(about.setting.clone(), about.level.clone()));
        sheet.rows.retain(is_done);
        write_whole(&sheet.path, &as_csv(&sheet.rows, true)?)?;
        Ok(sheet)
    }

    fn wrong(&self, what: &str) -> Error {
        Error::InvalidInput(format!(
            "{} is no sheet of `weightfs sweep` of this version ({what}); name another directory with \
             -o, or remove that file",
            printable_name(&self.path)
        ))
    }

    /// Adds the rows of a setting that is done.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub(super) fn add(&mut self, rows: Vec<Row>) -> Result<()> {
        let cannot = |error| Error::io(format!("cannot write {}", self.path.display()), error);
        let bytes = as_csv(&rows, self.rows.is_empty())?;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(cannot)?;
        file.write_all(&bytes).map_err(cannot)?;
        self.rows.extend(rows);
        Ok(())
    }

    pub(super) fn has(&self, setting: &str, level: &str) -> bool {
        let is_it = |(about, _): &Row| about.setting == setting && about.level == level;
        self.rows.iter().any(is_it)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The rows of each setting and level, in the order in which they were done.
    pub(super) fn settings(&self) -> Vec<((&str, &str), Vec<&Row>)> {
        let mut settings: Vec<((&str, &str), Vec<&Row>)> = Vec::new();
        for row in &self.rows {
            let key = (row.0.setting.as_str(), row.0.level.as_str());
            // Rows of a setting are next to each other, but for those of one that was begun twice.
            match settings.iter_mut().rev().find(|(known, _)| *known == key) {
                Some((_, rows)) => rows.push(row),
                None => settings.push((key, vec![row])),
            }
        }
        settings
    }
}

/// A setting as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SettingSums {
    pub(super) setting: String,
    pub(super) level: String,
    /// Bytes of all files, and of their archives.
    pub(super) bytes_before: u64,
    pub(super) bytes_after: u64,
    pub(super) tensors: Sums,
}

impl SettingSums {
    pub(super) fn of(((setting, level), rows): &((&str, &str), Vec<&Row>)) -> Self {
        let mut shards = HashSet::new();
        let (mut bytes_before, mut bytes_after) = (0, 0);
        for (about, tensor) in rows {
            if shards.insert(&tensor.shard) {
                bytes_before += about.shard_bytes_before;
                bytes_after += about.shard_bytes_after;
            }
        }
        Self {
            setting: (*setting).to_owned(),
            level: (*level).to_owned(),
            bytes_before,
            bytes_after,
            tensors: Sums::of(rows.iter().map(|(_, tensor)| tensor)),
        }
    }

    /// Bits a number of the whole archives.
    pub(super) fn bits(&self) -> f64 {
        8.0 * self.bytes_after as f64 / self.tensors.elements.max(1) as f64
    }
}
