//! Which files become rules, and what a bad one does.

use roomcast_protocol::{Data, EventName};

use super::*;
use crate::config::Config;

const SCHEMA: &str = r#"{"type":"object","required":["text"]}"#;

fn read(folder: &Path) -> Result<RuleBook, (String, RulesError)> {
    let setting = format!("namespaces.chat.schemas={}", folder.display());
    RuleBook::read(&Config::from_settings(&[&setting]).unwrap().namespaces)
}

#[test]
fn a_folder_has_a_schema_for_each_event() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("said.json"), SCHEMA).unwrap();
    std::fs::write(folder.path().join("README.md"), "not JSON").unwrap();
    std::fs::write(folder.path().join(".hidden.json"), "not JSON").unwrap();
    let book = read(folder.path()).unwrap();
    assert!(book.of("default").is_none());
    let rules = book.of("chat").unwrap();
    let judge = |event: &str, data: &'static str| {
        let event = EventName::parse(event).unwrap();
        rules.judge(Some(&event), &Data::json(data).unwrap()).map_err(|bad| bad.path)
    };
    assert_eq!(judge("said", r#"{"text":"a"}"#), Ok(()));
    assert_eq!(judge("said", "{}"), Err("/data".into()));
    assert_eq!(judge("other", "1"), Ok(()));
}

#[test]
fn one_bad_file_spoils_all() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("said.json"), SCHEMA).unwrap();
    std::fs::write(folder.path().join("told.json"), r#"{"$ref":"https://example.com/a"}"#).unwrap();
    let (namespace, error) = read(folder.path()).unwrap_err();
    assert_eq!(namespace, "chat");
    assert!(matches!(error, RulesError::Schema(..)) && error.to_string().contains("told.json"));
    let away = folder.path().join("away");
    assert!(matches!(read(&away), Err((_, RulesError::Read(path, _))) if path == away));
}
