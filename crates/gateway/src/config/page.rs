//! Writes `docs/configuration.md` from the tables.

use std::fmt::Write;

use super::{Change, Key, SECTIONS, Section, api_keys};

const INTRODUCTION: &str = r#"# Configuration

<!-- Made from the tables in crates/gateway/src/config; a test holds this page to them and tells how to make it anew. -->

A node reads its configuration from four sources; each overrides those before it, key by key:

1. the defaults below;
2. a TOML file, `roomcast serve --config FILE`;
3. the environment: `ROOMCAST__SECTION__KEY`, that is the key in full in capitals, with two underscores for each dot (`limits.log_bytes` is `ROOMCAST__LIMITS__LOG_BYTES`). Empty variables count as not set; a variable that only looks like one (`ROOMCAST_HTTP_LISTEN`) is warned of at start;
4. flags: `--set KEY=VALUE` (any key, repeatable, the last one counts), then `--listen` (`http.listen`), `--redis-url` (`bus.redis_url`), `--node-id` (`node.id`) and `--insecure` (`insecure`).

`roomcast config check FILE` reads a file and says all that is wrong with it at once. `roomcast config print` prints every key with its value and where that came from, and ends with 1 if anything is wrong. Passwords are masked there, in errors and in logs; what cannot be read as a URL is masked whole. A key that does not exist or a value out of bounds ends the program before a port is bound, with a message that names the key, the source, and the key that may have been meant.

**Values.** Times are a number with `ms`, `s`, `m`, `h` or `d`; sizes are bytes, or a number with `KiB`, `MiB` or `GiB`. In TOML they are strings (`"25s"`, `"64KiB"`); whole numbers and `true`/`false` may stand without quotes.

**Reload.** On SIGHUP a node reads its sources again and takes over the keys marked "yes" under *Reload*; for the others it logs which of them changed and wait for a restart. If anything is wrong it logs that, and changes nothing.

```toml
[http]
listen = "127.0.0.1:9000"

[bus]
redis_url = "redis://127.0.0.1:6379"

[namespaces.default]
history_size = 200

[namespaces.prices]       # rooms named prices:…
history_size = 0
slow = "conflate"
```
"#;

/// The text of `docs/configuration.md`.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in SECTIONS.into_iter().chain([&api_keys::SECTION]) {
        write_section(&mut page, section).expect("a string takes everything");
    }
    page
}

fn write_section(page: &mut String, section: &Section) -> std::fmt::Result {
    match section.name {
        "" => writeln!(page, "\n## Top level\n")?,
        name => writeln!(page, "\n## [{name}]\n")?,
    }
    writeln!(page, "{}\n", section.about)?;
    writeln!(page, "| Key | Default | Takes | Reload | Meaning, and why this default |")?;
    writeln!(page, "| --- | --- | --- | --- | --- |")?;
    for key in section.keys {
        let name = key.full_name(section);
        let (default, takes, reload) = (default(key), key.kind.describe(), reload(key));
        writeln!(page, "| `{name}` | {default} | {takes} | {reload} | {} |", key.about)?;
    }
    Ok(())
}

fn default(key: &Key) -> String {
    match key.default {
        "" => "empty".into(),
        default => format!("`{default}`"),
    }
}

fn reload(key: &Key) -> &'static str {
    match key.change {
        Change::Reload => "yes",
        Change::Restart => "",
    }
}
