use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::recipients::recipient::RecipientFields;

fn values(attributes: serde_json::Value) -> TemplateValues {
    let serde_json::Value::Object(attributes) = attributes else {
        panic!("an object");
    };
    TemplateValues::new(
        &TemplateRecipient {
            email: "ann@example.org",
            fields: &RecipientFields::from_name("Ann <b>\"Smith\"</b> & 'Co'"),
            attributes: &attributes,
        },
        "https://example.org/u/t?a=1&b=2",
    )
}

fn render(
    part: TemplatePart,
    source: &str,
    attributes: serde_json::Value,
) -> Result<String, TemplateError> {
    Template::compile(part, source)?.render(&values(attributes))
}

fn text(source: &str) -> String {
    let attributes = json!({
        "city": "Тверь", "empty": " ", "age": 41, "price": 1234.5, "rate": "1 234,567", "vip": true, "nothing": null,
        "born": "1985-03-09", "seen": "2027-01-31T10:05:06+03:00", "tags": ["a", "b", "c"], "Имя поля": "да", "Город": "Орёл",
        "orders": [{"title": "Чай", "sum": 5}, {"title": "Мёд", "sum": 7}], "list": [],
    });
    render(TemplatePart::Text, source, attributes).unwrap_or_else(|e| panic!("{source}: {e}"))
}

fn code(source: &str) -> (&'static str, usize) {
    let error = render(TemplatePart::Text, source, json!({"a": "x", "n": 1})).expect_err(source);
    (error.code, error.line)
}

#[test]
fn fields_are_filled_in() {
    for (source, expected) in [
        ("{{ email }} {{first_name}}", "ann@example.org Ann"),
        (
            "{{ attributes.city }}, {{ attributes['Имя поля'] }}, {{ attributes.Город }}",
            "Тверь, да, Орёл",
        ),
        (
            "[{{ attributes.none_such }}{{ attributes.no.such.thing }}{{ attributes.nothing }}]",
            "[]",
        ),
        ("{{ attributes.none_such | default('here') }}", "here"),
        ("{{ attributes.empty | default('blank') }}", "blank"),
        (
            "{{ attributes.nothing | default('null') }}{{ attributes.x | default }}",
            "null",
        ),
        (
            "{{ attributes.age }} {{ attributes.price }} {{ attributes.vip }}",
            "41 1234.5 true",
        ),
        (
            "{{ attributes.tags }} {{ attributes.tags | join('/') }}",
            "a, b, c a/b/c",
        ),
        (
            "{{ attributes.tags | first }}{{ attributes.tags | last }}{{ attributes.tags | length }}",
            "ac3",
        ),
        (
            "{{ 'привет' | upper }} {{ 'ПРИВЕТ' | lower }} {{ 'привет' | capitalize }}",
            "ПРИВЕТ привет Привет",
        ),
        ("{{ \"анна-мария o'neil\" | title }}", "Анна-Мария O'neil"),
        (
            "{{ 'Мама мыла раму' | truncate(10) }}|{{ 'abc' | truncate(3) }}",
            "Мама мыла…|abc",
        ),
        (
            "{{ ' x ' | trim }}{{ 'aXbX' | replace('X', '-') }}",
            "xa-b-",
        ),
        (
            "{{ attributes.rate | round(2) }} {{ attributes.price | round }}",
            "1234.57 1234",
        ),
        (
            "{{ attributes.rate | int }} {{ '7' | int + 1 }} {{ 'x' | int }}",
            "1234 8 0",
        ),
        (
            "{{ attributes.born | date }} {{ attributes.seen | date('%H:%M %d/%m/%y 100%%') }}",
            "09.03.1985 10:05 31/01/27 100%",
        ),
        ("{{ 'not a date' | date }}", "not a date"),
        ("{{ 'а&b' | urlencode }}", "%D0%B0%26b"),
        (
            "{% if attributes.age > 40 and attributes.vip %}old{% elif true %}x{% else %}y{% endif %}",
            "old",
        ),
        (
            "{% if 'b' in attributes.tags and attributes.city is defined %}in{% endif %}",
            "in",
        ),
        (
            "{% if attributes.none_such is not defined %}out{% endif %}",
            "out",
        ),
        (
            "{% if attributes.list is empty and not attributes.list %}empty{% endif %}",
            "empty",
        ),
        (
            "{% for o in attributes.orders %}{{ loop.index }}. {{ o.title }}{% if not loop.last %}, {% endif %}{% endfor %}",
            "1. Чай, 2. Мёд",
        ),
        (
            "{% for o in attributes.no_such %}x{% else %}none{% endfor %}",
            "none",
        ),
        ("a{# {{ nothing #}b", "ab"),
        ("{{ '}}' }}{{ '{{' }}{{ '%}' }}", "}}{{%}"),
        ("a  {{- ' b ' -}}  c\n", "a b c\n"),
        ("{ not a tag } {\n", "{ not a tag } {\n"),
        (
            "{{ attributes.city ~ '!' }}{{ 'x' if attributes.vip else 'y' }}",
            "Тверь!x",
        ),
    ] {
        assert_eq!(text(source), expected, "{source}");
    }
}

