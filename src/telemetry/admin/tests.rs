use std::net::{Ipv4Addr, SocketAddr};

use super::*;

const LOCALHOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn settings(listen: SocketAddr) -> AdminSettings {
    AdminSettings { listen, changes: Changes::Open, trace_url: None }
}

async fn start(state: Result<(), String>) -> (String, CancellationToken) {
    let server = AdminServer::bind(settings(LOCALHOST)).await.unwrap();
    let base = format!("http://{}", server.address());
    let checks = vec![
        Check { name: "kafka", state: Ok(()) },
        Check { name: "backend", state: state.clone() },
    ];
    let pages = Pages {
        metrics: Arc::new(|| "spans 1\n".to_owned()),
        readiness: Arc::new(move || checks.clone()),
        notes: Arc::new(|| vec!["two_partitions: they are".to_owned()]),
        policies: Some(PolicyPages {
            text: Arc::new(|| "errors enforce\n".to_owned()),
            json: Arc::new(|| "{}\n".to_owned()),
            reload: Arc::new({
                let is_good = state.is_ok();
                move || {
                    let answer = if is_good { Ok("reloaded".into()) } else { Err("bad".into()) };
                    Box::pin(std::future::ready(answer))
                }
            }),
        }),
        status: None,
    };
    let stop = CancellationToken::new();
    tokio::spawn(server.serve(pages, stop.clone()));
    (base, stop)
}

pub(super) async fn get(url: String) -> (u16, String) {
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn a_member_that_lacks_something_is_alive_and_says_what() {
    let (base, _stop) = start(Err("<it> does not answer".to_owned())).await;
    assert_eq!(get(format!("{base}/livez")).await, (200, "ok\n".to_owned()));
    let not_ready = "[-] backend: <it> does not answer\nnot ready\n".to_owned();
    assert_eq!(get(format!("{base}/readyz")).await, (503, not_ready));
    let (status, verbose) = get(format!("{base}/readyz?verbose")).await;
    assert_eq!(status, 503);
    assert!(verbose.starts_with("[+] kafka ok\n[-] backend"), "{verbose}");
    let (status, home) = get(base).await;
    assert_eq!(status, 200);
    assert!(home.contains("&lt;it&gt; does not answer") && home.contains("/metrics"), "{home}");
}

#[tokio::test]
async fn a_ready_member_says_so_and_metrics_are_text_for_prometheus() {
    let (base, stop) = start(Ok(())).await;
    assert_eq!(get(format!("{base}/readyz")).await, (200, "ready\n".to_owned()));
    let verbose = "[+] kafka ok\n[+] backend ok\n[!] two_partitions: they are\nready\n".to_owned();
    assert_eq!(get(format!("{base}/readyz?verbose")).await, (200, verbose));
    let response = reqwest::get(format!("{base}/metrics")).await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    assert_eq!(response.text().await.unwrap(), "spans 1\n");
    stop.cancel();
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = AdminServer::bind(settings(LOCALHOST)).await.unwrap();
    let address = taken.address();
    let error = AdminServer::bind(settings(address)).await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("admin.listen"), "{error}");
}

#[tokio::test]
async fn policies_are_shown_and_reloaded() {
    let (good, _stop) = start(Ok(())).await;
    let (bad, _stop_too) = start(Err("it".to_owned())).await;
    assert_eq!(get(format!("{good}/policies")).await, (200, "errors enforce\n".to_owned()));
    assert_eq!(get(format!("{good}/policies?format=json")).await, (200, "{}\n".to_owned()));
    assert!(get(good.clone()).await.1.contains("<a href=policies>"));
    let reload = async |base: &str| {
        let answer = reqwest::Client::new().post(format!("{base}/-/reload")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(reload(&good).await, (200, "reloaded".to_owned()));
    assert_eq!(reload(&bad).await, (422, "bad\n".to_owned()));
    assert_eq!(get(format!("{good}/-/reload")).await.0, 405);
}

#[tokio::test]
async fn what_is_refused_says_why_and_every_answer_is_protected() {
    let (base, _stop) = start(Ok(())).await;
    let client = reqwest::Client::new();
    let request = client.post(format!("{base}/-/reload")).header("sec-fetch-site", "cross-site");
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(refused.headers()["content-security-policy"].to_str().unwrap().contains("'none'"));
    assert!(refused.text().await.unwrap().contains("another site"));
    for path in ["", "/metrics", "/none"] {
        let answer = client.get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer", "{path}");
    }
    let rebound = client.get(&base).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 403);
}

#[tokio::test]
async fn a_token_file_that_is_not_there_is_an_error_at_the_start() {
    let token = Token::File("/nowhere/token".into());
    let changes = Changes::WithToken(token);
    let error =
        AdminServer::bind(AdminSettings { changes, ..settings(LOCALHOST) }).await.unwrap_err();
    assert!(error.to_string().contains("admin.token_file"), "{error}");
}
