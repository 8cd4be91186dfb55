//! A batch as it crosses: the two structs of Arrow's C data interface, and the reason why
//! the library that made them is not closed.

use std::ffi::c_void;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::{Array, RecordBatch, RecordBatchOptions, StructArray};
use arrow_schema::Schema;
use plugbay_interface::crossing::{Crossing, Keep, Shape, Types};
use plugbay_interface::{Error, code};

use super::{Batch, DEEPEST};

/// What crosses. The two structs are laid out as Arrow's specification says, whatever
/// crate or language has made them.
#[repr(C)]
pub struct BatchAbi {
    /// A struct array without nulls: one child for each column.
    array: FFI_ArrowArray,
    /// Its type, with the schema's metadata.
    schema: FFI_ArrowSchema,
    /// Of the library that made the array. Dropped last.
    keep: Keep,
}

/// What stands in the place of an array's own private data.
struct Kept {
    release: Option<unsafe extern "C" fn(*mut FFI_ArrowArray)>,
    private_data: *mut c_void,
    /// Dropped when `release` has returned.
    _keep: Keep,
}

/// Makes an array keep the library that made it until it is released.
fn keep_until_released(array: &mut FFI_ArrowArray, keep: Keep) {
    let kept = Box::new(Kept {
        release: array.release(),
        private_data: array.private_data(),
        _keep: keep,
    });
    // SAFETY: `release` puts back what was there before it calls what was there before.
    unsafe {
        array.set_private_data(Box::into_raw(kept).cast());
        array.set_release(Some(release));
    }
}

/// # Safety
///
/// As the C data interface says: `array` is one that `keep_until_released` was given, and
/// is released once.
unsafe extern "C" fn release(array: *mut FFI_ArrowArray) {
    // SAFETY: the caller's promise.
    let array = unsafe { &mut *array };
    // SAFETY: as above; the box is this one's.
    let kept = unsafe { Box::from_raw(array.private_data().cast::<Kept>()) };
    // SAFETY: as they were.
    unsafe {
        array.set_private_data(kept.private_data);
        array.set_release(kept.release);
    }
    if let Some(release) = kept.release {
        // SAFETY: the array's own, with its own data. It marks the array as released.
        unsafe { release(array) };
    }
}

// SAFETY: three structs with a layout that is given from outside, and whose memory is
// freed by functions that are in them, while the library is kept.
unsafe impl Crossing for Batch {
    type Abi = BatchAbi;
    const SAME: bool = false;

    fn into_abi(self) -> Result<BatchAbi, Error> {
        let schema = FFI_ArrowSchema::try_from(self.0.schema_ref().as_ref())?;
        let array = FFI_ArrowArray::new(&StructArray::from(self.0).into_data());
        Ok(BatchAbi { array, schema, keep: Keep::buffer() })
    }

    fn from_abi(BatchAbi { mut array, schema, keep }: BatchAbi) -> Result<Self, Error> {
        let wrong =
            |what: &str| Error::new(code::CROSSING, format!("what came is no batch: {what}"));
        if let Some(keep) = keep.unless_own() {
            keep_until_released(&mut array, keep);
        }
        if is_too_deep(&schema) {
            return Err(wrong(&format!("columns with more than {DEEPEST} levels")));
        }
        let rows = array.len();
        let columns = Schema::try_from(&schema)?;
        // SAFETY: that the two are valid is the promise of the library that was called
        // or has called, as that its code is sound.
        let data = unsafe { from_ffi(array, &schema) }?;
        if data.null_count() > 0 {
            return Err(wrong("rows that are null"));
        }
        let (_, arrays, _) = StructArray::from(data).into_parts();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Self(RecordBatch::try_new_with_options(columns.into(), arrays, &options)?))
    }

    fn describe(types: &mut Types) -> String {
        // Not by the structs' fields: the specification says what they are.
        let format = "arrow-c-data".to_owned();
        types.add::<BatchAbi>("RecordBatch", |_| Shape::Encoded { format })
    }
}

/// A column has one level, and one more for each type that is inside of another one.
fn is_too_deep(schema: &FFI_ArrowSchema) -> bool {
    let mut left = vec![(schema, 0)];
    while let Some((of, depth)) = left.pop() {
        if depth > DEEPEST {
            return true;
        }
        left.extend(of.children().chain(of.dictionary()).map(|part| (part, depth + 1)));
    }
    false
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};

    use super::*;

    #[test]
    fn what_is_no_batch_is_an_error() {
        let column = Field::new("n", DataType::Int64, true);
        let nulls = StructArray::new_null(vec![column.clone()].into(), 2).into_data();
        let number = arrow_array::Int64Array::from(vec![1]).into_data();
        for (data, said) in [(nulls, "rows that are null"), (number, "Schema")] {
            let (array, schema) = arrow_array::ffi::to_ffi(&data).unwrap();
            let error =
                Batch::from_abi(BatchAbi { array, schema, keep: Keep::buffer() }).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
