use std::fs;
use std::path::Path;

use plugbay_loader::{Lock, printable};
use serde_json::json;

use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::progress::Bar;
use crate::settings::Settings;
use crate::survey::Surveyor;
use crate::terminal::{Output, one_line};

/// Writes down what would run, so that nothing else does with `--locked`.
pub fn run(common: &Common, output: &Output) -> Result<Exit, Failure> {
    let mut settings = Settings::read(common)?;
    if let Some(notice) = settings.notice_of_unread() {
        log::warn!("{notice}");
    }
    // What it names now is what shall be found out.
    settings.locked = false;
    let bar = Bar::new();
    let survey = Surveyor::new(&settings)
        .folders(&settings.folders, |done, total| bar.checked(done, total))?;
    drop(bar);
    let lock = survey.plan.lock();
    let before = settings.lock.take();
    let path = &settings.lock_path;
    let changed = before.as_ref() != Some(&lock);
    if changed {
        write(path, &lock)?;
    }
    if output.json {
        let plugins = lock.entries().len();
        output.json(&json!({ "path": printable(path), "plugins": plugins, "changed": changed }))?;
        return Ok(Exit::Ok);
    }
    let shown = one_line(&printable(path));
    let mut text = match changed {
        true => format!("{shown} written: {} plugins\n", lock.entries().len()),
        false => format!("{shown} is up to date: {} plugins\n", lock.entries().len()),
    };
    for line in differences(&before.unwrap_or_default(), &lock) {
        text += &format!("  {line}\n");
    }
    output.text(&text)?;
    Ok(Exit::Ok)
}

/// What is otherwise in a later lock than in an earlier one, one line each.
pub fn differences(before: &Lock, after: &Lock) -> Vec<String> {
    let has = |lock: &Lock, entry: &plugbay_loader::LockEntry| lock.entries().contains(entry);
    let gone = before.entries().iter().filter(|entry| !has(after, entry));
    let new = after.entries().iter().filter(|entry| !has(before, entry));
    let line = |sign: char, entry: &plugbay_loader::LockEntry| {
        let hash: String = entry.blake3.chars().take(12).collect();
        format!("{sign} {} {} ({})", entry.id, entry.version, one_line(&hash))
    };
    gone.map(|entry| line('-', entry)).chain(new.map(|entry| line('+', entry))).collect()
}

/// Aside and renamed: there is always a whole one.
fn write(path: &Path, lock: &Lock) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| {
        let message = format!("the lock {} cannot be written", printable(path));
        Failure::io(
            "PB1035",
            message,
            error,
            "name another place with --lock, or look at its folder",
        )
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut aside = tempfile::Builder::new()
        .prefix(".plugbay.lock-")
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    std::io::Write::write_all(&mut aside, lock.to_string().as_bytes())
        .and_then(|()| aside.as_file().sync_all())
        .map_err(|error| failed(&error))?;
    // As other files of this user are, unlike temporary ones.
    let mode = fs::metadata(path).map_or_else(
        |_| std::os::unix::fs::PermissionsExt::from_mode(0o644),
        |metadata| metadata.permissions(),
    );
    aside.as_file().set_permissions(mode).map_err(|error| failed(&error))?;
    aside.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}
