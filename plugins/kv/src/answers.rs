use plugbay_interface::prelude::*;

#[data]
pub struct Replaced {
    pub replaced: bool,
}

#[data]
pub struct Got {
    pub value: Value,
    pub found: bool,
}

#[data]
pub struct Deleted {
    pub deleted: bool,
}

#[data]
pub struct Counted {
    pub value: i64,
}

#[data]
pub struct Found {
    pub found: bool,
}

#[data]
pub struct Listed {
    pub keys: Vec<String>,
    pub truncated: bool,
}

#[data]
pub struct Stats {
    pub entries: usize,
    pub expiring: usize,
    pub expired: u64,
    pub max_entries: usize,
}
