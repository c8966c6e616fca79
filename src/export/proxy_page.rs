//! Answers that no OTLP receiver has made: the text of the page, and `Retry-After`.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// The longest text that is kept.
const MOST: usize = 200;

/// The words of a page without its tags, in one line, shortened.
pub(super) fn text(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    let is_html = page.trim_start().starts_with('<');
    let bare = if is_html { without_tags(&page) } else { page.into_owned() };
    let line = bare.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

fn without_tags(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut is_tag = false;
    for character in page.chars() {
        match character {
            '<' => is_tag = true,
            '>' if is_tag => {
                is_tag = false;
                text.push(' ');
            }
            other if !is_tag => text.push(other),
            _ => {}
        }
    }
    text
}

/// `Retry-After`: seconds, or a date of the server's clock (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    retry_after_at(headers, crate::clock::system_time())
}

fn retry_after_at(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits means for ever. The caller limits how much of it is waited for.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_words_of_a_page_are_told_in_one_line() {
        let page = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<hr>nginx</html>";
        assert_eq!(text(page), "502 Bad Gateway nginx");
        assert_eq!(text(b"  no\n such < tenant\n"), "no such < tenant");
        assert_eq!(text("ä".repeat(300).as_bytes()), format!("{}...", "ä".repeat(200)));
        assert_eq!(text(b"\xff"), "\u{fffd}");
        assert_eq!(text(b""), "");
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        let wait = |text| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            retry_after_at(&headers, now)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(wait("Sun, 06 Nov 1988 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999999999"), Some(Duration::from_secs(99_999_999_999)));
        assert_eq!(wait("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        for wrong in ["soon", "-1", "+1", ""] {
            assert_eq!(wait(wrong), None, "{wrong:?}");
        }
        assert_eq!(retry_after_at(&HeaderMap::new(), now), None);
    }
}
