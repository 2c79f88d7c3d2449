//! The generator: a table of very many sites as a team would write it, one block to a site.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;

/// Zones that the sites are spread over.
const ZONES: usize = 8;

/// What the generated daemon listens on and where its measured site's origins are.
pub(crate) struct Stage<'a> {
    pub(crate) ip: Ipv4Addr,
    pub(crate) state: &'a Path,
    /// The site whose origins are real, like those of the one after it.
    pub(crate) measured: usize,
}

/// Writes the table.
pub(crate) fn table(count: usize, stage: &Stage<'_>) -> String {
    let Stage { ip, state, .. } = stage;
    let mut text = format!(
        "# Sites of the whole house.\nversion: 1\nlisten:\n  http: [{ip}:8080]\n  \
         dns: [{ip}:8053]\n  admin: {ip}:9901\nstate: {}\ndns:\n  addresses: [{ip}]\n  zones:\n",
        state.display()
    );
    for zone in 0..ZONES {
        writeln!(text, "    zone{zone}.example: {{}}").unwrap();
    }
    text.push_str("\nsites:\n");
    for number in 0..count {
        site(&mut text, number, stage);
    }
    text
}

/// The name of a site; the names are in the order of the file.
pub(crate) fn name(number: usize) -> String {
    format!("s{number:06}")
}

/// The first host of a site.
pub(crate) fn host(number: usize) -> String {
    format!("www.{}.zone{}.example", name(number), number % ZONES)
}

fn site(text: &mut String, number: usize, stage: &Stage<'_>) {
    let (name, www, zone) = (name(number), host(number), number % ZONES);
    let [_, b, c, d] = u32::try_from(number).unwrap().to_be_bytes();
    let origins = if [stage.measured, stage.measured + 1].contains(&number) {
        [format!("{}:9101", stage.ip), format!("{}:9102", stage.ip)]
    } else {
        [
            format!("10.{b}.{c}.{d}:8080"),
            format!("10.{}.{c}.{d}:8080", 128 + b),
        ]
    };
    let has_database = number.is_multiple_of(10);
    let databases = [1, 2].map(|side| {
        let address = format!(", names: {{db: 172.16.{side}.{d}}}");
        if has_database { address } else { String::new() }
    });
    write!(
        text,
        "  {name}:\n    hosts: [{www}, {name}.zone{zone}.example]\n    active: live\n    sides:\n      \
         live:   {{web: [http://{}]{}}}\n      backup: {{web: [http://{}]{}}}\n",
        origins[0], databases[0], origins[1], databases[1]
    )
    .unwrap();
    if has_database {
        writeln!(text, "    names: {{db.{name}.zone{zone}.example: db}}").unwrap();
    }
    if number == stage.measured || number.is_multiple_of(20) {
        text.push_str("    paths:\n      /quiz: {access: open}\n");
    }
    text.push_str(
        "    preflight: {every: 1h, timeout: 2s, tries: 1, checks: [{name: home, get: /, status: 200}]}\n",
    );
}
