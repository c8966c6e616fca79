//! The page, the JSON and the text of `tailsieve whatif` say the same.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::whatif::{Files, trace};

const OLD: &str = "policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: the-rest, type: probabilistic, probabilistic: {sampling_percentage: 30}}
";
const NEW: &str = "policies:
  - {name: slow, type: latency, latency: {threshold_ms: 400}}
  - {name: the-rest, type: probabilistic, probabilistic: {sampling_percentage: 50}}
  - {name: nobody, type: string_attribute, string_attribute: {key: service.name, values: [nobody]}}
";

const TOTALS: [&str; 5] = ["compared", "keptBefore", "keptNow", "newlyLost", "newlyKept"];
const MEASURES: [&str; 4] = ["traces", "spans", "bytes", "money"];

/// What the page says at a place of the JSON: exactly, and as it is shown.
type Figures = BTreeMap<String, (f64, String)>;

fn figures(page: &str) -> Figures {
    let mut all = Figures::new();
    for part in page.split("<data value=\"").skip(1) {
        let (value, rest) = part.split_once("\" data-at=\"").unwrap();
        let (at, rest) = rest.split_once("\">").unwrap();
        let shown = rest.split_once("</data>").unwrap().0.to_owned();
        let figure = (value.parse().unwrap(), shown);
        let before = all.insert(at.to_owned(), figure.clone());
        assert!(before.is_none_or(|before| before == figure), "{at} is the same wherever it is");
    }
    all
}

/// What is seen of a piece of the page.
fn seen(html: &str) -> String {
    let texts = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    texts.collect::<String>().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// The number that is shown, and how far it may be off.
fn number(shown: &str) -> (f64, f64) {
    let units = [(" kB", 1e3), (" MB", 1e6), (" GB", 1e9), (" B", 1.0)];
    let unit = units.iter().find(|(unit, _)| shown.ends_with(unit));
    let (unit, factor) = unit.copied().unwrap_or(("", 1.0));
    let digits = shown.strip_suffix(unit).unwrap().replace(' ', "");
    let behind = digits.split_once('.').map_or(0, |(_, behind)| behind.len());
    (digits.parse::<f64>().unwrap() * factor, 0.51 * factor / 10_f64.powi(behind as i32))
}

/// The rows of the text: their names, and what follows in columns.
fn rows(text: &str) -> Vec<Vec<String>> {
    let columns = |line: &str| {
        let columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty());
        columns.map(str::to_owned).collect::<Vec<_>>()
    };
    text.lines().map(columns).collect()
}

/// The figures that have to be on the page, by the rows of the text that have them.
fn expected(summary: &Value, number: usize) -> Vec<(String, Vec<String>)> {
    let at = |path: &str| format!("/candidates/{number}/summary/{path}/value");
    let mut all = Vec::new();
    for (name, total) in
        ["compared", "kept before", "kept now", "newly lost", "newly kept"].iter().zip(TOTALS)
    {
        let places = MEASURES.iter().map(|measure| at(&format!("{total}/{measure}")));
        all.push(((*name).to_owned(), places.collect()));
    }
    let verdict = |it: &Value| {
        let word = if it["kept"] == true { "kept" } else { "dropped" };
        it["policy"].as_str().map_or(word.to_owned(), |policy| format!("{word} by {policy}"))
    };
    for (place, change) in summary["changes"].as_array().unwrap().iter().enumerate() {
        let name = format!("{} -> {}", verdict(&change["old"]), verdict(&change["new"]));
        let places = MEASURES.iter().map(|measure| at(&format!("changes/{place}/{measure}")));
        all.push((name, places.collect()));
    }
    for (table, columns) in [
        ("policies", ["keptBefore", "keptNow", "lost", "alone"]),
        ("services", ["keptBefore", "keptNow", "newlyLost", "newlyKept"]),
    ] {
        for (place, row) in summary[table].as_array().unwrap().iter().enumerate() {
            let of_column = |column| {
                ["traces", "bytes"].map(|it| at(&format!("{table}/{place}/{column}/{it}")))
            };
            let places = columns.into_iter().flat_map(of_column).collect();
            all.push((row["name"].as_str().unwrap().to_owned(), places));
        }
    }
    all
}

/// Scenario: two files are held against a third one, with a price, three times.
/// Guarantees: each figure of the page is that of the JSON, to the last digit, and is shown as the text has it;
/// no figure of the text is missing there; and what is beside it is what it is about.
#[test]
fn page_json_and_text_say_the_same() {
    let services = ["cart", "<b>", "payment", "ש"];
    let traces = (1..=200_u64).map(|number| {
        // Its lower digits are as random as those of a trace id.
        let id = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let millis = number % 7 * 100 + 10;
        trace(id, services[(number % 4) as usize], millis, number.is_multiple_of(9))
    });
    let files = Files::of(OLD, NEW, traces);
    let old = files.path("old.yaml");
    let run = |output: &str| {
        let args = ["--price-per-gb", "7000", "--policies", &old, "--output", output];
        let (code, printed, said) = files.run(&args);
        assert_eq!((code, said.as_str()), (0, ""), "{printed}");
        printed
    };
    let (json, page, text) = (run("json"), run("html"), run("text"));
    let json: Value = serde_json::from_str(&json).unwrap();
    let figures = figures(&page);
    for (at, (value, shown)) in &figures {
        assert_eq!(json.pointer(at).and_then(Value::as_f64), Some(*value), "{at}");
        let (number, off) = number(shown.trim_start_matches('+'));
        assert!((number - value).abs() <= off, "{at}: {shown} is not {value}");
    }
    let mut texts = text.split(" instead of ").skip(1);
    for (number, candidate) in json["candidates"].as_array().unwrap().iter().enumerate() {
        let rows = rows(texts.next().unwrap());
        for (name, places) in expected(&candidate["summary"], number) {
            let shown = places.iter().map(|at| figures[at].1.clone()).collect::<Vec<_>>();
            let is_it = |row: &&Vec<String>| row[1..].starts_with(&shown) && row[0] == name;
            let found = rows.iter().filter(|row| !row.is_empty()).find(is_it);
            assert!(found.is_some(), "{name} {shown:?} in {text}");
            // Not of the totals, which are in cards.
            if !TOTALS.iter().any(|total| places[0].contains(&format!("summary/{total}/"))) {
                let row = page.split("<tr>").find(|it| it.contains(&places[0])).unwrap();
                let head = seen(row.split_once("</th>").unwrap().0);
                let name = name.replace("->", "→");
                assert!(head.contains(&name), "{name}: {head}");
            }
        }
    }
    let changed = |number: usize| &json["candidates"][number]["summary"]["changes"];
    assert!(changed(0).as_array().unwrap().len() >= 3 && changed(1).as_array().unwrap().is_empty());
    let money = "/candidates/0/summary/change/money/value";
    assert!(figures[money].0 != 0.0 && text.contains(&figures[money].1), "{text}");
}
