//! A terminal as people have it, by tmux.

use std::process::{Command, Output, Stdio};

use super::daemon::{POINTSMAN, Place};
use super::wait::until;

/// A terminal of 80 columns and 24 rows, by tmux; it ends with this.
pub(crate) struct Terminal {
    /// The tmux server of this test alone.
    server: String,
}

impl Terminal {
    /// Runs a verb of `pointsman` on it.
    pub(crate) fn run(place: &Place, verb: &str) -> Self {
        let socket = place.state().join("admin.sock");
        let command = format!("{POINTSMAN} --socket {} {verb}", socket.display());
        Self::run_line(place, &command)
    }

    /// Runs a line of a shell on it.
    pub(crate) fn run_line(place: &Place, line: &str) -> Self {
        let server = format!("pointsman-{}", place.ip);
        let terminal = Self { server };
        let size = ["-x", "80", "-y", "24"];
        let started = terminal.tmux(&[&["new-session", "-d"], &size[..], &[line]].concat());
        assert!(started.status.success(), "{started:?}");
        // What it showed last is looked at after it has ended.
        terminal.tmux(&["set-option", "-g", "remain-on-exit", "on"]);
        terminal
    }

    pub(crate) fn tmux(&self, arguments: &[&str]) -> Output {
        Command::new("tmux")
            // Nobody's own settings.
            .args(["-f", "/dev/null", "-L", &self.server])
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    pub(crate) fn picture(&self) -> String {
        let shown = self.tmux(&["capture-pane", "-p"]).stdout;
        String::from_utf8(shown).unwrap()
    }

    pub(crate) fn until_shows(&self, part: &str) -> String {
        until(&format!("{part:?} on the terminal"), || {
            let picture = self.picture();
            picture.contains(part).then_some(picture)
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
