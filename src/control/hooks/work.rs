//! What a runner is given: the hooks of one phase of a flip, ready to be started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::journal::UnfinishedHook;
use crate::site::{Epoch, Move, SiteName};
use crate::table::{Hook, Site};

use super::environment::{self, Occasion};

/// Hooks that are run one after the other.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) occasion: Occasion,
    pub(super) jobs: Vec<Job>,
    /// The folder of the table.
    pub(super) folder: PathBuf,
    pub(super) on_failure: OnFailure,
    /// How long they may take, all together.
    pub(super) within: Option<Duration>,
    /// What a daemon before this one left running, which is to be ended first.
    pub(super) survivors: Vec<UnfinishedHook>,
}

/// What becomes of the hooks after one that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// They are not run, and the flip goes back.
    Stop,
    /// They are run all the same.
    GoOn,
}

/// One hook of one site.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) site: SiteName,
    pub(super) hook: Hook,
    pub(super) environment: Arc<[(String, OsString)]>,
}

/// Lists the hooks of sites, site by site in the order of their names.
pub(super) fn jobs<'m>(
    occasion: &Occasion,
    moves: impl Iterator<Item = (&'m Move, Epoch, &'m Site)>,
) -> Vec<Job> {
    let mut moves: Vec<_> = moves.collect();
    moves.sort_by_key(|(moved, ..)| &moved.site);
    let mut jobs = Vec::new();
    for (moved, epoch, site) in moves {
        let hooks = site.flip.hooks.of(occasion.phase);
        if hooks.is_empty() {
            continue;
        }
        let environment: Arc<[_]> = environment::of(occasion, moved, epoch).into();
        jobs.extend(hooks.iter().map(|hook| Job {
            site: moved.site.clone(),
            hook: hook.clone(),
            environment: Arc::clone(&environment),
        }));
    }
    jobs
}

/// The folder that a table lies in, as a place to be in.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).into()
}

#[cfg(test)]
mod tests {
    use crate::site::{FlipId, HookPhase, SideName};
    use crate::table::{ReadFile, Table};

    use super::*;

    struct NoFiles;

    impl ReadFile for NoFiles {
        fn read(&self, _: &Path) -> std::io::Result<String> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn hooks_of_several_sites_come_site_by_site_each_with_what_is_its_own() {
        let site = |name: &str, port: u16| {
            format!(
                "  {name}:\n    hosts: [{name}.example]\n    sides: {{live: {{web: \
                 [http://127.0.0.1:{port}]}}}}\n    flip: {{hooks: {{sync: [[a-{name}], [b-{name}]], \
                 after: [[never]]}}}}\n"
            )
        };
        let text = format!(
            "version: 1\nlisten: {{http: [127.0.0.1:8080]}}\nstate: s\nsites:\n{}{}",
            site("zoo", 1),
            site("ape", 2)
        );
        let table = Table::load(Path::new("routes.yaml"), &text, &NoFiles).expect("it loads");
        let moved = |name: &str| Move {
            site: SiteName::new(name),
            from: SideName::new("live"),
            to: SideName::new("backup"),
        };
        let moves = [moved("zoo"), moved("ape")];
        let occasion = Occasion {
            flip: FlipId(7),
            phase: HookPhase::Sync,
            reason: Some("a\0b".into()),
            skipped: Vec::new(),
        };

        let jobs = jobs(
            &occasion,
            moves.iter().zip([3, 5]).filter_map(|(moved, epoch)| {
                let site = table.site(moved.site.as_str())?;
                Some((moved, Epoch(epoch), &**site))
            }),
        );

        let names: Vec<_> = jobs.iter().map(|job| job.hook.name.as_str()).collect();
        assert_eq!(names, ["a-ape", "b-ape", "a-zoo", "b-zoo"]);
        let says = |job: &Job, name: &str, value: &str| {
            let mut variables = job.environment.iter();
            variables.any(|(known, is)| known == name && is == value)
        };
        assert!(says(&jobs[0], "POINTSMAN_SITE", "ape") && says(&jobs[0], "POINTSMAN_EPOCH", "5"));
        assert!(says(&jobs[3], "POINTSMAN_SITE", "zoo") && says(&jobs[3], "POINTSMAN_EPOCH", "3"));
        assert!(says(&jobs[3], "POINTSMAN_REASON", "a b"), "no byte 0");
    }
}
