//! A password of Redis, whatever it is made of and by whatever way it comes in, is shown nowhere.

use std::fs;

use proptest::prelude::*;
use roomcast_gateway::config::{ServeArgs, Sources};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_source_shows_a_password(
        password in "[A-Z0-9 @:/?#%&=+,.;\"'\\\\\n\t\\[\\]{}äß€-]{5,20}", way in 0..8,
    ) {
        let url = format!("redis://app:{password}@redis.invalid/1");
        let text = match way {
            // What follows a line break is another key there.
            0 => format!("[bus]\nredis_url = {}\n", url.replace('\n', "")),
            1 => format!("[bus]\nredis_url = \"{url}\"\n"),
            2 => format!("[bus]\nredis_url = '''{url}'''\n"),
            3 => format!("[bus]\n{url} = 1\n"),
            4 => format!("[bus]\nprefix = \"{url}\"\n[limits]\nlog_bytes = '{url}'\n"),
            _ => String::new(),
        };
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("roomcast.toml");
        fs::write(&path, &text).expect("a file in it");
        let args = ServeArgs {
            config: Some(path),
            redis_url: (way == 5).then(|| url.clone()),
            listen: (way == 6).then(|| url.clone()),
            ..ServeArgs::default()
        };
        let variables = (way == 7).then(|| ("ROOMCAST__BUS__REDIS_URL".to_owned(), url.clone()));
        let sources = Sources::of(&args).with_variables(variables);
        let loaded = match sources.load() {
            Ok(config) => format!("{config:?}"),
            Err(error) => format!("{error}\n{error:?}"),
        };
        let shown = format!("{loaded}\n{:?}", sources.explain().expect("the file is there"));
        // Numbers may stand there for themselves.
        let pieces = password.split(|c: char| !c.is_alphanumeric());
        for piece in pieces.filter(|piece| piece.len() > 3 && piece.parse::<u64>().is_err()) {
            prop_assert!(!shown.contains(piece), "{piece:?} of {url:?} in {shown}");
        }
    }
}
