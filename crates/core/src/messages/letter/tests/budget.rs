//! What a message may cost is found out before it is sent.

use crate::messages::letter::MessageContent;

fn codes(html: &str, text: &str) -> Vec<(&'static str, &'static str)> {
    let content = MessageContent {
        subject: "Hello {{ name }}".to_owned(),
        preview_text: String::new(),
        html: Some(html.to_owned()),
        text: Some(text.to_owned()),
    };
    let problems = content.check().into_iter();
    problems
        .map(|problem| (problem.field, problem.code))
        .collect()
}

/// Sixteen million characters, in few tags.
fn expensive() -> String {
    let grow = "{% if name|replace('o', 'long long long long long long')|replace('o', 'long long long long long long')|replace('o', 'long long long long long long')|title|upper %}{% endif %}";
    let (open, close) = ("{% for a in attributes.l %}", "{% endfor %}");
    format!("{}{grow}{}", open.repeat(4), close.repeat(4))
}

/// R12: a condition that nobody fulfils today does not hide what a letter costs, in either branch.
#[test]
fn conditions_hide_no_cost() {
    let costly = expensive();
    for html in [
        costly.clone(),
        format!("{{% if attributes.go == 'yes' %}}{costly}{{% endif %}}"),
        format!("{{% if name %}}x{{% elif attributes.go %}}{costly}{{% endif %}}"),
        format!("{{% if not attributes.go %}}x{{% else %}}{costly}{{% endif %}}"),
        format!("{{% for x in attributes.go if x == 'yes' %}}{costly}{{% endfor %}}"),
        format!("{{% if attributes.go|default(1)|int - 1 %}}{costly}{{% endif %}}"),
    ] {
        assert!(
            codes(&html, "x").contains(&("html", "template_too_slow")),
            "{html}: {:?}",
            codes(&html, "x")
        );
        assert!(codes("x", &html).contains(&("text", "template_too_slow")));
    }
    let in_expression = "{{ 'x' if attributes.go == 'yes' else name|replace('o', 'long long long long long long long long')|replace('o', 'long long long long long long long')|title|upper|title|upper|title|upper|title }}";
    assert!(codes(&in_expression.repeat(1_000), "x").contains(&("html", "template_too_slow")));
}

/// R12: what people write today is not refused, whichever branches it has.
#[test]
fn ordinary_messages_are_not_refused() {
    let branch = |n: usize| {
        format!(
            "{{% if attributes.language == 'l{n}' %}}<p>{}</p>{{% endif %}}",
            "A paragraph in this language. ".repeat(300)
        )
    };
    let languages: String = (0..30).map(branch).collect();
    let loops = "{% for o in attributes.orders if o.sum > 3 %}{% for i in o.items %}<li>{{ loop.index }}. {{ i.title | title | truncate(40) }}: {{ i.sum * 1 if false else i.sum }}</li>{% else %}nothing{% endfor %}{% endfor %}".replace("i.sum * 1 if false else ", "");
    let rest = "{{ attributes.price | float / 2 - 1 }}{{ 'Dear ' ~ first_name | default('reader') }}{% if attributes.n | int > 5 and not attributes.vip %}x{% else %}y{% endif %}";
    let html = format!("{languages}{loops}{rest}");
    assert_eq!(codes(&html, &html), []);
}

/// R12: a field of a message that is saved has at most ten filters.
#[test]
fn filters_per_field_are_limited() {
    let field = |n| format!("one\n{{{{ name{} }}}}", "|trim".repeat(n));
    assert_eq!(codes("x", &field(10)), []);
    assert_eq!(
        codes("x", &field(11)),
        [("text", "template_too_many_filters")]
    );
    let condition = format!("{{% if name{} %}}{{% endif %}}", "|trim".repeat(11));
    assert_eq!(
        codes(&condition, "x"),
        [("html", "template_too_many_filters")]
    );
}
