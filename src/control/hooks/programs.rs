//! Finding the programs of hooks, before anybody waits for one.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::site::HookPhase;
use crate::table::{Diagnostic, Hooks, Misfit, Site, Table, place};

use super::environment;

const PHASES: [HookPhase; 4] = [
    HookPhase::Before,
    HookPhase::Sync,
    HookPhase::After,
    HookPhase::Restore,
];

/// Finds a program as a shell would, but for what is relative: that lies beside the table.
///
/// # Errors
/// What is the matter with it, in words.
pub(super) fn find(program: &str, folder: &Path) -> Result<PathBuf, String> {
    find_in(program, folder, &environment::path())
}

fn find_in(program: &str, folder: &Path, path: &OsStr) -> Result<PathBuf, String> {
    if program.contains('/') {
        let file = folder.join(program);
        return match fs::metadata(&file) {
            Err(error) => Err(format!("{}: {error}", file.display())),
            Ok(metadata) if metadata.is_dir() => {
                Err(format!("{} is a folder, and no program", file.display()))
            }
            Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
                Err(format!("{} may not be executed", file.display()))
            }
            Ok(_) => Ok(file),
        };
    }
    let mut found = std::env::split_paths(path).map(|place| folder.join(place).join(program));
    let is_program = |file: &PathBuf| {
        let metadata = fs::metadata(file);
        metadata.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    found.find(is_program).ok_or_else(|| {
        let path = path.to_string_lossy();
        format!("there is no program {program} in PATH ({path})")
    })
}

/// Finds the hooks of a table whose program is not there, with their places in its text.
pub fn missing_programs(table: &Table, file: &Path, text: &str) -> Vec<Diagnostic> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let missing = table.sites.iter().flat_map(|site| {
        of_site(site, folder).map(|(phase, name, why)| {
            let key = format!("sites.{}.flip.hooks.{phase}", site.name);
            let remedy = "install it where the daemon runs, or write where it is";
            Misfit::new(
                key,
                format!("hook {name} cannot be run here: {why}"),
                remedy,
            )
        })
    });
    place(file, text, missing.collect())
}

/// Looks whether the hooks of sites can be started; on a thread of its own, as a disk of another
/// machine may answer late, or never.
///
/// # Errors
/// The first that cannot, in words for the operator.
pub(crate) async fn all_found(sites: Vec<Arc<Site>>, file: PathBuf) -> Result<(), String> {
    let has_any = |site: &Arc<Site>| site.flip.hooks != Hooks::default();
    if !sites.iter().any(has_any) {
        return Ok(());
    }
    let look = move || {
        let folder = file.parent().unwrap_or(Path::new(""));
        sites.iter().try_for_each(|site| {
            let mut missing = of_site(site, folder);
            missing.next().map_or(Ok(()), |(phase, name, why)| {
                let site = &site.name;
                Err(format!(
                    "{phase} hook {name} of {site} cannot be run: {why}; put that right first"
                ))
            })
        })
    };
    let looked = tokio::task::spawn_blocking(look).await;
    looked.map_err(|error| format!("the look at the hooks broke off: {error}"))?
}

fn of_site<'s>(
    site: &'s Site,
    folder: &'s Path,
) -> impl Iterator<Item = (HookPhase, &'s str, String)> {
    PHASES.into_iter().flat_map(move |phase| {
        let hooks = site.flip.hooks.of(phase).iter();
        hooks.filter_map(move |hook| {
            let why = find(hook.command.program(), folder).err()?;
            Some((phase, hook.name.as_str(), why))
        })
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    #[test]
    fn a_program_is_found_in_the_path_or_beside_the_table_and_must_be_executable() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("copy");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        let path = OsStr::new("/nowhere:/usr/bin:/bin");
        let find = |program| find_in(program, folder.path(), path);

        assert!(find("sh").unwrap().ends_with("bin/sh"));
        assert!(find("copy").unwrap_err().contains("no program copy"));
        assert!(find("./copy").unwrap_err().contains("may not be executed"));
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find("./copy").unwrap(), folder.path().join("./copy"));
        assert!(find("./gone").unwrap_err().contains("No such file"));
        assert!(find("/usr").unwrap_err().contains("a folder"));
    }
}
