//! The golden vectors: each is decoded from both encodings and written again in both, so that
//! transcoding is held to the byte too.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use crate::{ClientFrame, DecodeError, Encoding, FrameType, ServerFrame};

#[derive(Deserialize)]
struct Vector {
    name: String,
    direction: String,
    json: String,
    msgpack: String,
}

impl Vector {
    fn bytes(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Json => self.json.clone().into_bytes(),
            Encoding::MsgPack => (0..self.msgpack.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&self.msgpack[at..at + 2], 16).unwrap())
                .collect(),
        }
    }
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut vectors = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let vector: Vector = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let stem = format!("{}_{}", vector.direction, vector.name);
            assert_eq!(path.file_stem().unwrap().to_str(), Some(&*stem));
            vectors.push(vector);
        }
    }
    vectors
}

/// Decodes from one encoding and writes in another.
fn through(
    direction: &str,
    bytes: &[u8],
    from: Encoding,
    to: Encoding,
) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    match direction {
        "client" => ClientFrame::decode(from, bytes)?.encode(to, &mut out),
        "server" => ServerFrame::decode(from, bytes)?.encode(to, &mut out),
        other => panic!("no direction {other}"),
    }
    Ok(out)
}

#[test]
fn vectors_pass_in_all_four_ways() {
    for vector in vectors() {
        for from in Encoding::ALL {
            for to in Encoding::ALL {
                let got = through(&vector.direction, &vector.bytes(from), from, to).unwrap();
                let expected = vector.bytes(to);
                assert_eq!(
                    String::from_utf8_lossy(&got),
                    String::from_utf8_lossy(&expected),
                    "{} {from:?} {to:?}",
                    vector.name
                );
                assert_eq!(got, expected, "{} {from:?} {to:?}", vector.name);
            }
        }
    }
}

#[test]
fn every_frame_type_has_a_vector() {
    let mut seen = BTreeSet::new();
    for vector in vectors() {
        let value: serde_json::Value = serde_json::from_str(&vector.json).unwrap();
        seen.insert((vector.direction, value["type"].as_str().unwrap().to_owned()));
    }
    let all = |direction: &'static str, types: &[&'static str]| {
        types.iter().map(|name| (direction.to_owned(), (*name).to_owned())).collect::<Vec<_>>()
    };
    let mut expected: BTreeSet<_> =
        all("client", &FrameType::ALL.map(FrameType::as_str)).into_iter().collect();
    expected.extend(all("server", &ServerFrame::TYPES));
    assert_eq!(seen, expected);
}
