//! Paths with parameters, methods, and encodings that break the rules.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

const fn route(method: Method, path: &'static str, endpoint: u8) -> Route<u8> {
    Route { method, path, access: Access::Public, body: BodyLimit::NO_BODY, endpoint }
}

static ROUTES: [Route<u8>; 7] = [
    route(Method::GET, "/", 0),
    route(Method::GET, "/ws", 1),
    route(Method::POST, "/v1/rooms/{room}/publish", 2),
    route(Method::GET, "/v1/rooms/{room}/history", 3),
    route(Method::GET, "/v1/rooms/{room}", 4),
    route(Method::DELETE, "/v1/rooms/{room}", 5),
    route(Method::PUT, "/v1/rooms/{room}/state/{key}", 6),
];

static TABLE: LazyLock<RouteTable<u8>> = LazyLock::new(|| RouteTable::new(&ROUTES));

fn find(method: &str, path: &str) -> Result<(u8, PathValues), RouteMiss> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    TABLE.find(&method, path).map(|(route, values)| (route.endpoint, values))
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn paths_lead_to_their_routes() {
    let values = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    let method = |allow: &str| Err(RouteMiss::Method(allow.into()));
    for (method, path, expected) in [
        ("GET", "/", Ok((0, vec![]))),
        ("HEAD", "/ws", Ok((1, vec![]))),
        ("POST", "/v1/rooms/a/publish", Ok((2, values(&["a"])))),
        ("POST", "/v1/rooms/chat%3A1%2fx+y/publish", Ok((2, values(&["chat:1/x+y"])))),
        ("GET", "/v1/rooms/%25%32%66", Ok((4, values(&["%2f"])))),
        ("DELETE", "/v1/rooms/publish", Ok((5, values(&["publish"])))),
        ("PUT", "/v1/rooms/%C3%A9/state/..", Ok((6, values(&["é", ".."])))),
        ("HEAD", "/v1/rooms/a/publish", method("POST")),
        ("POST", "/v1/rooms/a", method("GET, HEAD, DELETE")),
        ("get", "/ws", method("GET, HEAD")),
        ("GET", "", Err(RouteMiss::Path)),
        ("GET", "*", Err(RouteMiss::Path)),
        ("GET", "/ws/", Err(RouteMiss::Path)),
        ("GET", "//ws", Err(RouteMiss::Path)),
        ("GET", "/%77s", Err(RouteMiss::Path)),
        ("GET", "/v1/rooms/", Err(RouteMiss::Path)),
        ("POST", "/v1/rooms//publish", Err(RouteMiss::Path)),
        ("POST", "/v1/rooms/a/b/publish", Err(RouteMiss::Path)),
    ] {
        assert_eq!(find(method, path), expected, "{method} {path}");
    }
    for value in ["%", "%4", "%zz", "a%", "%ff", "%c3", "%+1"] {
        let found = find("GET", &format!("/v1/rooms/{value}/history"));
        assert!(matches!(found, Err(RouteMiss::Encoding(_))), "{value}: {found:?}");
    }
}

proptest! {
    /// Whatever a name holds, it comes out as it was encoded.
    #[test]
    fn a_parameter_is_what_was_encoded(room in ".{1,20}", key in ".{1,20}") {
        let path = format!("/v1/rooms/{}/state/{}", encode(&room), encode(&key));
        prop_assert_eq!(find("PUT", &path), Ok((6, vec![room, key])));
    }

    /// A path leads to the one route whose segments it has, by a plain comparison.
    #[test]
    fn a_path_leads_where_its_segments_say(
        segments in prop::collection::vec("v1|rooms|ws|publish|state|a|%2f|%|", 0..7),
    ) {
        let path = format!("/{}", segments.join("/"));
        let fits = |route: &&Route<u8>| {
            let pattern: Vec<_> = route.path.split('/').collect();
            let given: Vec<_> = path.split('/').collect();
            pattern.len() == given.len()
                && pattern.iter().zip(&given).all(|(pattern, given)| {
                    pattern == given || (pattern.starts_with('{') && !given.is_empty())
                })
        };
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let fitting: Vec<_> = ROUTES.iter().filter(fits).collect();
            let exact = fitting.iter().find(|route| route.method == method);
            let is_broken = segments.iter().any(|segment| segment == "%");
            match find(method, &path) {
                Ok((endpoint, _)) => prop_assert_eq!(Some(endpoint), exact.map(|r| r.endpoint)),
                Err(RouteMiss::Path) => prop_assert!(fitting.is_empty()),
                Err(RouteMiss::Method(_)) => prop_assert!(exact.is_none() && !fitting.is_empty()),
                Err(RouteMiss::Encoding(_)) => prop_assert!(exact.is_some() && is_broken),
            }
        }
    }

    #[test]
    fn no_path_makes_it_panic(path in "[/%a-z0-9{}*:. ]{0,40}") {
        let _any = find("GET", &path);
    }
}
