//! The module through which SQLite reads the rows of a text file.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::vtab::{
    Context, CreateVTab, Filters, IndexInfo, Module, VTab, VTabConnection, VTabCursor, VTabKind,
};
use rusqlite::{Connection, Error, Result, ffi};

use crate::cell::Cell;
use crate::failure::Failure;
use crate::source::{Rows, Source};

/// The module's name in `CREATE VIRTUAL TABLE … USING`.
pub const MODULE: &str = "plugbay_source";

/// What the tables of one connection share.
#[derive(Default)]
pub struct Shared {
    /// The sources; a table is created with the number of its own.
    pub sources: Vec<Source>,
    /// What went wrong in a file. SQLite hands on a message and nothing else;
    /// this keeps the code and the place.
    failure: Mutex<Option<Failure>>,
}

impl Shared {
    /// The failure that ended a query, if it was one of a file.
    pub fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, failure: Failure) -> Error {
        let message = failure.to_string();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        Error::ModuleError(message)
    }
}

/// Makes the module known to `connection`.
pub fn register(connection: &Connection, shared: Arc<Shared>) -> Result<()> {
    const TABLES: Module<'_, Table> = Module::read_only_module();
    connection.create_module(MODULE, &TABLES, Some(shared))
}

#[repr(C)]
struct Table {
    /// First, because SQLite sees only this.
    base: ffi::sqlite3_vtab,
    shared: Arc<Shared>,
    number: usize,
    /// What the columns behind the file's own are.
    hidden: Vec<Hidden>,
}

/// Columns that `*` leaves out.
#[derive(Clone, Copy)]
enum Hidden {
    /// The number of the line, for finding a row in the file.
    Line,
    /// The whole line of a JSON lines file, for members that are no column.
    Json,
}

// SAFETY: `Table` is `repr(C)` and begins with a `sqlite3_vtab`.
unsafe impl VTab<'_> for Table {
    type Aux = Arc<Shared>;
    type Cursor = Cursor;

    fn connect(
        _db: &mut VTabConnection,
        aux: Option<&Arc<Shared>>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        arguments: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        contained(|| {
            let shared = aux.cloned().unwrap_or_default();
            let number = arguments
                .first()
                .and_then(|text| std::str::from_utf8(text).ok()?.trim().parse::<usize>().ok());
            let source = number.and_then(|number| shared.sources.get(number));
            let (Some(number), Some(source)) = (number, source) else {
                return Err(Error::ModuleError("a table without a source".into()));
            };
            let (declaration, hidden) = declaration(source);
            let declaration = CString::new(declaration)?;
            let base = ffi::sqlite3_vtab::default();
            Ok((declaration.into(), Self { base, shared, number, hidden }))
        })
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        // There is one way, from the first row to the last; dear, so that in a
        // join SQLite reads a file once and indexes it rather than read it again
        // for every row of the other.
        info.set_estimated_cost(1e6);
        info.set_estimated_rows(100_000);
        Ok(true)
    }

    fn open(&mut self) -> Result<Cursor> {
        Ok(Cursor {
            base: ffi::sqlite3_vtab_cursor::default(),
            shared: self.shared.clone(),
            number: self.number,
            hidden: self.hidden.clone(),
            rows: None,
            row: 0,
        })
    }
}

impl CreateVTab<'_> for Table {
    const KIND: VTabKind = VTabKind::Default;
}

#[repr(C)]
struct Cursor {
    /// First, because SQLite sees only this.
    base: ffi::sqlite3_vtab_cursor,
    shared: Arc<Shared>,
    number: usize,
    hidden: Vec<Hidden>,
    /// The pass; `None` before the first row and behind the last.
    rows: Option<Rows>,
    row: i64,
}

// SAFETY: `Cursor` is `repr(C)` and begins with a `sqlite3_vtab_cursor`.
unsafe impl VTabCursor for Cursor {
    fn filter(&mut self, _: c_int, _: Option<&str>, _: &Filters<'_>) -> Result<()> {
        contained(|| {
            self.row = 0;
            let source = self.shared.sources.get(self.number);
            self.rows = match source.map(Source::rows) {
                Some(Ok(rows)) => rows,
                Some(Err(failure)) => return Err(self.shared.keep(failure)),
                None => None,
            };
            self.advance()
        })
    }

    fn next(&mut self) -> Result<()> {
        contained(|| self.advance())
    }

    fn eof(&self) -> bool {
        self.rows.is_none()
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        contained(|| match self.cell(usize::try_from(column).unwrap_or(usize::MAX)) {
            Ok(cell) => context.set_result(cell),
            Err(failure) => Err(self.shared.keep(failure)),
        })
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.row)
    }
}

impl Cursor {
    fn advance(&mut self) -> Result<()> {
        let more = match &mut self.rows {
            Some(Rows::Csv(rows)) => rows.next(),
            Some(Rows::Json(rows)) => rows.next(),
            None => Ok(false),
        };
        self.row += 1;
        match more {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.rows = None;
                Ok(())
            }
            Err(failure) => {
                self.rows = None;
                Err(self.shared.keep(failure))
            }
        }
    }

    fn cell(&self, column: usize) -> Result<Cell<'_>, Failure> {
        let (Some(rows), Some(source)) = (&self.rows, self.shared.sources.get(self.number)) else {
            return Ok(Cell::Null);
        };
        let behind = column.checked_sub(source.columns().len());
        match (behind.and_then(|at| self.hidden.get(at)), rows) {
            (Some(Hidden::Line), Rows::Csv(rows)) => Ok(integer(rows.line())),
            (Some(Hidden::Line), Rows::Json(rows)) => Ok(integer(rows.line())),
            (Some(Hidden::Json), Rows::Json(rows)) => Ok(Cell::Text(rows.text().into())),
            (_, Rows::Csv(rows)) => rows.cell(column),
            (_, Rows::Json(rows)) => Ok(rows.cell(column)),
        }
    }
}

fn integer(number: u64) -> Cell<'static> {
    i64::try_from(number).map_or(Cell::Null, Cell::Integer)
}

/// The columns have no type: SQLite then compares numbers as numbers and texts
/// as texts. With a numeric one it would take `'007'` for 7.
fn declaration(source: &Source) -> (String, Vec<Hidden>) {
    let columns = source.columns();
    let mut parts: Vec<_> = columns.iter().map(|name| quoted(name)).collect();
    let mut hidden = Vec::new();
    let json = matches!(source, Source::Json(_)).then_some(("_json", Hidden::Json));
    for (name, kind) in [Some(("_line", Hidden::Line)), json].into_iter().flatten() {
        // A column of the file goes before.
        if !columns.iter().any(|column| column.eq_ignore_ascii_case(name)) {
            parts.push(format!("{name} HIDDEN"));
            hidden.push(kind);
        }
    }
    (format!("CREATE TABLE x({})", parts.join(", ")), hidden)
}

/// A name as SQL's identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Keeps a panic from SQLite's frames: it would end the process there.
fn contained<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err(Error::ModuleError("a panic while reading a file".into())))
}