/// F13: values are escaped in HTML and raw in text.
#[test]
fn values_are_escaped_per_part() {
    let source = "{{ name }} <a href=\"{{ unsubscribe_url }}\">";
    assert_eq!(
        render(TemplatePart::Html, source, json!({})).unwrap(),
        "Ann &lt;b&gt;&quot;Smith&quot;&lt;/b&gt; &amp; &#39;Co&#39; <a href=\"https://example.org/u/t?a=1&amp;b=2\">"
    );
    assert_eq!(
        render(TemplatePart::Text, source, json!({})).unwrap(),
        "Ann <b>\"Smith\"</b> & 'Co' <a href=\"https://example.org/u/t?a=1&b=2\">"
    );
    for evil in [
        "{{ attributes.x | upper }}",
        "{{ attributes.x ~ attributes.x }}",
        "{{ attributes.list | join('<hr>') }}",
        "{{ attributes.list }}",
        "{{ attributes.map }}",
        "{{ attributes.x | replace('a', '<') }}",
        "{{ attributes.x[0:3] }}",
        "{% for c in attributes.list %}{{ c }}{% endfor %}",
    ] {
        let attributes = json!({"x": "<a>", "list": ["<a>", "<b>"], "map": {"<a>": "<b>"}});
        let html = render(TemplatePart::Html, evil, attributes).unwrap();
        assert!(
            !html.contains('<') && html.contains("&lt;"),
            "{evil}: {html}"
        );
    }
}

/// F12: a value never adds a second line to a subject.
#[test]
fn subject_is_one_line() {
    let subject = render(
        TemplatePart::Subject,
        " Hi {{ attributes.x }}\r\n",
        json!({"x": "a\r\nBcc: b\u{0}\u{85}\u{2028}c  d"}),
    );
    assert_eq!(subject.unwrap(), "Hi a Bcc: b c d");
}

#[test]
fn what_the_sandbox_lacks_is_refused_at_its_line() {
    for (source, expected) in [
        ("{% set x = 1 %}", "template_statement"),
        ("{%- set x = 1 %}", "template_statement"),
        ("{%\n\nset x = 1 %}", "template_statement"),
        ("{% with x = 1 %}{% endwith %}", "template_statement"),
        ("{% macro m() %}{% endmacro %}", "template_statement"),
        ("{% include 'x' %}", "template_statement"),
        ("{% import 'x' as y %}", "template_statement"),
        ("{% extends 'x' %}", "template_statement"),
        ("{% block x %}{% endblock %}", "template_statement"),
        ("{% call x() %}{% endcall %}", "template_statement"),
        ("{% filter upper %}{% endfilter %}", "template_statement"),
        (
            "{% autoescape false %}{{ name }}{% endautoescape %}",
            "template_statement",
        ),
        ("{% do x %}", "template_statement"),
        ("{% raw %}{% endraw %}", "template_statement"),
        ("{% %}", "template_statement"),
        (
            "{% for x in a recursive %}{{ loop(x) }}{% endfor %}",
            "template_statement",
        ),
        ("{{ 'a' * 100000000 }}", "template_operator"),
        ("{{ 2 ** 999 }}", "template_operator"),
        ("{{ {'a': 1} }}", "template_operator"),
        ("{{ range(10) }}", "template_function"),
        ("{{ loop.cycle(1) }}", "template_function"),
        ("{{ 'a'.upper() }}", "template_function"),
        ("{{ 'a'(1) }}", "template_function"),
        ("{{ name | safe }}", "template_filter"),
        ("{{ name | escape }}", "template_filter"),
        (
            "{{ name | trim | format('%2000000000d') }}",
            "template_filter",
        ),
        ("{% if a is callable %}{% endif %}", "template_test"),
        ("{% if a is not sameas(b) %}{% endif %}", "template_test"),
        ("{{ name", "template_unclosed"),
        ("{{ 'name }}", "template_unclosed"),
        ("{% if a", "template_unclosed"),
        ("{# a", "template_unclosed"),
        ("{{ name name }}", "template_syntax"),
        ("{{ }}", "template_syntax"),
        ("{% if %}{% endif %}", "template_syntax"),
        ("{% endif %}", "template_syntax"),
        ("{% else %}", "template_syntax"),
        ("{{ attributes.n + 'x' }}", "template_value"),
        ("{{ name | replace }}", "template_arguments"),
        ("{{ name | upper(1) }}", "template_arguments"),
    ] {
        assert_eq!(
            code(&format!("one\ntwo\n{source}")),
            (expected, 3),
            "{source}"
        );
    }
    assert_eq!(code("{% if a %}\n\nx").0, "template_syntax");
}

