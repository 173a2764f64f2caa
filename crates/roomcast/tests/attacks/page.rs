//! What the node's answers say to a browser: nothing of them is run, framed or guessed, and
//! none tells what the node is made of.

use crate::support::auth::GUARDED;
use crate::support::{RawClient, Response, TestNode, get};

async fn ask(node: &TestNode, request: &str) -> Response {
    let mut client = RawClient::connect(node.address()).await;
    client.write(format!("{request}Host: localhost\r\n\r\n").as_bytes()).await;
    client.response().await
}

#[tokio::test]
async fn the_page_has_no_inline_script_and_a_policy_that_allows_none() {
    let node = TestNode::start(&[]).await;
    let page = get(node.address(), "/").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-frame-options"), Some("deny"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    // What it loads is its own, and the page itself holds no script or style.
    for script in page.body.match_indices("<script").map(|(at, _)| &page.body[at..]) {
        assert!(script.split('>').next().unwrap().contains("src=\"./demo.js\""), "{script}");
        assert!(script.split_once('>').unwrap().1.starts_with("</script>"), "{script}");
    }
    // The icon is in the page; SVG's namespace is a name, and nothing that is loaded.
    let body = page.body.replace("xmlns='http://www.w3.org/2000/svg'", "");
    for inline in
        ["<style", "style=", "onclick", "onload", "onerror", "javascript:", "http://", "https://"]
    {
        assert!(!body.contains(inline), "{inline}");
    }
    for (path, kind) in [("/demo.js", "text/javascript"), ("/demo.css", "text/css")] {
        let file = get(node.address(), path).await;
        assert_eq!(file.status, 200, "{path}");
        assert!(file.header("content-type").unwrap().starts_with(kind), "{path}");
    }
    // What comes from elsewhere makes no script: React itself knows the words for markup, and the
    // policy keeps them from being used (`require-trusted-types-for`).
    assert!(policy.contains("require-trusted-types-for 'script'"), "{policy}");
    let script = get(node.address(), "/demo.js").await.body;
    for code in ["document.write(", "eval(", "new Function(", "dangerouslySetInnerHTML:{"] {
        assert!(!script.contains(code), "{code}");
    }
    let client = get(node.address(), "/client.js").await.body;
    for markup in
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("]
    {
        assert!(!client.contains(markup), "{markup}");
    }
    node.stop().await;
}

#[tokio::test]
async fn every_answer_says_what_it_is_and_none_what_made_it() {
    let node = TestNode::start(&[&GUARDED[..], &["http.demo=on"]].concat()).await;
    let requests = [
        "GET / HTTP/1.1\r\n",
        "GET /demo.js HTTP/1.1\r\n",
        "GET /client.js HTTP/1.1\r\n",
        "GET /health/live HTTP/1.1\r\n",
        "GET /metrics HTTP/1.1\r\n",
        "GET /ws HTTP/1.1\r\n",
        "GET /ws?ticket=%3Cscript%3E HTTP/1.1\r\n",
        "GET /%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.1\r\n",
        "GET /v1/bans HTTP/1.1\r\n",
        "GET /v1/rooms/%3Cb%3E/messages HTTP/1.1\r\n",
        "POST /ws HTTP/1.1\r\n",
        "POST /v1/tickets HTTP/1.1\r\nContent-Type: text/html\r\nContent-Length: 0\r\n",
        "GET / HTTP/1.1\r\nOrigin: https://evil.example\r\n",
    ];
    for request in requests {
        let answer = ask(&node, request).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{request}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{request}: {answer:?}");
        assert!(policy.contains("frame-ancestors 'none'"), "{request}: {answer:?}");
        assert!(answer.header("content-type").is_some(), "{request}");
        for banner in ["server", "x-powered-by", "via"] {
            assert_eq!(answer.header(banner), None, "{request}");
        }
        let is_page = answer.header("content-type").unwrap().contains("html");
        assert_eq!(is_page, request == "GET / HTTP/1.1\r\n", "{request}: {answer:?}");
        // React's own code has the word.
        let has_markup = answer.body.contains("<script") && !request.contains("/demo.js");
        assert!(is_page || !has_markup, "{request}: {}", answer.body);
        // The metrics name the version: they are for those who run the node.
        let version = format!("roomcast {}", env!("CARGO_PKG_VERSION"));
        let told = format!("{}{}", answer.head, answer.body).to_lowercase();
        assert!(request.contains("/metrics") || !told.contains(&version), "{request}: {told}");
        assert!(!answer.head.contains("hyper") && !answer.head.contains("rustls"), "{request}");
    }
    node.stop().await;
}
