//! The program as somebody who may not write everywhere: root may, whatever the modes say.

use std::path::Path;
use std::process::Command;

use super::daemon::{POINTSMAN, Place};

/// Nobody's uid.
const NOBODY: &str = "--reuid=65534";

/// The program, to be run by nobody when the tests are root's, with a state directory where that
/// one may write.
pub(crate) fn unprivileged(place: &Place) -> Command {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !is_root {
        return Command::new(POINTSMAN);
    }
    let program = place.path().join("pointsman");
    std::fs::copy(POINTSMAN, &program).unwrap();
    set_mode("711", place.path());
    set_mode("777", &place.state());
    set_mode("755", &program);
    let mut command = Command::new("setpriv");
    command
        .args([NOBODY, "--regid=65534", "--clear-groups"])
        .arg(program);
    command
}

/// Changes who may do what with a file.
pub(crate) fn set_mode(mode: &str, path: &Path) {
    let done = Command::new("chmod").arg(mode).arg(path).status();
    assert!(done.unwrap().success());
}
