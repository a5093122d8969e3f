//! Measures the cost of a letter: `cargo bench -p skychimp-core --bench letter`.
//!
//! A 20 kB HTML letter with ten personal links and its text part, in Latin and in Cyrillic. Prints
//! the microseconds of each step, the best of many short rounds, so that other load does not
//! matter.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a program for a person to read"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use skychimp_core::messages::letter::{
    FrozenMessage, Language, LetterHeaders, LetterTemplate, ListHeaders, Mailbox, MessageContent,
    TemplateRecipient, compose, feedback_id, list_id, message_id,
};
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::ids::{MailingId, RunId, UserId};
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::recipient::RecipientFields;
use skychimp_core::recipients::unsubscribe::UnsubscribeKey;

fn html(words: &str) -> String {
    let mut html = String::from(
        "<html><head><title>x</title><style>p { color: #333 } a { color: #06c }</style></head><body><p>{{ first_name | default('friend') }}!</p>",
    );
    for i in 0..10 {
        html.push_str("<table width=\"100%\"><tr><td><p>");
        while html.len() < 2_000 * (i + 1) {
            html.push_str(words);
        }
        html.push_str("</p><a href=\"https://example.org/item?id={{ attributes.id }}&amp;to={{ email | urlencode }}\">{{ attributes.city }}</a></td></tr></table>");
    }
    html + "<p><a href=\"{{ unsubscribe_url }}\">x</a></p></body></html>"
}

/// Prints the shortest time of one call, in microseconds.
fn measure(name: &str, mut call: impl FnMut()) {
    let mut best = Duration::MAX;
    for _ in 0..300 {
        let start = Instant::now();
        for _ in 0..10 {
            call();
        }
        best = best.min(start.elapsed() / 10);
    }
    println!("{name:<34} {:>8.2} µs", best.as_secs_f64() * 1e6);
}

fn main() {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let (owner, mailing, run) = (UserId::new(now), MailingId::new(now), RunId::new(now));
    let email = EmailAddress::parse("ann.smith@example.org").expect("an address");
    let serde_json::Value::Object(attributes) =
        serde_json::json!({"id": 4711, "city": "Тверь", "plan": "gold", "since": "2021-04-05"})
    else {
        return;
    };
    let person = TemplateRecipient {
        email: email.as_str(),
        fields: &RecipientFields::from_name("Ann Smith"),
        attributes: &attributes,
    };
    let key = UnsubscribeKey::new(&SecretKey::new([7; 32]));
    measure("address, parse", || {
        black_box(EmailAddress::parse(black_box("Ann.Smith@Example.org")).is_ok());
    });
    measure("unsubscribe link, sign", || {
        black_box(key.url("https://mail.example.org", owner, mailing, &email));
    });
    for (name, words) in [
        ("Latin", "The quick brown fox jumps over the lazy dog. "),
        ("Cyrillic", "Съешь же ещё этих мягких французских булок. "),
    ] {
        let content = MessageContent {
            subject: "{{ first_name }}, hello".to_owned(),
            html: Some(html(words)),
            ..MessageContent::default()
        };
        let frozen = FrozenMessage::new(&content, Language::En).expect("valid");
        let template = LetterTemplate::compile(&frozen).expect("compiles");
        let url = key.url("https://mail.example.org", owner, mailing, &email);
        let rendered = template.render(&person, &url).expect("renders");
        let letter = || {
            let message_id = message_id(run, 123_456, "mail.example.org");
            let headers = LetterHeaders {
                from: Mailbox {
                    name: "Shop",
                    address: &email,
                },
                to: Mailbox {
                    name: person.fields.name(),
                    address: &email,
                },
                reply_to: None,
                date: now,
                message_id: &message_id,
                list: Some(ListHeaders {
                    unsubscribe_url: &url,
                    list_id: &list_id(mailing, "mail.example.org"),
                    feedback_id: &feedback_id(mailing, owner),
                }),
            };
            compose(&rendered, &headers).expect("composes")
        };
        println!(
            "{name}: HTML {} bytes, text {} bytes, letter {} bytes",
            rendered.html.as_ref().map_or(0, String::len),
            rendered.text.len(),
            letter().len()
        );
        measure("  freeze (once per run)", || {
            black_box(FrozenMessage::new(&content, Language::En).is_ok());
        });
        measure("  compile (once per run)", || {
            black_box(LetterTemplate::compile(&frozen).is_ok());
        });
        measure("  render", || {
            black_box(template.render(&person, &url).is_ok());
        });
        measure("  compose", || {
            black_box(letter());
        });
    }
}
