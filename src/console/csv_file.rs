//! Rows as CSV (RFC 4180): values that structures have, with a line of their names above them.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Rows as text, with a line of names if `has_names` and there is a row.
///
/// # Errors
/// `Io` if a row has no place in a table.
pub(crate) fn as_csv(
    rows: impl IntoIterator<Item = impl Serialize>,
    has_names: bool,
) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(has_names)
        .from_writer(Vec::new());
    let cannot = |error: csv::Error| Error::io("cannot write rows as CSV", error.into());
    rows.into_iter()
        .try_for_each(|row| writer.serialize(row))
        .map_err(cannot)?;
    writer
        .into_inner()
        .map_err(|error| Error::io("cannot write rows as CSV", error.into_error()))
}

/// A table as text: rows below a line of names, which is there without rows as well.
///
/// # Errors
/// As `as_csv`.
pub(crate) fn as_table<T: Serialize + Default>(rows: &[T]) -> Result<Vec<u8>> {
    if !rows.is_empty() {
        return as_csv(rows, true);
    }
    let mut bytes = as_csv([T::default()], true)?;
    let names = bytes.iter().position(|byte| *byte == b'\n');
    bytes.truncate(names.map_or(0, |end| end + 1));
    Ok(bytes)
}

/// Writes a file that appears whole or not at all.
///
/// # Errors
/// `Io` if the system refuses.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let cannot = |error| Error::io(format!("cannot write {}", path.display()), error);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .permissions(plain_mode())
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(cannot)?;
    file.write_all(bytes).map_err(cannot)?;
    file.persist(path).map_err(|error| cannot(error.error))?;
    Ok(())
}

/// As other programs make files: as far as the umask lets.
fn plain_mode() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o666)
}

/// A table that was read: its names, and its rows.
pub(crate) struct Table {
    pub(crate) names: csv::StringRecord,
    pub(crate) rows: Vec<csv::StringRecord>,
}

impl Table {
    /// Reads a table. A last row that was cut off has fewer values than others, and is left out if `is_cut_off` may be.
    ///
    /// # Errors
    /// `Io` if it cannot be read, `InvalidInput` if it is none.
    pub(crate) fn read(path: &Path, is_cut_off: bool) -> Result<Self> {
        let bytes = fs::read(path)
            .map_err(|error| Error::io(format!("cannot read {}", path.display()), error))?;
        let wrong = |error: csv::Error| {
            Error::InvalidInput(format!("{} is no CSV file: {error}", path.display()))
        };
        let mut reader = csv::ReaderBuilder::new()
            .flexible(is_cut_off)
            .from_reader(&bytes[..]);
        let names = reader.headers().map_err(wrong)?.clone();
        let mut rows: Vec<csv::StringRecord> = Vec::new();
        for row in reader.records() {
            let row = row.map_err(wrong)?;
            rows.push(row);
        }
        // The last value may be cut off as well.
        if is_cut_off && !bytes.ends_with(b"\n") {
            rows.pop();
        }
        rows.retain(|row| row.len() == names.len());
        Ok(Self { names, rows })
    }

    /// Its rows as pairs of structures that were written so.
    ///
    /// # Errors
    /// What is wrong, if they were not.
    pub(crate) fn pairs<A: DeserializeOwned, B: DeserializeOwned>(
        &self,
    ) -> std::result::Result<Vec<(A, B)>, String> {
        let names = Some(&self.names);
        let pairs = self.rows.iter();
        let pairs = pairs.map(|row| Ok((row.deserialize(names)?, row.deserialize(names)?)));
        let pairs: std::result::Result<_, csv::Error> = pairs.collect();
        pairs.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Serialize)]
    struct Row {
        name: String,
        bits: Option<f64>,
    }

    #[test]
    fn what_was_written_is_read_and_what_is_cut_off_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        let rows = ["a,\"b\"\n", "c"].map(|name| Row {
            name: name.into(),
            bits: (name == "c").then_some(1e-9),
        });
        let bytes = as_csv(&rows, true).unwrap();
        assert_eq!(bytes, b"name,bits\n\"a,\"\"b\"\"\n\",\nc,1e-9\n");
        for end in 0..=bytes.len() {
            write_whole(&path, &bytes[..end]).unwrap();
            let table = Table::read(&path, true).unwrap();
            let expected = if end == bytes.len() {
                2
            } else {
                usize::from(end >= 22)
            };
            assert_eq!(table.rows.len(), expected, "{end}");
        }
        let table = Table::read(&path, false).unwrap();
        assert_eq!(&table.rows[0][0], "a,\"b\"\n");
        assert_eq!(as_csv(&rows, false).unwrap(), bytes[10..]);
        assert_eq!(as_table(&rows).unwrap(), bytes);
        assert_eq!(as_table::<Row>(&[]).unwrap(), bytes[..10]);
        write_whole(&path, b"a,b\n1\n").unwrap();
        assert!(matches!(
            Table::read(&path, false),
            Err(Error::InvalidInput(_))
        ));
        write_whole(&path, b"a,b\n\xff,1\n").unwrap();
        assert!(matches!(
            Table::read(&path, true),
            Err(Error::InvalidInput(_))
        ));
    }
}
