//! What deriving costs to compile: a crate with a hundred enums of ten variants, each time compiled anew.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::Rows;
use crate::Fallible;
use crate::report::Row;
use crate::sample::median;

const ENUMS: usize = 100;
const VARIANTS: usize = 10;

/// What is derived.
#[derive(Clone, Copy)]
enum Derived {
    Nothing,
    Serde,
    Event,
}

pub(super) async fn run(rows: &mut Rows<'_>) -> Fallible<()> {
    if !rows.wants("build") {
        return Ok(());
    }
    let rounds = rows.options.rounds;
    let (event, serde) = tokio::task::spawn_blocking(move || measure(rounds)).await??;
    rows.add(Row::time("build", "s", event, serde, 1.5).note(format!(
        "cargo build of {ENUMS} enums of {VARIANTS} variants: what DomainEvent adds to the crate with serde's two derives, beside what \
         those add to the bare enums"
    )));
    Ok(())
}

/// The seconds that our derive adds, and those that serde's add.
fn measure(rounds: usize) -> Fallible<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let crates = [(Derived::Nothing, "bare"), (Derived::Serde, "with-serde"), (Derived::Event, "with-events")];
    for (derived, name) in crates {
        write_crate(&folder.path().join(name), name, derived)?;
    }
    let members = crates.map(|(_, name)| format!("\"{name}\"")).join(", ");
    std::fs::write(
        folder.path().join("Cargo.toml"),
        format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n"),
    )?;
    // The dependencies, once.
    for (_, name) in crates {
        build(folder.path(), name)?;
    }
    let mut seconds = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        for (index, (_, name)) in crates.iter().enumerate() {
            touch(&folder.path().join(name))?;
            let begun = Instant::now();
            build(folder.path(), name)?;
            seconds[index].push(begun.elapsed().as_secs_f64());
        }
    }
    let [bare, serde, event] = seconds.map(|seconds| median(&seconds));
    Ok((event - serde, serde - bare))
}

fn build(folder: &Path, name: &str) -> Fallible<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).args(["build", "--quiet", "-p", name]).env("CARGO_TARGET_DIR", folder.join("target"));
    // Incremental compilation would find that nothing changed.
    let output = cargo.env("CARGO_INCREMENTAL", "0").stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let first: Vec<_> = told.lines().take(10).collect();
        return Err(format!("{name} can't be built: {}", first.join("\n")).into());
    }
    Ok(())
}

fn touch(folder: &Path) -> Fallible<()> {
    let path = folder.join("src/lib.rs");
    let text = std::fs::read(&path)?;
    Ok(std::fs::write(path, text)?)
}

fn write_crate(folder: &Path, name: &str, derived: Derived) -> Fallible<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let serde = "serde = { version = \"1\", features = [\"derive\"] }\n";
    let event = format!("event-core = {{ path = {:?}, features = [\"derive\"] }}\n", root.join("event-core"));
    let (dependencies, derives) = match derived {
        Derived::Nothing => (String::new(), "Clone, Debug"),
        Derived::Serde => (serde.to_owned(), "Clone, Debug, serde::Serialize, serde::Deserialize"),
        Derived::Event => {
            (format!("{serde}{event}"), "Clone, Debug, serde::Serialize, serde::Deserialize, event_core::DomainEvent")
        }
    };
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::write(
        folder.join("Cargo.toml"),
        format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}"
        ),
    )?;
    let mut text = String::from("#![allow(dead_code)]\n\npub struct Issue;\n\n");
    let subject = if matches!(derived, Derived::Event) { "#[event(subject(Issue))]\n" } else { "" };
    for number in 0..ENUMS {
        write!(text, "#[derive({derives})]\n{subject}pub enum Event{number} {{\n")?;
        for variant in ('A'..).take(VARIANTS) {
            writeln!(text, "    {variant}Changed {{ name: String, amount: i64, at: Option<String> }},")?;
        }
        text.push_str("}\n");
    }
    Ok(std::fs::write(folder.join("src/lib.rs"), text)?)
}
