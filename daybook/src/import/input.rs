//! A CSV file, compressed or not, read in bounded memory.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use csv::{ByteRecord, StringRecord};
use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

use crate::failure::Failure;

/// RFC 1952: the first two bytes of every gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
/// A longer quoted value is one whose quote was never closed.
const LONGEST_QUOTED: u64 = 64 * 1024;
/// A longer row is none.
const LONGEST_ROW: usize = 1024 * 1024;
/// Larger files are not read a first time only to count their rows.
const COUNTED_UP_TO: u64 = 256 * 1024 * 1024;

/// A file that cannot be read on. What stands before the line named was brought in.
#[derive(Debug, Error)]
pub(super) enum InputError {
    #[error("{file}: the gzip data end too early, behind line {line}: get the whole file")]
    Truncated { file: String, line: u64 },
    #[error("{file}: the gzip data are damaged behind line {line}: {source}")]
    Damaged { file: String, line: u64, source: io::Error },
    #[error("{file}: the quote opened on line {line} is never closed")]
    Unclosed { file: String, line: u64 },
    #[error("{file}: line {line} is not UTF-8: save the file as UTF-8")]
    NotUtf8 { file: String, line: u64 },
    #[error("{file} is neither CSV in UTF-8 nor gzip")]
    NotCsv { file: String },
    #[error("{file}: the row on line {line} is over 1 MiB long")]
    TooLong { file: String, line: u64 },
    #[error("{file} cannot be read behind line {line}: {source}")]
    Io { file: String, line: u64, source: io::Error },
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::Failed(anyhow::Error::new(error))
    }
}

/// One row and the line that it begins on, the header's being the first.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) values: StringRecord,
}

/// An open file, its header read.
pub(super) struct Input {
    file: String,
    rows: csv::Reader<Box<dyn Read + Send>>,
    places: Arc<Mutex<Places>>,
    compressed: bool,
    header: StringRecord,
    record: ByteRecord,
}

impl Input {
    /// Opens a file, or standard input for `-`, and reads the header.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::new("standard input".to_owned(), io::stdin())?);
        }
        let file = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
            true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            false => Ok(file),
        });
        let file = file.map_err(|error| {
            Failure::failed(format!("{} cannot be read: {error}", path.display()))
        })?;
        Ok(Self::new(path.display().to_string(), file)?)
    }

    pub(super) fn new(file: String, raw: impl Read + Send + 'static) -> Result<Self, InputError> {
        let places = Arc::new(Mutex::new(Places::default()));
        let (bytes, compressed) = unpacked(raw);
        let bytes = Guard { bytes, state: State::Row, quoted: 0, places: Arc::clone(&places) };
        let rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(Box::new(bytes) as Box<dyn Read + Send>);
        let header = StringRecord::new();
        let record = ByteRecord::new();
        let mut input = Self { file, rows, places, compressed, header, record };
        let header = input.next().map_err(|error| match error {
            InputError::NotUtf8 { file, .. } => InputError::NotCsv { file },
            error => error,
        })?;
        input.header = header.map(|row| row.values).unwrap_or_default();
        if input.header.iter().any(|name| name.contains('\0')) {
            return Err(InputError::NotCsv { file: input.file });
        }
        Ok(input)
    }

    pub(super) fn header(&self) -> &StringRecord {
        &self.header
    }

    /// The next row; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Row>, InputError> {
        match self.rows.read_byte_record(&mut self.record) {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => return Err(self.error(error)),
        }
        let line = self.places().rows.pop_front().unwrap_or_default();
        let file = || self.file.clone();
        if self.record.as_slice().len() > LONGEST_ROW {
            return Err(InputError::TooLong { file: file(), line });
        }
        match StringRecord::from_byte_record(self.record.clone()) {
            Ok(values) => Ok(Some(Row { line, values })),
            Err(_) => Err(InputError::NotUtf8 { file: file(), line }),
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, error: csv::Error) -> InputError {
        let (file, line) = (self.file.clone(), self.places().lines);
        let source = match error.into_kind() {
            csv::ErrorKind::Io(source) => source,
            other => io::Error::other(format!("{other:?}")),
        };
        if let Some(unclosed) = source.get_ref().and_then(|inner| inner.downcast_ref::<Unclosed>())
        {
            return InputError::Unclosed { file, line: unclosed.0 };
        }
        match source.kind() {
            io::ErrorKind::UnexpectedEof if self.compressed => InputError::Truncated { file, line },
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if self.compressed => {
                InputError::Damaged { file, line, source }
            }
            _ => InputError::Io { file, line, source },
        }
    }
}

