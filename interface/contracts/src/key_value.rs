use std::time::Duration;

use plugbay_interface::prelude::*;

/// Values by key. Each method is one step that no other comes between.
///
/// Keys are of 1 to 1,024 bytes; a provider may allow more.
#[service(id = "plugbay.key-value", version = "1.0")]
pub trait KeyValue: Send + Sync {
    /// The value of a key; none where there is none, or where it has expired.
    fn get(&self, key: &str) -> Result<Option<Value>, Error>;

    /// Stores a value, whatever was there before. It goes after `expires`, or stays.
    /// Gives whether the key was there.
    ///
    /// # Errors
    ///
    /// `full`, when the store takes no more keys.
    fn set(&self, key: &str, value: Value, expires: Option<Duration>) -> Result<bool, Error>;

    /// Removes a key, and gives whether it was there.
    fn delete(&self, key: &str) -> Result<bool, Error>;

    /// Adds to an integer, and gives the sum. A new key begins at 0.
    ///
    /// # Errors
    ///
    /// When the value is no integer, or the sum is none of 64 bits; it stays as it is.
    fn increment(&self, key: &str, by: i64) -> Result<i64, Error>;

    /// Lists keys in the order of their bytes: those that begin with `prefix`, behind
    /// `after`, which is the last one of the page before. Providers limit `limit`.
    fn keys(&self, prefix: &str, after: Option<String>, limit: u32) -> Result<Keys, Error>;
}

/// A page of keys.
#[shared(growing)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// In their order.
    pub keys: Vec<String>,
    /// Whether there are more behind them.
    pub truncated: bool,
}
