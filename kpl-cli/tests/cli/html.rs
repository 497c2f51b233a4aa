//! `--output html`: a page is one file, bounded, and nothing from outside is more than text in it. `.ci/html` opens pages in a
//! browser.

use kpl_core::{Aggregator, RawRecord};
use kpl_testkit::bytes::sealed;
use kpl_testkit::golden::Golden;

use crate::support::{Directory, kpl, kpl_golden};

/// What breaks out of text, of attributes and of lines, and hides.
const HOSTILE: &str =
    "\"'><script>document.title='ran'</script><img src=x onerror=alert(1)>&amp;\u{202e}\u{2066}\u{0}\u{1b}[31m\u{9b}";

fn page(arguments: &[&str], input: impl AsRef<[u8]>) -> String {
    let run = kpl(&[arguments, &["--output", "html"]].concat(), input);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stderr);
    assert_is_one_page(&run.stdout);
    run.stdout
}

fn assert_is_one_page(html: &str) {
    assert!(html.starts_with("<!DOCTYPE html>\n") && html.ends_with("</html>\n"));
    assert_eq!(html.matches("<script").count(), 1);
    assert_eq!(html.matches("<img").count(), 0);
    for outside in ["src=\"", "url(", "@import", "href=\"http", " style=", " on"] {
        let found = html
            .match_indices(outside)
            .find(|(at, _)| html[..*at].rfind('<') > html[..*at].rfind('>'));
        assert!(found.is_none(), "{outside}");
    }
    let is_forbidden = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!html.contains(is_forbidden));
    for tag in ["section", "table", "tr", "td", "a", "bdi", "details", "pre", "svg"] {
        let closed = html.matches(&format!("</{tag}>")).count();
        let opened = [" ", ">"].map(|end| html.matches(&format!("<{tag}{end}")).count());
        assert_eq!(opened.iter().sum::<usize>(), closed, "{tag}");
    }
}

/// Returns the bytes that a page shows in hexadecimal.
fn shown_bytes(html: &str) -> Vec<u8> {
    let (_, dump) = html.split_once("<pre class=\"hex\" tabindex=\"0\">").unwrap();
    let (dump, _) = dump.split_once("</pre>").unwrap();
    let parts = dump.split("<a class=").skip(1);
    let texts = parts.map(|part| part.split_once("</a>").unwrap().0.split_once('>').unwrap().1);
    let hex: String = texts
        .map(|text| text.replace("<span class=\"bad mark\">", "").replace("</span>", ""))
        .collect();
    data_encoding::HEXLOWER.decode(hex.replace(' ', "").as_bytes()).unwrap()
}

#[test]
fn a_page_has_every_byte_key_and_user_record() {
    for golden in Golden::all() {
        let html = page(&["inspect"], &golden.aggregated);
        let (bytes, start) = (&golden.aggregated, golden.aggregated.len().min(8192));
        let digest = ((bytes.len() - 16) / 16 * 16).max(start);
        assert_eq!(shown_bytes(&html), [&bytes[..start], &bytes[digest..]].concat());
        let records = html.matches("<tr class=\"row\" id=\"r").count();
        assert_eq!(records, golden.user_records.len());
        for target in html
            .split("href=\"#")
            .skip(1)
            .map(|rest| rest.split_once('"').unwrap().0)
        {
            assert!(html.contains(&format!(" id=\"{target}\"")), "{target}");
        }
    }
}

#[test]
fn the_mistake_is_marked_where_it_is() {
    let mut damaged = kpl_golden().aggregated;
    damaged[500] = 0xF7;
    let html = page(&["inspect"], &damaged);
    assert!(
        html.contains("It stops making sense at <a href=\"#b496\">byte 500</a>"),
        "{html}"
    );
    assert!(html.contains("<span class=\"bad mark\">f7</span>"));
    assert!(html.contains("<p>user record 5, field unknown: "));
    assert_eq!(shown_bytes(&html), damaged);
    // Far behind what is shown from the start.
    let far = sealed(
        [
            b"\x0A\x01a",
            &b"\x1A\x04\x08\x00\x1A\x00".repeat(100_000)[..],
            b"\x1A\x02\x08\x00",
        ]
        .concat(),
    );
    let html = page(&["inspect"], &far);
    assert!(
        html.contains("<a href=\"#b600000\">byte 600,011</a>"),
        "{}",
        &html[4000..6000]
    );
    assert!(html.contains(" id=\"b600000\""));
    assert!(html.contains(" bytes left out …"));
}

