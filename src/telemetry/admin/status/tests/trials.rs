//! Policies are tried by the form and by the API, by whom they may be.

use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::{Client, Method, Response, redirect};

use super::*;
use crate::secret::Secret;
use crate::telemetry::accounts::Amount;
use crate::telemetry::admin::Token;

/// The trial that is remembered.
pub(super) const ID: &str = "00000000000000aa";

pub(super) struct WorstTrials;

fn status() -> TrialStatus {
    let texts = hostile().concat();
    let amount = Amount { traces: 1, spans: 2, bytes: u64::MAX / 8 };
    let trace = Worst.latest(true).remove(0);
    let example = |_| TrialExampleStatus {
        trace: trace.clone().into(),
        policy: Some(texts.clone()),
        reasons: vec![ReasonStatus { policy: texts.clone(), reason: texts.clone() }],
    };
    let policy = |name: String| TriedPolicyStatus {
        name,
        kind: "composite".to_owned(),
        mode: "shadow",
        votes_to_keep: 1,
        votes_to_drop: 2,
        no_votes: 3,
        errors: 4,
        kept: amount,
        dropped: amount,
    };
    TrialStatus {
        id: ID.to_owned(),
        state: "running",
        started_at: Time(Timestamp(i64::MIN)),
        ended_at: None,
        seconds: 60,
        hash: "ab".to_owned(),
        in_force: "cd".to_owned(),
        has_limits: true,
        not_tried: vec!["decision_wait"],
        warnings: vec![finding()],
        notes: vec![FindingStatus::default()],
        decided: amount,
        left_out: amount,
        kept_kept: amount,
        kept_dropped: amount,
        dropped_kept: amount,
        dropped_dropped: amount,
        policies: hostile().map(policy).to_vec(),
        dropped_by_none: amount,
        newly_kept: [(); 10].map(example).to_vec(),
        newly_dropped: [(); 10].map(example).to_vec(),
        busy_seconds: 0.5,
    }
}

fn finding() -> FindingStatus {
    let texts = hostile().concat();
    FindingStatus {
        line: Some(3),
        column: Some(7),
        message: texts.clone(),
        help: Some(texts.clone()),
        excerpt: None,
        shown: format!("policies.yaml:3:7: that\nand more\n{texts}"),
    }
}

/// What becomes of a file stands in it.
impl Trials for WorstTrials {
    fn begin(&self, file: String, duration: Duration) -> Later<Result<TrialStatus, TrialRefusal>> {
        let errors = vec![finding()];
        later(match &*file {
            "busy" => Err(TrialRefusal::Busy(Some(ID.to_owned()))),
            "none" => Err(TrialRefusal::NoAnswer),
            "good\nfile" => Ok(TrialStatus { seconds: duration.as_secs(), ..status() }),
            _ => Err(TrialRefusal::Invalid(Findings { errors, ..Findings::default() })),
        })
    }

    fn all(&self) -> Vec<TrialStatus> {
        vec![status()]
    }

    fn cancel(&self, id: &str) -> Later<Option<TrialStatus>> {
        later((id == ID).then(status))
    }
}

async fn api(method: Method, url: String, file: Vec<u8>, token: Option<&str>) -> Response {
    let request = Client::new().request(method, url).body(file);
    let bearer = token.map(|token| format!("Bearer {token}"));
    let request = bearer.into_iter().fold(request, |it, bearer| it.header(AUTHORIZATION, bearer));
    request.send().await.unwrap()
}

/// Sends a form as browsers do.
async fn form(url: String, fields: &[(&str, &str)], site: &str) -> (u16, Option<String>, String) {
    let part = |(name, value): &(&str, &str)| {
        let file = if *name == "file" { "; filename=\"p.yaml\"" } else { "" };
        let head = format!("Content-Disposition: form-data; name=\"{name}\"{file}");
        format!("--x\r\n{head}\r\n\r\n{value}\r\n")
    };
    let body = fields.iter().map(part).collect::<String>() + "--x--\r\n";
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let request = client.post(url).header("content-type", "multipart/form-data; boundary=x");
    let answer = request.header("sec-fetch-site", site).body(body).send().await.unwrap();
    let location = answer.headers().get(LOCATION).map(|it| it.to_str().unwrap().to_owned());
    (answer.status().as_u16(), location, answer.text().await.unwrap())
}