#[test]
fn size_depth_and_work_are_limited() {
    let error =
        |part, source: &str, attributes| render(part, source, attributes).expect_err("limit").code;
    assert_eq!(
        error(TemplatePart::Subject, &"x".repeat(2_001), json!({})),
        "template_too_long"
    );
    assert_eq!(
        error(
            TemplatePart::Text,
            &format!("{{{{ name {} }}}}", "~ name ".repeat(200)),
            json!({})
        ),
        "template_tag_too_long"
    );
    let deep = |n| format!("{}{}", "{% if 1 %}".repeat(n), "{% endif %}".repeat(n));
    assert_eq!(
        error(TemplatePart::Text, &deep(9), json!({})),
        "template_too_deep"
    );
    assert!(render(TemplatePart::Text, &deep(8), json!({})).is_ok());
    assert_eq!(
        error(TemplatePart::Text, &"{{ a }}".repeat(5_001), json!({})),
        "template_too_many_tags"
    );
    let many: Vec<u32> = (0..2_000).collect();
    let nested = "{% for a in attributes.l %}{% for b in attributes.l %}{% endfor %}{% endfor %}";
    assert_eq!(
        error(TemplatePart::Text, nested, json!({"l": many})),
        "template_too_slow"
    );
    let long = format!(
        "{{% for a in attributes.l %}}{}{{% endfor %}}",
        "x".repeat(5_000)
    );
    assert_eq!(
        error(TemplatePart::Text, &long, json!({"l": many})),
        "template_output_too_long"
    );
    let chain = "{{ attributes.a | replace('a', attributes.a) | replace('a', attributes.a) }}";
    assert_eq!(
        error(TemplatePart::Text, chain, json!({"a": "a".repeat(1_000)})),
        "template_value"
    );
}

/// R12: a letter has a budget of work, whatever of the template causes it.
#[test]
fn work_is_limited_wherever_it_is_done() {
    let big = "Word ".repeat(1_500);
    let list: Vec<_> = (0..60)
        .map(|n| format!("{n} {}", "x".repeat(900)))
        .collect();
    let attributes = json!({"b": big, "l": list, "m": {"k": big.clone()}});
    let looped = |inner: &str| {
        let (open, close) = ("{% for a in attributes.l %}", "{% endfor %}");
        format!("{}{inner}{}", open.repeat(2), close.repeat(2))
    };
    let chain = |operator: &str| format!("{{{{ attributes.b{} }}}}", operator.repeat(65));
    for source in [
        looped("{% if attributes.b|replace('W', 'V')|replace('o', '') == 'x' %}{% endif %}"),
        format!("{{{{ attributes.b{} }}}}", "|title".repeat(130)),
        looped("{{ attributes.b|title|length }}"),
        looped("{% if attributes.b == attributes.m.k %}{% endif %}"),
        looped("{% if attributes.b < attributes.m.k %}{% endif %}"),
        looped("{% if 'nowhere' in attributes.b %}{% endif %}"),
        looped("{% if attributes.b not in attributes.m.k %}{% endif %}"),
        looped("{% if a in attributes.l %}{% endif %}"),
        looped("{% if attributes.l == attributes.l %}{% endif %}"),
        looped("{% if attributes == attributes.m %}{% endif %}"),
        looped("{% if attributes.b[::-1] %}{% endif %}"),
        looped("{% if attributes.b[1:] ~ a %}{% endif %}"),
        looped("{% if (attributes.b ~ a ~ attributes.b) is defined %}{% endif %}"),
        looped("{% if attributes.b + a %}{% endif %}"),
        looped("{% if attributes.l + attributes.l == a %}{% endif %}"),
        looped("{{ attributes.l[:30]|join('-')|length }}"),
        looped("{{ attributes.b|urlencode|first }}"),
        looped(
            "{% if [attributes.b, attributes.b] is empty or attributes.b|trim is empty %}{% endif %}",
        ),
        "{% for a in [attributes.b ~ attributes.b] %}".to_owned()
            + &"{% if a == a %}{% endif %}".repeat(900)
            + "{% endfor %}",
        chain("~attributes.b").repeat(20),
        "{{ attributes.b|upper|lower|upper|lower|upper|lower|upper|lower|first }}".repeat(100),
    ] {
        for part in [TemplatePart::Html, TemplatePart::Text] {
            let error = render(part, &source, attributes.clone()).expect_err(&source);
            assert_eq!(error.code, "template_too_slow", "{source}");
        }
    }
}

