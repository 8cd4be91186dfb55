//! The only place that opens libraries, forks, or asks the operating system
//! something that the standard library does not offer.
//!
//! Another platform is other files here with the same functions.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod threads;
#[cfg(target_os = "linux")]
pub(crate) use {linux::*, threads::*};

#[cfg(not(target_os = "linux"))]
compile_error!("plugbay-loader runs on Linux; other platforms need a file in loader/src/platform/");