#[test]
fn hostile_data_is_text() {
    let record = RawRecord::new(HOSTILE, HOSTILE).with_tag(HOSTILE, Some(HOSTILE));
    let mut aggregator = Aggregator::<RawRecord>::builder().wrap_single(true).build().unwrap();
    assert!(aggregator.push(&record).unwrap().is_none());
    let aggregate = aggregator.finish().unwrap();
    let html = page(&["inspect"], &aggregate.data);
    assert!(
        html.matches("&lt;script&gt;document.title=&#39;ran&#39;&lt;/script&gt;")
            .count()
            >= 4
    );
    let json = serde_json::json!({
        "PartitionKey": HOSTILE, "SequenceNumber": HOSTILE, "Data": data_encoding::BASE64.encode(HOSTILE.as_bytes()),
    });
    page(&["inspect"], json.to_string());
    page(&["inspect", "--raw"], "");
    page(&["inspect", "--raw"], b"\xF3\x89\x9A\xC2");
}

#[test]
fn statistics_are_a_page_too() {
    let golden = kpl_golden().aggregated;
    let html = page(&["stats", "--raw", "--keys", "--shards", "3"], &golden);
    for part in [
        "Hot shards",
        "Hot keys: ",
        "Partition keys: ",
        "What aggregation saves",
        "User records by shard",
        " is split",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(html.matches("<tr class=\"row\">").count() > 20);
    page(&["stats"], "");
    let json = serde_json::json!({ "PartitionKey": HOSTILE, "SequenceNumber": HOSTILE, "Data": "AAAA" });
    let html = page(&["stats", "--keys", "--shards", "1"], json.to_string());
    assert!(html.matches("&lt;script&gt;").count() >= 2);
    // The names of shards come from outside as well.
    let directory = Directory::new();
    let range = serde_json::json!({ "StartingHashKey": "0", "EndingHashKey": u128::MAX.to_string() });
    let shards = serde_json::json!({ "Shards": [{ "ShardId": HOSTILE, "HashKeyRange": range }] });
    let shards = directory.file("shards.json", shards.to_string());
    let html = page(&["stats", "--keys", "--shards", &shards], json.to_string());
    assert!(html.matches("&lt;script&gt;").count() >= 5);
}

#[test]
fn a_page_is_small_whatever_is_inside() {
    let many = sealed([b"\x0A\x01a", &b"\x1A\x04\x08\x00\x1A\x00".repeat(300_000)[..]].concat());
    let keys = sealed(b"\x0A\x01a".repeat(300_000));
    let tags = [b"\x08\x00\x1A\x00", &b"\x22\x03\x0A\x01t".repeat(100_000)[..]].concat();
    let length = tags.len();
    let tags = sealed(
        [
            b"\x0A\x01a\x1A",
            &[length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8][..],
            &tags,
        ]
        .concat(),
    );
    for input in [many, keys, tags, b"\xFF".repeat(2_000_000), b"<".repeat(2_000_000)] {
        let html = page(&["inspect"], &input);
        assert!(html.len() < 1_000_000, "{}", html.len());
        assert!(html.contains(" left out"));
    }
    let record = RawRecord::new("k", vec![0; 4_000]).with_tag(&"\"".repeat(256), Some(&"\"".repeat(256)));
    let mut aggregator = Aggregator::<RawRecord>::builder().max_size(8 << 20).build().unwrap();
    let large = aggregator.aggregate(vec![record; 1_000]).next().unwrap().unwrap();
    let html = page(&["inspect"], &large.data);
    assert!(html.len() < 6_000_000, "{}", html.len());
    assert!(html.contains("the rest is left out") && html.contains("more tags are left out"));
    let key = serde_json::json!({ "PartitionKey": "k".repeat(3_000_000), "Data": "AAAA" });
    assert!(page(&["inspect"], key.to_string()).len() < 100_000);
    let html = page(
        &["stats", "--keys", "--shards", "20000", "--max-size", "1000"],
        key.to_string(),
    );
    assert!(
        html.len() < 2_000_000 && html.contains("19,000 shards left out"),
        "{}",
        html.len()
    );
    let html = page(&["inspect", "--limit", "3"], kpl_golden().aggregated);
    assert_eq!(html.matches("<tr class=\"row\" id=\"r").count(), 3);
    assert!(html.contains("5 more are left out: --limit 8 shows them."));
}