/// How many rows the file has, or nearly so: its lines but the header. `None` if that is not
/// cheap to know.
pub(super) fn count_rows(path: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > COUNTED_UP_TO {
        return None;
    }
    let (mut bytes, _) = unpacked(File::open(path).ok()?);
    let mut buffer = vec![0; 64 * 1024];
    let mut lines: u64 = 0;
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => return Some(lines.saturating_sub(1)),
            Ok(count) => {
                lines += buffer[..count].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            }
            Err(_) => return None,
        }
    }
}

/// The text, and whether it was compressed: told by the first bytes, not by the name.
fn unpacked(raw: impl Read + Send + 'static) -> (Box<dyn Read + Send>, bool) {
    let (start, raw) = peek(raw, GZIP.len());
    let compressed = start == GZIP;
    let text: Box<dyn Read + Send> = if compressed {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, raw)))
    } else {
        Box::new(raw)
    };
    let (start, mut text) = peek(text, BYTE_ORDER_MARK.len());
    if start == BYTE_ORDER_MARK {
        // It was read just now.
        let _ = text.read_exact(&mut [0; BYTE_ORDER_MARK.len()]);
    }
    (Box::new(text), compressed)
}

/// The first bytes, and a reader of all of it. A pipe may hand them over one by one; an error
/// comes when it is read again.
fn peek<R: Read>(mut raw: R, count: usize) -> (Vec<u8>, impl Read + use<R>) {
    let mut start = Vec::with_capacity(count);
    let failed = (&mut raw).take(count as u64).read_to_end(&mut start).err();
    let all = io::Cursor::new(start.clone()).chain(Failing(failed)).chain(raw);
    (start, all)
}

/// Fails once, where there is an error.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Follows quotes and lines as RFC 4180 has them: the parser itself takes the end of the file for
/// the end of an open quote, and does not tell lines exactly where they end as on Windows.
struct Guard<R> {
    bytes: R,
    state: State,
    /// Bytes since the quote was opened.
    quoted: u64,
    places: Arc<Mutex<Places>>,
}

/// Where the reader is, and where the rows begin that it read ahead.
#[derive(Debug, Default)]
struct Places {
    /// Lines that have ended.
    lines: u64,
    rows: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of a row. Empty lines are none.
    Row,
    /// At the start of a further value.
    Value,
    /// In a value without quotes, or behind the closing one.
    Plain,
    /// Within quotes opened on this line.
    Quoted(u64),
    /// Behind a quote within quotes: closed, or doubled.
    Quote(u64),
}

#[derive(Debug, Error)]
#[error("the quote opened on line {0} is never closed")]
struct Unclosed(u64);

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in &buffer[..count] {
            let line = places.lines + 1;
            if self.state == State::Row && !matches!(byte, b'\n' | b'\r') {
                places.rows.push_back(line);
            }
            self.state = match (self.state, byte) {
                (State::Row | State::Value, b'"') => {
                    self.quoted = 0;
                    State::Quoted(line)
                }
                (State::Quoted(opened), b'"') => State::Quote(opened),
                (State::Quote(opened), b'"') => State::Quoted(opened),
                (State::Quoted(opened), _) => State::Quoted(opened),
                (_, b',') => State::Value,
                (_, b'\n' | b'\r') => State::Row,
                (_, _) => State::Plain,
            };
            places.lines += u64::from(*byte == b'\n');
            self.quoted += 1;
        }
        match self.state {
            State::Quoted(opened) if count == 0 || self.quoted > LONGEST_QUOTED => {
                Err(io::Error::other(Unclosed(opened)))
            }
            _ => Ok(count),
        }
    }
}

