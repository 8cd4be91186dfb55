//! Batches as serde writes and reads them.

use std::fmt;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use plugbay_interface::serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use plugbay_interface::serde::ser::{Error as _, Serialize, Serializer};
use plugbay_interface::serde_json::Value;

use super::Batch;

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.to_rows().map_err(S::Error::custom)?.serialize(serializer);
        }
        serializer.serialize_bytes(&write(self).map_err(S::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let rows = Vec::<Value>::deserialize(deserializer)?;
            return Self::from_rows(rows).map_err(D::Error::custom);
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

fn write(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}

/// Reads one batch, whatever the bytes are.
fn read(bytes: &[u8]) -> Result<Batch, ArrowError> {
    let first = StreamReader::try_new(bytes, None)?.next();
    first.transpose()?.map(Batch).ok_or_else(|| ArrowError::IpcError("there is no batch".into()))
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Batch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record batch as an Arrow IPC stream")
    }

    fn visit_bytes<E: plugbay_interface::serde::de::Error>(self, bytes: &[u8]) -> Result<Batch, E> {
        read(bytes).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Batch, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        read(&bytes).map_err(A::Error::custom)
    }
}
