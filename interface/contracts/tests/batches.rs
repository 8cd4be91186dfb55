//! What becomes of batches on their way.
#![cfg(feature = "batches")]

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray, StructArray,
};
use arrow_schema::{DataType, Field, Schema};
use plugbay_contracts::{Batch, arrow_array, arrow_schema};
use plugbay_interface::crossing::Crossing;
use plugbay_interface::serde_json::{Value, from_value, json, to_value};
use proptest::prelude::*;

/// There, as another library would get it.
fn crossed(batch: Batch) -> Batch {
    Batch::from_abi(batch.into_abi().unwrap()).unwrap()
}

fn of(columns: Vec<(&str, ArrayRef)>) -> Batch {
    RecordBatch::try_from_iter(columns).unwrap().into()
}

fn of_all_kinds() -> Batch {
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    lists.append_value([]);
    let dictionary: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let inner: ArrayRef = Arc::new(Float64Array::from(vec![0.5, -1.0, 2.0]));
    let field = Arc::new(Field::new("inner", DataType::Float64, true));
    of(vec![
        ("number", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]))),
        ("text", Arc::new(StringArray::from(vec!["ä", "", "a longer text than fits inline"]))),
        ("list", Arc::new(lists.finish())),
        ("word", Arc::new(dictionary)),
        ("nested", Arc::new(StructArray::from(vec![(field, inner)]))),
    ])
}

#[test]
fn a_batch_of_all_kinds_crosses_as_it_is() {
    let batch = of_all_kinds();
    assert_eq!(crossed(batch.clone()), batch);
    // A slice begins in the middle of its memory.
    let slice = Batch::from(batch.slice(1, 2));
    assert_eq!(crossed(slice.clone()), slice);
    // Who gets it sends it on.
    assert_eq!(crossed(crossed(batch.clone())), batch);
}

#[test]
fn values_are_not_copied() {
    let batch = of(vec![("n", Arc::new(Int64Array::from_iter_values(0..100_000)))]);
    let place = |batch: &Batch| batch.column(0).to_data().buffers()[0].as_ptr();
    let before = place(&batch);
    assert_eq!(place(&crossed(batch)), before);
}

#[test]
fn schemas_come_with_their_metadata_and_empty_batches_with_their_columns() {
    let metadata: HashMap<_, _> = [("origin".to_owned(), "here".to_owned())].into();
    let fields = vec![Field::new("n", DataType::Int64, false)];
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let empty = Batch::from(RecordBatch::new_empty(schema.clone()));
    assert_eq!(crossed(empty).schema(), schema);
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let rows = RecordBatch::try_new_with_options(Schema::empty().into(), vec![], &options).unwrap();
    assert_eq!(crossed(rows.into()).num_rows(), 3);
}

#[test]
fn a_part_outlives_its_batch() {
    let column = crossed(of_all_kinds()).column(1).slice(2, 1);
    let texts = column.as_any().downcast_ref::<StringArray>().unwrap();
    assert_eq!(texts.value(0), "a longer text than fits inline");
}

#[test]
fn rows_become_columns_and_rows_again() {
    let rows = vec![
        json!({"name": "Ada", "age": 36, "tags": ["a", "b"], "at": {"x": 1.5}}),
        json!({"name": "Bob", "age": null, "tags": [], "at": {"x": 2}}),
        json!({"name": 7, "more": true}),
    ];
    let batch = Batch::from_rows(rows).unwrap();
    assert_eq!(batch.num_rows(), 3);
    assert_eq!(
        batch.to_rows().unwrap(),
        [
            json!({"name": "Ada", "age": 36, "tags": ["a", "b"], "at": {"x": 1.5}, "more": null}),
            json!({"name": "Bob", "age": null, "tags": [], "at": {"x": 2.0}, "more": null}),
            json!({"name": "7", "age": null, "tags": null, "at": null, "more": true}),
        ]
    );
    let sorted = Batch::from_rows(vec![json!({"b": 1, "a": "x"}), json!({"b": null})]).unwrap();
    let lines = "{\"a\":\"x\",\"b\":1}\n{\"a\":null,\"b\":null}\n";
    assert_eq!(sorted.to_json_lines().unwrap(), lines);
    let values = Batch::from_rows(vec![json!(1), json!(null), json!(3)]).unwrap();
    assert_eq!(
        values.to_rows().unwrap(),
        [json!({"value": 1}), json!({"value": null}), json!({"value": 3})]
    );
    assert_eq!(Batch::from_rows(vec![]).unwrap().to_rows().unwrap(), Vec::<Value>::new());
    let nothing = Batch::from_rows(vec![json!({}), json!({})]).unwrap();
    assert_eq!(nothing.to_rows().unwrap(), [json!({}), json!({})]);
    let error = Batch::from_rows(vec![json!({"a": [1]}), json!({"a": "text"})]).unwrap_err();
    assert_eq!(error.code(), "rows");
}

#[test]
fn as_json_it_is_rows_and_in_binary_it_is_the_same_again() {
    let batch = of_all_kinds();
    let json = to_value(&batch).unwrap();
    assert_eq!(json[0]["text"], "ä");
    assert_eq!(from_value::<Batch>(json!([{"a": 1}])).unwrap().num_columns(), 1);
    let bytes = rmp_serde::to_vec_named(&batch).unwrap();
    assert_eq!(rmp_serde::from_slice::<Batch>(&bytes).unwrap(), batch);
    for cut in 0..bytes.len() {
        assert!(rmp_serde::from_slice::<Batch>(&bytes[..cut]).is_err());
    }
}

fn json_of_any_kind() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    /// Whatever a filter gives, there is a batch or an error, and never a panic.
    #[test]
    fn any_rows_are_a_batch_or_an_error(rows in prop::collection::vec(json_of_any_kind(), 0..6)) {
        let count = rows.len();
        if let Ok(batch) = Batch::from_rows(rows) {
            prop_assert_eq!(batch.num_rows(), count);
            prop_assert_eq!(crossed(batch).to_rows().unwrap().len(), count);
        }
    }
}

/// A row of JSON would have the last of the values, and nobody would know.
#[test]
fn columns_of_one_name_are_no_rows() {
    let number = |number: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![number])) };
    let batch = of(vec![("a", number(1)), ("b", number(2)), ("a", number(3))]);
    assert_eq!(crossed(batch.clone()), batch);
    for error in [batch.to_rows().unwrap_err(), batch.to_json_lines().unwrap_err()] {
        assert_eq!(error.code(), "columns");
        assert!(error.to_string().contains("two columns are called `a`"), "{error}");
    }
}

/// Whatever reads or frees nested columns calls itself for each level: from a certain
/// depth on, that would be the end of the process.
#[test]
fn what_is_too_deep_is_an_error() {
    let nested = |levels| (0..levels).fold(json!(1), |value, _| json!([{ "a": value }]));
    let rows = |levels| Batch::from_rows(vec![json!({ "a": nested(levels) })]);
    let batch = crossed(rows(30).unwrap());
    assert_eq!(batch.to_rows().unwrap(), [json!({ "a": nested(30) })]);
    for levels in [32, 60] {
        let error = rows(levels).unwrap_err();
        assert_eq!((error.code(), error.to_string().contains("64 levels")), ("rows", true));
    }
    let mut array: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    for _ in 0..100 {
        let field = Arc::new(Field::new("in", array.data_type().clone(), true));
        array = Arc::new(StructArray::from(vec![(field, array)]));
    }
    let deep = of(vec![("deep", array)]).into_abi().unwrap();
    let error = Batch::from_abi(deep).unwrap_err();
    assert!(error.to_string().contains("64 levels"), "{error}");
}