/// A file with this text.
#[cfg(test)]
pub(super) fn of_text(text: &str) -> Input {
    Input::new("test.csv".to_owned(), io::Cursor::new(text.as_bytes().to_vec())).unwrap()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn read_all(bytes: Vec<u8>) -> Result<Vec<(u64, Vec<String>)>, InputError> {
        let mut input = Input::new("f.csv".to_owned(), io::Cursor::new(bytes))?;
        let mut rows = vec![(1, strings(input.header()))];
        while let Some(row) = input.next()? {
            rows.push((row.line, strings(&row.values)));
        }
        Ok(rows)
    }

    fn strings(record: &StringRecord) -> Vec<String> {
        record.iter().map(str::to_owned).collect()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn rows(expected: &[(u64, &[&str])]) -> Vec<(u64, Vec<String>)> {
        let row = |(line, values): &(u64, &[&str])| {
            (*line, values.iter().map(|value| (*value).to_owned()).collect())
        };
        expected.iter().map(row).collect()
    }

    #[test]
    fn reads_line_ends_byte_order_marks_and_gzip_alike() {
        let expected = rows(&[(1, &["a", "b"]), (2, &["1", "x,\"y\""]), (3, &["2", ""])]);
        let plain = b"a,b\n1,\"x,\"\"y\"\"\"\n2,\n".to_vec();
        let windows = b"\xef\xbb\xbfa,b\r\n1,\"x,\"\"y\"\"\"\r\n2,\r\n".to_vec();
        let no_end = b"a,b\n1,\"x,\"\"y\"\"\"\n2,".to_vec();
        for bytes in [plain, windows, no_end] {
            let packed = gzip(&bytes);
            let (first, second) = bytes.split_at(5);
            let in_two = [gzip(first), gzip(second)].concat();
            for bytes in [bytes, packed, in_two] {
                assert_eq!(read_all(bytes).unwrap(), expected);
            }
        }
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        for end in ["\n", "\r\n"] {
            let text = ["a,b", "", "1,\"x", "y\"", "2,z", "", "", "3,"].join(end);
            let lines: Vec<_> = read_all(text.into_bytes()).unwrap();
            let lines: Vec<_> = lines.iter().map(|(line, _)| *line).collect();
            assert_eq!(lines, [1, 3, 5, 8]);
        }
    }

    #[test]
    fn a_line_end_within_quotes_counts() {
        let read = read_all(b"a,b\n1,\"two\nlines\"\n2,x\n".to_vec()).unwrap();
        assert_eq!(read, rows(&[(1, &["a", "b"]), (2, &["1", "two\nlines"]), (4, &["2", "x"])]));
    }

    #[test]
    fn a_quote_that_is_never_closed_is_named_by_its_line() {
        let error = read_all(b"a,b\n1,x\n2,\"y\n3,z\n".to_vec()).unwrap_err();
        assert!(matches!(error, InputError::Unclosed { line: 3, .. }), "{error}");
        let mut long = b"a,b\n1,\"".to_vec();
        long.extend(b"x,y\n".repeat(100_000));
        let error = read_all(long).unwrap_err();
        assert!(matches!(error, InputError::Unclosed { line: 2, .. }), "{error}");
        // A quote within a plain value is a sign like any other.
        assert_eq!(
            read_all(b"a,b\n1,5\" pipe\n".to_vec()).unwrap()[1],
            (2, vec!["1".to_owned(), "5\" pipe".to_owned()])
        );
    }

    #[test]
    fn damaged_gzip_is_told_from_the_end_of_a_file() {
        let text: String = (0..5_000).map(|n| format!("{n},{}\n", n * 7_919 % 1_000)).collect();
        let packed = gzip(format!("a,b\n{text}").as_bytes());
        let cut = packed[..packed.len() / 2].to_vec();
        let error = read_all(cut).unwrap_err();
        assert!(matches!(error, InputError::Truncated { line: 2.., .. }), "{error}");
        let mut wrong = packed.clone();
        let middle = wrong.len() / 2;
        wrong[middle] ^= 0xff;
        let error = read_all(wrong).unwrap_err();
        assert!(
            matches!(error, InputError::Damaged { .. } | InputError::Truncated { .. }),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let error = read_all(b"a,b\n1,caf\xe9\n".to_vec()).unwrap_err();
        assert!(matches!(error, InputError::NotUtf8 { line: 2, .. }), "{error}");
        let error = read_all(b"\x50\x4b\x03\x04\xff\xfe".to_vec()).unwrap_err();
        assert!(matches!(error, InputError::NotCsv { .. }), "{error}");
        let error = read_all(b"a\0,b\n".to_vec()).unwrap_err();
        assert!(matches!(error, InputError::NotCsv { .. }), "{error}");
        assert_eq!(read_all(Vec::new()).unwrap().len(), 1);
    }
}
