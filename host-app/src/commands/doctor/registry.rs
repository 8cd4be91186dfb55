use plugbay_loader::printable;
use plugbay_loader::registry::Query;

use super::Check;
use crate::settings::Keeping;

/// Whether it can be opened, is whole, and takes what is written.
pub fn registry(keeping: &Keeping) -> Check {
    const WHAT: &str = "registry";
    let Some(path) = keeping.path() else {
        return Check::ok(WHAT, "in memory: nothing is kept when the host ends");
    };
    let shown = printable(path);
    if !path.exists() {
        return Check::ok(WHAT, format!("{shown}: none yet; the next host begins it"));
    }
    let kept = match keeping.open() {
        Ok(kept) => kept,
        Err(error) => return Check::failed(WHAT, error.into()),
    };
    if let Some(notice) = kept.notices.first() {
        let cure = "start a host, so that it records what is there; then disable once more what \
                    shall not run";
        return Check::problem(WHAT, notice, cure);
    }
    let found = kept.registry.query(&Query::new()).and_then(|records| {
        let held = kept.registry.held_back()?.len();
        // It locks it for writing, and changes nothing.
        kept.registry.forget(&[])?;
        Ok((records.len(), held))
    });
    match found {
        Ok((known, 0)) => Check::ok(WHAT, format!("{shown}: plugins: {known}")),
        Ok((known, held)) => Check::warning(
            WHAT,
            format!("{shown}: plugins: {known}, held back as they took their host down: {held}"),
            "see which: host-app list --status held_back; release one: host-app release ID",
        ),
        Err(error) => Check::failed(WHAT, error.into()),
    }
}