#[tokio::test]
async fn a_trial_begins_by_the_api_or_it_is_said_why_not() {
    let (base, _stop) = start().await;
    let begin = async |query: &str, file: Vec<u8>| {
        let url = format!("{base}/api/v1/policies/trials{query}");
        let answer = api(Method::POST, url, file, None).await;
        let location = answer.headers().get(LOCATION).map(|it| it.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let json: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        (status, location, json)
    };
    let (status, location, trial) = begin("", b"good\nfile".to_vec()).await;
    assert_eq!((status, trial["seconds"].as_u64()), (201, Some(60)));
    assert_eq!(location.unwrap(), format!("/api/v1/policies/trials/{ID}"));
    assert_eq!(begin("?seconds=600", b"good\nfile".to_vec()).await.2["seconds"], 600);
    for query in ["?seconds=0", "?seconds=601", "?seconds=", "?seconds=1m"] {
        let (status, _, error) = begin(query, b"good\nfile".to_vec()).await;
        assert_eq!(status, 400, "{query}");
        assert!(error["error"].as_str().unwrap().contains("from 1 to 600"));
    }
    let (status, _, wrong) = begin("", b"bad".to_vec()).await;
    assert_eq!((status, wrong["errors"][0]["line"].as_u64()), (422, Some(3)));
    assert_eq!(
        begin("", b"\xff".to_vec()).await.2["errors"][0]["message"],
        "expected text in UTF-8"
    );
    let (status, _, busy) = begin("", b"busy".to_vec()).await;
    assert!(status == 409 && busy["error"].as_str().unwrap().contains(ID));
    assert_eq!(begin("", b"none".to_vec()).await.0, 503);
    assert_eq!(begin("", vec![b'x'; (256 << 10) + 1]).await.0, 413);
}

#[tokio::test]
async fn a_trial_is_looked_at_and_cancelled() {
    let (base, _stop) = start().await;
    for (method, id, expected) in
        [("GET", ID, 200), ("DELETE", ID, 200), ("GET", "1", 404), ("DELETE", "1", 404)]
    {
        let url = format!("{base}/api/v1/policies/trials/{id}");
        let answer = api(method.parse().unwrap(), url, Vec::new(), None).await;
        assert_eq!(answer.status(), expected, "{method} {id}");
    }
    let (_, page) = get(format!("{base}/trials/{ID}")).await;
    for text in ["this member alone", "Not tried", "decision_wait", "half of a worker", "Cancel"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(page.contains("https://grafana/"), "what was kept can be looked at");
    assert_eq!(get(format!("{base}/trials/none")).await.0, 404);
    let cancelled =
        form(format!("{base}/trials/{ID}/cancel"), &[("token", "")], "same-origin").await;
    assert_eq!((cancelled.0, cancelled.1.unwrap()), (303, format!("/trials/{ID}")));
    let unknown = form(format!("{base}/trials/none/cancel"), &[("token", "")], "same-origin").await;
    assert_eq!(unknown.0, 404);
}

#[tokio::test]
async fn a_trial_begins_by_the_form_or_the_findings_stand_beside_the_text() {
    let (base, _stop) = start().await;
    let url = || format!("{base}/trials");
    let seconds = ("seconds", "60");
    let (status, location, _) =
        form(url(), &[("text", "good\r\nfile"), seconds], "same-origin").await;
    assert_eq!((status, location.unwrap()), (303, format!("/trials/{ID}")));
    // A file that is chosen is taken.
    let both = [("text", "bad"), ("file", "good\nfile"), seconds];
    assert_eq!(form(url(), &both, "same-origin").await.0, 303);
    let (status, _, page) = form(url(), &[("text", "\tbad <b>"), seconds], "same-origin").await;
    assert_eq!(status, 422);
    assert!(page.contains(">\n\tbad &lt;b&gt;</textarea>") && page.contains("policies.yaml:3:7: "));
    assert!(page.contains("that\nand more\n"), "findings keep their lines");
    elements(&page);
    let (status, _, page) = form(url(), &[("text", "busy"), seconds], "same-origin").await;
    assert!(status == 409 && page.contains(&format!("href=\"/trials/{ID}\"")));
    let (status, _, page) = form(url(), &[("text", "good\nfile"), ("seconds", "x")], "none").await;
    assert!(status == 400 && page.contains("from 1 to 600"));
    let large = "x".repeat(2 << 20);
    assert_eq!(form(url(), &[("text", &large), seconds], "same-origin").await.0, 413);
    let large = "x".repeat(300 << 10);
    assert_eq!(form(url(), &[("text", &large), seconds], "same-origin").await.0, 413);
}

#[tokio::test]
async fn who_may_change_nothing_may_try_nothing() {
    let good = [("text", "good\nfile"), ("seconds", "60")];
    let (open, _stop) = start().await;
    assert_eq!(form(format!("{open}/trials"), &good, "cross-site").await.0, 403);
    let (off, _stop) = start_with(Changes::Off).await;
    for path in ["/trials", "/trials/00000000000000aa/cancel"] {
        assert_eq!(form(format!("{off}{path}"), &good, "same-origin").await.0, 403, "{path}");
    }
    let (_, page) = get(format!("{off}/trials")).await;
    assert!(page.contains("admin.allow_changes") && !page.contains("<form"));
    let (_, page) = get(format!("{off}/trials/{ID}")).await;
    assert!(!page.contains("<form"));
    let token = Token::Text(Secret::new("s3cret"));
    let (base, _stop) = start_with(Changes::WithToken(token)).await;
    for token in ["", "wrong"] {
        let fields = [good[0], good[1], ("token", token)];
        let (status, _, page) = form(format!("{base}/trials"), &fields, "same-origin").await;
        assert!(status == 403 && page.contains("not the token"), "{token}");
        let cancel = format!("{base}/trials/{ID}/cancel");
        assert_eq!(form(cancel, &[("token", token)], "same-origin").await.0, 403, "{token}");
    }
    let fields = [good[0], good[1], ("token", "s3cret")];
    assert_eq!(form(format!("{base}/trials"), &fields, "same-origin").await.0, 303);
    let url = || format!("{base}/api/v1/policies/trials");
    let file = || b"good\nfile".to_vec();
    assert_eq!(api(Method::POST, url(), file(), None).await.status(), 401);
    assert_eq!(api(Method::POST, url(), file(), Some("s3cret")).await.status(), 201);
    let one = format!("{base}/api/v1/policies/trials/{ID}");
    assert_eq!(api(Method::DELETE, one.clone(), Vec::new(), None).await.status(), 401);
    assert_eq!(api(Method::GET, one, Vec::new(), None).await.status(), 200);
}
