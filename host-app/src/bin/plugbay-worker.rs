//! The program that loads libraries first, in children that it can lose.
//! Started by the loader; of no use by hand.

use std::process::ExitCode;

use plugbay_loader::worker;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() != Some(worker::ARGUMENT) {
        eprintln!("plugbay-worker is started by host-app, beside which it lies");
        return ExitCode::from(2);
    }
    // SAFETY: this is the only thread, and none was started.
    match unsafe { worker::run() } {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
