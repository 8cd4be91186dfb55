use plugbay_loader::printable;

use super::Check;
use crate::control::{Client, Overview, Place, Request};
use crate::exit::Failure;

pub fn socket(place: &Place) -> Check {
    const WHAT: &str = "socket";
    let path = printable(place.path());
    let answer = || -> Result<Option<Overview>, Failure> {
        match Client::connect(place)? {
            Some(mut client) => Ok(Some(client.ask(&Request::List)?)),
            None => Ok(None),
        }
    };
    match answer() {
        Ok(Some(Overview { host: Some(host), plugins, refused, .. })) => {
            let (plugins, refused) = (plugins.len(), refused.len());
            let pid = host.pid;
            let found =
                format!("{path}: process {pid} serves (plugins: {plugins}, refused: {refused})");
            Check::ok(WHAT, found)
        }
        Ok(Some(_)) => {
            Check::warning(WHAT, format!("{path}: who answers is no host"), "use another --socket")
        }
        Ok(None) if place.path().exists() => Check::warning(
            WHAT,
            format!("{path}: left by a host that was killed"),
            "nothing: the next host-app run replaces it",
        ),
        Ok(None) => Check::ok(WHAT, format!("{path}: no host is running")),
        Err(failure) => Check::failed(WHAT, failure),
    }
}
