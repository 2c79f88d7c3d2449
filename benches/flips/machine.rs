//! Where this was measured: figures of flips mean little without it.

use std::fs::read_to_string;
use std::thread::available_parallelism;

use crate::support::daemon::POINTSMAN;

pub(crate) fn describe() {
    let processors = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&processors, "model name");
    let memory = read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: u64 = field(&memory, "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or(0);
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!(
        "machine: {} cores of {model}, {} GiB, {} Linux {}",
        available_parallelism().map_or(0, usize::from),
        kilobytes >> 20,
        std::env::consts::ARCH,
        kernel.trim()
    );
    println!("profile: {}", profile());
    tell_load("at the begin");
}

/// Tells how busy the machine is with everybody's work: what else runs is part of each figure.
pub(crate) fn tell_load(when: &str) {
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    let last_minute = load.split(' ').next().unwrap_or("unknown");
    println!("load average of the last minute, {when}: {last_minute}");
}

/// The profile is the folder that the binary was built into.
fn profile() -> &'static str {
    let mut folders = POINTSMAN.rsplit('/').skip(1);
    folders.next().unwrap_or("unknown")
}

fn field<'t>(text: &'t str, name: &str) -> &'t str {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(other, _)| other.trim() == name);
    found.map_or("unknown", |(_, value)| value.trim())
}