/// R12: ordinary letters use a small part of what a letter may, and of what is made between others.
#[test]
fn ordinary_letters_stay_far_within_their_budget() {
    let attributes = json!({
        "city": "Tver", "vip": true, "price": 1_234.5, "note": "A longer note. ".repeat(100),
        "orders": (0..20).map(|n| json!({"title": format!("Thing {n}"), "sum": n})).collect::<Vec<_>>(),
    });
    let source = "<p>Hello {{ first_name|default('reader') }}, {{ attributes.city|upper }}!</p>"
        .to_owned()
        + &"<p>A paragraph like those of letters.</p>".repeat(300)
        + "{% if attributes.vip and attributes.city in ['Tver', 'Omsk'] %}<b>{{ attributes.note }}</b>{% endif %}
           {% for o in attributes.orders %}<li>{{ loop.index }} {{ o.title|title }}: {{ o.sum ~ ' EUR' }}</li>{% endfor %}";
    let template = Template::compile(TemplatePart::Html, &source).unwrap();
    let budget = WorkBudget::quick();
    template
        .render_within(&values(attributes), &budget)
        .unwrap();
    assert!(budget.spent() < 100_000, "{}", budget.spent());
}

/// R12: all parts of a letter share one budget.
#[test]
fn parts_share_a_budget() {
    let template = Template::compile(TemplatePart::Text, "{{ attributes.b|title|upper }}").unwrap();
    let values = values(json!({"b": "Word ".repeat(1_500)}));
    let budget = WorkBudget::letter();
    let mut rendered = 0;
    let error = loop {
        match template.render_within(&values, &budget) {
            Ok(_) => rendered += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_too_slow() && budget.is_spent());
    assert!((10..100).contains(&rendered), "{rendered}");
}

/// R12: what operators cost is counted without changing what they give.
#[test]
fn metered_expressions_give_what_the_engine_gives() {
    let attributes = json!({
        "a": "Tver", "b": "ver", "n": 7, "z": 0, "f": 2.5, "l": ["x", "Tver", 7], "m": {"k": "v"},
        "empty": "", "null": null, "yes": true,
    });
    let known = values(attributes);
    for expression in EXPRESSIONS {
        for source in [
            format!("[{{{{ {expression} }}}}]"),
            format!(
                "{{% if {expression} %}}yes{{% elif {expression} %}}no{{% else %}}no{{% endif %}}"
            ),
            format!("{{% for x in attributes.l if {expression} %}}{{{{ x }}}},{{% endfor %}}"),
            format!(
                "{{%- for x in ({expression}) | default([1]) -%}} {{{{ x }}}} {{%- else %}}none{{% endfor -%}} "
            ),
        ] {
            let plain = Template::unmetered(TemplatePart::Text, &source);
            let metered = Template::compile(TemplatePart::Text, &source);
            match (plain, metered) {
                (Ok(plain), Ok(metered)) => {
                    let (plain, metered) = (plain.render(&known), metered.render(&known));
                    assert_eq!(
                        plain.is_ok(),
                        metered.is_ok(),
                        "{source}: {plain:?} {metered:?}"
                    );
                    if let (Ok(plain), Ok(metered)) = (plain, metered) {
                        assert_eq!(plain, metered, "{source}");
                    }
                }
                (plain, metered) => {
                    let (plain, metered) = (plain.err(), metered.err());
                    assert_eq!(plain.map(|e| e.code), metered.map(|e| e.code), "{source}");
                }
            }
        }
    }
}

const EXPRESSIONS: [&str; 50] = [
    "attributes.a",
    "attributes['a']",
    "attributes.l[1]",
    "attributes.l.1",
    "attributes.m.k",
    "attributes.a == 'Tver'",
    "attributes.a != attributes.b",
    "attributes.b in attributes.a",
    "attributes.b not in attributes.a",
    "not attributes.b in attributes.a",
    "attributes.a in attributes.l",
    "'k' in attributes.m",
    "attributes.n > 5 and attributes.z < 1 or attributes.empty",
    "attributes.empty or attributes.null or attributes.a",
    "attributes.yes and attributes.n and attributes.a",
    "(attributes.empty or attributes.a) and attributes.b",
    "not attributes.empty and not (attributes.yes and attributes.z)",
    "1 < attributes.n < 9",
    "1 < attributes.n > 9",
    "attributes.a ~ '-' ~ attributes.n ~ attributes.f ~ attributes.null ~ attributes.yes",
    "attributes.a ~ attributes.l",
    "attributes.n ~ attributes.n + 1",
    "attributes.n + 1 ~ 'x'",
    "attributes.n - 1 - 1",
    "attributes.n - (1 - 1)",
    "attributes.n + attributes.f / 2 - 1",
    "attributes.n % 4 // 2",
    "-attributes.n",
    "- attributes.n + 2",
    "-attributes.n | int",
    "(-attributes.n) | int + 1",
    "-(attributes.a | length)",
    "attributes.a | length + 1",
    "attributes.a + attributes.b",
    "attributes.l + ['y']",
    "(attributes.l + ['y'])[3]",
    "attributes.a[1:3]",
    "attributes.a[:-1]",
    "attributes.a[::2]",
    "attributes.a[::-1] ~ '!'",
    "(attributes.a | upper)[1:]",
    "attributes.l[1:] | first",
    "'x' if attributes.yes else 'y'",
    "'x' if attributes.z",
    "'x' if attributes.z else 'y' if attributes.yes else 'z'",
    "('x' if attributes.yes else 'y') ~ 'z'",
    "attributes.a is defined and attributes.q is not defined",
    "attributes.a | upper is string",
    "attributes.a | replace('T', attributes.b | upper) | title | default(attributes.n + 1)",
    "['a', attributes.a, (1, 2), (3,)] | join(', ' ~ attributes.n) | truncate(4)",
];

#[test]
fn huge_and_deep_attributes_are_cut() {
    let mut deep = json!("bottom");
    for _ in 0..100 {
        deep = json!({ "d": deep });
    }
    let attributes = json!({"a": "x".repeat(70_000), "deep": deep});
    assert_eq!(
        render(
            TemplatePart::Text,
            "[{{ attributes.a }}]",
            attributes.clone()
        )
        .unwrap(),
        "[]"
    );
    render(TemplatePart::Text, "[{{ attributes.deep }}]", attributes).unwrap();
}

#[test]
fn unknown_names_are_told_with_their_line() {
    let template = Template::compile(
        TemplatePart::Html,
        "{{ name }}\n{% for x in attributes.l %}{{ x }}{{ loop.index }}{% endfor %}\n{{ nmae }} {{ city | upper }} {{ nmae }}",
    )
    .unwrap();
    let unknown: Vec<_> = template
        .unknown_names()
        .into_iter()
        .map(|e| (e.line, e.detail))
        .collect();
    assert_eq!(unknown, [(3, "nmae".to_owned()), (3, "city".to_owned())]);
    assert!(template.uses("attributes") && !template.uses("email"));
}

#[test]
fn placed_link_counts_only_where_everybody_sees_it() {
    let placed = |source| always_uses(source, "unsubscribe_url");
    assert!(placed("<a href=\"{{ unsubscribe_url }}\">x</a>"));
    assert!(placed("<!-- a --><a href='{{unsubscribe_url}}'>x</a>"));
    assert!(!placed("{% if vip %}{{ unsubscribe_url }}{% endif %}"));
    assert!(!placed("<!-- {{ unsubscribe_url }} -->"));
    assert!(!placed("{# {{ unsubscribe_url }} #}"));
    assert!(!placed(
        "{{ attributes.unsubscribe_url }}{{ 'unsubscribe_url' }}"
    ));
    assert!(!placed("unsubscribe_url"));
}

proptest! {
    #[test]
    fn any_template_is_refused_or_bounded(source in "(\\PC|\\{\\{|\\}\\}|\\{%|%\\}|if|for x in|endif|endfor|name|\\||'|\"|\\(|\\)|~|-|attributes|is| |\\\\){0,40}") {
        if let Ok(template) = Template::compile(TemplatePart::Html, &source) {
            let _ = template.render(&values(json!({"a": [1, 2, 3]})));
        }
    }

    /// F13: no value can add a tag to the HTML part, with any filter.
    #[test]
    fn no_value_makes_html(value in "\\PC{0,40}", filter in proptest::sample::select(filters::FILTERS.to_vec())) {
        let arguments = match filter {
            "replace" => "('a', '<')",
            _ => "",
        };
        let source = format!("{{{{ attributes.v | {filter}{arguments} }}}}");
        let html = render(TemplatePart::Html, &source, json!({ "v": value })).unwrap();
        prop_assert!(!html.contains(['<', '>', '"', '\'']), "{}", html);
    }
}
